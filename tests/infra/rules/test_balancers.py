"""The rules `open-balancer` and `open-node-port`: every way in has a range of addresses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.config.stack import StackName
from infra.rules import STACK_RULES, UNKNOWN, Subject
from lightwork.manifests.reach import Address, Pod, allowed
from tests.infra.rules.offences import reasons

DEV = StackName.parse("dev")
SERVICE = "kubernetes:core/v1:Service"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
RELEASE = "kubernetes:helm.sh/v3:Release"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
OFFICE = "198.51.100.0/24"
OPEN = (
    *("0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "192.0.0.0/8", "2000::/3", "10.0.0.0/4", "office"),
    *("::ffff:0:0/96", "::ffff:198.51.0.0/112"),
)


def service(kind: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"type": kind, **spec}}


def template(manifest: Any) -> dict[str, Any]:
    """Return a template of Argo that applies an object."""
    resource = {"action": "apply", "manifest": yaml.safe_dump(manifest)}
    return {"kind": "WorkflowTemplate", "spec": {"templates": [{"name": "one", "resource": resource}]}}


BALANCED = service("LoadBalancer")


@pytest.mark.parametrize(
    ("type_", "inputs", "word"),
    [
        ("aws:lb/loadBalancer:LoadBalancer", {"loadBalancerType": "network"}, "no security groups"),
        ("aws:lb/loadBalancer:LoadBalancer", {"securityGroups": []}, "no security groups"),
        ("aws:alb/loadBalancer:LoadBalancer", {}, "no security groups"),
        ("aws:elb/loadBalancer:LoadBalancer", {}, "no security groups"),
        *((RULE, {"cidrIpv4": cidr}, cidr) for cidr in OPEN),
        (RULE, {"cidrIpv6": "::/0"}, "::/0"),
        (GROUP, {"ingress": [{"cidrBlocks": [OFFICE, "0.0.0.0/0"]}]}, "0.0.0.0/0"),
        (GROUP, {"ingress": [{"ipv6CidrBlocks": ["::/0"]}]}, "::/0"),
        (OLD_RULE, {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"]}, "0.0.0.0/0"),
        (OLD_RULE, {"type": "ingress", "prefixListIds": ["pl-1"]}, "pl-1"),
        (RULE, {"prefixListId": "pl-1"}, "pl-1"),
        (DEFAULT_GROUP, {"ingress": [{"cidrBlocks": ["0.0.0.0/0"]}]}, "0.0.0.0/0"),
        (SERVICE, BALANCED, "lets everybody in"),
        (SERVICE, {"spec": BALANCED["spec"]}, "lets everybody in"),
        ("kubernetes:core/v1:ServicePatch", BALANCED, "lets everybody in"),
        ("kubernetes:core/v1:List", {"kind": "List", "items": [BALANCED]}, "lets everybody in"),
        ("kubernetes:argoproj.io/v1alpha1:WorkflowTemplate", template(BALANCED), "lets everybody in"),
        *((SERVICE, service("LoadBalancer", loadBalancerSourceRanges=[OFFICE, cidr]), cidr) for cidr in OPEN),
        (SERVICE, service("ClusterIP", externalIPs=["192.0.2.1"]), "externalIPs"),
        (SERVICE, service("NodePort"), "externalTrafficPolicy: Local"),
        (SERVICE, service("NodePort", externalTrafficPolicy="Cluster"), "externalTrafficPolicy: Local"),
        ("kubernetes:networking.k8s.io/v1:Ingress", {"spec": {}}, "a Ingress has no ranges"),
        ("kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", {"spec": {}}, "a HTTPRoute has no ranges"),
        (RELEASE, {"values": {"server": {"serviceType": "LoadBalancer"}}}, "values.server.serviceType"),
        (RELEASE, {"values": {"grafana": {"service": {"type": "NodePort"}}}}, "values.grafana.service.type"),
        (RELEASE, {"values": {"server": {"ingress": {"enabled": True}}}}, "values.server.ingress.enabled"),
        (RELEASE, {"values": {"route": {"main": {"enabled": True}}}}, "values.route.main.enabled"),
        (RELEASE, {"values": {"ingress": {"enabled": "false"}}}, "values.ingress.enabled is 'false'"),
        (RELEASE, {"values": {"service": {"externalIPs": ["192.0.2.1"]}}}, "values.service.externalIPs"),
        (RELEASE, {"valueYamlFiles": [{"path": "values.yaml"}]}, "`valueYamlFiles`"),
    ],
)
def test_every_way_in_without_a_range_is_refused(type_: str, inputs: dict[str, Any], word: str) -> None:
    lines = reasons("open-balancer", type_, inputs)
    assert any(word in line for line in lines), (inputs, lines)


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("aws:lb/loadBalancer:LoadBalancer", {"securityGroups": ["sg-1"]}),
        ("aws:lb/loadBalancer:LoadBalancer", {"securityGroups": UNKNOWN}),
        (RULE, {"cidrIpv4": OFFICE}),
        (RULE, {"cidrIpv4": "10.20.0.0/16"}),
        (RULE, {"cidrIpv4": UNKNOWN}),
        (RULE, {"referencedSecurityGroupId": "sg-1"}),
        (GROUP, {"ingress": [], "egress": [{"cidrBlocks": ["0.0.0.0/0"]}]}),
        (OLD_RULE, {"type": "egress", "cidrBlocks": ["0.0.0.0/0"]}),
        (OLD_RULE, {"type": UNKNOWN, "cidrBlocks": ["0.0.0.0/0"]}),
        (RULE, {"prefixListId": UNKNOWN}),
        ("aws:ec2/route:Route", {"destinationCidrBlock": "0.0.0.0/0"}),
        (SERVICE, service("ClusterIP")),
        (SERVICE, service("LoadBalancer", loadBalancerSourceRanges=[OFFICE, "fd00::/8"])),
        (SERVICE, service("LoadBalancer", loadBalancerSourceRanges=UNKNOWN)),
        (SERVICE, service("NodePort", externalTrafficPolicy="Local")),
        (SERVICE, {"spec": UNKNOWN}),
        (SERVICE, service("NodePort", externalTrafficPolicy=UNKNOWN)),
        (SERVICE, service("ClusterIP", externalIPs=UNKNOWN)),
        (RELEASE, {"values": {"ingress": {"enabled": UNKNOWN}}}),
        (RELEASE, {"values": {"server": {"serviceType": "ClusterIP", "ingress": {"enabled": False}}}}),
        (RELEASE, {"values": {"alertmanager": {"config": {"route": {"receiver": "nobody"}}}}}),
    ],
)
def test_ways_in_with_ranges_and_other_resources_are_allowed(type_: str, inputs: dict[str, Any]) -> None:
    assert reasons("open-balancer", type_, inputs) == []


SELECTOR = {"app": "page"}
NODE_PORT = {
    "metadata": {"name": "s", "namespace": "argo"},
    "spec": {"type": "NodePort", "externalTrafficPolicy": "Local", "selector": SELECTOR},
}


def policy(*sources: dict[str, Any], namespace: str = "argo", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": SELECTOR},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": list(sources), "ports": [{"port": 1}]}],
            **spec,
        },
    }


def reported(*policies: dict[str, Any]) -> list[str]:
    """Return the lines about a Service with a port of the nodes, in a stack with these policies."""
    stack = [Subject(stack=DEV, type=SERVICE, name="page", inputs=NODE_PORT)]
    stack += [Subject(stack=DEV, type=POLICY, name="policy", inputs=inputs) for inputs in policies]
    return [f"{item.name}: {reason}" for item, reason in STACK_RULES["open-node-port"](stack)]


def block(cidr: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr}}


@pytest.mark.parametrize(
    "policies",
    [
        (),
        (policy(block("0.0.0.0/0")),),
        (policy(block("10.0.0.0/24")), policy(block("0.0.0.0/0"))),
        (policy(block("10.0.0.0/24")), policy(podSelector={})),
        (policy(block("10.0.0.0/24")), policy(podSelector={"matchLabels": {"tier": "web"}})),
        (
            policy(
                block("10.0.0.0/24"),
                podSelector={
                    "matchLabels": SELECTOR,
                    "matchExpressions": [{"key": "x", "operator": "Exists"}],
                },
            ),
        ),
        (policy(block("10.0.0.0/24"), block("::/0")),),
        (policy(),),
        (policy(block("10.0.0.0/24"), namespace="monitoring"),),
        (policy(block("10.0.0.0/24"), podSelector={"matchLabels": {"app": "other"}}),),
        (policy(block("10.0.0.0/24"), policyTypes=["Egress"]),),
    ],
)
def test_a_port_of_the_nodes_whose_pods_are_open_is_refused(policies: tuple[dict[str, Any], ...]) -> None:
    (line,) = reported(*policies)
    assert line.startswith("page: it opens a port of every node"), line


def test_a_port_of_the_nodes_whose_pods_take_ranges_only_is_allowed() -> None:
    assert reported(policy(block("10.0.0.0/24"), {"podSelector": {}})) == []
    assert reported(policy(block("0.0.0.0/0"), namespace="other"), policy(block("10.0.0.0/24"))) == []
    assert reported(policy(block("10.0.0.0/24"), podSelector={})) == [], "all pods of the namespace"
    of_others = policy(podSelector={"matchLabels": {"app": "other"}})
    assert reported(policy(block("10.0.0.0/24")), of_others) == []


def placed(service: dict[str, Any], type_: str = SERVICE) -> list[str]:
    stack = [Subject(stack=DEV, type=type_, name="page", inputs=service)]
    return [f"{item.name}: {reason}" for item, reason in STACK_RULES["open-node-port"](stack)]


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        ("kubernetes:core/v1:ServicePatch", NODE_PORT),
        ("kubernetes:core/v1:List", {"kind": "List", "items": [{**NODE_PORT, "kind": "Service"}]}),
        ("kubernetes:argoproj.io/v1alpha1:WorkflowTemplate", template({**NODE_PORT, "kind": "Service"})),
        (SERVICE, {**NODE_PORT, "spec": {"type": "NodePort"}}),
    ],
)
def test_a_port_of_the_nodes_is_found_wherever_a_service_stands(type_: str, inputs: dict[str, Any]) -> None:
    (line,) = placed(inputs, type_)
    assert line.startswith("page: it opens a port of every node"), line


LABELS: list[dict[str, str]] = [{}, SELECTOR, {"app": "other"}, {"tier": "web"}, {**SELECTOR, "tier": "web"}]
SOURCES: list[dict[str, Any]] = [
    *map(block, ("10.0.0.0/24", OFFICE, "0.0.0.0/0", "128.0.0.0/1")),
    {"podSelector": {}},
    {"namespaceSelector": {}, "podSelector": {"matchLabels": SELECTOR}},
]
SELECTORS = st.fixed_dictionaries(
    {"matchLabels": st.sampled_from(LABELS)},
    optional={"matchExpressions": st.just([{"key": "tier", "operator": "Exists"}])},
)
POLICIES = st.lists(
    st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries({"namespace": st.sampled_from(["argo", "other"])}),
            "spec": st.fixed_dictionaries(
                {
                    "podSelector": st.one_of(st.just({}), SELECTORS),
                    "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
                    "ingress": st.lists(
                        st.fixed_dictionaries(
                            {}, optional={"from": st.lists(st.sampled_from(SOURCES), max_size=2)}
                        ),
                        max_size=2,
                    ),
                }
            ),
        }
    ),
    max_size=3,
)
OUTSIDER = Address("203.0.113.9")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(POLICIES)
def test_what_the_rule_accepts_lets_no_outsider_in(policies: list[dict[str, Any]]) -> None:
    """As the evaluator of policies says, for every pod that the Service may have behind it."""
    if not reported(*policies):
        for more in ({}, {"tier": "web"}, {"tier": "db"}):
            assert not allowed(policies, OUTSIDER, Pod("argo", {**SELECTOR, **more}), 1), more

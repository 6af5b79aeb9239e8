"""Which pods may and must not reach each other, as a table; and the evaluation of NetworkPolicies itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lightwork.manifests import network
from lightwork.manifests.reach import Address, Pod, Service, allowed, readings
from tests.estate import files
from tests.unit.lightwork.manifests import objects

POLICIES = [
    item for name in ("acme", "globex") for item in objects.of_tenant(name) if item["kind"] == "NetworkPolicy"
]


def pod(tenant: str, role: str | None) -> Pod:
    return Pod(f"tenant-{tenant}", {"lightwork/role": role} if role else {})


OURS = ("scheduler", "worker", "driver", "step", "scaler", "certificates", "controller", "history")
NOT_DASK = ("step", "scaler", "certificates", "controller", "history", "unlabelled")
ENDS: dict[str, Pod | Address] = {
    **{role: pod("acme", role) for role in OURS},
    "unlabelled": pod("acme", None),
    **{f"other {role}": pod("globex", role) for role in ("scheduler", "worker", "driver")},
    "prometheus": Pod("monitoring", {"app": "prometheus"}),
    "stranger": Pod("default", {"lightwork/role": "driver"}),
    "argo": Pod("argo", {"app": "workflow-controller"}),
    "dns": Pod("kube-system", {"k8s-app": "kube-dns"}),
    "kube-system": Pod("kube-system", {"app": "something"}),
    "false dns": Pod("default", {"k8s-app": "kube-dns"}),
    "api": Address("172.20.0.1"),
    "aws": Address("52.95.1.1"),
    "identity": Address("169.254.170.23"),
    "metadata": Address("169.254.169.254"),
}

MAY = [
    *((role, "scheduler", 8786) for role in ("worker", "driver")),
    *((role, "worker", port) for role in ("scheduler", "worker", "driver") for port in (8788, 8789)),
    *((role, "dns", 53) for role in (*OURS, "unlabelled")),
    *((role, "api", 443) for role in ("driver", "step", "scaler", "certificates", "controller")),
    ("scaler", "api", 6443),
    *((role, "aws", 443) for role in ("driver", "worker", "step", "controller", "history")),
    *((role, "identity", 80) for role in ("driver", "worker", "step", "controller", "history")),
    *(("prometheus", role, 8787) for role in ("scheduler", "worker")),
]

MUST_NOT = [
    # pods of another tenant, with the labels they have there
    *(
        (f"other {role}", to, port)
        for role in ("driver", "worker", "scheduler")
        for to, port in [
            ("scheduler", 8786),
            ("scheduler", 8787),
            ("worker", 8788),
            ("worker", 8789),
            ("driver", 8786),
        ]
    ),
    ("driver", "other scheduler", 8786),
    ("worker", "other worker", 8788),
    # pods in other namespaces with the same labels
    *(("stranger", to, port) for to, port in [("scheduler", 8786), ("worker", 8788), ("scheduler", 8787)]),
    *(("argo", to, port) for to, port in [("scheduler", 8786), ("worker", 8788), ("driver", 8786)]),
    # the tenant's own pods that are not part of Dask
    *((role, "scheduler", 8786) for role in NOT_DASK),
    *((role, "worker", 8788) for role in NOT_DASK),
    *((role, "controller", 8080) for role in ("driver", "step", "prometheus", "stranger", "other driver")),
    # Prometheus may only read metrics
    *(("prometheus", "scheduler", port) for port in (8786, 22, 443)),
    *(("prometheus", "worker", port) for port in (8788, 8789)),
    ("prometheus", "driver", 8787),
    # nothing connects to a driver or to a step
    *((source, "driver", 8786) for source in ("worker", "scheduler", "driver")),
    ("driver", "scaler", 8080),
    *((source, "step", 8080) for source in ("driver", "step", "other driver", "prometheus")),
    # the dashboard has no password
    *((role, "scheduler", 8787) for role in ("driver", "worker", "stranger")),
    # outbound: no credentials, no cloud and no API for roles that do not need them
    ("scheduler", "aws", 443),
    ("scheduler", "identity", 80),
    ("scaler", "identity", 80),
    ("certificates", "identity", 80),
    ("unlabelled", "aws", 443),
    ("unlabelled", "api", 443),
    ("scheduler", "api", 443),
    ("worker", "api", 6443),
    ("history", "api", 6443),
    # no role may read the node's credentials
    *(
        (role, "metadata", port)
        for role in ("driver", "worker", "step", "scaler", "controller", "history")
        for port in (80,)
    ),
    *(("driver", "aws", port) for port in (80, 22, 5432, 8786)),
    ("driver", "identity", 443),
    # names are resolved by the cluster's DNS only
    *((role, to, 53) for role in ("driver", "unlabelled") for to in ("kube-system", "false dns", "aws")),
    ("driver", "dns", 9153),
]


@pytest.mark.parametrize(("source", "to", "port"), MAY)
def test_an_allowed_connection_passes(source: str, to: str, port: int) -> None:
    assert allowed(POLICIES, ENDS[source], ENDS[to], port, "UDP" if port == 53 else "TCP")


@pytest.mark.parametrize(("source", "to", "port"), MUST_NOT)
def test_a_forbidden_connection_does_not_pass(source: str, to: str, port: int) -> None:
    assert not allowed(POLICIES, ENDS[source], ENDS[to], port)
    assert not allowed(POLICIES, ENDS[source], ENDS[to], port, "UDP")


S3_SERVERS = [
    ("http://10.1.2.3:7070", Address("10.1.2.3"), 7070, [Address("10.1.2.4")]),
    ("https://s3.example:8443", Address("203.0.113.9"), 8443, [Address("169.254.169.254")]),
    ("http://s3.example", Address("203.0.113.9"), 80, [Address("169.254.169.254")]),
    (
        "http://minio.storage.svc:9000",
        Pod("storage", {"app": "minio"}),
        9000,
        [Pod("default"), Address("10.1.2.3")],
    ),
    ("http://minio.storage.svc.cluster.local:9000", Pod("storage"), 9000, [Address("10.1.2.3")]),
    ("http://[fd00::7]:7070", Address("fd00::7"), 7070, [Address("fd00::8")]),
]


@pytest.mark.parametrize(("url", "server", "port", "others"), S3_SERVERS)
def test_an_s3_server_other_than_aws_is_reached_by_the_roles_that_use_the_lake(
    url: str, server: Pod | Address, port: int, others: list[Pod | Address]
) -> None:
    target = replace(objects.TARGET, variables={"AWS_ENDPOINT_URL": url})
    policies = network.policies(files.load("acme"), target)
    for role in OURS:
        reached = allowed(policies, pod("acme", role), server, port)
        assert reached is (role in network.LAKE), f"{role} to {url}"
    for other in others:
        assert not allowed(policies, pod("acme", "driver"), other, port), f"{other} is not {url}"
    assert not allowed(policies, pod("acme", "driver"), server, port + 1), "another port"


def test_without_an_s3_server_there_is_no_policy_for_one() -> None:
    names = [item["metadata"]["name"] for item in network.policies(files.load("acme"), objects.TARGET)]
    assert "s3" not in names


@pytest.mark.parametrize("url", ["http://", "http://:7070", "http://s3:port", "s3.example"])
def test_a_url_without_a_host_or_with_a_wrong_port_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"host|[Pp]ort"):
        network.server(url)


def test_the_first_policy_alone_denies_everything() -> None:
    deny_all = [POLICIES[0]]
    driver, scheduler = pod("acme", "driver"), pod("acme", "scheduler")
    assert not allowed(deny_all, driver, scheduler, 8786)
    assert not allowed(deny_all, driver, ENDS["aws"], 443), "nothing goes out"
    assert not allowed(deny_all, ENDS["aws"], driver, 443), "nothing comes in"


def test_addresses_inside_the_cluster_do_not_count_as_the_cloud() -> None:
    target = target_with(inside=("169.254.0.0/16", "10.0.0.0/8"), api_servers=("10.9.0.1/32",))
    policies = network.policies(objects.tenant("{}"), target)
    driver, worker = pod("acme", "driver"), pod("acme", "worker")
    assert not allowed(policies, worker, Address("10.1.2.3"), 443)
    assert not allowed(policies, worker, Address("10.9.0.1"), 443)
    assert allowed(policies, driver, Address("10.9.0.1"), 443)
    assert allowed(policies, worker, Address("52.95.1.1"), 443)


def target_with(**more: Any) -> Any:
    import dataclasses

    return dataclasses.replace(objects.TARGET, **more)


def policy(selector: dict[str, Any], types: list[str], **rules: Any) -> dict[str, Any]:
    spec = {"podSelector": selector, "policyTypes": types, **rules}
    return {"metadata": {"namespace": "a", "name": "p"}, "spec": spec}


A, B = Pod("a", {"app": "x"}), Pod("b", {"app": "y"}, "10.0.0.2", {"team": "t"})


@pytest.mark.parametrize(
    ("policies", "passes"),
    [
        ([], True),
        ([policy({}, ["Egress"])], False),
        ([policy({"matchLabels": {"app": "z"}}, ["Egress"])], True),  # selects no pod, so none is restricted
        ([policy({}, ["Egress"]), policy({}, ["Egress"], egress=[{}])], True),  # policies are additive
        ([policy({}, ["Egress"], egress=[{"to": [{"podSelector": {}}]}])], False),  # its own namespace only
        ([policy({}, ["Egress"], egress=[{"to": [{"namespaceSelector": {}}]}])], True),
        (
            [
                policy(
                    {}, ["Egress"], egress=[{"to": [{"namespaceSelector": {"matchLabels": {"team": "t"}}}]}]
                )
            ],
            True,
        ),
        (
            [
                policy(
                    {},
                    ["Egress"],
                    egress=[
                        {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "z"}}}]}
                    ],
                )
            ],
            False,  # both selectors of a peer must match
        ),
        ([policy({}, ["Egress"], egress=[{"ports": [{"port": 70, "endPort": 90}]}])], True),
        ([policy({}, ["Egress"], egress=[{"ports": [{"port": 80, "protocol": "UDP"}]}])], False),
        (
            [
                policy(
                    {},
                    ["Egress"],
                    egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.2/32"]}}]}],
                )
            ],
            False,
        ),
        ([policy({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, ["Egress"])], True),
        ([policy({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, ["Egress"])], False),
        ([policy({}, ["Ingress"])], True),  # the other direction
    ],
)
def test_policies_are_evaluated_as_kubernetes_defines_them(
    policies: list[dict[str, Any]], passes: bool
) -> None:
    assert allowed(policies, A, B, 80) is passes


@pytest.mark.parametrize(
    ("to", "port", "expected"),
    [
        ({"podSelector": {"matchLabels": {"app": "y"}}}, 8080, (True, True)),  # the Service's port is mapped
        ({"podSelector": {"matchLabels": {"app": "y"}}}, 80, (False, False)),  # a rule names the pod's port
        ({"podSelector": {"matchLabels": {"app": "z"}}}, 8080, (False, False)),
        (
            {"podSelector": {"matchLabels": {"more": "1"}}},
            8080,
            (False, True),
        ),  # not in the Service's selector
        ({"ipBlock": {"cidr": "10.0.0.0/24"}}, 8080, (False, True)),  # the pod's address
        ({"ipBlock": {"cidr": "172.20.0.0/16"}}, 80, (True, False)),  # the Service's
        ({"ipBlock": {"cidr": "172.20.0.0/16"}}, 8080, (False, False)),
    ],
)
def test_a_services_address_is_read_before_and_after_its_translation(
    to: dict[str, Any], port: int, expected: tuple[bool, bool]
) -> None:
    policies = [policy({}, ["Egress"], egress=[{"to": [to], "ports": [{"port": port}]}])]
    end = Pod("a", {"app": "y", "more": "1"}, "10.0.0.2")
    service = Service("a", "172.20.3.3", 80, end, 8080, {"app": "y"})
    assert readings(policies, A, service) == expected

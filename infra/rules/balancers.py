"""The rules `open-balancer` and `open-node-port`: whoever reaches a balancer comes from a named range.

The VPC's own security groups decide about a balancer on AWS, and a Service's ranges about one that Kubernetes
asks for. Nothing of the kind exists for the others, so that they are refused, also in the values of charts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infra.rules.kubernetes import UnreadableError, objects
from infra.rules.subject import UNKNOWN, listed, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.rules.subject import Subject

Range = ipaddress.IPv4Network | ipaddress.IPv6Network

INGRESS_RULES = frozenset(
    {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
)
CIDRS = frozenset({"cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6"})
PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
NARROW = {4: 16, 6: 32}
"""The shortest prefix of a range that is not private, by the version of IP."""
ROUTED = frozenset({"Ingress", "Gateway", "HTTPRoute", "TLSRoute", "TCPRoute", "GRPCRoute"})
"""The kinds that ask a controller for a balancer."""
SWITCHES = frozenset({"ingress", "httproute", "route", "gateway"})
"""The parts of a chart's values that make one of those, in lower case."""
SERVICES = frozenset({"LoadBalancer", "NodePort"})


def wide(cidr: Any) -> bool:
    """Return whether a range is too large to name anybody: everybody, half of the world, a wrong text."""
    if cidr is UNKNOWN:
        return False
    try:
        network: Range = ipaddress.ip_network(str(cidr), strict=False)
    except ValueError:
        return True
    if any(network.version == own.version and network.subnet_of(own) for own in PRIVATE):  # type: ignore[arg-type]
        return False
    return network.prefixlen < NARROW[network.version]


def open_balancer(subject: Subject) -> Iterator[str]:
    """Yield why a balancer, or the door to one, lets in more than named ranges."""
    if subject.type.startswith("aws:"):
        yield from _on_aws(subject)
    elif subject.type.startswith("kubernetes:helm.sh/"):
        yield from _in_values(subject.inputs.get("values") or {})
    elif subject.type.startswith("kubernetes:"):
        yield from _in_cluster(subject)


def _on_aws(subject: Subject) -> Iterator[str]:
    if subject.type.endswith(":LoadBalancer") and not subject.inputs.get("securityGroups"):
        yield "it has no security groups, so it lets everybody in; set `securityGroups`"
    if subject.type not in INGRESS_RULES or subject.inputs.get("type") == "egress":
        return
    inputs = {key: value for key, value in subject.inputs.items() if key != "egress"}
    for path, value in walk(inputs):
        if path and path[-1] in CIDRS:
            for cidr in filter(wide, listed(value)):
                yield f"it lets {cidr!r} in; name the ranges of those who are meant, none larger than a /16"


def _in_values(values: Any) -> Iterator[str]:
    """Check a chart's values, whose objects are not visible: no Service or route of a chart may be open."""
    for path, value in walk(values):
        field = ".".join(map(str, path))
        if path and path[-1] in ("type", "serviceType") and isinstance(value, str) and value in SERVICES:
            yield f"values.{field} is {value!r}; make the Service in the program, which has ranges"
        if path[-1:] == ("enabled",) and value is True and SWITCHES & {str(key).lower() for key in path}:
            yield f"values.{field} is true, which asks for a balancer; make it in the program"


def _in_cluster(subject: Subject) -> Iterator[str]:
    try:
        found = list(objects(subject.inputs, subject.type))
    except UnreadableError:
        return  # `unlimited` reports it
    for kind, item in found:
        if kind in ROUTED:
            yield f"a {kind} has no ranges of its own; make the balancer with aws.lb and a security group"
        elif kind == "Service":
            yield from _service(item.get("spec"))


def _service(spec: Any) -> Iterator[str]:
    if not isinstance(spec, Mapping):
        return
    if spec.get("externalIPs"):
        yield "externalIPs let everybody in who reaches these addresses; remove them"
    if spec.get("type") == "NodePort" and spec.get("externalTrafficPolicy") != "Local":
        yield "its pods see a node in place of the client; set `externalTrafficPolicy: Local`"
    if spec.get("type") == "LoadBalancer":
        ranges = listed(spec.get("loadBalancerSourceRanges"))
        if not ranges:
            yield "its balancer lets everybody in; set `loadBalancerSourceRanges`"
        for cidr in filter(wide, ranges):
            yield f"its balancer lets {cidr!r} in; name smaller `loadBalancerSourceRanges`"


def open_node_ports(subjects: Iterable[Subject]) -> Iterator[tuple[Subject, str]]:
    """Yield the Services with a port on every node whose pods no network policy closes to all but ranges."""
    stack = [item for item in subjects if item.type.startswith("kubernetes:")]
    closed = [
        (_namespace(item.inputs), item.inputs.get("spec"))
        for item in stack
        if item.type.endswith(":NetworkPolicy")
    ]
    for item in stack:
        spec = item.inputs.get("spec")
        if not item.type.endswith(":Service") or not isinstance(spec, Mapping):
            continue
        if spec.get("type") == "NodePort" and not any(
            namespace == _namespace(item.inputs) and _closes(policy, spec.get("selector"))
            for namespace, policy in closed
        ):
            yield item, "it opens a port of every node; add a NetworkPolicy with ranges for its pods"


def _namespace(inputs: Mapping[str, Any]) -> Any:
    metadata = inputs.get("metadata")
    return metadata.get("namespace") if isinstance(metadata, Mapping) else None


def _closes(policy: Any, selector: Any) -> bool:
    """Return whether a policy selects a Service's pods and lets nobody in from everywhere."""
    if not isinstance(policy, Mapping) or "Ingress" not in listed(policy.get("policyTypes")):
        return False
    if (policy.get("podSelector") or {}).get("matchLabels") != selector:
        return False
    rules = listed(policy.get("ingress"))
    blocks = [source.get("ipBlock") or {} for rule in rules for source in listed(rule.get("from"))]
    return all(rule.get("from") for rule in rules) and not any(
        wide(block["cidr"]) for block in blocks if "cidr" in block
    )

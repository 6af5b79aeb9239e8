"""The rules `open-balancer` and `open-node-port`: whoever reaches a balancer comes from a named range.

The VPC's own security groups decide about a balancer on AWS, and a Service's ranges about one that Kubernetes
asks for. Nothing of the kind exists for the others, so that they are refused, also in the values of charts.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from infra.rules.kubernetes import UnreadableError, objects
from infra.rules.subject import UNKNOWN, listed, mapping, undecided, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from infra.rules.subject import Subject

Range = ipaddress.IPv4Network | ipaddress.IPv6Network

INGRESS_RULES = frozenset(
    {
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
)
CIDRS = frozenset({"cidrBlocks", "ipv6CidrBlocks", "cidrIpv4", "cidrIpv6"})
LISTS = frozenset({"prefixListIds", "prefixListId"})
"""The fields with lists of ranges that are kept elsewhere, where they change without this program."""
IPV4_IN_IPV6 = ipaddress.ip_network("::ffff:0:0/96")
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
    return network.prefixlen < NARROW[network.version] or (
        isinstance(network, ipaddress.IPv6Network) and network.overlaps(IPV4_IN_IPV6)
    )


def open_balancer(subject: Subject) -> Iterator[str]:
    """Yield why a balancer, or the door to one, lets in more than named ranges."""
    if subject.type.startswith("aws:"):
        yield from _on_aws(subject)
    elif subject.type.startswith("kubernetes:helm.sh/"):
        yield from _in_values(subject.inputs.get("values") or {})
        if subject.inputs.get("valueYamlFiles") not in (None, [], UNKNOWN):
            yield "nobody sees what is in `valueYamlFiles`; give the chart `values`"
    elif subject.type.startswith("kubernetes:"):
        yield from _in_cluster(subject)


def _on_aws(subject: Subject) -> Iterator[str]:
    if subject.type.endswith(":LoadBalancer") and not subject.inputs.get("securityGroups"):
        yield "it has no security groups, so it lets everybody in; set `securityGroups`"
    if subject.type not in INGRESS_RULES or subject.inputs.get("type") in ("egress", UNKNOWN):
        return
    inputs = {key: value for key, value in subject.inputs.items() if key != "egress"}
    for path, value in walk(inputs):
        if path and path[-1] in CIDRS:
            for cidr in filter(wide, listed(value)):
                yield f"it lets {cidr!r} in; name the ranges of those who are meant, none larger than a /16"
        elif path and path[-1] in LISTS and any(item is not UNKNOWN for item in listed(value)):
            yield f"it lets in what is in the list {value!r}; name the ranges themselves"


def _in_values(values: Any) -> Iterator[str]:
    """Check a chart's values, whose objects are not visible: no Service or route of a chart may be open."""
    for path, value in walk(values):
        field, last = ".".join(map(str, path)), path[-1] if path else ""
        if value is UNKNOWN or not value:
            continue
        if last in ("type", "serviceType") and isinstance(value, str) and value in SERVICES:
            yield f"values.{field} is {value!r}; make the Service in the program, which has ranges"
        if last == "externalIPs":
            yield f"values.{field} let everybody in who reaches these addresses; remove them"
        # Any text is true in a chart's templates, "false" as well.
        if last == "enabled" and SWITCHES & {str(key).lower() for key in path}:
            yield f"values.{field} is {value!r}, which asks for a balancer; make it in the program"


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


def _service(value: Any) -> Iterator[str]:
    spec = mapping(value)
    if spec.get("externalIPs") not in (None, [], UNKNOWN):
        yield "externalIPs let everybody in who reaches these addresses; remove them"
    if spec.get("type") == "NodePort" and spec.get("externalTrafficPolicy") not in ("Local", UNKNOWN):
        yield "its pods see a node in place of the client; set `externalTrafficPolicy: Local`"
    if spec.get("type") == "LoadBalancer":
        ranges = listed(spec.get("loadBalancerSourceRanges"))
        if not ranges:
            yield "its balancer lets everybody in; set `loadBalancerSourceRanges`"
        for cidr in filter(wide, ranges):
            yield f"its balancer lets {cidr!r} in; name smaller `loadBalancerSourceRanges`"


def open_node_ports(subjects: Iterable[Subject]) -> Iterator[tuple[Subject, str]]:
    """Yield the Services with a port on every node whose pods no network policy closes to all but ranges.

    Kubernetes lets in what any of the policies on a pod lets in. So one that closes the pods is not enough if
    another one, that may select them as well, opens them.
    """
    found = [one for item in subjects if item.type.startswith("kubernetes:") for one in _placed(item)]
    policies = [(namespace, spec) for _, kind, namespace, spec in found if kind == "NetworkPolicy"]
    for item, kind, namespace, spec in found:
        if kind != "Service" or mapping(spec).get("type") != "NodePort":
            continue
        selector = mapping(spec).get("selector")
        near = [policy for place, policy in policies if UNKNOWN in (place, namespace) or place == namespace]
        if not undecided([namespace, selector, near]) and not _closed(mapping(selector), near):
            yield item, "it opens a port of every node; add a NetworkPolicy with ranges for its pods"


def _placed(item: Subject) -> Iterator[tuple[Subject, str, Any, Any]]:
    """Yield each object of a resource: the resource, the object's kind, its namespace and its `spec`."""
    own = _namespace(item.inputs)
    try:
        for kind, found in objects(item.inputs, item.type):
            yield item, kind, _namespace(found) or own, found.get("spec")
    except UnreadableError:
        return  # `unlimited` reports it


def _namespace(found: Mapping[str, Any]) -> Any:
    metadata = found.get("metadata")
    return UNKNOWN if metadata is UNKNOWN else mapping(metadata).get("namespace")


def _closed(selector: Mapping[str, Any], policies: Iterable[Any]) -> bool:
    """Return whether policies let nobody in from everywhere to the pods that have these labels."""
    applied = [mapping(policy) for policy in policies]
    applied = [item for item in applied if "Ingress" in (listed(item.get("policyTypes")) or ["Ingress"])]
    selecting = [item for item in applied if _may_select(mapping(item.get("podSelector")), selector)]
    return (
        bool(selector)
        and any(_selects(mapping(item.get("podSelector")), selector) for item in selecting)
        and not any(map(_is_open, selecting))
    )


def _selects(pods: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Return whether a selector certainly selects the pods that have these labels, among others."""
    return not pods.get("matchExpressions") and mapping(pods.get("matchLabels")).items() <= labels.items()


def _may_select(pods: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Return whether a selector may select pods that have these labels, among others."""
    return all(labels.get(key, value) == value for key, value in mapping(pods.get("matchLabels")).items())


def _is_open(policy: Mapping[str, Any]) -> bool:
    """Return whether a policy lets everybody in to the pods that it selects."""
    rules = [mapping(rule) for rule in listed(policy.get("ingress"))]
    blocks = [
        mapping(mapping(source).get("ipBlock")) for rule in rules for source in listed(rule.get("from"))
    ]
    return not all(rule.get("from") for rule in rules) or any(
        wide(block["cidr"]) for block in blocks if "cidr" in block
    )

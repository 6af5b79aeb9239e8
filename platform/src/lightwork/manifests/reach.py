"""Which connections NetworkPolicies allow, evaluated as Kubernetes defines it, for tests without a cluster.

A connection passes if the policies on its source allow it out and those on its destination allow it in. A pod
that no policy of a direction selects is not restricted in that direction.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lightwork.kube.contract import Manifest

NAME_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod at one end of a connection.

    Attributes:
        namespace: the name of its namespace.
        labels: its labels.
        address: its IP address; None if address ranges do not count.
        namespace_labels: the labels of its namespace, without the name label that Kubernetes adds.
    """

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str | None = "10.0.0.1"
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Address:
    """Anything but a pod at one end of a connection: a cloud service, the API server, a node."""

    address: str


@dataclass(frozen=True, slots=True)
class Service:
    """A Service with a cluster IP at the far end of a connection.

    Attributes:
        namespace: the name of its namespace.
        address: its cluster IP.
        port: the port that clients dial.
        end: what its address is translated to.
        end_port: the port that its port is translated to.
        selector: the labels that select its pods; empty for the Kubernetes API.
    """

    namespace: str
    address: str
    port: int
    end: Pod | Address
    end_port: int
    selector: Mapping[str, str] = field(default_factory=dict)


def readings(
    policies: Iterable[Manifest], source: Pod, to: Service, protocol: str = "TCP"
) -> tuple[bool, bool]:
    """Return whether the policies allow a connection to a Service: before and after the translation.

    Most enforcers compare the translated address and port. The agent of Amazon's VPC CNI compares those that
    the pod dials. To a rule with selectors, its controller adds the Services whose own selectors match them,
    with the port that the Service translates to the rule's; an address range only matches what is in it.
    (`getMatchingServiceClusterIPs` in
    https://github.com/aws/amazon-network-policy-controller-k8s/blob/main/pkg/resolvers/endpoints.go)
    """
    policies = list(policies)
    before = any(
        _passes(policies, source, "Egress", dialed, port, protocol)
        for dialed, port in (
            (Address(to.address), to.port),
            (Pod(to.namespace, to.selector, None), to.end_port),
        )
    )
    after = _passes(policies, source, "Egress", to.end, to.end_port, protocol)
    into = not isinstance(to.end, Pod) or _passes(policies, to.end, "Ingress", source, to.end_port, protocol)
    return before and into, after and into


def allowed(
    policies: Iterable[Manifest], source: Pod | Address, to: Pod | Address, port: int, protocol: str = "TCP"
) -> bool:
    """Return whether the policies allow a connection.

    Args:
        policies: all NetworkPolicies of all namespaces.
        source: the end that connects.
        to: the end it connects to.
        port: the destination port, after any translation by a Service.
        protocol: TCP or UDP.
    """
    policies = list(policies)
    out = not isinstance(source, Pod) or _passes(policies, source, "Egress", to, port, protocol)
    return out and (not isinstance(to, Pod) or _passes(policies, to, "Ingress", source, port, protocol))


def _passes(
    policies: Sequence[Manifest], pod: Pod, direction: str, other: Pod | Address, port: int, protocol: str
) -> bool:
    """Return whether the policies on one end allow the connection."""
    rules, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    selecting = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], pod.labels)
    ]
    return not selecting or any(
        _peers(policy["metadata"]["namespace"], rule.get(peers), other)
        and _ports(rule.get("ports"), port, protocol)
        for policy in selecting
        for rule in policy["spec"].get(rules, [])
    )


def _peers(namespace: str, peers: list[dict[str, Any]] | None, other: Pod | Address) -> bool:
    return not peers or any(_peer(namespace, peer, other) for peer in peers)


def _peer(namespace: str, peer: Mapping[str, Any], other: Pod | Address) -> bool:
    if "ipBlock" in peer:
        if other.address is None:
            return False
        address = ipaddress.ip_address(other.address)
        excepted = [ipaddress.ip_network(cidr) for cidr in peer["ipBlock"].get("except", [])]
        return address in ipaddress.ip_network(peer["ipBlock"]["cidr"]) and not any(
            address in network for network in excepted
        )
    if isinstance(other, Address):
        return False
    if "namespaceSelector" in peer:
        labels = {**other.namespace_labels, NAME_LABEL: other.namespace}
        if not _selects(peer["namespaceSelector"], labels):
            return False
    elif other.namespace != namespace:
        return False
    return _selects(peer.get("podSelector", {}), other.labels)


def _ports(ports: list[dict[str, Any]] | None, port: int, protocol: str) -> bool:
    return not ports or any(
        item.get("protocol", "TCP") == protocol
        and ("port" not in item or item["port"] <= port <= item.get("endPort", item["port"]))
        for item in ports
    )


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    required = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in required.items()):
        return False
    return all(_expression(item, labels) for item in selector.get("matchExpressions", []))


def _expression(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(item["key"])
    match item["operator"]:
        case "In":
            return value in item["values"]
        case "NotIn":
            return value not in item["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"{item['operator']!r} is not an operator of a label selector")

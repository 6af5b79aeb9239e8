"""The pages that people open in a browser: Argo's and Grafana's, and who may reach their servers. Pure.

The balancer reaches a server by a port of the nodes (`infra.aws.page`). Such a port keeps the balancer's
address, so that a network policy can name it: the public subnets, in which no pod is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.config.pages import DOORS
from infra.services.charts import argo, monitoring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.kube.contract import Manifest

LABELS = {"app.kubernetes.io/part-of": "lightwork"}
NAME = "app.kubernetes.io/name"
"""The label with the name of a chart's part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server of a page.

    Attributes:
        namespace: the namespace of its pods.
        pods: the label that selects them.
        port: the port that they listen on.
        scrapers: the pods of the same namespace that collect its metrics, by their label; None for none.
    """

    namespace: str
    pods: Mapping[str, str]
    port: int
    scrapers: Mapping[str, str] | None = None


SERVERS = {
    "argo": Server(namespace=argo.NAMESPACE, pods={NAME: "argo-workflows-server"}, port=2746),
    "grafana": Server(
        namespace=monitoring.NAME, pods={NAME: "grafana"}, port=3000, scrapers={NAME: "prometheus"}
    ),
}
"""The servers of the pages in `infra.config.pages`, by the same names."""


def policies(balancer: Sequence[str], control: Sequence[str]) -> list[Manifest]:
    """Return the network policies of the pages' servers: nobody else in the cluster reaches them.

    Args:
        balancer: the ranges of the balancer's addresses; empty without one.
        control: the ranges of the cluster's interfaces, by which `lightwork` asks Argo's server through the
        API.
    """
    return [_policy(name, server, [*balancer, *control]) for name, server in SERVERS.items()]


def services() -> list[Manifest]:
    """Return the Services that open the ports of the nodes, which only the balancer may reach."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{name}-page", "namespace": server.namespace, "labels": LABELS},
            "spec": {
                "type": "NodePort",
                # Only nodes with a pod of the server answer, and the pod sees the balancer's address.
                "externalTrafficPolicy": "Local",
                "selector": dict(server.pods),
                "ports": [
                    {
                        "name": "page",
                        "protocol": "TCP",
                        "port": server.port,
                        "targetPort": server.port,
                        "nodePort": DOORS[name].port,
                    }
                ],
            },
        }
        for name, server in SERVERS.items()
    ]


def _policy(name: str, server: Server, ranges: Sequence[str]) -> Manifest:
    sources: list[dict[str, Any]] = [{"ipBlock": {"cidr": cidr}} for cidr in ranges]
    if server.scrapers:
        sources.append({"podSelector": {"matchLabels": dict(server.scrapers)}})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{name}-page", "namespace": server.namespace, "labels": LABELS},
        "spec": {
            "podSelector": {"matchLabels": dict(server.pods)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": sources, "ports": [{"protocol": "TCP", "port": server.port}]}],
        },
    }

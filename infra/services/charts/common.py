"""The parts that charts share: resources, security contexts, and the nodes that their pods run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from lightwork.manifests.base import container_security, pod_security

Values: TypeAlias = dict[str, Any]
"""A chart's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The nodes that the shared services run on.

    Attributes:
        selector: the labels of these nodes; empty for any node.
        tolerations: the tolerations for their taints.
    """

    selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[tuple[tuple[str, str], ...], ...] = ()

    def values(self) -> Values:
        """Return the values in the form of most charts; both are always set, even if empty."""
        return {
            "nodeSelector": dict(self.selector),
            "tolerations": [dict(toleration) for toleration in self.tolerations],
        }


def spread(name: str) -> list[Values]:
    """Return constraints that keep a chart's replicas on different nodes, and in different zones if possible.

    They are preferences: with one node left, two replicas on it are better than one.

    Args:
        name: the pods' label `app.kubernetes.io/name`.
    """
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def size(cpu: str, memory: str, *, cpu_limit: str | None = None) -> Values:
    """Return the requests and limits of a container.

    Args:
        cpu: the request of CPU.
        memory: the request and the limit of memory.
        cpu_limit: the limit of CPU; by default the request.
    """
    return {
        "requests": {"cpu": cpu, "memory": memory},
        "limits": {"cpu": cpu_limit or cpu, "memory": memory},
    }


def container() -> Values:
    """Return a container's security context: Pod Security `restricted`, and a read-only root file system."""
    return {**container_security(), "runAsNonRoot": True, "readOnlyRootFilesystem": True}


def pod(user: int) -> Values:
    """Return a pod's security context that meets Pod Security `restricted`, for the image's own user."""
    return {**pod_security(), "runAsUser": user, "runAsGroup": user, "fsGroup": user}

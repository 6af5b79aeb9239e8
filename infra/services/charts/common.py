"""What the charts share: sizes, and on which nodes their pods go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from lightwork.manifests.base import container_security, pod_security

Values: TypeAlias = dict[str, Any]
"""A chart's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The nodes of what runs for everybody.

    Attributes:
        selector: the labels that such a node has; none where there is but one kind of node.
        tolerations: the taints that such a node may have.
    """

    selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[tuple[tuple[str, str], ...], ...] = ()

    def values(self) -> Values:
        """As most charts take it. They add to a list that is not empty, so one is always given."""
        return {
            "nodeSelector": dict(self.selector),
            "tolerations": [dict(toleration) for toleration in self.tolerations],
        }


def size(cpu: str, memory: str, *, cpu_limit: str | None = None) -> Values:
    """Requests and limits of a container: memory promised and allowed, processors a little beyond.

    Args:
        cpu: processor cores promised.
        memory: bytes of memory, promised and allowed.
        cpu_limit: processor cores allowed; those promised, where nothing is said.
    """
    return {
        "requests": {"cpu": cpu, "memory": memory},
        "limits": {"cpu": cpu_limit or cpu, "memory": memory},
    }


def container() -> Values:
    """The strictest security of a container: Pod Security `restricted`, and a root that is read only."""
    return {**container_security(), "runAsNonRoot": True, "readOnlyRootFilesystem": True}


def pod(user: int) -> Values:
    """What Pod Security `restricted` asks of a pod, for a user of the chart's own image."""
    return {**pod_security(), "runAsUser": user, "runAsGroup": user, "fsGroup": user}

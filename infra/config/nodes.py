"""The node groups of an environment: their labels, taints and sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lightwork.kube.contract import LABEL_SPOT

if TYPE_CHECKING:
    from infra.config.sizes import Sizes


LABEL_POOL = "lightwork/pool"
"""The label of a node that names its group: `system`, `drivers` or `workers`."""

SYSTEM_TAINT = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NO_SCHEDULE"}
"""Keeps tenants' pods off the nodes of Argo and Prometheus; EKS's own add-ons tolerate it by default."""

SPOT_TAINT = {"key": LABEL_SPOT, "value": "true", "effect": "NO_SCHEDULE"}

SYSTEM_TOLERATION = {"key": "CriticalAddonsOnly", "operator": "Exists"}
SYSTEM_SELECTOR = {LABEL_POOL: "system"}
"""Selects the system nodes, for the charts of the shared services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A node group.

    Attributes:
        name: its name.
        types: its instance types, all of the same size.
        min_size: the minimum number of nodes.
        max_size: the maximum number of nodes.
        spot: whether its nodes are spot instances; otherwise on demand.
        taints: its nodes' taints.
    """

    name: str
    types: tuple[str, ...]
    min_size: int
    max_size: int
    spot: bool = False
    taints: tuple[dict[str, str], ...] = field(default=())

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its nodes."""
        return {LABEL_POOL: self.name, LABEL_SPOT: str(self.spot).lower()}


def groups(sizes: Sizes) -> tuple[Group, ...]:
    """Return the node groups of an environment. Only workers run on spot, never drivers or schedulers."""
    return (
        Group(
            name="system",
            types=(sizes.system_type,),
            min_size=sizes.system_nodes,
            max_size=sizes.system_nodes + 2,
            taints=(SYSTEM_TAINT,),
        ),
        Group(
            name="drivers",
            types=(sizes.driver_type,),
            min_size=sizes.drivers_min,
            max_size=sizes.drivers_max,
        ),
        Group(
            name="workers",
            types=sizes.worker_types,
            min_size=0,
            max_size=sizes.workers_max,
            spot=True,
            taints=(SPOT_TAINT,),
        ),
    )

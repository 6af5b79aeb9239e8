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
"""Keeps tenants' pods from the nodes of Argo and Prometheus; EKS's own add-ons tolerate it as they come."""

SPOT_TAINT = {"key": LABEL_SPOT, "value": "true", "effect": "NO_SCHEDULE"}

SYSTEM_TOLERATION = {"key": "CriticalAddonsOnly", "operator": "Exists"}
SYSTEM_SELECTOR = {LABEL_POOL: "system"}
"""For the charts of what runs for everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A node group.

    Attributes:
        name: its name.
        types: its instance types, all of one size.
        least: the fewest nodes.
        most: the most nodes.
        spot: on spot, or on demand.
        taints: what keeps pods away that do not say that they may be there.
    """

    name: str
    types: tuple[str, ...]
    least: int
    most: int
    spot: bool = False
    taints: tuple[dict[str, str], ...] = field(default=())

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its nodes."""
        return {LABEL_POOL: self.name, LABEL_SPOT: str(self.spot).lower()}


def groups(sizes: Sizes) -> tuple[Group, ...]:
    """The node groups of an environment. Only the workers' is on spot: no driver or scheduler is."""
    return (
        Group(
            name="system",
            types=(sizes.system_type,),
            least=sizes.system_nodes,
            most=sizes.system_nodes + 2,
            taints=(SYSTEM_TAINT,),
        ),
        Group(name="drivers", types=(sizes.driver_type,), least=sizes.drivers_min, most=sizes.drivers_max),
        Group(
            name="workers",
            types=sizes.worker_types,
            least=0,
            most=sizes.workers_max,
            spot=True,
            taints=(SPOT_TAINT,),
        ),
    )

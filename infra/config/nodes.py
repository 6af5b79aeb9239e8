"""The node groups of an environment: their labels, taints and sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.config.subnets import ZONES
from lightwork.kube.contract import LABEL_SPOT

if TYPE_CHECKING:
    from infra.config.sizes import Sizes


LABEL_POOL = "lightwork/pool"
"""The label of a node that names its pool: `system`, `drivers` or `workers`."""

LABELS_ZONE = ("topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone")
"""The labels of a node's zone: Kubernetes' own, and that of the EBS driver. A volume names one of them."""

WORKERS = "workers"
"""The pool on spot nodes."""

SYSTEM_TAINT = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NO_SCHEDULE"}
"""Keeps tenants' pods off the nodes of Argo and Prometheus; EKS's own add-ons tolerate it by default."""

SPOT_TAINT = {"key": LABEL_SPOT, "value": "true", "effect": "NO_SCHEDULE"}

SYSTEM_SPARE = 1
"""The system nodes that the autoscaler may add in each zone: together enough to make up for a failed zone."""

SYSTEM_TOLERATION = {"key": "CriticalAddonsOnly", "operator": "Exists"}
SYSTEM_SELECTOR = {LABEL_POOL: "system"}
"""Selects the system nodes, for the charts of the shared services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A node group.

    Attributes:
        pool: what its nodes are for.
        types: its instance types, all of the same size.
        min_size: the minimum number of nodes.
        max_size: the maximum number of nodes.
        zones: the letters of the zones of its nodes.
        spot: whether its nodes are spot instances; otherwise on demand.
        taints: its nodes' taints.
    """

    pool: str
    types: tuple[str, ...]
    min_size: int
    max_size: int
    zones: tuple[str, ...] = ZONES
    spot: bool = False
    taints: tuple[dict[str, str], ...] = field(default=())

    @property
    def name(self) -> str:
        """Its name: the pool's, and its zone's if it has only one."""
        return self.pool if self.zones == ZONES else "-".join((self.pool, *self.zones))

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its nodes."""
        return {LABEL_POOL: self.pool, LABEL_SPOT: str(self.spot).lower()}


def groups(sizes: Sizes) -> tuple[Group, ...]:
    """Return the node groups of an environment. Only workers run on spot, never drivers or schedulers.

    Each zone has a group of system nodes, since Prometheus' volume stays in its zone. The autoscaler, and EKS
    when it updates a group, choose a node's zone only by its group.
    """
    system = (
        Group(
            pool="system",
            zones=(zone,),
            types=(sizes.system_type,),
            min_size=minimum,
            max_size=minimum + SYSTEM_SPARE,
            taints=(SYSTEM_TAINT,),
        )
        for zone, minimum in zip(ZONES, evenly(sizes.system_nodes), strict=True)
    )
    return (
        *system,
        Group(
            pool="drivers",
            types=(sizes.driver_type,),
            min_size=sizes.drivers_min,
            max_size=sizes.drivers_max,
        ),
        Group(
            pool=WORKERS,
            types=sizes.worker_types,
            min_size=0,
            max_size=sizes.workers_max,
            spot=True,
            taints=(SPOT_TAINT,),
        ),
    )


def evenly(total: int) -> list[int]:
    """Split a number of nodes over the zones; the first zones get what is left over."""
    return [total // len(ZONES) + (position < total % len(ZONES)) for position in range(len(ZONES))]


def processors(instance_type: str) -> int:
    """Return the number of virtual processors of an instance type, by its size."""
    size = instance_type.partition(".")[2].removesuffix("large")
    return {"": 2, "x": 4}.get(size) or 4 * int(size.removesuffix("x"))


def gibibytes(instance_type: str) -> int:
    """Return the memory of an instance type in GiB: by its family, c, m or r, as many for each processor."""
    return {"c": 2, "m": 4, "r": 8}[instance_type[0]] * processors(instance_type)

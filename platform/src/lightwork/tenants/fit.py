"""Checks that a tenant's runs fit its quota.

A run that cannot fit is refused here: in the cluster, Argo would retry its pods until the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lightwork.tenants import graph, offers, quantities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightwork.tenants.model import ContainerStep, Entry, Pod, Quota, ScaledStep, Tenant, Workers


@dataclass(frozen=True, slots=True)
class Need:
    """What pods request together, or what they may request.

    Attributes:
        cpu: thousandths of a core.
        memory: bytes.
        pods: number of pods.
        storage: bytes of ephemeral storage on the nodes' disks.
        devices: further resources of nodes, by Kubernetes' names.
    """

    cpu: int = 0
    memory: int = 0
    pods: int = 0
    storage: int = 0
    devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its resources."""
        return (*NAMES, *self.devices)

    def of(self, name: str) -> int:
        """Return the amount of one resource."""
        return self.devices.get(name, 0) if offers.is_device(name) else getattr(self, name)

    def __add__(self, other: Need) -> Need:
        return _each(sum, [self, other])

    def __sub__(self, other: Need) -> Need:
        return self + -1 * other

    def __rmul__(self, count: int) -> Need:
        return _each(lambda amounts: count * amounts[0], [self])

    def maximum(self, other: Need) -> Need:
        """Return the larger of each resource."""
        return _each(max, [self, other])

    def exceeds(self, limit: Need) -> list[str]:
        """Return the names of the resources that exceed the limit."""
        return [name for name in self.names if self.of(name) > limit.of(name)]

    def text(self, name: str) -> str:
        """Return one resource in the form that people write: `2`, `500m`, `4Gi`."""
        value = self.of(name)
        match name:
            case "cpu":
                return quantities.cores(value)
            case "memory" | "storage":
                return quantities.size(value)
        return str(value)


NAMES = ("cpu", "memory", "pods", "storage")


def _each(combine: Callable[[list[int]], int], needs: Sequence[Need]) -> Need:
    """Return what a function makes of the amounts of each resource, on its own."""
    devices = dict.fromkeys(name for need in needs for name in need.devices)
    amounts = {name: combine([need.of(name) for need in needs]) for name in (*NAMES, *devices)}
    return _need(amounts)


def _need(amounts: Mapping[str, int]) -> Need:
    """Return a need by the amounts of its resources."""
    devices = {name: amount for name, amount in amounts.items() if offers.is_device(name)}
    return Need(**{name: amounts[name] for name in NAMES}, devices=devices)


MEBI = 1024**2
ARGO = Need(cpu=100, memory=256 * MEBI, storage=256 * MEBI)
"""The size of each of Argo's containers: init, wait, and the one that creates or deletes an object."""
STARTING = 3
"""The number of pods that create a run's objects: one for the Service, the scheduler and the workers each."""
RESERVE = Need(pods=1) + ARGO
"""Kept free of runs, so that there is always room for the pod that cleans up after a run."""
RENEWAL = Need(cpu=100, memory=128 * MEBI, pods=1, storage=256 * MEBI)
"""The pod that creates the tenant's certificates, and renews them while runs are active."""

CONTROLLER = Need(cpu=20, memory=128 * MEBI, pods=1, storage=64 * MEBI)
"""The pod that watches the tenant's runs. The namespace's quota has room for it beside the file's quota."""
HISTORY = Need(cpu=50, memory=768 * MEBI, pods=1, storage=512 * MEBI)
"""The pod that packs the history of the tenant's runs once an hour; the quota has room for it likewise.

It may have to write a `latest.parquet`, of up to 256 MB, to a temporary file.
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in a tenant's file: the location of the field, and the reason."""

    location: tuple[str | int, ...]
    reason: str


def pod(size: Pod | Workers) -> Need:
    """Return what one pod requests."""
    return Need(
        quantities.millicores(size.cpu),
        quantities.octets(size.memory),
        1,
        quantities.octets(size.storage),
    )


def worker(size: Workers) -> Need:
    """Return what a worker's pod requests."""
    return pod(size) + Need(devices=offers.devices(size.resources))


def run(entry: Entry) -> Need:
    """Return the most that one run requests at any moment.

    The maximum is taken for each resource on its own, since it depends on which steps run at the same time.
    """
    if entry.steps is None:
        return step(entry)
    needs = {name: step(item) for name, item in entry.steps.items()}
    resources = dict.fromkeys(resource for need in needs.values() for resource in need.names)
    return _need(
        {resource: sum(needs[name].of(resource) for name in peak(entry, resource)) for resource in resources}
    )


def peak(entry: Entry, resource: str) -> list[str]:
    """Return the steps that may run at the same time and together request the most of one resource."""
    weights = {name: step(item).of(resource) for name, item in (entry.steps or {}).items()}
    return graph.heaviest(weights, graph.predecessors(graph.dependencies(entry)))


def step(entry: Entry | ScaledStep | ContainerStep) -> Need:
    """Return the most that one pipeline or container requests: at its start, or with all its workers."""
    from lightwork.tenants.model import ContainerStep

    if isinstance(entry, ContainerStep):
        return pod(entry.size) + ARGO
    # Kubernetes counts the larger of a pod's init containers and the sum of its other containers.
    driver = pod(entry.driver) + ARGO
    starting = driver + pod(entry.scheduler) + STARTING * (ARGO + Need(pods=1))
    return starting.maximum(driver + pod(entry.scheduler) + entry.workers.count * worker(entry.workers))


def limit(quota: Quota) -> Need:
    """Return what the quota allows."""
    return Need(
        quantities.millicores(quota.cpu),
        quantities.octets(quota.memory),
        quota.pods,
        quantities.octets(quota.storage),
        dict(quota.resources),
    )


def room(tenant: Tenant) -> Need:
    """Return what runs may request together: the quota less the reserves."""
    return limit(tenant.quota) - RESERVE - RENEWAL


def problems(tenant: Tenant) -> list[Problem]:
    """Return the entries whose runs do not fit, each with the calculation and the limit."""
    problems = []
    available = room(tenant)
    for name, entry in tenant.pipelines.items():
        need = entry.max_parallel_runs * run(entry)
        if exceeded := need.exceeds(available):
            location: tuple[str, ...] = (
                "pipelines",
                name,
                "max_parallel_runs" if entry.max_parallel_runs > 1 else "workers",
            )
            if entry.steps and "workers" in location:
                location = ("pipelines", name, "steps")
            elif "workers" in location and "workers" not in entry.model_fields_set:
                location = ("pipelines", name)
            sums = "; ".join(_calculation(tenant, entry, resource) for resource in exceeded)
            problems.append(Problem(location, f"does not fit the quota: {sums}"))
    return problems


def concurrent(tenant: Tenant) -> int | None:
    """Return how many runs fit at once, whichever they are; None if all that may be active at once fit."""
    runs = [run(entry) for entry in tenant.pipelines.values() for _ in range(entry.max_parallel_runs)]
    available = room(tenant)
    if not sum(runs, Need()).exceeds(available):
        return None
    count = 1
    while not _largest(runs, count + 1).exceeds(available):
        count += 1
    return count


def _largest(runs: list[Need], count: int) -> Need:
    """Return the most that any `count` of the runs request together, for each resource on its own."""
    return _each(lambda amounts: sum(sorted(amounts, reverse=True)[:count]), runs)


def _calculation(tenant: Tenant, entry: Entry, resource: str) -> str:
    """Spell out the calculation for one resource, and the limit."""
    available, quota = room(tenant), limit(tenant.quota)
    reserve = RESERVE + RENEWAL
    each, runs = run(entry), entry.max_parallel_runs
    parts = _steps(entry, resource) if entry.steps else _parts(entry, each, resource)
    product = f"{runs} runs x ({parts})" if runs > 1 else parts
    total = f"{resource}: {product} = {(runs * each).text(resource)}"
    if offers.is_device(resource):
        return f"{total}; the limit is {quota.text(resource)} (`resources` of the quota)"
    return (
        f"{total}; the limit is {available.text(resource)}"
        f" (the quota of {quota.text(resource)} less {reserve.text(resource)} in reserve)"
    )


def _steps(entry: Entry, resource: str) -> str:
    """List the steps that request the most at once, each with its request."""
    steps = entry.steps or {}
    return " + ".join(f"{step(steps[name]).text(resource)} for {name}" for name in peak(entry, resource))


def _parts(entry: Entry, each: Need, resource: str) -> str:
    """List the parts of a run of one pipeline."""
    workers = f"{entry.workers.count} workers of {worker(entry.workers).text(resource)}"
    if offers.is_device(resource):
        return workers
    others = pod(entry.driver) + ARGO + pod(entry.scheduler)
    if each.of(resource) > (others + entry.workers.count * worker(entry.workers)).of(resource):
        return f"{each.text(resource)} while it starts"
    return f"{workers} + {others.text(resource)} for scheduler, driver and Argo"

"""Checks that a tenant's runs fit its quota.

A run that cannot fit is refused here: in the cluster, Argo would retry its pods until the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.tenants import graph, quantities

if TYPE_CHECKING:
    from lightwork.tenants.model import ContainerStep, Entry, Pod, Quota, ScaledStep, Tenant, Workers


@dataclass(frozen=True, slots=True)
class Need:
    """What pods request together, or what they may request.

    Attributes:
        cpu: thousandths of a core.
        memory: bytes.
        pods: number of pods.
        storage: bytes of ephemeral storage on the nodes' disks.
    """

    cpu: int = 0
    memory: int = 0
    pods: int = 0
    storage: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(
            self.cpu + other.cpu,
            self.memory + other.memory,
            self.pods + other.pods,
            self.storage + other.storage,
        )

    def __sub__(self, other: Need) -> Need:
        return self + -1 * other

    def __rmul__(self, count: int) -> Need:
        return Need(count * self.cpu, count * self.memory, count * self.pods, count * self.storage)

    def maximum(self, other: Need) -> Need:
        """Return the larger of each resource."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in NAMES)
        return Need(*(max(pair) for pair in pairs))

    def within(self, limit: Need) -> bool:
        """Return whether no resource exceeds the limit."""
        return all(getattr(self, name) <= getattr(limit, name) for name in NAMES)

    def text(self, name: str) -> str:
        """Return one resource in the form that people write: `2`, `500m`, `4Gi`."""
        value: int = getattr(self, name)
        match name:
            case "cpu":
                return quantities.cores(value)
            case "pods":
                return str(value)
        return quantities.size(value)


NAMES = ("cpu", "memory", "pods", "storage")

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
        quantities.millicores(size.cpu), quantities.octets(size.memory), 1, quantities.octets(size.storage)
    )


def run(entry: Entry) -> Need:
    """Return the most that one run requests at any moment.

    The maximum is taken for each resource on its own, since it depends on which steps run at the same time.
    """
    if entry.steps is None:
        return step(entry)
    needs = {name: step(item) for name, item in entry.steps.items()}
    return Need(
        *(sum(getattr(needs[name], resource) for name in peak(entry, resource)) for resource in NAMES)
    )


def peak(entry: Entry, resource: str) -> list[str]:
    """Return the steps that may run at the same time and together request the most of one resource."""
    weights = {name: getattr(step(item), resource) for name, item in (entry.steps or {}).items()}
    return graph.heaviest(weights, graph.predecessors(graph.dependencies(entry)))


def step(entry: Entry | ScaledStep | ContainerStep) -> Need:
    """Return the most that one pipeline or container requests: at its start, or with all its workers."""
    from lightwork.tenants.model import ContainerStep

    if isinstance(entry, ContainerStep):
        return pod(entry.size) + ARGO
    # Kubernetes counts the larger of a pod's init containers and the sum of its other containers.
    driver = pod(entry.driver) + ARGO
    starting = driver + pod(entry.scheduler) + STARTING * (ARGO + Need(pods=1))
    return starting.maximum(driver + pod(entry.scheduler) + entry.workers.count * pod(entry.workers))


def limit(quota: Quota) -> Need:
    """Return what the quota allows."""
    return Need(
        quantities.millicores(quota.cpu),
        quantities.octets(quota.memory),
        quota.pods,
        quantities.octets(quota.storage),
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
        exceeded = [resource for resource in NAMES if getattr(need, resource) > getattr(available, resource)]
        if exceeded:
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
    if sum(runs, Need()).within(available):
        return None
    count = 1
    while _largest(runs, count + 1).within(available):
        count += 1
    return count


def _largest(runs: list[Need], count: int) -> Need:
    """Return the most that any `count` of the runs request together, for each resource on its own."""
    return Need(
        *(sum(sorted((getattr(need, name) for need in runs), reverse=True)[:count]) for name in NAMES)
    )


def _calculation(tenant: Tenant, entry: Entry, resource: str) -> str:
    """Spell out the calculation for one resource, and the limit."""
    available, quota = room(tenant), limit(tenant.quota)
    reserve = RESERVE + RENEWAL
    each, runs = run(entry), entry.max_parallel_runs
    parts = _steps(entry, resource) if entry.steps else _parts(entry, each, resource)
    product = f"{runs} runs x ({parts})" if runs > 1 else parts
    return (
        f"{resource}: {product} = {(runs * each).text(resource)}; the limit is {available.text(resource)}"
        f" (the quota of {quota.text(resource)} less {reserve.text(resource)} in reserve)"
    )


def _steps(entry: Entry, resource: str) -> str:
    """List the steps that request the most at once, each with its request."""
    steps = entry.steps or {}
    return " + ".join(f"{step(steps[name]).text(resource)} for {name}" for name in peak(entry, resource))


def _parts(entry: Entry, each: Need, resource: str) -> str:
    """List the parts of a run of one pipeline."""
    workers = f"{entry.workers.count} workers of {pod(entry.workers).text(resource)}"
    others = pod(entry.driver) + ARGO + pod(entry.scheduler)
    if getattr(each, resource) > getattr(others + entry.workers.count * pod(entry.workers), resource):
        return f"{each.text(resource)} while it starts"
    return f"{workers} + {others.text(resource)} for scheduler, driver and Argo"

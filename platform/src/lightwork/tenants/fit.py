"""Whether what a tenant wants to run fits its quota. What cannot fit is refused here, not in the cluster.

Argo retries a pod that its quota refuses for ever, so a run that cannot fit would wait until its deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightwork.tenants import graph, quantities

if TYPE_CHECKING:
    from lightwork.tenants.model import ContainerStep, Entry, Pod, Quota, ScaledStep, Tenant, Workers


@dataclass(frozen=True, slots=True)
class Need:
    """What pods ask for together, or are allowed.

    Attributes:
        cpu: thousandths of a core.
        memory: bytes.
        pods: how many.
        storage: bytes of the nodes' own disks.
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

    def most(self, other: Need) -> Need:
        """The larger of each."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in NAMES)
        return Need(*(max(pair) for pair in pairs))

    def within(self, limit: Need) -> bool:
        """Whether none is above the limit's."""
        return all(getattr(self, name) <= getattr(limit, name) for name in NAMES)

    def text(self, name: str) -> str:
        """One of them, as people write it."""
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
"""What each of Argo's containers gets: init, wait, and that of a step that makes or deletes an object."""
STARTING = 3
"""The steps that make a run's objects, each a pod: the Service, the scheduler, the workers."""
RESERVE = Need(pods=1) + ARGO
"""What is never given to runs, so that a run that ends always finds room for the pod that clears up."""
RENEWAL = Need(cpu=100, memory=128 * MEBI, pods=1, storage=256 * MEBI)
"""The pod that makes the tenant's certificates, and renews them while runs go on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not fit: the way to the field in the file, and the reason."""

    location: tuple[str | int, ...]
    reason: str


def pod(size: Pod | Workers) -> Need:
    """What one pod asks for."""
    return Need(
        quantities.millicores(size.cpu), quantities.octets(size.memory), 1, quantities.octets(size.storage)
    )


def run(entry: Entry) -> Need:
    """The most that one run asks for at any moment; of each, as its steps may go on at once in many ways."""
    if entry.steps is None:
        return step(entry)
    needs = {name: step(one) for name, one in entry.steps.items()}
    return Need(*(sum(getattr(needs[name], which) for name in at_once(entry, which)) for which in NAMES))


def at_once(entry: Entry, which: str) -> list[str]:
    """The steps that may go on at the same time and ask for the most processors, memory, pods or storage."""
    weights = {name: getattr(step(one), which) for name, one in (entry.steps or {}).items()}
    return graph.heaviest(weights, graph.before(graph.dependencies(entry)))


def step(entry: Entry | ScaledStep | ContainerStep) -> Need:
    """The most that one pipeline or container asks for: while it starts, and with all its workers."""
    from lightwork.tenants.model import ContainerStep

    if isinstance(entry, ContainerStep):
        return pod(entry.size) + ARGO
    # A pod counts the larger of its init containers and of its others together.
    driver = pod(entry.driver) + ARGO
    starting = driver + pod(entry.scheduler) + STARTING * (ARGO + Need(pods=1))
    return starting.most(driver + pod(entry.scheduler) + entry.workers.count * pod(entry.workers))


def limit(quota: Quota) -> Need:
    """What the quota allows."""
    return Need(
        quantities.millicores(quota.cpu),
        quantities.octets(quota.memory),
        quota.pods,
        quantities.octets(quota.storage),
    )


def room(tenant: Tenant) -> Need:
    """What is there for runs: the quota less the reserves."""
    return limit(tenant.quota) - RESERVE - RENEWAL


def problems(tenant: Tenant) -> list[Problem]:
    """The pipelines whose runs do not fit, each with the sum and the limit."""
    found = []
    left = room(tenant)
    for name, entry in tenant.pipelines.items():
        wanted = entry.max_parallel_runs * run(entry)
        over = [which for which in NAMES if getattr(wanted, which) > getattr(left, which)]
        if over:
            location: tuple[str, ...] = (
                "pipelines",
                name,
                "max_parallel_runs" if entry.max_parallel_runs > 1 else "workers",
            )
            if entry.steps and "workers" in location:
                location = ("pipelines", name, "steps")
            elif "workers" in location and "workers" not in entry.model_fields_set:
                location = ("pipelines", name)
            sums = "; ".join(_sum(tenant, entry, which) for which in over)
            found.append(Problem(location, f"does not fit the quota: {sums}"))
    return found


def concurrent(tenant: Tenant) -> int | None:
    """How many runs of any of the tenant's pipelines fit at once; None if all that may go on at once do."""
    runs = [run(entry) for entry in tenant.pipelines.values() for _ in range(entry.max_parallel_runs)]
    left = room(tenant)
    if sum(runs, Need()).within(left):
        return None
    count = 1
    while _largest(runs, count + 1).within(left):
        count += 1
    return count


def _largest(runs: list[Need], count: int) -> Need:
    """The most that so many of the runs ask for, whichever they are."""
    return Need(
        *(sum(sorted((getattr(need, name) for need in runs), reverse=True)[:count]) for name in NAMES)
    )


def _sum(tenant: Tenant, entry: Entry, which: str) -> str:
    """The sum as it is reckoned, and the limit."""
    left, quota = room(tenant), limit(tenant.quota)
    reserve = RESERVE + RENEWAL
    each, runs = run(entry), entry.max_parallel_runs
    parts = _steps(entry, which) if entry.steps else _parts(entry, each, which)
    times = f"{runs} runs x ({parts})" if runs > 1 else parts
    return (
        f"{which}: {times} = {(runs * each).text(which)}; allowed is {left.text(which)}"
        f" (the quota of {quota.text(which)} less {reserve.text(which)} in reserve)"
    )


def _steps(entry: Entry, which: str) -> str:
    """The steps that are the most at once, each with what it asks for."""
    steps = entry.steps or {}
    return " + ".join(f"{step(steps[name]).text(which)} for {name}" for name in at_once(entry, which))


def _parts(entry: Entry, each: Need, which: str) -> str:
    """What a run of one pipeline is made of."""
    workers = f"{entry.workers.count} workers of {pod(entry.workers).text(which)}"
    rest = pod(entry.driver) + ARGO + pod(entry.scheduler)
    if getattr(each, which) > getattr(rest + entry.workers.count * pod(entry.workers), which):
        return f"{each.text(which)} while it starts"
    return f"{workers} + {rest.text(which)} for scheduler, driver and Argo"

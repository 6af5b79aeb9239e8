"""What the work of workers costs, by prices that the estate has put into the lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.history.query import Work
from lightwork.store import documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lightwork.history.query import By, Filter, History

NOT_IN_IT = (
    "drivers and schedulers",
    "idle and partly filled nodes",
    "nodes' disks",
    "NAT",
    "storage and requests",
    "logs",
    "the estate at rest",
)
"""What the price of workers leaves out; `lightwork-estate cost` prices the estate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node for workers.

    Attributes:
        instance: its type.
        cpu: its virtual processors.
        memory: its memory in bytes.
        hour: its price for an hour.
    """

    instance: str
    cpu: float
    memory: float
    hour: float

    @classmethod
    def of(cls, document: dict[str, Any], kind: str) -> Node:
        """Read a node from a document with prices.

        Raises:
            OddError: it lacks something.
        """
        node = document.get(kind)
        if not isinstance(node, dict):
            raise OddError(f"{kind}: expected a node")
        cpu, memory = documents.number(node, "cpu"), documents.whole(node, "memory")
        if not (cpu and memory):
            raise OddError(f"{kind}: expected a node with processors and memory")
        return cls(
            instance=documents.text(node, "instance"),
            cpu=cpu,
            memory=memory,
            hour=documents.number(node, "hour"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of nodes for workers.

    Attributes:
        date: when they were taken from a price list.
        region: the region of AWS.
        currency: their currency.
        spot: a spot node.
        on_demand: a node on demand.
    """

    date: str
    region: str
    currency: str
    spot: Node
    on_demand: Node

    @classmethod
    def of(cls, document: dict[str, Any]) -> Prices:
        """Read prices.

        Raises:
            OddError: something is missing.
        """
        date, region, currency = (documents.text(document, name) for name in ("date", "region", "currency"))
        return cls(
            date=date,
            region=region,
            currency=currency,
            spot=Node.of(document, "spot"),
            on_demand=Node.of(document, "on_demand"),
        )

    def of_work(self, work: Work) -> float | None:
        """Return the price of work: a worker costs the share of its node that it takes up.

        Where it is not known whether the workers were on spot nodes, they are priced as on demand. None
        stands for workers without a price, such as those of a laptop.
        """
        size = size_of(work.size)
        if size is None:
            return None
        node = self.spot if work.spot else self.on_demand
        cpu, memory = size
        return work.seconds / 3600 * node.hour * max(cpu / node.cpu, memory / node.memory)


def of_workers(prices: Prices, workers: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the price of one run's workers.

    Args:
        prices: the prices.
        workers: their seconds by size, as the run's record has them.

    Returns:
        The price; None if there were no workers, or some without a price.
    """
    costs = [
        prices.of_work(Work("", str(item.get("size")), item.get("spot"), item["seconds"])) for item in workers
    ]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if costs and len(known) == len(costs) else None


def size_of(text: str) -> tuple[float, float] | None:
    """Return processors and bytes of memory of a worker's size, such as `cpu=2 memory=4Gi`.

    None stands for one without a size, such as a laptop's.
    """
    from lightwork.tenants import quantities

    values = dict(part.split("=", 1) for part in text.split() if "=" in part)
    try:
        return quantities.millicores(values["cpu"]) / 1000, float(quantities.octets(values["memory"]))
    except (KeyError, ValueError):
        return None


def hours(count: float) -> str:
    """Return hours with two decimals, or four for so few that they would look like none."""
    return f"{count:.4f}" if 0 < count < 0.1 else f"{count:,.2f}"


@dataclass(slots=True, kw_only=True)
class Line:
    """The work for one tenant, pipeline or day.

    Attributes:
        runs: the number of its runs.
        unrecorded: how many of them have no record of their workers' time.
        hours: the time of all workers, in hours.
        spot_hours: that of workers on spot nodes.
        priced_hours: that of workers that have a price.
        cost: what these cost.
    """

    runs: int = 0
    unrecorded: int = 0
    hours: float = 0.0
    spot_hours: float = 0.0
    priced_hours: float = 0.0
    cost: float = 0.0

    def add(self, work: Work, prices: Prices | None) -> None:
        """Count work, at its price if it has one."""
        hours = work.seconds / 3600
        cost = None if prices is None else prices.of_work(work)
        self.hours += hours
        self.spot_hours += hours if work.spot else 0.0
        if cost is not None:
            self.priced_hours += hours
            self.cost += cost


@dataclass(slots=True)
class Bill:
    """The work of the runs of one lake or several, by tenant, pipeline or day.

    Attributes:
        lines: the work of each group.
        prices: the prices by which it was priced; those of each environment once.
    """

    lines: dict[str, Line] = field(default_factory=dict)
    prices: list[Prices] = field(default_factory=list)

    def add(self, history: History, only: Filter, by: By) -> None:
        """Count the work of some of a lake's runs.

        Raises:
            LightworkError: the lake's prices are damaged.
        """
        self.add_work(history, only, by)
        for group, (runs, unrecorded) in history.counts(only, by).items():
            line = self.lines.setdefault(group, Line())
            line.runs += runs
            line.unrecorded += unrecorded

    def add_work(self, history: History, only: Filter, by: By) -> None:
        """Count the work without the runs, which takes half the time.

        Raises:
            LightworkError: the lake's prices are damaged.
        """
        try:
            document = history.prices()
            prices = None if document is None else Prices.of(document)
        except OddError as error:
            raise LightworkError(f"the prices in the lake are damaged: {error}") from None
        if prices is not None and prices not in self.prices:
            self.prices.append(prices)
        for work in history.work(only, by):
            self.lines.setdefault(work.group, Line()).add(work, prices)

    def total(self) -> Line:
        """Return the sum of all lines."""
        names = Line.__slots__
        return Line(**{name: sum(getattr(line, name) for line in self.lines.values()) for name in names})

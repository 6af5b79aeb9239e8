"""The overview: each pipeline with its last runs, what is usual of it, its cost, and its last failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lightwork.errors import LightworkError, one_line
from lightwork.history.cost import Bill
from lightwork.history.query import Filter
from lightwork.history.source import moment, short_error
from lightwork.ui import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.history.query import Brief, History

LAST = 30
"""The runs of a pipeline that have a bar."""
COST_DAYS = 30
"""The days whose workers' cost is shown."""
_DAY = 86_400
_PEAK = 3.0
"""How many times the median a bar shows at most: one very long run does not flatten the others."""
_LEAST = 0.06
"""The height of the lowest bar, as a share of the highest."""
GLYPHS = {
    "succeeded": "✓",
    "failed": "✕",
    "lost": "?",
    "stopped": "■",
    "skipped": "»",
    "running": "▶",
    "submitted": "…",
}
"""By status, the sign that says it without colour."""
GOOD = ("succeeded", "skipped")
BAD = ("failed", "lost")
OPEN = ("running", "submitted")


class Bar(NamedTuple):
    """A run as a bar.

    Attributes:
        run: its name.
        status: its status.
        height: its duration, from 0 to 1.
        is_cut: whether it took longer than the highest bar can show.
        label: what it says in words.
    """

    run: str
    status: str
    height: float
    is_cut: bool
    label: str


class Failure(NamedTuple):
    """The newest run of a pipeline that failed: its name, when it started, and its error in one line."""

    run: str
    started: float
    error: str


class Next(NamedTuple):
    """The schedule of a pipeline.

    Attributes:
        moment: the next firing (Unix seconds); None if there is none.
        state: whether the schedule does what it should, such as `on time`.
        why: what is wrong, or why it is suspended.
    """

    moment: float | None
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A pipeline.

    Attributes:
        name: its name.
        bars: its last runs, the oldest first.
        middle: the height of its median, from 0 to 1; None without one.
        last: the newest run.
        took: how long the newest run that has ended took (seconds); None if none has.
        usual: the median of its last runs that succeeded.
        cost: what its workers cost in COST_DAYS; None without prices.
        hours: the hours of its workers in these days.
        failure: its newest failure.
    """

    name: str
    bars: Sequence[Bar]
    middle: float | None
    last: Brief
    took: float | None
    usual: float | None
    cost: float | None
    hours: float
    failure: Failure | None

    @property
    def state(self) -> str:
        """`failing` if its newest run that was decided failed, `running`, or `fine`."""
        statuses = [bar.status for bar in reversed(self.bars)]
        if next((item for item in statuses if item in (*BAD, "succeeded")), "") in BAD:
            return "failing"
        return "running" if self.last.status in OPEN else "fine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All pipelines of a lake.

    Attributes:
        rows: the pipelines, by name.
        now: when this was so (Unix seconds).
        currency: that of the costs; empty without prices.
        today: the number of runs that started in the last 24 hours, by status.
        problem: why something is not known; usually empty.
    """

    rows: Sequence[Row]
    now: float
    currency: str = ""
    today: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def cost(self) -> float:
        """What all workers cost in COST_DAYS."""
        return sum(row.cost or 0.0 for row in self.rows)

    def in_state(self, state: str) -> int:
        """Return how many pipelines are in a state."""
        return sum(row.state == state for row in self.rows)


def overview(history: History, now: float) -> Overview:
    """Return what the history tells of all pipelines.

    Args:
        history: the history of a lake.
        now: the current time (Unix seconds).
    """
    bill, problem = Bill(), ""
    try:
        bill.add_work(history, Filter(since=now - COST_DAYS * _DAY), "pipeline")
    except LightworkError as error:
        problem = one_line(error)
    rows = [_row(history, name, bill, now) for name in sorted(history.pipelines())]
    today = history.statuses(now - _DAY)
    currency = bill.prices[0].currency if bill.prices else ""
    return Overview(rows=rows, now=now, currency=currency, today=today, problem=problem)


def _row(history: History, name: str, bill: Bill, now: float) -> Row:
    runs = history.briefs(name, LAST)
    usual = history.usual(name)
    line = bill.lines.get(name)
    bars, top = arranged(runs, usual, now)
    failed = history.last_failure(name)
    return Row(
        name=name,
        bars=bars,
        middle=None if usual is None else min(1.0, usual / top),
        last=runs[0],
        took=next((run.seconds for run in runs if run.seconds is not None), None),
        usual=usual,
        cost=line.cost if line is not None and bill.prices else 0.0 if bill.prices else None,
        hours=line.hours if line is not None else 0.0,
        failure=None if failed is None else failure(failed),
    )


def failure(run: Mapping[str, object]) -> Failure:
    """Return what is told of a run that failed."""
    return Failure(str(run["name"]), moment(run, "started", "finished").timestamp(), short_error(run))


def arranged(runs: Sequence[Brief], usual: float | None, now: float) -> tuple[list[Bar], float]:
    """Return runs as bars, the oldest first, and the seconds of the highest one.

    Args:
        runs: the runs, newest first.
        usual: the median of those that succeeded.
        now: the current time.
    """
    took = {run.name: now - run.started if run.seconds is None else run.seconds for run in runs}
    longest = max([*took.values(), usual or 0.0, 1e-3])
    top = longest if usual is None else min(longest, max(_PEAK * usual, 1e-3))
    return [_bar(run, took[run.name], top, now) for run in reversed(runs)], top


def _bar(run: Brief, seconds: float, top: float, now: float) -> Bar:
    height = max(_LEAST, min(1.0, max(0.0, seconds) / top))
    verb = "for" if run.status in OPEN else "in"
    took = f" {verb} {words.duration(seconds)}" if run.status != "lost" else ""
    label = f"{run.status}{took}, {words.day(run.started, now)}"
    return Bar(run.name, run.status, round(height, 3), seconds > 1.001 * top, label)

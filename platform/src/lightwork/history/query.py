"""Questions to the history: pages of runs, one run, what is usual of a pipeline, and the work of workers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lightwork.history import segments, source
from lightwork.store import documents

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from lightwork.history.source import Run
    from lightwork.lake import Lake

STATUSES = ("submitted", "running", "succeeded", "failed", "stopped", "skipped", "lost")
"""The statuses of runs."""
SLOW = 2.0
"""How many times as long as usual a slow run takes."""
USUAL_OF = 30
"""The number of a pipeline's newest runs that succeeded whose median is usual."""

_EVER = 1e300
"""In place of the time before which runs are asked for: later than any."""

# From one name to the next in the index, where DISTINCT would go through all runs.
_PIPELINES = """
WITH RECURSIVE found (pipe) AS (
    SELECT min(pipeline) FROM runs
    UNION ALL SELECT (SELECT min(pipeline) FROM runs WHERE pipeline > pipe) FROM found WHERE pipe IS NOT NULL)
SELECT pipe FROM found WHERE EXISTS (SELECT 1 FROM runs WHERE pipeline = pipe AND NOT hidden)
"""

By = Literal["tenant", "pipeline", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which runs are asked for.

    Attributes:
        pipeline: of this pipeline; None for all.
        statuses: with one of these statuses; none for all.
        since: started at this time or later (Unix seconds).
        where: with these values of parameters, as texts: a text itself, anything else as JSON.
        slow: only those that took more than SLOW times as long as their pipeline usually does.
        before: only those that come after this run in the order of a page.
    """

    pipeline: str | None = None
    statuses: tuple[str, ...] = ()
    since: float | None = None
    where: tuple[tuple[str, str], ...] = ()
    slow: bool = False
    before: str | None = None


class Work(NamedTuple):
    """The work of workers of one size.

    Attributes:
        group: the tenant, the pipeline or the day; empty for all.
        size: the size of a worker.
        spot: whether they were on spot nodes; None if that is not known.
        seconds: the sum of the time that each of them ran.
    """

    group: str
    size: str
    spot: bool | None
    seconds: float


class Brief(NamedTuple):
    """The little that is told of a run among others.

    Attributes:
        name: its name.
        status: one of STATUSES.
        started: when (Unix seconds).
        seconds: how long it took; None while it has not ended.
    """

    name: str
    status: str
    started: float
    seconds: float | None


class History:
    """The runs of a lake, in a database on this machine.

    Args:
        database: the database.
        lake: the lake.
        priced: whether the lake has prices.
    """

    def __init__(self, database: sqlite3.Connection, lake: Lake, *, priced: bool = False) -> None:
        self._database = database
        self._lake = lake
        self.priced = priced
        database.create_function("has_value", 3, _has_value, deterministic=True)

    def page(self, only: Filter, last: int) -> list[Run]:
        """Return the newest runs, newest first, at most so many.

        Raises:
            KeyError: there is no run of the name `only.before`.
        """
        where, values = self._condition(only)
        found = self._database.execute(
            "SELECT text FROM (SELECT id, started, name FROM runs"  # noqa: S608 - conditions without values
            f" WHERE {where} ORDER BY started DESC, name DESC LIMIT ?) AS page"
            " JOIN documents ON run = page.id ORDER BY started DESC, name DESC",
            (*values, last),
        )
        return [self._run(text) for (text,) in found]

    def find(self, name: str) -> Run | None:
        """Return a run by its name; None if there is none."""
        found = self._database.execute(
            "SELECT text FROM runs JOIN documents ON run = id WHERE name = ? AND NOT hidden", (_plain(name),)
        ).fetchone()
        return None if found is None else self._run(found[0])

    def pipelines(self) -> set[str]:
        """Return the names of the pipelines that have runs."""
        return {str(name) for (name,) in self._database.execute(_PIPELINES) if name}

    def parameters(self, pipeline: str | None) -> set[str]:
        """Return the names of the parameters of a pipeline's runs, or of all runs."""
        only = "AND pipeline = ?" if pipeline else ""
        found = self._database.execute(
            f"SELECT DISTINCT key FROM runs, json_each(parameters) WHERE NOT hidden {only}",  # noqa: S608
            (_plain(pipeline),) if pipeline else (),
        )
        return {str(name) for (name,) in found}

    def usual(self, pipeline: str) -> float | None:
        """Return the seconds that a pipeline's runs usually take; None if none has succeeded."""
        found = self._database.execute(
            "SELECT seconds FROM runs WHERE pipeline = ? AND status = 'succeeded' AND seconds IS NOT NULL"
            " AND NOT hidden ORDER BY started DESC LIMIT ?",
            (pipeline, USUAL_OF),
        ).fetchall()
        return median([seconds for (seconds,) in found]) if found else None

    def briefs(self, pipeline: str, last: int, *, before: float | None = None) -> list[Brief]:
        """Return the newest runs of a pipeline, newest first, at most so many.

        Args:
            pipeline: its name.
            last: how many.
            before: only those that started before this time (Unix seconds).
        """
        found = self._database.execute(
            "SELECT name, status, started, seconds FROM runs WHERE pipeline = ? AND NOT hidden"
            " AND started < ? ORDER BY started DESC, name DESC LIMIT ?",
            (_plain(pipeline), _EVER if before is None else before, last),
        )
        return [Brief(*row) for row in found]

    def next_after(self, run: Run) -> str | None:
        """Return the name of the pipeline's run that started next after a run; None for the newest."""
        started = source.moment(run, "started", "finished").timestamp()
        found = self._database.execute(
            "SELECT name FROM runs WHERE pipeline = ? AND NOT hidden AND (started, name) > (?, ?)"
            " ORDER BY started, name LIMIT 1",
            (_plain(str(run.get("pipeline"))), started, run["name"]),
        ).fetchone()
        return None if found is None else str(found[0])

    def statuses(self, since: float) -> dict[str, int]:
        """Return the number of runs that started since a time (Unix seconds), by status."""
        found = self._database.execute(
            "SELECT status, count(*) FROM runs WHERE started >= ? AND NOT hidden GROUP BY status", (since,)
        )
        return dict(found)

    def last_failure(self, pipeline: str) -> Run | None:
        """Return the newest run of a pipeline that failed or was lost; None if none was."""
        found = self._database.execute(
            "SELECT name FROM runs WHERE pipeline = ? AND status IN ('failed', 'lost') AND NOT hidden"
            " ORDER BY started DESC LIMIT 1",
            (_plain(pipeline),),
        ).fetchone()
        return None if found is None else self.find(str(found[0]))

    def work(self, only: Filter, by: By | None) -> list[Work]:
        """Return the work of the workers of some runs, for each size."""
        where, values = self._condition(only)
        group = by or "''"
        found = self._database.execute(
            f"SELECT {group}, size, spot, sum(work.seconds) FROM runs JOIN work ON run = id"  # noqa: S608
            f" WHERE {where} GROUP BY {group}, size, spot ORDER BY {group}, size, spot",
            values,
        )
        return [Work(str(g), str(s), None if spot is None else bool(spot), t) for g, s, spot, t in found]

    def counts(self, only: Filter, by: By | None) -> dict[str, tuple[int, int]]:
        """Return the number of runs of each group, and of those without a record of their workers' time."""
        where, values = self._condition(only)
        group = by or "''"
        found = self._database.execute(
            f"SELECT {group}, count(*), sum(id NOT IN (SELECT run FROM work)) FROM runs"  # noqa: S608
            f" WHERE {where} GROUP BY {group}",
            values,
        )
        return {str(name): (count, without) for name, count, without in found}

    def prices(self) -> dict[str, Any] | None:
        """Return the prices that the estate has given; None if there are none.

        Raises:
            OddError: they are damaged.
        """
        return documents.parse(self._lake.read(segments.PRICES)) if self.priced else None

    def _run(self, text: bytes) -> Run:
        run: Run = json.loads(text)
        run.pop(segments.NOTED)
        again = self._database.execute(
            "SELECT name FROM runs WHERE retry_of = ? AND NOT hidden ORDER BY started", (run["name"],)
        )
        run["retried_by"] = sorted({*(run.get("retried_by") or ()), *(name for (name,) in again)})
        return run

    def _condition(self, only: Filter) -> tuple[str, list[Any]]:
        """Return a condition of SQL on `runs`, and its values."""
        parts = list(self._conditions(only))
        return " AND ".join(["NOT hidden", *(part for part, _ in parts)]), [v for _, vs in parts for v in vs]

    def _conditions(self, only: Filter) -> Iterator[tuple[str, tuple[Any, ...]]]:
        if only.pipeline is not None:
            yield "pipeline = ?", (_plain(only.pipeline),)
        if only.statuses:
            yield f"status IN ({', '.join('?' * len(only.statuses))})", only.statuses
        if only.since is not None:
            yield "started >= ?", (only.since,)
        for name, value in only.where:
            yield "has_value(parameters, ?, ?)", (_plain(name), _plain(value))
        if only.before is not None:
            if (run := self.find(only.before)) is None:
                raise KeyError(only.before)
            started = source.moment(run, "started", "finished").timestamp()
            yield "(started, name) < (?, ?)", (started, run["name"])
        if only.slow:
            yield self._slow()

    def _slow(self) -> tuple[str, tuple[Any, ...]]:
        usual = {name: seconds for name in self.pipelines() if (seconds := self.usual(name)) is not None}
        # A run that has not ended has taken the time until now.
        took = "CASE WHEN status IN ('running', 'submitted') THEN ? - started ELSE seconds END"
        condition = f"{took} > ? * json_extract(?, '$.\"' || pipeline || '\"')"
        return condition, (time.time(), SLOW, json.dumps(usual))


def compared(before: Sequence[Run]) -> dict[str, Any]:
    """Return how the runs before a run went: their number, how many succeeded, and the median of these."""
    succeeded = [run["seconds"] for run in before if run["status"] == "succeeded"]
    seconds = [item for item in succeeded if item is not None]
    return {
        "runs": len(before),
        "succeeded": len(seconds),
        "median_seconds": round(median(seconds), 3) if seconds else None,
    }


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value; the library's takes a while to import."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _plain(text: str) -> str:
    """Return a text as SQLite takes it; one with bytes that are not text becomes one that nothing equals."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "\0"
    return text


def _has_value(parameters: str, name: str, value: str) -> bool:
    """Return whether a parameter has a value: a text itself, anything else as JSON."""
    values = json.loads(parameters)
    if name not in values:
        return False
    actual = values[name]
    if isinstance(actual, str):
        return actual == value
    try:
        wanted = json.loads(value)
    except ValueError:
        return False
    return actual == wanted and isinstance(actual, bool) == isinstance(wanted, bool)

"""One run: its record, how it compares, what failed, what it left, and what it logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.engine.only import command, written
from lightwork.errors import one_line
from lightwork.history.query import Brief, Filter, compared
from lightwork.history.source import moment
from lightwork.history.sync import ask
from lightwork.runs.differences import Difference, differences, text
from lightwork.store import attempts, batches, failures, records
from lightwork.ui import lines, words
from lightwork.ui.overview import LAST, Bar, arranged
from lightwork.ui.timeline import Timeline, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.history.query import History
    from lightwork.lake import Lake

FAILED = 50
"""Failed elements that are shown."""
_TRACEBACK = 8_000
"""Characters at the end of a traceback that are shown."""
_PHASES = ("waiting", "scheduler", "workers", "computing")


class Phase(NamedTuple):
    """A phase: its name, its seconds, and its share of all in percent."""

    name: str
    seconds: float
    share: float


class FailedElement(NamedTuple):
    """A failed element, as the page shows it."""

    where: str
    task: str
    input: str
    error: str
    tries: int
    traceback: str


class Artifact(NamedTuple):
    """An artifact: its name, its version, the rows of a table (None for a file), its bytes, its address."""

    name: str
    version: str
    rows: int | None
    bytes: int
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """All that the page of a run shows.

    Attributes:
        record: its record.
        now: when this was so (Unix seconds).
        started: when it started (Unix seconds); None if it has not.
        bars: runs of the same pipeline around it, the oldest first.
        middle: the height of their median.
        before: how those before it went.
        previous: the run before it; empty for the first.
        following: the run after it; empty for the newest.
        changes: what differs from the run before, which is the first one of each pair.
        phases: where its time went.
        timeline: its batches by worker; None without any.
        failed: elements that failed, the first of the last attempt first.
        failed_in_all: how many there are.
        debug: the command that debugs one of them; empty if there is none.
        log: the end of its log.
        artifacts: what it left.
    """

    record: Mapping[str, Any]
    now: float
    started: float | None
    bars: Sequence[Bar]
    middle: float | None
    before: Mapping[str, Any]
    previous: str
    following: str
    changes: Sequence[tuple[str, str, str]]
    phases: Sequence[Phase]
    timeline: Timeline | None
    failed: Sequence[FailedElement]
    failed_in_all: int
    debug: str
    log: lines.Tail
    artifacts: Sequence[Artifact]

    @property
    def seconds(self) -> float | None:
        """How long it took, or has taken so far."""
        if self.record.get("seconds") is None and self.started is not None and self.is_open:
            return max(0.0, self.now - self.started)
        return self.record.get("seconds")

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.record["status"] in ("running", records.SUBMITTED)

    @property
    def ratio(self) -> float | None:
        """How many times as long as usual it took; None if that is not known."""
        usual = self.before["median_seconds"]
        return None if not usual or self.seconds is None else self.seconds / usual


class _Around(NamedTuple):
    """What the history knows of the runs around a run."""

    record: dict[str, Any] | None
    before: list[dict[str, Any]]
    following: str
    bars: list[Brief]


def detail(lake: Lake, name: str, now: float, log_lines: int = lines.SHOWN) -> Detail | None:
    """Return what is known of a run; None if there is none of this name.

    Args:
        lake: the lake.
        name: the run's name.
        now: the current time (Unix seconds).
        log_lines: the lines of its log.

    Raises:
        LightworkError: the lake cannot be read.
    """
    around = ask(lake, lambda history: _around(history, name))
    found = records.run(lake, name, words.moment(now)) or around.record
    if found is None:
        return None
    record = records.complete(found)
    before = compared(around.before)
    bars, top = arranged(around.bars, before["median_seconds"], now)
    rows, omitted = _batches(lake, name)
    started = words.unix(record["started"]) if record.get("started") else None
    failed, more = failures.of_run(lake, name)
    last = {item["id"] for item in record["attempts"][-1:]}
    failed.sort(key=lambda row: row["attempt"] not in last)
    previous = around.before[0]["name"] if around.before else ""
    return Detail(
        record=record,
        now=now,
        started=started,
        bars=bars,
        middle=before["median_seconds"] and min(1.0, before["median_seconds"] / top),
        before=before,
        previous=previous,
        following=around.following,
        changes=_changes(lake, around.before[0], found) if previous else [],
        phases=_phases(record),
        timeline=timeline(rows, omitted, started),
        failed=[_failed(row) for row in failed[:FAILED]],
        failed_in_all=len(failed) + more,
        debug=_debug(record, failed),
        log=lines.tail(lake, name, log_lines),
        artifacts=[_artifact(item) for item in record["artifacts"]],
    )


def _around(history: History, name: str) -> _Around:
    run = history.find(name)
    pipeline = None if run is None else run.get("pipeline")
    if run is None or not pipeline:
        return _Around(run, [], "", [])
    before = history.page(Filter(pipeline=pipeline, before=run["name"]), LAST)
    bars = history.briefs(pipeline, LAST)
    if run["name"] not in {item.name for item in bars}:
        started = moment(run, "started", "finished").timestamp()
        bars = history.briefs(pipeline, LAST, before=started + 1e-3)
    return _Around(run, before, history.next_after(run) or "", bars)


def _batches(lake: Lake, name: str) -> tuple[list[batches.Row], int]:
    """Return the batches of a run's attempts, and how many more there were."""
    tables = [batches.read(item) for item in attempts.of_run(lake, name)]
    return [row for rows, _ in tables for row in rows], sum(omitted for _, omitted in tables)


def _changes(
    lake: Lake, previous: Mapping[str, Any], record: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Return what differs from the run before; results only where both runs' own records are there."""
    other = records.run(lake, str(previous["name"])) or dict(previous)
    found = differences(other, record)
    if "result" not in other or "result" not in record:
        found = [item for item in found if not item.field.startswith("result")]
    return [_change(item) for item in found]


def _change(item: Difference) -> tuple[str, str, str]:
    return item.field, text(item.first), text(item.second)


def _phases(record: Mapping[str, Any]) -> list[Phase]:
    phases = record.get("phases") or {}
    seconds = {name: float(phases.get(name) or 0.0) for name in _PHASES}
    whole = sum(seconds.values())
    if not whole:
        return []
    return [Phase(name, value, round(100 * value / whole, 2)) for name, value in seconds.items()]


def _failed(row: Mapping[str, Any]) -> FailedElement:
    index = "" if row["index"] is None else written(row["map"], row["index"])
    trace = str(row["traceback"])
    return FailedElement(
        index,
        str(row["task"]),
        str(row["input"]),
        one_line(row["error"]),
        int(row["tries"]),
        trace if len(trace) <= _TRACEBACK else f"…{trace[-_TRACEBACK:]}",
    )


def _debug(record: Mapping[str, Any], failed: Sequence[Mapping[str, Any]]) -> str:
    row = next((item for item in failed if item["index"] is not None), None)
    if row is None or not record.get("pipeline"):
        return ""
    return command(str(record["pipeline"]), record["parameters"], row)


def _artifact(item: Mapping[str, Any]) -> Artifact:
    rows = item.get("rows")
    return Artifact(
        str(item.get("name", "")),
        str(item.get("version", "")),
        None if rows is None else int(rows),
        int(item.get("bytes") or 0),
        str(item.get("uri", "")),
    )

"""A run, as Python, the command line and notebooks show it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.errors import public
from lightwork.store import failures

if TYPE_CHECKING:
    from lightwork.lake import Lake

FAILURES = 20
"""Failed elements that `--json` of a run shows; `lightwork show RUN --json` shows all that are kept."""
_LONGEST = 200
"""Characters of a result or an error in the text of a run."""
_TRACEBACK = 4000
"""Characters of a traceback there."""
_SHOWN = (
    *("run", "status", "pipeline", "tenant", "on", "started", "finished", "seconds", "parameters"),
    *("elements", "tasks", "phases", "result", "artifacts", "report", "error", "retry_of"),
)


@public
@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run of a pipeline.

    Attributes:
        record: all that its record in the lake has, as plain JSON values by name.
        lake: the lake.
        bars: the report's bar charts: title to (unit, values).
        unrecorded: why the lake refused the run's record; empty if it has it.
        failed: the elements that failed, and how many more did; None if they are to be read from the lake.
    """

    record: Mapping[str, Any]
    lake: Lake = field(repr=False)
    bars: Mapping[str, tuple[str, Mapping[str, float]]] = field(default_factory=dict, repr=False)
    unrecorded: str = field(default="", repr=False)
    failed: tuple[list[dict[str, Any]], int] | None = field(default=None, repr=False)

    def __setstate__(self, state: list[Any]) -> None:
        """Load what was pickled, also by an earlier version, whose fields were others."""
        if len(state) > len(self.__slots__):
            record = dict(zip(_EARLIER, state, strict=False))
            state = [{**record, "status": "succeeded"}, None, record.get("bars", {}), "", ([], 0)]
        for name, value in zip(self.__slots__, state, strict=True):
            object.__setattr__(self, name, value)

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.record["name"])

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return str(self.record["pipeline"])

    @property
    def status(self) -> str:
        """How it went: submitted, running, succeeded, failed, stopped, skipped or lost."""
        return str(self.record["status"])

    @property
    def result(self) -> Any:
        """The pipeline's result as plain JSON values; each table is replaced by its artifact's head."""
        return self.record.get("result")

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters as plain JSON values, defaults included."""
        return self.record.get("parameters") or {}

    @property
    def error(self) -> str | None:
        """Why it did not succeed; None if it did."""
        return self.record.get("error")

    @property
    def seconds(self) -> float | None:
        """How long it took; None if it has not ended."""
        return self.record.get("seconds")

    @property
    def elements(self) -> Mapping[str, int]:
        """Numbers of elements: total, cached, computed, failed."""
        return self.record.get("elements") or dict.fromkeys(("total", "cached", "computed", "failed"), 0)

    @property
    def stats(self) -> dict[str, Any]:
        """Numbers of elements in all and by task, seconds in all, by phase, and of workers."""
        names = ("elements", "tasks", "seconds", "phases", "worker_seconds")
        return {name: self.record.get(name) for name in names}

    @property
    def artifacts(self) -> list[dict[str, Any]]:
        """The artifacts that it wrote, oldest first."""
        return list(self.record.get("artifacts") or [])

    @property
    def report(self) -> Any:
        """Where its report is: a path if the lake is a folder; None if there is none."""
        return self.record.get("report")

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The elements that failed, as far as they are kept: task, map, index, input, error, traceback…"""
        return self._failed()[0]

    def _failed(self) -> tuple[list[dict[str, Any]], int]:
        return failures.of_run(self.lake, self.name) if self.failed is None else self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the object that `lightwork run --json` prints."""
        rows, omitted = self._failed()
        shown = [{**row, "traceback": row["traceback"][-_TRACEBACK:]} for row in rows[:FAILURES]]
        values = {**self.record, "run": self.name}
        return {name: values.get(name) for name in _SHOWN} | {
            "failures": shown,
            "failures_omitted": omitted + len(rows) - len(shown),
        }

    def __repr__(self) -> str:
        counts = ", ".join(f"{value:,} {name}" for name, value in self.elements.items() if value)
        more = f"result={self.result!r}" if self.error is None else f"error={self.error!r}"
        more = more if len(more) <= _LONGEST else f"{more[:_LONGEST]}…"
        return f"<Run {self.name} {self.status}: {counts or 'no elements'}; {more}>"

    def _repr_html_(self) -> str:
        """Return how a notebook shows it."""
        counts = ", ".join(f"{value:,} {name}" for name, value in self.elements.items() if value) or "none"
        took = "" if self.seconds is None else f"{self.seconds:,.1f} s"
        rows = {"status": self.status, "seconds": took, "elements": counts, "error": self.error}
        rows |= {f"parameter {name}": value for name, value in self.parameters.items()}
        rows |= _flat(self.result)
        rows |= {f"artifact {item['name']}": item["uri"] for item in self.artifacts}
        rows["report"] = self.report
        left = "style='text-align:left'"
        cells = "".join(
            f"<tr><th {left}>{_cell(name)}</th><td {left}>{_cell(value)}</td></tr>"
            for name, value in rows.items()
            if value not in (None, "")
        )
        title = f"{_cell(self.pipeline)} <small>{_cell(self.name)}</small>"
        failed = "".join(
            f"<tr><td>{_cell(row['task'])}</td><td>{_cell(row['index'])}</td><td>{_cell(row['input'])}</td>"
            f"<td>{_cell(row['error'])}</td></tr>"
            for row in self.failures[:FAILURES]
        )
        if failed:
            head = "".join(f"<th>{name}</th>" for name in ("task", "index", "input", "error"))
            failed = f"<table><caption>failed elements</caption><tr>{head}</tr>{failed}</table>"
        return f"<strong>{title}</strong><table>{cells}</table>{failed}"


RunResult = Run
"""Its name in results that earlier versions have kept."""
_EARLIER = (
    *("name", "pipeline", "tenant", "parameters", "elements", "seconds", "result", "artifacts", "report"),
    "bars",
)
"""The fields that it had then."""


def _flat(result: Any) -> dict[str, Any]:
    """Return the rows that show a result: its plain values by name."""
    if not isinstance(result, Mapping):
        return {"result": result}
    plain = {key: value for key, value in result.items() if not isinstance(value, Mapping | list)}
    return {f"result {key}": value for key, value in plain.items()}


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return html.escape(text if len(text) <= 300 else f"{text[:300]}…")

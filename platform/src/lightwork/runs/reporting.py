"""The report of a run that has ended, also of one that failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.functions.raised import describe
from lightwork.runs.record import now
from lightwork.store import records
from lightwork.store.attempts import COUNTS, FURTHER

if TYPE_CHECKING:
    from lightwork.runs.record import Record
    from lightwork.runs.session import Session

_SHOWN = 300
"""Characters of a parameter's value, or of a failed element's input, that a report shows."""
_FAILURES = 100
"""Failed elements that a report shows."""


def write_report(
    record: Record, status: str, *, result: Any = None, error: BaseException | None = None
) -> str | None:
    """Write the report and return its location; a failure is only a warning: the run has ended all the same.

    Args:
        record: the record of the attempt.
        status: how it ended.
        result: its result as plain JSON values.
        error: its error, if it failed.
    """
    session = record.session
    facts = _facts(session, record, status) | ({} if error is None else {"error": describe(error)})
    step = record.values["step"]
    path = f"runs/{session.run_id}/report{f'-{step}' if step else ''}.html"
    try:
        _add_failures(session)
        page = session.report.html(heading=session.pipeline, facts=facts, result=result)
        session.lake.write(path, page.encode())
    except Exception as problem:  # noqa: BLE001
        reason = one_line(f"{type(problem).__name__}: {problem}")
        session.log.warning(f"the report could not be written: {reason}")
        return None
    return records.location(session.lake, path)


def _facts(session: Session, record: Record, status: str) -> dict[str, str]:
    counts = session.runner.counts()[0]
    parameters = record.values["parameters"]
    end = now()
    return {
        "run": session.run_id,
        "status": status,
        "tenant": session.tenant,
        "on": session.on,
        "parameters": ", ".join(f"{key}={_text(value)}" for key, value in parameters.items()) or "none",
        "elements": ", ".join(
            f"{counts[key]:,} {key.replace('_', ' ')}"
            for key in (*COUNTS, *FURTHER)
            if counts.get(key) or key == "total"
        ),
        "seconds": f"{(end - record.begin).total_seconds():,.1f}",
        "finished": f"{end:%Y-%m-%d %H:%M:%S} UTC",
    }


def _add_failures(session: Session) -> None:
    """Add the elements that failed to the report."""
    failed = session.runner.tally.failures
    if not failed.rows:
        return
    import pandas as pd

    names = ("task", "index", "input", "error")
    rows = [[_text(row[name]) for name in names] for row in failed.rows[:_FAILURES]]
    more = f", the first {_FAILURES} shown" if len(failed) > _FAILURES else ""
    frame = pd.DataFrame(rows, columns=list(names))
    session.report.table(f"Failed elements: {len(failed):,}{more}", frame)


def _text(value: Any) -> str:
    """Return a value as the report shows it: only the start of a long one."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"

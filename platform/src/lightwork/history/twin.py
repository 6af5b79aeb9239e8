"""The history as Parquet, for pandas, DuckDB and others: one file a month, without doubles."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lightwork.history import segments
from lightwork.history.packing import newest
from lightwork.store import documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from lightwork.history.source import Run
    from lightwork.lake import Lake

FOLDER = "history/parquet"
_STATE = f"{FOLDER}/made-of.json"
"""The file with the names of the segments that each month's table was made of."""


def write(lake: Lake, existing: Mapping[str, str]) -> int:
    """Write the tables of the months whose segments have changed; return how many.

    Each month has one file, which is replaced as a whole.

    Args:
        lake: the lake.
        existing: the period of each segment, by its path.

    Raises:
        FileNotFoundError: a segment was replaced meanwhile; the next collection writes the table.
    """
    months: dict[str, list[str]] = defaultdict(list)
    for path, period in sorted(existing.items()):
        months[period[:7]].append(path)
    tables = {entry.path for entry in lake.entries(FOLDER)}
    made_of = _made_of(lake) if _STATE in tables else {}
    stale = [m for m, paths in months.items() if made_of.get(m) != paths or _path(m) not in tables]
    for month in stale:
        lake.write(_path(month), _parquet(segments.runs_of(newest(lake, list(months[month])).values())))
    gone = [month for month in made_of if month not in months]
    lake.delete(_path(month) for month in gone)
    if stale or gone:
        lake.write(_STATE, documents.seal(dict(months)))
    return len(stale)


def _path(month: str) -> str:
    return f"{FOLDER}/{month}.parquet"


def _made_of(lake: Lake) -> dict[str, Any]:
    try:
        return documents.parse(lake.read(_STATE))
    except OddError:
        return {}


def _parquet(runs: list[Run]) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(_table(runs), sink, compression="zstd")
    return sink.getvalue()


def _table(runs: list[Run]) -> pa.Table:
    import pyarrow as pa

    moment, text = pa.timestamp("ms", "UTC"), pa.string()
    columns = {
        **dict.fromkeys(("name", "pipeline", "tenant", "on", "status"), text),
        "started": moment,
        "finished": moment,
        "seconds": pa.float64(),
        **dict.fromkeys(("total", "cached", "computed", "failed"), pa.int64()),
        **dict.fromkeys(("worker_seconds", "spot_seconds"), pa.float64()),
        **dict.fromkeys(("error", "git_commit", "retry_of", "workflow"), text),
        "parameters": text,
    }
    rows = [_row(run) for run in runs]
    return pa.table({n: pa.array([row[n] for row in rows], kind) for n, kind in columns.items()})


def _row(run: Run) -> dict[str, Any]:
    """Return a run as a row; its parameters are JSON."""
    work, counts = run.get("worker_seconds") or [], run.get("elements") or {}
    names = ("name", "pipeline", "tenant", "on", "status", "error", "git_commit", "retry_of", "workflow")
    return {
        **{name: None if run.get(name) is None else str(run[name]) for name in names},
        **{
            name: dt.datetime.fromisoformat(run[name]) if run.get(name) else None
            for name in ("started", "finished")
        },
        "seconds": run.get("seconds"),
        **{name: counts.get(name) for name in ("total", "cached", "computed", "failed")},
        "worker_seconds": sum(item["seconds"] for item in work) if work else None,
        "spot_seconds": sum(item["seconds"] for item in work if item["spot"]) if work else None,
        "parameters": json.dumps(run.get("parameters") or {}, ensure_ascii=False),
    }

"""Figures of a tenant's pipelines for its metrics: what is usual, the month's cost, how the last run ended.

The job that packs the history leaves them in the lake. The process that watches the tenant's runs puts them
where the platform may read them, together with what goes on at the moment (`pods.figures`).
"""

from __future__ import annotations

import datetime as dt
import statistics
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError
from lightwork.history import source
from lightwork.history.cost import Bill
from lightwork.history.query import USUAL_OF, Filter
from lightwork.store import documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from lightwork.history.query import History
    from lightwork.history.source import Run
    from lightwork.lake import Lake

FOLDER = "history/figures"
PATH = f"{FOLDER}/pipelines.json"
"""The file in the lake, alone in its folder, so that a listing of that tells whether it is there."""
DECIDED = ("succeeded", "failed", "lost")
"""The statuses that tell whether a pipeline works: somebody has chosen the others."""


def of(history: History, now: dt.datetime) -> dict[str, dict[str, Any]]:
    """Return the figures of each pipeline that has run.

    Each has: `usual`, the median of the seconds that its last runs took once it was their turn; `month` and
    `spend`, what its workers have cost in that month; `last`, its last run that succeeded or failed, and
    `succeeded`, when the last success ended (Unix seconds). What is not known is None.

    Args:
        history: the history of a tenant's runs.
        now: the current time.

    Raises:
        LightworkError: the lake's prices are damaged.
    """
    month = now.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    bill = Bill()
    bill.add(history, Filter(since=month.timestamp()), "pipeline")
    return {name: _of_pipeline(history, name, month, bill) for name in sorted(history.pipelines())}


def _of_pipeline(history: History, name: str, month: dt.datetime, bill: Bill) -> dict[str, Any]:
    successes = history.page(Filter(pipeline=name, statuses=("succeeded",)), USUAL_OF)
    decided = history.page(Filter(pipeline=name, statuses=DECIDED), USUAL_OF)
    taken = [seconds for run in successes if (seconds := _at_work(run)) is not None]
    line = bill.lines.get(name)
    last = max(decided, key=_end, default=None)
    return {
        "usual": round(statistics.median(taken), 3) if taken else None,
        "month": f"{month:%Y-%m}",
        "spend": round(line.cost, 4) if line is not None and bill.prices else None,
        "succeeded": max(map(_end, successes), default=None),
        "last": None if last is None else _outcome(last),
    }


def _at_work(run: Run) -> float | None:
    """Return the seconds that a run took once it was its turn."""
    seconds = run.get("seconds")
    waiting = (run.get("phases") or {}).get("waiting") or 0.0
    return None if seconds is None else max(0.0, seconds - waiting)


def _end(run: Run) -> float:
    return source.moment(run, "finished", "started").timestamp()


def _outcome(run: Run) -> dict[str, Any]:
    return {
        "run": run["name"],
        "status": run["status"],
        "finished": _end(run),
        "error": run.get("error") or "",
    }


def write(lake: Lake, figures: dict[str, dict[str, Any]]) -> None:
    """Leave the figures in the lake."""
    lake.write(PATH, documents.seal({"pipelines": figures}))


def read(lake: Lake) -> dict[str, dict[str, Any]]:
    """Return the figures in the lake; none if there are none yet.

    Raises:
        LightworkError: they cannot be read, or are damaged.
    """
    if all(entry.path != PATH for entry in lake.entries(FOLDER)):
        return {}
    try:
        found = documents.parse(lake.read(PATH)).get("pipelines")
    except OddError as error:
        raise LightworkError(f"{lake.uri(PATH)}: {error}") from None
    if not isinstance(found, dict):
        raise LightworkError(f"{lake.uri(PATH)}: expected figures by pipeline")
    return {str(name): figures for name, figures in found.items() if isinstance(figures, dict)}

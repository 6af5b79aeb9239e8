"""Records of runs in a lake: each run has one name, and one record under it.

A run's folder, `runs/<name>/`, has what each process wrote of it: the attempts of its drivers
(`store.attempts`), the end of its Workflow (`store.endings`), the elements that failed (`store.failures`),
its report, its log, and the runs that tried it again. The record is derived from these when it is read, so no
two processes ever write the same file.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lightwork import run_names
from lightwork.lake.threads import in_threads
from lightwork.store import attempts, earlier_records, workflows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lightwork.lake import Lake

SUBMITTED = "submitted"
"""The status of a run in a cluster before its driver has started."""
FINAL = ("succeeded", "failed", "stopped", "skipped")
"""The statuses that a run keeps; `lost` is one too once nobody has heard of the run for long."""
_FORGOTTEN = dt.timedelta(days=1)
"""Time without any news after which no more of a run is to come."""
_LATE = dt.timedelta(hours=1)
"""How much later than its name says a run may have started, for the order of `recent`."""
_TOGETHER = 32
"""Runs that are read at once, by as many threads as _THREADS."""
_THREADS = 16
_EMPTY: dict[str, Any] = {
    "name": None,
    "pipeline": None,
    "tenant": None,
    "on": None,
    "status": None,
    "started": None,
    "finished": None,
    "seconds": None,
    "parameters": {},
    "interval": None,
    "retry_of": None,
    "retried_by": [],
    "elements": None,
    "tasks": {},
    "phases": {},
    "worker_seconds": [],
    "code_keys": {},
    "git_commit": None,
    "versions": {},
    "artifacts": [],
    "attempts": [],
    "error": None,
    "result": None,
    "report": None,
    "workflow": None,
    "workflow_uid": None,
    "schedule": None,
    "final": False,
}
"""The fields of a record, and what they are where nothing is known."""


def names(lake: Lake) -> list[str]:
    """Return the names of the runs in a lake, in any order, by one listing."""
    return [name for name in lake.folders("runs") if not name.startswith(".")]


def run(lake: Lake, name: str, now: dt.datetime | None = None) -> dict[str, Any] | None:
    """Return the record of a run; None if there is none.

    Damaged parts of it are ignored with a warning.

    Args:
        lake: the lake.
        name: the run's name.
        now: the current time, for tests.
    """
    if not name or "/" in name or name.startswith("."):
        return None
    now = now or dt.datetime.now(dt.UTC)
    files = [entry.path for entry in lake.entries(f"runs/{name}")]
    if earlier_records.path(name) in files:
        record = earlier_records.read(lake, name, now, files)
    else:
        record = _derived(lake, name, now, files)
    if record is None:
        return None
    again = f"runs/{name}/retries/"
    record["retried_by"] = [item[len(again) :] for item in files if item.startswith(again)]
    record["final"] = _is_final(record, now)
    return _EMPTY | record


def complete(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with all fields, also those that what has kept it leaves out."""
    return _EMPTY | dict(record)


def ended(record: Mapping[str, Any]) -> bool:
    """Return whether a run has its final status: nothing more of it is to come."""
    return bool(record["final"])


def read_all(lake: Lake, wanted: Iterable[str]) -> list[dict[str, Any]]:
    """Return the records of runs by name, those that exist."""
    found = in_threads(lambda name: run(lake, name), list(wanted), _THREADS)
    return [record for record in found if record is not None]


def recent(lake: Lake, limit: int | None = None, pipeline: str | None = None) -> list[dict[str, Any]]:
    """Return the records of the runs in a lake, newest first by their start.

    Args:
        lake: the lake.
        limit: how many at most.
        pipeline: only runs of this pipeline.
    """
    begin = dt.datetime.max.replace(tzinfo=dt.UTC) - 2 * _LATE
    times = {name: run_names.time_in(name) or begin for name in names(lake)}
    order = sorted(times, key=lambda name: (times[name], name), reverse=True)
    found: list[dict[str, Any]] = []
    for start in range(0, len(order), _TOGETHER):
        found += [
            record
            for record in read_all(lake, order[start : start + _TOGETHER])
            if pipeline is None or record["pipeline"] == pipeline
        ]
        found.sort(key=_begin, reverse=True)
        rest = order[start + _TOGETHER :]
        # One of the rest may have started later than its name says.
        if limit and len(found) >= limit and rest and times[rest[0]] + _LATE < _begin(found[limit - 1]):
            break
    return found[:limit]


def location(lake: Lake, path: str) -> str:
    """Return the full path of a file in a local lake, or its address in any other."""
    uri = lake.uri(path)
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def _begin(record: Mapping[str, Any]) -> dt.datetime:
    started = record["started"]
    return dt.datetime.fromisoformat(started) if started else dt.datetime.min.replace(tzinfo=dt.UTC)


def _derived(lake: Lake, name: str, now: dt.datetime, files: list[str]) -> dict[str, Any] | None:
    start = f"runs/{name}/attempts/"
    locks = attempts.locks_of(lake, files)
    tries = attempts.read_all(lake, [item for item in files if item.startswith(start)])
    workflow = workflows.read(lake, name) if workflows.path(name) in files else None
    if workflow is not None:
        tries = [item for item in tries if item.get("workflow_uid") in (None, workflow["uid"])]
    if not tries and workflow is None:
        return None
    for item in tries:
        item["status"] = attempts.status(item, now, locks)
    return _merged(name, [workflows.completed(item, workflow) for item in tries], workflow)


def _merged(name: str, tries: list[dict[str, Any]], workflow: dict[str, Any] | None) -> dict[str, Any]:
    """Return the record that a run's attempts and its Workflow make together."""
    last = list({item.get("step") or "": item for item in tries}.values())  # of each step the last one
    newest = tries[-1] if tries else {}
    of_workflow = {} if workflow is None else workflows.as_record(workflow)
    record = {key: newest[key] for key in _EMPTY if key in newest} | {
        "name": name,
        "started": tries[0]["started"] if tries else None,
        "elements": sum_counts([item.get("elements") or {} for item in last]) if tries else None,
        "tasks": _tasks(last),
        "phases": _phases(tries),
        "worker_seconds": _workers(tries),
        "code_keys": {key: value for item in tries for key, value in (item.get("code_keys") or {}).items()},
        "artifacts": [item for each in tries for item in each.get("artifacts") or []],
        "attempts": [_attempt(item) for item in tries],
        "result": _results(last, "result"),
        "report": _results(last, "report"),
        **of_workflow,
    }
    if len(last) == 1 and not last[0].get("step"):
        record |= {"parameters": newest.get("parameters") or {}, "long_parameters": []}
    record["status"] = _status(of_workflow.get("status"), last)
    record["error"] = _error(record["status"], tries) or of_workflow.get("error")
    if workflow is None and record["status"] not in ("running", SUBMITTED):
        record["finished"] = max(
            (str(item["finished"]) for item in tries if item.get("finished")), default=None
        )
    record["seconds"] = _seconds(record)
    return record


def _status(of_workflow: str | None, last: list[dict[str, Any]]) -> str:
    """Return the status of a run: its Workflow's if that has ended, else what its drivers say."""
    if of_workflow not in (None, SUBMITTED):
        return str(of_workflow)
    statuses = [str(item["status"]) for item in last]
    if not statuses:
        return SUBMITTED
    if "running" in statuses:
        return "running"
    if of_workflow is not None and any(item.get("step") for item in last):
        return "running"  # the next step is yet to start, or one that has no driver is at work
    return next((item for item in ("failed", "lost", "stopped") if item in statuses), statuses[-1])


def _error(status: str, tries: list[dict[str, Any]]) -> str | None:
    """Return the error of the newest attempt that ended as the run did."""
    errors = [str(item["error"]) for item in tries if item.get("error") and item["status"] == status]
    return errors[-1] if errors else None


def _attempt(item: dict[str, Any]) -> dict[str, Any]:
    fields = ("id", "step", "status", "started", "finished", "seconds", "pod", "error", "elements")
    return {key: item.get(key) for key in fields}


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of numbers of elements: total, cached, computed, failed, and further ones."""
    items = list(counts)
    names = (*attempts.COUNTS, *attempts.FURTHER)
    sums = {name: sum(int(item.get(name, 0)) for item in items) for name in names}
    return {name: number for name, number in sums.items() if number or name in attempts.COUNTS}


def _tasks(last: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    tasks = [item.get("tasks") or {} for item in last]
    return {
        name: sum_counts([item[name] for item in tasks if name in item])
        for name in dict.fromkeys(name for item in tasks for name in item)
    }


def _phases(tries: list[dict[str, Any]]) -> dict[str, float]:
    """Return the seconds in each phase over all attempts; a run waits once for its turn."""
    phases = [item.get("phases") or {} for item in tries]
    sums = {
        name: round(sum(item.get(name, 0.0) for item in phases), 3) for name in (phases[0] if phases else ())
    }
    return sums | ({"waiting": phases[0]["waiting"]} if "waiting" in sums else {})


def _workers(tries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the seconds of workers by their size, over all attempts."""
    sums: dict[tuple[Any, Any], float] = {}
    for item in tries:
        for worker in item.get("worker_seconds") or []:
            key = worker.get("size"), worker.get("spot")
            sums[key] = sums.get(key, 0.0) + worker["seconds"]
    return [{"size": size, "spot": spot, "seconds": round(value, 3)} for (size, spot), value in sums.items()]


def _results(last: list[dict[str, Any]], name: str) -> Any:
    """Return the result, or the report, of a run; of a run with several steps, by step."""
    if len(last) == 1 and not last[0].get("step"):
        return last[0].get(name)
    return {item.get("step") or "": item[name] for item in last if item.get(name) is not None} or None


def _seconds(record: Mapping[str, Any]) -> float | None:
    if not (record.get("started") and record.get("finished")):
        return None
    begin, end = (dt.datetime.fromisoformat(str(record[name])) for name in ("started", "finished"))
    return round(max(0.0, (end - begin).total_seconds()), 3)


def _is_final(record: Mapping[str, Any], now: dt.datetime) -> bool:
    """Return whether a run keeps its status.

    In a cluster Argo may start a driver again that failed; so a run has ended when its Workflow has. A run
    without any news for a day has ended too, whatever is recorded of it.
    """
    if record["status"] in FINAL and (not record.get("workflow") or record.get("ended_by") == "workflow"):
        return True
    if record["status"] == "running":
        return False
    times = [record.get("started"), record.get("finished")]
    times += [item.get(name) for item in record.get("attempts") or [] for name in ("started", "finished")]
    last = max((dt.datetime.fromisoformat(str(item)) for item in times if item), default=None)
    return last is None or now - last > _FORGOTTEN

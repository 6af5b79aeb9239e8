"""Records of runs in a lake, and the heartbeat that tells a running run from a killed one."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lightwork.errors import one_line
from lightwork.logs import get_logger
from lightwork.store import documents
from lightwork.store.documents import OddError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.lake import Lake

EVERY = 60.0
"""Seconds between two heartbeats; each writes a small file."""
SILENCE = dt.timedelta(minutes=5)
"""Time without a heartbeat after which a run counts as lost; longer than a short outage of the lake."""
ALIVE = "alive"
"""The name of the heartbeat's file in a run's folder."""
SUBMITTED = "submitted"
"""The status of a Workflow's own record until it has ended; its drivers have records of their own."""


@contextlib.contextmanager
def beating(lake: Lake, folder: str, every: float = EVERY) -> Iterator[None]:
    """Write a heartbeat into a run's folder while the `with` block runs.

    Args:
        lake: the lake with the run's record.
        folder: the run's folder, such as `runs/<id>`.
        every: seconds between two heartbeats.
    """
    ended = threading.Event()
    lake = lake.with_patience(0.0)  # the next beat follows

    def beat() -> None:
        while not ended.wait(every):
            with contextlib.suppress(Exception):  # the run's own writes report what is wrong with the lake
                now = dt.datetime.now(dt.UTC).isoformat()
                lake.write(f"{folder}/{ALIVE}", now.encode(), durable=False)  # the next one follows

    thread = threading.Thread(target=beat, name="lightwork-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()  # do not wait for a write that hangs


def status(lake: Lake, record: Mapping[str, Any], now: dt.datetime | None = None) -> str:
    """Return a run's recorded status, or `lost` if it is recorded as `running` without a recent heartbeat.

    Args:
        lake: the lake with the record.
        record: the run's record.
        now: the current time, for tests.
    """
    recorded = str(record.get("status"))
    if recorded != "running":
        return recorded
    times = [_time(record.get("started"))]
    with contextlib.suppress(FileNotFoundError):
        times.append(_time(lake.read(f"runs/{record.get('run_id')}/{ALIVE}").decode(errors="replace")))
    last_seen = max((time for time in times if time is not None), default=None)
    if last_seen is not None and (now or dt.datetime.now(dt.UTC)) - last_seen > SILENCE:
        return "lost"
    return recorded


def recent(lake: Lake, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the records of the runs in a lake, newest first; damaged ones are ignored with a warning.

    The status of a killed run, which could not record its end, is `lost` once its heartbeat is missing. A
    Workflow that is recorded as submitted is not shown beside the record of its driver.
    """
    records: list[dict[str, Any]] = []
    workflows: set[str] = set()
    for folder in sorted(lake.folders("runs"), reverse=True):
        if limit is not None and len(records) >= limit:
            break
        record = record_of(lake, folder.rsplit("/", 1)[-1])
        if record is None or (record["status"] == SUBMITTED and record.get("workflow") in workflows):
            continue
        workflows.add(str(record.get("workflow")))
        records.append({**record, "status": status(lake, record)})
    return records


def record_of(lake: Lake, run_id: str) -> dict[str, Any] | None:
    """Return a run's record as it was written; None if there is none or, with a warning, if it is damaged."""
    path = f"runs/{run_id}/run.json"
    try:
        return _checked(lake.read(path), run_id)
    except FileNotFoundError:
        return None
    except OddError as error:
        get_logger("lightwork").warning(f"ignored a damaged file: {lake.uri(path)}: {one_line(error)}")
        return None


def _checked(data: bytes, run_id: str) -> dict[str, Any]:
    """Read a run's record.

    Raises:
        OddError: it is not a record of this run.
    """
    record = documents.parse(data)
    if documents.text(record, "run_id") != run_id:
        raise OddError("run_id: it is the record of another run")
    documents.text(record, "status")
    for name in ("pipeline", "error"):
        if record.get(name) is not None:
            documents.text(record, name)
    for name in ("started", "finished"):
        if record.get(name) is not None:
            documents.moment(record, name)
    if record.get("seconds") is not None:
        documents.number(record, "seconds")
    elements = record.get("elements")
    if elements is not None:
        if not isinstance(elements, dict):
            raise OddError("elements: expected numbers by name")
        for name in elements:
            documents.whole(elements, name)
    return record


def location(lake: Lake, path: str) -> str:
    """Return the full path of a file in a local lake, or its address in any other."""
    uri = lake.uri(path)
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def _time(text: object) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return None if time.tzinfo is None else time


def of_workflow(lake: Lake, workflow: str, since: dt.datetime) -> dict[str, Any] | None:
    """Return the record that tells how a Workflow has ended; None if there is none.

    That is the Workflow's own, which has its `uid`; without one, that of its newest driver.

    Args:
        lake: the tenant's lake.
        workflow: the Workflow's name.
        since: when it was submitted, or earlier.
    """
    first = f"{since.astimezone(dt.UTC) - SILENCE:%Y%m%dT%H%M%S}"
    ids = [folder.rpartition("/")[2] for folder in lake.folders("runs")]
    found = [record_of(lake, run_id) for run_id in sorted(ids, reverse=True) if run_id >= first]
    of_run = [record for record in found if record and record.get("workflow") == workflow]
    record = next((record for record in of_run if record.get("uid")), of_run[0] if of_run else None)
    return None if record is None else {**record, "status": status(lake, record)}


def names(lake: Lake) -> list[str]:
    """Return the names of the runs in a lake, in any order, by one listing."""
    return lake.folders("runs")


def run(lake: Lake, name: str) -> dict[str, Any] | None:
    """Return the record of a run; None if there is none."""
    record = record_of(lake, name)
    return None if record is None else {"name": name, **record, "status": status(lake, record)}


def ended(record: Mapping[str, Any]) -> bool:
    """Return whether a run has its final status."""
    return record["status"] not in ("running", SUBMITTED)

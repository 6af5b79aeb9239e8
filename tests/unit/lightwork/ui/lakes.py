"""A lake with the runs of some pipelines, as drivers leave them, for tests of the page."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Sequence
from typing import Any

from lightwork.errors import ElementError
from lightwork.lake import Lake
from lightwork.store import attempts, batches, failures, marks
from lightwork.store.documents import seal

NOW = dt.datetime.now(dt.UTC)
TRACE = """Traceback (most recent call last):
  File "windy_city/winds.py", line 41, in windiest
    speeds = readings[timestamp]
KeyError: '2013-02-30 07:00'
"""


def run(
    lake: Lake,
    name: str,
    *,
    pipeline: str = "windy-city",
    status: str = "succeeded",
    started: dt.datetime = NOW - dt.timedelta(hours=1),
    seconds: float = 60.0,
    error: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Leave the document of a run's only attempt, with its mark; return it."""
    ended = None if status == "running" else started + dt.timedelta(seconds=seconds)
    failed = 0 if status == "succeeded" else 2
    counts = {"total": 1000, "cached": 400, "computed": 600 - failed, "failed": failed}
    values = {
        "id": "20261128t060000000-abc123",
        "run": name,
        "pipeline": pipeline,
        "tenant": lake.tenant,
        "on": "local",
        "status": status,
        "parameters": {"max_timestamps": 1000, "mode": "fast"},
        "started": _text(started),
        "seen": _text(ended or dt.datetime.now(dt.UTC)),
        "finished": _text(ended) if ended else None,
        "seconds": seconds if ended else None,
        "error": error,
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "versions": {"python": "3.13.1", "lightwork": "0.2.0", "dask": "2026.8.0"},
        "elements": counts,
        "tasks": {"windy_city.winds.windiest": counts},
        "phases": {"waiting": 1.5, "scheduler": 2.0, "workers": 0.08 * seconds, "computing": 0.9 * seconds},
        "worker_seconds": [{"size": "cpu=2 memory=8Gi", "spot": True, "seconds": 4 * seconds}],
        "code_keys": {"windy_city.winds.windiest": "5f2b8c0d9e3a41c7"},
        "artifacts": [],
        "result": {"JFK": 4321, "LGA": 2345},
        "report": None,
        "workflow": None,
        **fields,
    }
    lake.write(attempts.path(name, str(values["id"])), seal(values, indent=2))
    marks.mark(lake, name)
    return values


def _text(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def fail(lake: Lake, name: str, indices: Sequence[int], attempt: str = "20261128t060000000-abc123") -> None:
    """Leave failed elements of a run."""
    table = failures.Failures()
    for index in indices:
        table.add(
            ElementError(
                "windy_city.winds.windiest",
                index,
                f"'2013-02-{index % 28 + 1:02} 07:00'",
                "KeyError: '2013-02-30 07:00'",
                TRACE,
                2,
            )
        )
    failures.write(lake, name, attempt, table)


def log(lake: Lake, name: str, begin: dt.datetime, events: Sequence[tuple[str, str]]) -> None:
    """Leave the log of a run on one machine: levels and texts, one a second."""
    lines = [
        json.dumps(
            {
                "timestamp": _text(begin + dt.timedelta(seconds=number)),
                "level": level,
                "event": text,
                "tenant": lake.tenant,
                "pipeline": "windy-city",
                "run": name,
            }
        )
        for number, (level, text) in enumerate(events)
    ]
    lake.write(f"runs/{name}/log.jsonl", ("\n".join(lines) + "\n").encode())


def worked(begin: dt.datetime, workers: int, seconds: float, seed: int = 0) -> dict[str, Any] | None:
    """Return the batches of some workers, as an attempt's document has them."""
    table, chance = batches.Batches(), random.Random(seed)
    for worker in range(workers):
        at = begin.timestamp() + chance.uniform(0, 0.1 * seconds)
        while at < begin.timestamp() + seconds:
            length = chance.uniform(0.02, 0.12) * seconds
            task = (
                "windy_city.winds.windiest" if at < begin.timestamp() + 0.7 * seconds else "windy_city.count"
            )
            table.add(
                f"host/{4000 + worker}",
                task,
                at,
                length,
                chance.randint(10, 400),
                int(chance.random() < 0.04),
            )
            at += length + chance.expovariate(1 / (0.01 * seconds))
    return table.document()


def fill(lake: Lake) -> dict[str, str]:
    """Leave runs of all kinds; return the names of some by what they show."""
    chance = random.Random(7)
    for pipeline, usual, days, odd in (
        ("windy-city", 740.0, 1.0, {3: "failed", 11: "failed", 12: "failed", 20: "stopped"}),
        ("battery-health", 95.0, 1.0, {17: "lost"}),
        ("daylight", 12.0, 0.25, {}),
        ("tide-tables", 4_200.0, 7.0, {29: "failed", 28: "failed"}),
        ("a-pipeline-with-a-rather-long-name-for-a-phone", 0.4, 0.04, {5: "skipped"}),
    ):
        for number in range(30):
            started = NOW - dt.timedelta(days=(29 - number) * days, hours=1.5)
            seconds = (
                usual * chance.lognormvariate(0, 0.12) * (5 if (pipeline, number) == ("daylight", 9) else 1)
            )
            status = odd.get(number, "succeeded")
            run(
                lake,
                f"{pipeline}-{started:%Y%m%dt%H%M%S}-{number:05}",
                pipeline=pipeline,
                status=status,
                started=started,
                seconds=seconds * (0.3 if status in ("failed", "stopped") else 1),
                error=_ERRORS.get(status),
            )
    return {"failed": _failed_run(lake), "running": _running_run(lake)}


_ERRORS = {
    "failed": "windy_city.winds.windiest: element 77 ('2013-02-22 07:00') failed after 2 attempts: "
    "KeyError: '2013-02-30 07:00'",
    "lost": "the driver was lost: no sign of life for 5 minutes",
}


def _failed_run(lake: Lake) -> str:
    name, started = "windy-city-20261128t071502-k3x9q", NOW - dt.timedelta(minutes=38)
    frame = [
        {
            "name": "winds",
            "version": "20261128T071600.000000Z-x",
            "rows": 8_760,
            "bytes": 412_345,
            "uri": "file:///lake/artifacts/winds/20261128T071600.000000Z-x",
        }
    ]
    run(
        lake,
        name,
        status="failed",
        started=started,
        seconds=431.0,
        error=_ERRORS["failed"],
        parameters={
            "max_timestamps": 8760,
            "mode": "fast",
            "start": "2013-01-01",
            "airports": ["JFK", "LGA"],
        },
        tasks={
            "windy_city.winds.windiest": {"total": 8760, "cached": 4012, "computed": 4700, "failed": 48},
            "windy_city.count": {"total": 12, "cached": 0, "computed": 12, "failed": 0},
        },
        elements={"total": 8772, "cached": 4012, "computed": 4712, "failed": 48},
        artifacts=frame,
        batches=worked(started + dt.timedelta(seconds=44), 8, 380.0),
    )
    fail(lake, name, [77, *range(100, 147)])
    log(
        lake,
        name,
        started,
        [
            ("info", f"windy-city runs as {name}, lake /srv/lake"),
            ("info", "starting 8 workers"),
            *[
                ("info", f"progress task=windiest done={n * 250} total=8760 per_second=21.4")
                for n in range(30)
            ],
            ("warning", "windy_city.winds.windiest: a shared argument was changed"),
            ("error", _ERRORS["failed"]),
        ],
    )
    return name


def _running_run(lake: Lake) -> str:
    name = "battery-health-20261128t073900-zzzzz"
    started = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=80)
    run(
        lake,
        name,
        pipeline="battery-health",
        status="running",
        started=started,
        batches=worked(started, 4, 75.0),
    )
    return name

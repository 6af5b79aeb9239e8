"""battery-health's throughput, against a plain scan with the same arithmetic."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os

from bench.measure import WORKERS, Row, folder, timed, within, workers
from lightwork import connect

BATTERIES = 250
DAYS = 4


def run() -> list[Row]:
    """Every file read and estimated: on two workers, and by a loop on one core of which two are ideal."""
    from pipelines.battery_health.files import battery_day
    from pipelines.battery_health.tasks import cell_health, simulate

    days = [(dt.date(2026, 1, 1) + dt.timedelta(n)).isoformat() for n in range(DAYS)]
    numbers = [number for number in range(BATTERIES) for _ in days]
    with workers() as address, folder() as lake, connect(on=address, lake=lake, progress="off") as session:
        shared = {"seed": 0, "folder": "telemetry", "lake": session.lake}
        made = list(simulate.map(numbers, days * BATTERIES, shared=shared))
        found = [battery_day("telemetry", item.path, item.digest) for item in made]
        size = sum(item.bytes for item in made)
        root = os.path.join(session.lake.root.removeprefix("file://"), "")  # noqa: PTH118

        def ours(version: str) -> None:
            columns = ([day.path for day in found], [version] * len(found), [day.model for day in found])
            results = cell_health.map(*columns, shared={"lake": session.lake})
            assert len(list(results)) == len(found)
            assert results.stats.computed == len(found)

        ours("warm")
        files = [(f"{root}{day.path}", day.model) for day in found]
        _scan(files)
        taken = timed(lambda: ours("cold"))
        plain = timed(lambda: _scan(files))
        both = _in_processes(files)
    rate = size / 1e6 / taken
    scanned = f"plain scan, one core {size / 1e6 / plain:.0f} MB/s ({plain:.2f} s)"
    detail = f"{rate:.0f} MB/s ({taken:.2f} s, cache on); {scanned}"
    ideal = "battery-health / a plain scan on one core, times two"
    real = "battery-health / the same scan in two plain processes"
    together = f"{taken:.2f} s; two processes {both:.2f} s: what this machine's two cores give together"
    return [
        within(ideal, 1.3, taken, plain / WORKERS, detail),
        within(real, 1.3, taken, both, together),
    ]


def _in_processes(files: list[tuple[str, str]]) -> float:
    """Seconds that the plain scan takes in two processes, half of the files each."""
    parts = [files[number::WORKERS] for number in range(WORKERS)]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(_scan, [part[:5] for part in parts])
        return timed(lambda: pool.map(_scan, parts))


def _scan(files: list[tuple[str, str]]) -> None:
    import pyarrow.parquet as pq

    from pipelines.battery_health.estimation import COLUMNS, estimate
    from pipelines.battery_health.models import MODELS

    for path, model in files:
        table = pq.read_table(path, columns=list(COLUMNS), use_threads=False, partitioning=None)
        estimate(table, MODELS[model])

"""Throughput of battery-health on telemetry and on real cells, against plain loops of the same arithmetic."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import WORKERS, Row, folder, timed, within
from lightwork import connect

if TYPE_CHECKING:
    from pipelines.battery_health.lab.discharge import Measured
    from pipelines.battery_health.lab.reading import Discharge

BATTERIES = 250
DAYS = 4
CELLS = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasa_cells"


def run() -> list[Row]:
    """Measure telemetry and, where they are beside the repository, real cells."""
    return [*_telemetry(), *(_real_cells() if CELLS.is_dir() else [])]


def _telemetry() -> list[Row]:
    """Read and estimate every file on two workers, and in a plain loop; half the loop's time is ideal."""
    from pipelines.battery_health.files import battery_day
    from pipelines.battery_health.tasks import cell_health, simulate

    dates = [(dt.date(2026, 1, 1) + dt.timedelta(n)).isoformat() for n in range(DAYS)]
    numbers = [number for number in range(BATTERIES) for _ in dates]
    with folder() as lake, connect(on="local", workers=WORKERS, lake=lake, progress="off") as session:
        shared = {"seed": 0, "folder": "telemetry", "lake": session.lake}
        simulated = list(simulate.map(numbers, dates * BATTERIES, shared=shared))
        days = [battery_day("telemetry", file.path, file.digest) for file in simulated]
        size = sum(file.bytes for file in simulated)
        root = os.path.join(session.lake.root.removeprefix("file://"), "")  # noqa: PTH118

        def ours(version: str) -> None:
            columns = (
                [day.path for day in days],
                [version] * len(days),
                [day.model for day in days],
            )
            results = cell_health.map(*columns, shared={"lake": session.lake})
            assert len(list(results)) == len(days)
            assert results.stats.computed == len(days)

        ours("warm")
        files = [(f"{root}{day.path}", day.model) for day in days]
        _scan(files)
        seconds = timed(lambda: ours("cold"))
        one_core = timed(lambda: _scan(files))
        two_cores = _in_processes(files)
    rate = size / 1e6 / seconds
    scan = f"plain scan, one core {size / 1e6 / one_core:.0f} MB/s ({one_core:.2f} s)"
    return [
        within(
            "battery-health / half the time of a plain scan on one core",
            1.3,
            seconds,
            one_core / WORKERS,
            f"{rate:.0f} MB/s ({seconds:.2f} s, cache on); {scan}",
        ),
        within(
            "battery-health / the same scan in two plain processes",
            1.3,
            seconds,
            two_cores,
            f"{seconds:.2f} s; two processes {two_cores:.2f} s",
        ),
    ]


def _in_processes(files: list[tuple[str, str]]) -> float:
    """Time the plain scan, in seconds, in two processes with half of the files each."""
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


def _real_cells() -> list[Row]:
    """Measure all discharges and estimate their windows, against a plain loop over the same functions."""
    from pipelines.battery_health.lab import run as lab
    from pipelines.battery_health.lab.reading import read_cells

    discharges = read_cells(CELLS).discharges
    with folder() as lake, connect(on="local", workers=WORKERS, lake=lake, progress="off") as session:
        lab.estimates(
            discharges, 2.71
        )  # another cut-off: the code is loaded, and nothing of it is found again
        before = session.elements["computed"]
        seconds = timed(lambda: lab.estimates(discharges, 2.7))
        assert session.elements["computed"] - before == len(discharges)
        one_core = timed(lambda: _plain(discharges))
    rate = len(discharges) / seconds
    return [
        within(
            "battery-health, real cells / half the time of plain numpy on one core",
            1.3,
            seconds,
            one_core / WORKERS,
            f"{len(discharges)} discharges, {rate:.0f} a second ({seconds:.2f} s); one core {one_core:.2f} s",
        )
    ]


def _plain(discharges: list[Discharge]) -> None:
    from pipelines.battery_health.lab.discharge import measure
    from pipelines.battery_health.lab.reference import known, reference
    from pipelines.battery_health.lab.windows import window_errors

    measured: dict[str, dict[int, Measured]] = {}
    for one in discharges:
        measured.setdefault(one.cell, {})[one.number] = measure(one.samples, 2.7)
    curves = reference(measured, 2.7)
    for one in discharges:
        window_errors.fn(one.cell, one.number, one.samples, known(one.number, measured[one.cell]), curves)

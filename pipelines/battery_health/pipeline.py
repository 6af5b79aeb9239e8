"""The health of every cell of a fleet, day by day, from its telemetry."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from annotated_types import Ge, Gt

from lightwork import InputError, Session, current_session, pipeline
from pipelines.battery_health.files import battery_day, stored
from pipelines.battery_health.lab.discharge import CUTOFF
from pipelines.battery_health.lab.run import cells_in, run
from pipelines.battery_health.outcome import Outcome, report
from pipelines.battery_health.summary import fleet_summary, soh_by_model
from pipelines.battery_health.tasks import SimulatedFile, cell_health, simulate, simulate_again


@pipeline
def battery_health(
    fleet: Annotated[int, Gt(0)] = 20,
    days: Annotated[int, Gt(0)] = 3,
    start: dt.date = dt.date(2026, 1, 1),
    seed: Annotated[int, Ge(0)] = 0,
    data: str | None = None,
    cutoff: Annotated[float, Gt(0)] = CUTOFF,
) -> dict[str, Any]:
    """Capacity and internal resistance of each cell by day, and the oldest cells of the fleet.

    Args:
        fleet: number of batteries to simulate.
        days: number of days to simulate for each battery.
        start: first day to simulate.
        seed: seed of the simulated fleet.
        data: a folder of the lake with telemetry to use, or one with the discharges of laboratory cells, a
            Parquet or CSV file for each cell, in the lake or (an absolute path) on this machine; nothing is
            simulated then, and the parameters above are ignored.
        cutoff: for laboratory cells, the voltage at which a discharge is full, V.

    Returns:
        The numbers of batteries, cells and cell days; how many estimates are missing; the oldest cells; and
        for a simulated fleet the largest errors of the estimates, as shares of the true values.
        For laboratory cells: the numbers of cells and discharges, each cell's last state of health, the mean
        errors of the capacity from a part of a discharge, and the share of intervals that hold the truth.
    """
    session = current_session()
    cells = cells_in(session, data) if data is not None else None
    if data is not None and cells is not None:
        return run(session, cells, cutoff, data)
    folder = data if data is not None else f"telemetry/simulated-{seed}"
    simulated = None if data is not None else _simulated(session, folder, fleet, days, start, seed)
    if simulated is None:
        telemetry = stored(session.lake, folder)
    else:
        telemetry = [battery_day(folder, file.path, file.digest) for file in simulated]
    batteries = {day.battery for day in telemetry}
    session.log.info(f"{len(telemetry):,} telemetry files from {len(batteries):,} batteries")

    health = cell_health.map(
        [day.path for day in telemetry],
        [day.version for day in telemetry],
        [day.model for day in telemetry],
        shared={"lake": session.lake},
    )
    outcome = Outcome()
    session.artifacts.write("cell-health", outcome.tables(telemetry, health, simulated))
    lazy = session.artifacts.read("cell-health", run=session.run_id, lazy=True)
    oldest = fleet_summary(lazy).compute().sort_values(["model", "region", "rank"], ignore_index=True)
    session.artifacts.write("fleet-summary", oldest)
    report(session, outcome, soh_by_model(lazy), oldest)
    return outcome.result(oldest)


def _simulated(
    session: Session, folder: str, fleet: int, days: int, start: dt.date, seed: int
) -> list[SimulatedFile]:
    """Simulate telemetry into the lake; the files, ordered by battery and day."""
    try:
        dates = [(start + dt.timedelta(days=number)).isoformat() for number in range(days)]
    except OverflowError:
        raise InputError(
            f"battery-health: {days} days from {start} end after the year 9999; give fewer days"
        ) from None
    numbers = [number for number in range(fleet) for _ in dates]
    dates = dates * fleet
    shared = {"seed": seed, "folder": folder, "lake": session.lake}
    files = list(simulate.map(numbers, dates, shared=shared))
    # Results may be cached while their files were deleted from the lake: write those files again.
    present = {entry.path for entry in session.lake.entries(folder)}
    missing = [index for index, file in enumerate(files) if file.path not in present]
    if missing:
        columns = [numbers[index] for index in missing], [dates[index] for index in missing]
        simulate_again.map(*columns, shared=shared).wait()
    return files

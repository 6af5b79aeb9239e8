"""The health of every cell of a fleet, day by day, from its telemetry."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from annotated_types import Ge, Gt

from lightwork import InputError, Session, current_session, pipeline
from pipelines.battery_health.files import battery_day, stored
from pipelines.battery_health.outcome import Outcome, report
from pipelines.battery_health.summary import fleet_summary, soh_by_model
from pipelines.battery_health.tasks import Made, cell_health, simulate, simulate_again


@pipeline
def battery_health(
    fleet: Annotated[int, Gt(0)] = 20,
    days: Annotated[int, Gt(0)] = 3,
    start: dt.date = dt.date(2026, 1, 1),
    seed: Annotated[int, Ge(0)] = 0,
    data: str | None = None,
) -> dict[str, Any]:
    """Capacity and internal resistance of each cell by day, and the oldest cells of the fleet.

    Args:
        fleet: how many batteries to simulate.
        days: how many days of each.
        start: the first of them.
        seed: another one is another fleet.
        data: a folder of the lake with telemetry; nothing is simulated then, and the others don't count.

    Returns:
        How many batteries, cells and days of cells there were; how many could not be estimated; the oldest
        cells; for a simulated fleet the largest errors of the estimates, as shares of the truth.
    """
    session = current_session()
    folder = data if data is not None else f"telemetry/simulated-{seed}"
    made = None if data is not None else _simulated(session, folder, fleet, days, start, seed)
    if made is None:
        found = stored(session.lake, folder)
    else:
        found = [battery_day(folder, item.path, item.digest) for item in made]
    session.log.info(
        f"{len(found):,} files of telemetry of {len({day.battery for day in found}):,} batteries"
    )

    health = cell_health.map(
        [day.path for day in found],
        [day.version for day in found],
        [day.model for day in found],
        shared={"lake": session.lake},
    )
    outcome = Outcome()
    session.artifacts.write("cell-health", outcome.tables(found, health, made))
    lazy = session.artifacts.read("cell-health", run=session.run_id, lazy=True)
    oldest = fleet_summary(lazy).compute().sort_values(["model", "region", "rank"], ignore_index=True)
    session.artifacts.write("fleet-summary", oldest)
    report(session, outcome, soh_by_model(lazy), oldest)
    return outcome.result(oldest)


def _simulated(session: Session, folder: str, fleet: int, days: int, start: dt.date, seed: int) -> list[Made]:
    """The simulated telemetry, in the lake: by battery and day."""
    try:
        dates = [(start + dt.timedelta(days=number)).isoformat() for number in range(days)]
    except OverflowError:
        raise InputError(
            f"battery-health: {days} days from {start} on leave the calendar; expected fewer"
        ) from None
    numbers = [number for number in range(fleet) for _ in dates]
    dates = dates * fleet
    shared = {"seed": seed, "folder": folder, "lake": session.lake}
    made = list(simulate.map(numbers, dates, shared=shared))
    # What was made may have been removed from the lake since: it is made again, as it was.
    there = {entry.path for entry in session.lake.entries(folder)}
    gone = [n for n, item in enumerate(made) if item.path not in there]
    if gone:
        again = ([numbers[n] for n in gone], [dates[n] for n in gone])
        simulate_again.map(*again, shared=shared).wait()
    return made

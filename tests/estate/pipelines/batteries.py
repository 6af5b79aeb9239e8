"""A pipeline whose parameters are numbers and a date, each with a default."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from annotated_types import Ge, Gt

from lightwork import pipeline


@pipeline
def battery_health(
    fleet: Annotated[int, Gt(0)] = 20,
    days: Annotated[int, Gt(0)] = 3,
    start: dt.date = dt.date(2026, 1, 1),
    seed: Annotated[int, Ge(0)] = 0,
    data: str | None = None,
) -> dict[str, object]:
    """Return the parameters of a fleet, in a sentence that is long enough for YAML to wrap."""
    return {"fleet": fleet, "days": days, "start": start, "seed": seed, "data": data}

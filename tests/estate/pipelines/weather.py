"""A pipeline with optional parameters: a folder, a bounded number, a choice."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import DirectoryPath

from lightwork import pipeline


@pipeline
def windy_city(
    data: DirectoryPath | None = None,
    max_timestamps: Annotated[int, Gt(0)] | None = None,
    unit: Literal["m/s", "km/h", "mph", "kn"] | None = None,
) -> dict[str, object]:
    """Return the parameters of a question about the wind."""
    return {"data": data, "max_timestamps": max_timestamps, "unit": unit}

"""windy-city on five cities and 35,064 hours, against reading the files in every call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.measure import Row, folder, timed, times, workers
from lightwork import connect

CITIES = ("Barcelona", "Bilbao", "Madrid", "Seville", "Valencia")
HOURS = 35_064
NAIVE_HOURS = 2_000


def run() -> list[Row]:
    """Run the whole pipeline with nothing cached, and the naive way on the first 2,000 hours, scaled."""
    from pipelines.windy_city import naive, windy_city
    from pipelines.windy_city.pipeline import windiest

    with folder() as temporary, workers() as address:
        data, origin = _data(temporary)
        with connect(on=address, lake=temporary / "lake", progress="off") as session:
            windiest.map(["now"], shared={"readings": {"now": {"a": 1.0}}}).wait()
            result: dict[str, Any] = {}
            ours = timed(lambda: result.update(windy_city(data=data)))
            table = session.artifacts.read("windiest-by-hour")
            hours = [str(hour) for hour in table["hour"].iloc[:NAIVE_HOURS]]
            naive.winners(session.client, hours[:20], str(data))
            winners: list[tuple[str, ...]] = []
            theirs = timed(lambda: winners.extend(naive.winners(session.client, hours, str(data))))
    assert result["hours"] == HOURS, result
    same = list(table["places"].iloc[:NAIVE_HOURS]) == [", ".join(places) for places in winners]
    scaled = theirs * HOURS / NAIVE_HOURS
    detail = f"{ours:.2f} s; reads in every call {scaled:.0f} s, scaled from {NAIVE_HOURS:,} hours; {origin}"
    row = times(f"windy-city, {HOURS:,} hours, five cities / reads in every call", 100, ours, scaled, detail)
    return [
        row,
        Row("the same winners", "all", "all" if same else "not all", same, f"of {NAIVE_HOURS:,} hours"),
    ]


def _data(temporary: Path) -> tuple[Path, str]:
    """Find the real observations beside the checkout, or else generate some of the same shape."""
    real = Path(__file__).resolve().parents[2] / "shared" / "data" / "spain_weather"
    if all((real / f"{city}.parquet").is_file() for city in CITIES):
        return real, "real observations"
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(3)
    index = pd.date_range("2015-01-01", periods=HOURS, freq="h", tz="Europe/Madrid", name="dt_iso")
    generated = temporary / "data"
    generated.mkdir()
    for city in CITIES:
        speed = random.weibull(1.5, HOURS) * 3
        pd.DataFrame({"wind_speed": speed.round()}, index=index).to_parquet(generated / f"{city}.parquet")
    return generated, "generated observations"

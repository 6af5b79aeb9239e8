"""The run's report, and the table of winners by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from lightwork import Session
from pipelines.windy_city.cleaning import Cleaned

_DAYS_DRAWN = 100


def report(
    session: Session,
    cleaned: Cleaned,
    speeds: pd.DataFrame,
    winners: Sequence[tuple[str, ...]],
    wins: Mapping[str, int],
) -> None:
    """Write the artifact `windiest-by-hour` and the sections of the report.

    Args:
        session: the run's session.
        cleaned: the whole input, cleaned.
        speeds: the compared hours, a column per place.
        winners: the windiest places at each of these hours.
        wins: how many hours each place won alone.
    """
    by_hour = pd.DataFrame(
        {
            "hour": speeds.index,
            "places": [", ".join(places) for places in winners],
            "speed": speeds.max(axis=1).to_numpy(),
            "tie": [len(places) > 1 for places in winners],
            "read": speeds.notna().sum(axis=1).to_numpy(),
        }
    )
    session.artifacts.write("windiest-by-hour", by_hour)

    ties = int(by_hour["tie"].sum())
    first, last = speeds.index[0], speeds.index[-1]
    everywhere = by_hour[by_hour["read"] == speeds.shape[1]]
    session.report.text(
        f"{len(by_hour):,} hours from {first:%d %B %Y} to {last:%d %B %Y} (UTC). In {ties:,} of them two or "
        "more places share the highest speed; a tie counts as a win for none of them."
    )
    session.report.bars("Wins by place", {**wins, "(tie)": ties}, unit="hours")
    days = (last - first).days
    session.report.lines(
        "Wind over the years" if days > 400 else "Wind over the year",
        _means(speeds, days),
        unit=cleaned.unit,
        note="weekly means" if days > _DAYS_DRAWN else "daily means",
    )
    if len(everywhere) < len(by_hour):
        alone = everywhere.loc[~everywhere["tie"], "places"].value_counts()
        session.report.table(
            "Wins with and without hours that lack a place's reading",
            pd.DataFrame(
                {
                    "all hours": pd.Series(wins),
                    "hours read everywhere": alone.reindex(list(wins), fill_value=0),
                }
            ).rename_axis("place"),
        )
    session.report.table("Dropped readings of the whole input", cleaned.dropped)
    session.report.text("\n\n".join(cleaned.remarks))


def _means(speeds: pd.DataFrame, days: int) -> pd.DataFrame:
    return speeds.resample("7D" if days > _DAYS_DRAWN else "1D").mean()

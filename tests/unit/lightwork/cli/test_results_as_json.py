from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import BaseModel

from lightwork import pipeline
from lightwork.runs.jsonable import jsonable
from lightwork.runs.run import run_pipeline


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Model(BaseModel):
    day: dt.date


@dataclass
class Point:
    x: float
    where: Path


class Nasty:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class NastyFields:
    def model_dump(self, mode: str) -> object:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        return "<nasty>"


Pair = namedtuple("Pair", "a b")
MOMENT = pd.Timestamp("2026-01-31 06:00", tz="UTC")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (float("nan"), None),
        (float("inf"), "inf"),
        (np.float32("nan"), None),
        (np.float64(1.5), 1.5),
        (np.int16(3), 3),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.datetime64("2026-01-31"), "2026-01-31"),
        (np.datetime64("NaT"), None),
        (pd.NaT, None),
        (pd.NA, None),
        (MOMENT, "2026-01-31T06:00:00+00:00"),
        (pd.Timedelta("1h"), "0 days 01:00:00"),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.timedelta(hours=1), "1:00:00"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("NaN"), None),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (Path("a/b"), "a/b"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ({Colour.RED: 1, (1, "a"): 2, 3: 4, MOMENT: 5}, {"red": 1, "1, a": 2, "3": 4, MOMENT.isoformat(): 5}),
        ((1, (2,)), [1, [2]]),
        ({2, 1}, [1, 2]),
        (range(3), [0, 1, 2]),
        (Point(float("nan"), Path("p")), {"x": None, "where": "p"}),
        (Model(day=dt.date(2026, 1, 31)), {"day": "2026-01-31"}),
        (Pair(1, 2), {"a": 1, "b": 2}),
        (pd.Index([1, 2]), [1, 2]),
    ],
)
def test_values_become_plain_json(value: Any, plain: Any) -> None:
    result = jsonable(value)
    assert result == plain
    assert type(result) is type(plain)
    json.dumps(result, allow_nan=False)


def looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value",
    [object(), Nasty(), NastyFields(), lambda: 1, b"bytes", (i for i in ()), looped(), np.zeros(2000), 1j],
    ids=lambda value: type(value).__name__,
)
def test_any_other_value_becomes_its_repr_with_a_note(value: Any) -> None:
    text = json.dumps(jsonable({"x": value}), allow_nan=False)
    assert '"repr": ' in text
    assert '"note": ' in text
    assert len(text) < 500


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"v": [1.0, None]}, index=pd.Index(["a", "b"], name="k")),
        pd.Series([1.0, None], index=pd.Index(["a", "b"], name="k"), name="v"),
        pa.table({"k": ["a", "b"], "v": [1.0, None]}),
    ],
    ids=["frame", "series", "arrow"],
)
def test_a_table_becomes_its_size_columns_and_first_records(table: Any) -> None:
    records = [{"k": "a", "v": 1.0}, {"k": "b", "v": None}]
    assert jsonable({"t": table}) == {"t": {"rows": 2, "columns": ["k", "v"], "records": records}}


def test_an_index_with_the_name_of_a_column_gets_another_name() -> None:
    frame = pd.DataFrame({"k": [1]}, index=pd.Index(["a"], name="k"))
    assert jsonable(frame)["records"] == [{"k (index)": "a", "k": 1}]


def test_tables_in_a_result_become_artifacts_named_by_their_keys(tmp_path: Path) -> None:
    import dask.dataframe as dd

    frame = pd.DataFrame({"n": range(30)})

    @pipeline
    def fleet() -> dict[str, Any]:
        return {
            "Oldest Cells": frame,
            "lazy": dd.from_pandas(frame, npartitions=3),
            "series": frame["n"],
            "n": 1,
        }

    done = run_pipeline(fleet, {}, on="serial", lake=str(tmp_path))
    assert [item["name"] for item in done.artifacts] == ["fleet-oldest-cells", "fleet-lazy", "fleet-series"]
    assert done.result["n"] == 1
    for key in ("Oldest Cells", "lazy", "series"):
        assert done.result[key]["rows"] == 30
        assert [record["n"] for record in done.result[key]["records"]] == list(range(20))
    json.dumps(done.to_json(), allow_nan=False)


def test_a_report_that_cannot_be_drawn_does_not_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightwork.runs.report import Report

    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(Report, "html", broken)
    done = run_pipeline(pipeline(lambda: 1), {}, on="serial", lake=str(tmp_path))
    assert (done.result, done.report) == (1, None)


@pytest.mark.parametrize("name", ["compute", "to_pandas", "to_frame", "name", "columns", "npartitions"])
def test_tables_may_hold_columns_and_labels_called_like_their_methods(tmp_path, name):
    from lightwork import connect
    from lightwork.runs.run import result_json

    tables = {
        "series": pd.Series([1.0, 2.0], index=[name, "b"], name=name),
        "frame": pd.DataFrame({name: [1.0, 2.0]}),
    }
    with connect("serial", lake=tmp_path) as session:
        shown = result_json(tables, session, "result")
    assert [shown[key]["records"][0][str(name)] for key in tables] == [1.0, 1.0]
    assert [shown[key]["rows"] for key in tables] == [2, 2]

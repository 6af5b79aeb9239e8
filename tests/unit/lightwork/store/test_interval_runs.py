"""Whether a run in the lake counts as one with the same parameters."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from lightwork.functions.parameters import REQUIRED, Parameter
from lightwork.lake import open_lake
from lightwork.store.interval_runs import Book, Given


@pytest.mark.parametrize(
    ("kind", "text", "recorded", "same"),
    [
        (float, "0.50", 0.5, True),
        (bool, "yes", True, True),
        (bool, "no", True, False),
        (list[int], "[1,  2]", [1, 2], True),
        (str, "1", "1", True),
        (str, "01", "1", False),
        (int, "7", None, False),
        (None, "0.50", 0.5, True),
        (None, "mph", "mph", True),
        (None, "mph", "kmh", False),
        (None, "01", 1, False),
    ],
)
def test_values_are_compared_by_their_types_and_not_as_texts(
    kind: type | None, text: str, recorded: object, same: bool
) -> None:
    parameter = None if kind is None else Parameter("x", kind, REQUIRED, "")
    assert Given(text, parameter).matches(recorded) is same


def test_a_run_of_several_steps_has_the_interval_that_it_was_given(tmp_path: Path) -> None:
    """One of its steps may work on another one, which its record then has as well."""
    now = dt.datetime.now(dt.UTC)
    book = Book(open_lake(tmp_path, tenant="acme"), "nightly", ("start", "end"), {}, now)
    moments = [f"2026-11-{day}T00:00:00+00:00" for day in (26, 27, 28)]
    record = {
        "pipeline": "nightly",
        "parameters": {"start": moments[0], "end": moments[1]},
        "interval": moments[1:],
    }
    assert book._key(record) == tuple(map(dt.datetime.fromisoformat, moments[:2]))
    assert book._key({**record, "parameters": {}}) == tuple(map(dt.datetime.fromisoformat, moments[1:]))
    assert book._key({**record, "pipeline": "other"}) is None

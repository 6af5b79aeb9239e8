"""Whether a run in the lake counts as one with the same parameters."""

from __future__ import annotations

import pytest

from lightwork.functions.parameters import REQUIRED, Parameter
from lightwork.store.interval_runs import Given


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

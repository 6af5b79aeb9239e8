"""The age in `lightwork cache prune --older-than AGE`."""

from __future__ import annotations

import pytest

from lightwork.errors import InputError
from lightwork.store import usage


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("45m", 2700), ("12H", 43200), ("30 d", 2592000), ("2w", 1209600), ("1h30m", 5400), ("0s", 0)],
)
def test_an_age_is_a_number_of_seconds(age: str, seconds: int) -> None:
    assert usage.seconds(age) == seconds


@pytest.mark.parametrize("age", ["soon", "", "30", "-1d", "1.5h", "1y", "3 0d", "9" * 400 + "s"])
def test_a_wrong_age_is_refused_with_an_example(age: str) -> None:
    with pytest.raises(InputError, match=f"age {age!r}: .*30d"):
        usage.seconds(age)

"""How long tests wait: one factor for all of them.

A wait ends a test that hangs; it says nothing about speed, which `bench/` measures. Give the seconds that an
idle machine would need, with room to spare; `LIGHTWORK_TEST_PATIENCE` multiplies them (5 by default).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "LIGHTWORK_TEST_PATIENCE"
DEFAULT = 5.0


def patience(seconds: float) -> float:
    """Return how long to wait at most for what takes less than `seconds` on an idle machine."""
    text = os.environ.get(VARIABLE) or str(DEFAULT)
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(f"{VARIABLE}: found {text!r}; expected a number above 0, for example {DEFAULT:g}")
    return seconds * factor


def wait_until(ready: Callable[[], object], what: str, *, seconds: float = 30, every: float = 0.02) -> None:
    """Poll until `ready()` is true.

    Raises:
        AssertionError: it was not true in time.
    """
    limit = patience(seconds)
    until = time.monotonic() + limit
    while not ready():
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {limit:g} s ({VARIABLE} multiplies the wait)")
        time.sleep(every)

"""What was probably meant, for messages about names that do not exist."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def near(wrong: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest name, or else all of them.

    Returns:
        Text such as `; did you mean 'windy-city'?` or `; there are: a, b` (or `; there are none`).
    """
    known = list(names)
    if close := difflib.get_close_matches(wrong, known, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    if not known:
        return "; there are none"
    return f"; there are: {', '.join(sorted(known))}"

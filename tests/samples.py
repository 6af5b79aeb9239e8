"""Which cases of a long list `make test` runs; `make test-slow` runs the others."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest


def mark_slow(items: Iterable[pytest.Item], kept: Callable[[pytest.Item], int | None]) -> None:
    """Mark cases of parametrized tests as slow, all but a few of each test, which are spread evenly.

    Args:
        items: the collected tests.
        kept: how many cases of its test stay fast; None if the case does not belong to such a list.
    """
    lists = defaultdict(list)
    for item in items:
        if (count := kept(item)) is not None:
            lists[item.nodeid.partition("[")[0], count].append(item)
    for (_, count), cases in lists.items():
        fast = {index * len(cases) // count for index in range(count)}
        for index, case in enumerate(cases):
            if index not in fast:
                case.add_marker("slow")

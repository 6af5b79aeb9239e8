"""A pipeline without a map: what it computes is one of Dask's own collections, and single calls."""

from __future__ import annotations

import dask.bag

from lightwork import pipeline, task


@task(cache=False)
def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


@pipeline
def plain(numbers: int = 40) -> dict[str, int]:
    """Add up the doubles of the first numbers, in two ways.

    Args:
        numbers: how many.

    Returns:
        The sum by a bag, and by single calls.
    """
    bag = dask.bag.from_sequence(range(numbers), npartitions=4).map(lambda number: 2 * number)
    of_bag = int(bag.sum().compute())
    calls = [double.submit(number) for number in range(numbers)]
    return {"bag": of_bag, "calls": sum(call.result() for call in calls)}

"""A pipeline without a map: it computes a collection of Dask's, and single calls."""

from __future__ import annotations

import dask.bag

from lightwork import pipeline, task


@task(cache=False)
def double(number: int) -> int:
    """Return twice a number."""
    return 2 * number


@pipeline
def plain(numbers: int = 40) -> dict[str, int]:
    """Add up the doubles of the first numbers, in two ways.

    Args:
        numbers: how many numbers.

    Returns:
        The sum by a bag (`bag`) and by single calls (`calls`).
    """
    bag = dask.bag.from_sequence(range(numbers), npartitions=4).map(lambda number: 2 * number)
    bag_sum = int(bag.sum().compute())
    calls = [double.submit(number) for number in range(numbers)]
    return {"bag": bag_sum, "calls": sum(call.result() for call in calls)}

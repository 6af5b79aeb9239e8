"""The table of batches: bounded, with nothing lost but gaps that no page could show."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from lightwork.store import batches
from lightwork.store.batches import MOST, Batches


def filled(count: int, workers: int, tasks: int = 1) -> tuple[Batches, int]:
    table, chance, elements = Batches(), random.Random(3), 0
    at = dict.fromkeys(range(workers), 1_800_000_000.0)
    for number in range(count):
        worker = number % workers
        table.add(f"pod-{worker}", f"task-{chance.randrange(tasks)}", at[worker], 0.5, number % 7, number % 2)
        at[worker] += 0.5 + chance.uniform(0, 0.2)
        elements += number % 7
    return table, elements


def kept(table: Batches) -> tuple[list[batches.Row], int]:
    return batches.read(json.loads(json.dumps({batches.FIELD: table.document()})))


def test_an_attempt_without_batches_has_no_table() -> None:
    assert Batches().document() is None
    assert batches.read({}) == ([], 0)


def test_few_batches_are_kept_as_they_are() -> None:
    table, _ = filled(100, 4)
    rows, omitted = kept(table)
    assert (len(rows), omitted) == (100, 0)
    assert all(row.batches == 1 for row in rows)
    assert rows[0].start == pytest.approx(1_800_000_000.0, abs=2e-3)


@pytest.mark.parametrize(("workers", "tasks"), [(1, 1), (8, 1), (8, 3), (100, 1)])
def test_many_batches_take_little_room_and_none_is_lost(workers: int, tasks: int) -> None:
    table, elements = filled(5_000, workers, tasks)
    rows, omitted = kept(table)
    assert len(rows) <= MOST
    assert omitted == 0
    assert sum(row.batches for row in rows) == 5_000
    assert sum(row.elements for row in rows) == elements
    assert len(json.dumps(table.document(), indent=2)) < 25_000


def test_batches_of_more_workers_than_rows_are_counted() -> None:
    table, _ = filled(2_000, 700)
    rows, omitted = kept(table)
    assert len(rows) <= MOST
    assert sum(row.batches for row in rows) + omitted == 2_000
    assert omitted


@pytest.mark.parametrize(
    "table",
    [
        *(
            1,
            "x",
            [],
            {"rows": 3},
            {"rows": ["0 0 1"], "omitted": 0, "begin": 0, "workers": ["a"], "tasks": ["t"]},
        ),
        {"rows": ["9 0 1 1 1 1 1"], "omitted": 0, "begin": 0.0, "workers": ["a"], "tasks": ["t"]},
        {"rows": ["0 0 nan 1 1 1 1"], "omitted": 0, "begin": 0.0, "workers": ["a"], "tasks": ["t"]},
        {"rows": ["0 0 1 inf 1 1 1"], "omitted": 0, "begin": 0.0, "workers": ["a"], "tasks": ["t"]},
        {"rows": [], "omitted": None},
    ],
)
def test_a_table_of_something_else_counts_as_none(table: Any) -> None:
    assert batches.read({batches.FIELD: table}) == ([], 0)

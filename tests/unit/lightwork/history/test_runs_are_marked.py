"""Real runs, and real records of Workflows, are in the history from their start; their upkeep packs them."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lightwork import pipeline, task
from lightwork.history import segments, twin
from lightwork.history.collect import collect
from lightwork.history.query import Filter
from lightwork.history.sync import ask
from lightwork.lake import Lake, open_lake
from lightwork.runs.upkeep import Upkeep
from lightwork.store.endings import Ledger, Submitted
from tests.unit.lightwork.history.leaving import NOW, leave


@task
def doubled(x: int) -> int:
    return 2 * x


@pipeline
def doubling(count: int = 3) -> int:
    return sum(doubled.map(range(count)))


@pipeline
def breaking() -> None:
    raise KeyError("no such thing")


def statuses(lake: Lake) -> dict[str, str]:
    found = ask(lake, lambda history: history.page(Filter(), 100))
    return {run["pipeline"]: run["status"] for run in found}


def test_runs_on_this_machine(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake", tenant="acme")
    collect(lake)
    run = doubling.run(count=4, on="serial", lake=str(tmp_path / "lake"), tenant="acme")
    with pytest.raises(KeyError):
        breaking.run(on="serial", lake=str(tmp_path / "lake"), tenant="acme")
    assert segments.listing(lake).complete, "so only what is marked or packed is shown"
    assert statuses(lake) == {"doubling": "succeeded", "breaking": "failed"}
    collect(lake)
    assert not segments.listing(lake).marks
    assert statuses(lake) == {"doubling": "succeeded", "breaking": "failed"}
    (found,) = ask(lake, lambda history: history.page(Filter(where=(("count", "4"),)), 9))
    assert found["name"] == run.name
    assert found["elements"]["computed"] == 4


def test_workflows_from_their_submission_to_their_end(lake: Lake) -> None:
    collect(lake)
    run = Submitted("windy-abc", "0a1b2c3d-4e5f", "windy", NOW - dt.timedelta(minutes=5), {"n": "7"})
    ledger = Ledger(lake)
    ledger.note(run)
    assert statuses(lake) == {"windy": "submitted"}
    ledger.settle(run, ("failed", "no image"), NOW, lambda _: None)
    assert statuses(lake) == {"windy": "failed"}
    collect(lake)
    assert not segments.listing(lake).marks
    assert statuses(lake) == {"windy": "failed"}


def test_the_upkeep_of_a_run_packs_the_history(lake: Lake) -> None:
    leave(lake, "one")
    upkeep = Upkeep(lake)
    upkeep.start()
    assert upkeep._thread is not None
    upkeep._thread.join()
    assert len(segments.listing(lake).segments) == 1
    assert lake.exists(f"history/parquet/{NOW:%Y-%m}.parquet"), "pyarrow is imported here"


def rows(lake: Lake, month: str) -> list[str]:
    table = pq.read_table(io.BytesIO(lake.read(f"history/parquet/{month}.parquet")))
    return list(table.column("name").to_pylist())


def test_each_month_has_a_parquet_file_that_is_written_when_it_has_changed(lake: Lake) -> None:
    earlier = NOW - dt.timedelta(days=40)
    leave(lake, "old", ended=earlier)
    leave(lake, "new", elements={"total": 4, "cached": 1, "computed": 3, "failed": 0}, parameters={"n": 1})
    assert twin.write(lake, collect(lake).segments) == 2
    assert twin.write(lake, collect(lake).segments) == 0
    assert rows(lake, f"{earlier:%Y-%m}") == ["old"]
    leave(lake, "newer")
    assert twin.write(lake, collect(lake).segments) == 1
    assert rows(lake, f"{NOW:%Y-%m}") == ["new", "newer"]
    table = pq.read_table(io.BytesIO(lake.read(f"history/parquet/{NOW:%Y-%m}.parquet"))).to_pylist()
    (first, _) = table
    assert (first["total"], first["parameters"], first["finished"].date()) == (4, '{"n": 1}', NOW.date())
    lake.delete([f"history/parquet/{NOW:%Y-%m}.parquet"])
    assert twin.write(lake, collect(lake).segments) == 1
    assert twin.write(lake, {}) == 0
    assert not lake.exists(f"history/parquet/{NOW:%Y-%m}.parquet"), "its segments are gone"

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import dask
import dask.bag
import dask.dataframe as dd
import pandas as pd
import pytest

from lightwork.errors import InputError
from lightwork.lake import Lake, open_lake
from lightwork.lake.local import LocalLake
from lightwork.store import tables_writing
from lightwork.store.artifacts import Artifacts
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributed import Client

same = pd.testing.assert_frame_equal
FRAME = pd.DataFrame(
    {
        "k": [f"k{i % 3}" for i in range(60)],
        "x": range(60),
        "s": [None if i < 20 else str(i) for i in range(60)],
    },
    index=pd.date_range("2026-01-01", periods=60, freq="h", name="t"),
)
# Dask has its own type for text, so its frame differs a little from the original.
AS_DASK = FRAME.astype({"k": "string", "s": "string"})


@pytest.fixture(scope="module")
def distributed_client() -> Iterator[Client]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0", protocol="inproc://"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _artifacts(lake: Lake) -> Artifacts:
    return Artifacts(lake, run_id="20261124T063518-1a2b3c", provenance={})


@pytest.fixture
def local(tmp_path: Path) -> Artifacts:
    return _artifacts(open_lake(tmp_path, tenant="acme"))


def test_a_dask_frame_is_written_and_read_partition_by_partition(lake: Lake, distributed_client) -> None:
    artifacts = _artifacts(lake)
    with distributed_client.as_current():
        artifact = artifacts.write("t", dd.from_pandas(FRAME, npartitions=4))
        lazy = artifacts.read("t", lazy=True)
        assert lazy.npartitions == 4
        same(lazy.compute(), AS_DASK, check_freq=False)
        assert lazy.groupby("k")["x"].sum().compute().to_dict() == FRAME.groupby("k")["x"].sum().to_dict()
    assert [entry.path.rpartition("/")[2] for entry in lake.entries(artifact.path)] == [
        f"part-{number:05d}.parquet" for number in range(4)
    ]
    same(artifacts.read("t"), AS_DASK, check_freq=False)


def test_a_dask_frame_may_be_partitioned_by_a_column(local: Artifacts) -> None:
    local.write("t", dd.from_pandas(FRAME, npartitions=4), partition_by=["k"])
    same(local.read("t").sort_index(), AS_DASK, check_freq=False)


def test_a_filtered_dask_frame_keeps_its_index(local: Artifacts) -> None:
    frame = AS_DASK.reset_index()
    lazy = dd.from_pandas(frame, npartitions=4)
    local.write("t", lazy[(lazy["x"] % 4 > 1) | (lazy["x"] < 20)])
    same(local.read("t"), frame[(frame["x"] % 4 > 1) | (frame["x"] < 20)], check_index_type=False)


def test_a_failed_partition_leaves_no_file(local: Artifacts) -> None:
    def fail(frame: pd.DataFrame) -> pd.DataFrame:
        if frame["x"].max() > 50:
            raise RuntimeError("the last one")
        return frame

    lazy = dd.from_pandas(FRAME, npartitions=4).map_partitions(fail, meta=FRAME.iloc[:0])
    with dask.config.set(scheduler="synchronous"), pytest.raises(RuntimeError, match="the last one"):
        local.write("t", lazy)
    assert local.lake.entries() == []
    assert local.list() == []


class _Race:
    """The first partition fails while the second is being written, which continues only when released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writing, self.released, self.deleted = threading.Event(), threading.Event(), threading.Event()
        self.write_part = tables_writing._write_part
        monkeypatch.setattr(tables_writing, "_write_part", self.write)

    def frame(self, name: str) -> dd.DataFrame:
        _RACES[name] = self
        return dd.from_pandas(FRAME, npartitions=2).map_partitions(_fail_first, name, meta=FRAME.iloc[:0])

    def write(self, *arguments: Any) -> Any:
        self.writing.set()
        assert self.released.wait(patience(30))
        return self.write_part(*arguments)


_RACES: dict[str, _Race] = {}


def _fail_first(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if frame["x"].max() < 30:
        assert _RACES[name].writing.wait(patience(30))
        raise RuntimeError("the first one")
    return frame


def test_a_write_in_progress_on_a_worker_ends_before_files_are_deleted(
    local: Artifacts, distributed_client, monkeypatch
) -> None:
    race, wait = _Race(monkeypatch), tables_writing._wait

    def release_and_wait(futures: list[Any]) -> None:
        race.released.set()
        wait(futures)

    monkeypatch.setattr(tables_writing, "_wait", release_and_wait)
    with distributed_client.as_current(), pytest.raises(RuntimeError, match="the first one"):
        local.write("t", race.frame("distributed"))
    assert race.released.is_set()
    assert local.lake.entries() == []


def test_a_write_in_progress_in_a_thread_deletes_its_own_file(local: Artifacts, monkeypatch) -> None:
    race, delete = _Race(monkeypatch), LocalLake.delete

    def watched(lake: Lake, paths: Any) -> None:
        paths = list(paths)
        delete(lake, paths)
        if paths:
            race.deleted.set()

    monkeypatch.setattr(LocalLake, "delete", watched)
    with (
        dask.config.set(scheduler="threads", num_workers=2),
        pytest.raises(RuntimeError, match="the first one"),
    ):
        local.write("t", race.frame("threads"))
    race.released.set()
    assert race.deleted.wait(patience(30))
    assert local.lake.entries() == []


def test_another_dask_collection_is_refused(local: Artifacts) -> None:
    with pytest.raises(InputError, match=r"expected a .*DataFrame.*, got "):
        local.write("t", dask.bag.from_sequence([1, 2]))
    with pytest.raises(InputError, match=r"expected a .*DataFrame.*, got "):
        local.write("t", dd.from_pandas(FRAME, npartitions=2)["x"])


def test_no_secret_is_sent_to_the_workers(bucket: str) -> None:
    import cloudpickle

    artifacts = _artifacts(open_lake(f"s3://{bucket}", tenant="acme"))
    artifacts.write("t", FRAME)
    artifacts.read("t")
    lazy = artifacts.read("t", lazy=True)
    assert b"a-secret-of-the-test" not in cloudpickle.dumps(dict(lazy.optimize().__dask_graph__()))

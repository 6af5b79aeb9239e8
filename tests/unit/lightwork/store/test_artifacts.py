from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lightwork.errors import InputError, LightworkError
from lightwork.lake import Lake, open_lake
from lightwork.store import tables_writing
from lightwork.store.artifacts import Artifacts

if TYPE_CHECKING:
    from pathlib import Path

RUN, OTHER = "20261124T063518-1a2b3c", "20261124T070000-ffffff"
TABLE = pd.DataFrame({"place": ["JFK", "LGA", None], "wins": [3, 2, 1]})


def _artifacts(lake: Lake, run: str = RUN) -> Artifacts:
    return Artifacts(lake, run_id=run, provenance={"pipeline": "windy-city", "parameters": {"n": 3}})


@pytest.fixture
def here(lake: Lake) -> Artifacts:
    return _artifacts(lake)


@pytest.fixture
def local(tmp_path: Path) -> Artifacts:
    return _artifacts(open_lake(tmp_path, tenant="acme"))


def test_a_table_is_read_as_it_was_written(here: Artifacts) -> None:
    artifact = here.write("wins", TABLE)
    pd.testing.assert_frame_equal(here.read("wins"), TABLE)
    assert (artifact.name, artifact.run_id, artifact.rows) == ("wins", RUN, 3)
    assert artifact.columns == ("place", "wins")
    assert artifact.version.endswith(f"-{RUN}")
    assert artifact.path == f"artifacts/wins/{artifact.version}"
    assert artifact.uri == f"{here.lake.root}/{artifact.path}"
    assert artifact.bytes == sum(entry.size for entry in here.lake.entries(artifact.path)) > 0
    assert here.written == [artifact]
    assert here.list() == here.list("wins") == [artifact]
    assert json.loads(json.dumps(artifact.to_json()))["rows"] == 3


def test_a_file_is_read_as_it_was_written(here: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "report").write_bytes(b"from disk")
    here.write_file("report.html", "<p>é</p>")
    assert here.read_file("report.html") == "<p>é</p>".encode()
    here.write_file("report.html", b"\0bytes")
    assert here.read_file("report.html") == b"\0bytes"
    artifact = here.write_file("report.html", tmp_path / "report")
    assert here.read_file("report.html") == b"from disk"
    assert here.lake.read(artifact.path) == b"from disk"
    assert (artifact.rows, artifact.columns, artifact.bytes) == (None, (), 9)


def test_the_newest_version_is_read_unless_a_run_is_named(here: Artifacts) -> None:
    other = _artifacts(here.lake, OTHER)
    for artifacts, wins in ((here, 1), (here, 2), (other, 3)):
        artifacts.write("wins", pd.DataFrame({"wins": [wins]}))
    assert here.read("wins")["wins"].tolist() == [3]
    assert here.read("wins", run=RUN)["wins"].tolist() == [2]
    assert here.read("wins", run=RUN, lazy=True).compute()["wins"].tolist() == [2]
    assert [artifact.run_id for artifact in here.list("wins")] == [OTHER, RUN, RUN]
    assert len(here.written) == 2


def test_the_provenance_is_in_the_commit_and_in_every_file(here: Artifacts) -> None:
    artifact = here.write("wins", TABLE, code_key="c0ffee")
    commit = json.loads(here.lake.read(f"artifacts/wins/_versions/{artifact.version}.json"))
    system, base = here.lake.arrow()
    (file,) = here.lake.entries(artifact.path)
    stored = json.loads(pq.read_schema(f"{base}/{file.path}", filesystem=system).metadata[b"lightwork"])
    for record in (commit, stored):
        assert record["run_id"] == RUN
        assert record["code_key"] == "c0ffee"
        assert record["provenance"] == {"pipeline": "windy-city", "parameters": {"n": 3}}
        assert record["created"] == artifact.created.isoformat()
        assert record["lightwork"]


def test_other_parquet_readers_can_read_the_folder(here: Artifacts) -> None:
    table = pd.DataFrame({"k": ["a", "b/c", "a"], "x": [1, 2, 3]})
    system, base = here.lake.arrow()
    plain = here.write("plain", table)
    split = here.write("split", table, partition_by=["k"])
    pd.testing.assert_frame_equal(pd.read_parquet(f"{base}/{plain.path}", filesystem=system), table)
    got = pd.read_parquet(f"{base}/{split.path}", filesystem=system)
    assert sorted(zip(got["k"], got["x"], strict=True)) == [("a", 1), ("a", 3), ("b/c", 2)]
    dataset = ds.dataset(f"{base}/{split.path}", filesystem=system, partitioning="hive")
    assert dataset.to_table(filter=ds.field("k") == "b/c")["x"].to_pylist() == [2]
    if plain.uri.startswith("file:"):
        pd.testing.assert_frame_equal(pd.read_parquet(plain.uri), table)


def test_a_failed_write_leaves_no_version_and_no_file(here: Artifacts) -> None:
    before = here.write("wins", TABLE)

    def pieces():
        for number in range(3):
            yield pd.DataFrame({"k": [f"k{number}"] * 2, "x": [1, 2]})
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        here.write("wins", pieces(), partition_by=["k"])
    assert here.list() == here.written == [before]
    left = {entry.path.split("/")[2] for entry in here.lake.entries()}
    assert left == {"_versions", "latest.parquet", before.version}


def test_files_written_before_a_failure_are_deleted(local: Artifacts, monkeypatch) -> None:
    monkeypatch.setattr(tables_writing, "PART_BYTES", 1)
    counts: list[int] = []

    def pieces():
        yield TABLE
        yield TABLE
        counts.append(len(local.lake.entries()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.write("wins", pieces())
    assert counts[0] > 0
    assert local.lake.entries() == []


def test_a_version_without_its_commit_does_not_exist(local: Artifacts) -> None:
    first = local.write("wins", TABLE)
    second = local.write("wins", TABLE[:1])
    local.lake.delete([f"artifacts/wins/_versions/{second.version}.json"])
    assert local.list() == [first]
    assert len(local.read("wins")) == 3


def test_a_damaged_commit_is_ignored_with_a_warning(local: Artifacts, caplog) -> None:
    first = local.write("wins", TABLE)
    second = local.write("wins", TABLE[:1])
    local.lake.write(f"artifacts/wins/_versions/{second.version}.json", b'{"name": "wi')
    assert local.list() == [first]
    assert len(local.read("wins")) == 3
    assert "damaged" in caplog.text
    assert f"{second.version}.json" in caplog.text


def test_several_runs_may_write_the_same_name_at_once(local: Artifacts) -> None:
    runs = [_artifacts(local.lake, f"20261124T06351{number}-abcdef") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: run.write("wins", pd.DataFrame({"run": [run.run_id]})), runs))
    assert {artifact.run_id for artifact in local.list("wins")} == {run.run_id for run in runs}
    for run in runs:
        assert local.read("wins", run=run.run_id)["run"].tolist() == [run.run_id]


def test_a_missing_artifact_is_reported_with_existing_ones(local: Artifacts) -> None:
    with pytest.raises(LightworkError, match=r"no artifact 'wins' in file:.*; there are none"):
        local.read("wins")
    local.write("wins", TABLE)
    local.write_file("report.html", "x")
    with pytest.raises(LightworkError, match=r"no artifact 'winds' in .*did you mean 'wins'"):
        local.read("winds")
    with pytest.raises(LightworkError, match=f"no artifact 'wins' of run 'x'.*{RUN}"):
        local.read("wins", run="x")
    with pytest.raises(LightworkError, match=r"no column 'plase'.*did you mean 'place'"):
        local.read("wins", columns=["plase"])
    with pytest.raises(LightworkError, match=r"'wins' is not a file.* read\('wins'\)"):
        local.read_file("wins")
    with pytest.raises(LightworkError, match=r"'report.html' is not a table.* read_file\('report.html'\)"):
        local.read("report.html")
    with pytest.raises(LightworkError, match=r"no artifact 'nope\.txt'"):
        local.read_file("nope.txt")


def test_a_missing_file_of_a_table_is_reported(local: Artifacts) -> None:
    artifact = local.write("wins", TABLE)
    local.lake.delete(entry.path for entry in local.lake.entries(artifact.path))
    with pytest.raises(LightworkError, match=f"{artifact.version}.*file is missing"):
        local.read("wins")


@pytest.mark.parametrize("name", ["", "Wins", "a b", "../x", "a/b", "_versions", "a.b", "-a", "é"])
def test_an_invalid_name_is_refused(local: Artifacts, name: str) -> None:
    with pytest.raises(InputError, match="expected a name of 1 to 100"):
        local.write(name, TABLE)
    if name != "a.b":
        for call in (lambda: local.write_file(name, b""), lambda: local.read(name), lambda: local.list(name)):
            with pytest.raises(InputError, match="expected a name of 1 to 100"):
                call()
    assert local.lake.entries() == []


def test_a_missing_local_file_is_refused(local: Artifacts, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing: No such file"):
        local.write_file("x", tmp_path / "nothing")


def test_a_version_without_checksums_is_read(local: Artifacts) -> None:
    """Earlier versions of lightwork wrote such files."""
    for artifact in (local.write("wins", TABLE), local.write_file("a.txt", "text")):
        path = f"artifacts/{artifact.name}/_versions/{artifact.version}.json"
        document = json.loads(local.lake.read(path))
        document.pop("seal")
        document["files"] = [file[:3] for file in document["files"]]
        local.lake.write(path, json.dumps(document).encode())
    assert len(local.read("wins")) == len(TABLE)
    assert local.read_file("a.txt") == b"text"


def test_a_run_that_reads_deletes_an_empty_commit_and_a_look_does_not(local: Artifacts, caplog) -> None:
    local.write("wins", TABLE)
    second = local.write("wins", TABLE[:1])
    path = f"artifacts/wins/_versions/{second.version}.json"
    local.lake.write(path, b"")
    look = Artifacts(local.lake, run_id="", provenance={})
    assert len(look.read("wins")) == len(TABLE)
    assert local.lake.exists(path)
    assert len(local.read("wins")) == len(TABLE)
    assert not local.lake.exists(path)
    caplog.clear()
    assert len(local.read("wins")) == len(TABLE)
    assert not caplog.text


def test_a_file_with_another_content_is_refused(local: Artifacts) -> None:
    artifact = local.write_file("a.txt", "text")
    local.lake.write(artifact.path, b"tex!")
    with pytest.raises(LightworkError, match=r"a\.txt is damaged; write the artifact again"):
        local.read_file("a.txt")

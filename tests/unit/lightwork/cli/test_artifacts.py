"""`lightwork artifacts NAME`: rows, a copy in one file, and where it lies."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightwork.lake import open_lake
from lightwork.store import latest, tables_writing
from lightwork.store.artifacts import Artifacts
from tests.unit.lightwork.history.leaving import leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FRAME = pd.DataFrame({"place": ["JFK", None, ""], "wins": [3, 2, 1]})


@pytest.fixture
def kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    """What a session that is not a run writes into the project's lake."""
    monkeypatch.setattr(tables_writing, "PART_BYTES", 20)
    lake = open_lake(project / ".lightwork/lake", tenant="local")
    return Artifacts(lake, run_id="notebook", provenance={})


def write(kept: Artifacts, run: str, status: str, frame: Any) -> None:
    of_run = Artifacts(kept.lake, run_id=run, provenance={}, recorded=True)
    of_run.write("wins", frame)
    leave(kept.lake, run, status=status)


def test_its_first_rows_are_those_of_the_newest_run_that_succeeded(lightwork, kept: Artifacts) -> None:
    write(kept, "run-1", "succeeded", FRAME)
    write(kept, "run-2", "failed", FRAME[:1])
    shown = json.loads(lightwork("artifacts", "wins", "--head", "2", "--json").out)
    assert (shown["run"], shown["rows"], shown["columns"]) == ("run-1", 3, ["place", "wins"])
    assert shown["records"] == [{"place": "JFK", "wins": 3}, {"place": None, "wins": 2}]
    assert lightwork("artifacts", "wins", "--head", "9").out.count("\n") == 5, "a header, a rule, three rows"
    assert "all rows of the newest version of a run that succeeded" in lightwork("artifacts", "wins").out
    of_failed = json.loads(lightwork("artifacts", "wins", "--head", "2", "--run", "run-2", "--json").out)
    assert (of_failed["run"], of_failed["rows"]) == ("run-2", 1)


def test_csv_has_all_rows_once(lightwork, kept: Artifacts, project: Path) -> None:
    kept.write("wins", FRAME)
    done = lightwork("artifacts", "wins", "--to", "wins.csv")
    assert done.code == 0, done.err
    assert done.out.startswith("3 rows of notebook in wins.csv (")
    assert (project / "wins.csv").read_text() == '"place","wins"\n"JFK",3\n,2\n"",1\n'
    assert os.listdir(project).count("wins.csv") == 1
    assert not list(project.glob(".wins.csv*")), "nothing is left of the writing"


def test_every_type_has_a_text_in_csv(lightwork, kept: Artifacts, project: Path) -> None:
    columns = {
        "number": pa.array([1.5, None]),
        "flag": pa.array([True, None]),
        "text": pa.array(['say "a, b"\nc', None]),
        "category": pa.array(["x", None]).dictionary_encode(),
        "at": pa.array([0, None], pa.timestamp("us", "UTC")),
        "day": pa.array([1, None], pa.date32()),
        "long": pa.array([90, None], pa.duration("s")),
        "price": pa.array(["1.10", None]).cast(pa.decimal128(8, 2)),
        "raw": pa.array([b"\xff\x00", None]),
        "list": pa.array([[1, 2], None]),
        "struct": pa.array([{"a": "ü"}, None]),
        "nothing": pa.array([None, None]),
    }
    kept.write("all", pa.table(columns))
    assert lightwork("artifacts", "all", "--to", "all.csv").code == 0
    header, first, second = csv.reader(io.StringIO((project / "all.csv").read_text(), newline=""))
    assert header == list(columns)
    assert dict(zip(header, first, strict=True)) == {
        "number": "1.5",
        "flag": "true",
        "text": 'say "a, b"\nc',
        "category": "x",
        "at": "1970-01-01 00:00:00.000000Z",
        "day": "1970-01-02",
        "long": "0:01:30",
        "price": "1.10",
        "raw": "/wA=",
        "list": "[1, 2]",
        "struct": '{"a": "ü"}',
        "nothing": "",
    }
    assert set(second) == {""}


def test_texts_that_look_like_formulas_are_written_as_they_are_and_told(
    lightwork, kept: Artifacts, project: Path
) -> None:
    texts = ["=1+1", "@SUM(A1)", "-2+3", "+cmd|' /C calc'!A0", "-x", "-5", "+49 30", "fine", None, "\t=1"]
    kept.write("bad", pd.DataFrame({"text": texts}))
    done = lightwork("artifacts", "bad", "--to", "bad.csv", "--json")
    assert json.loads(done.out)["formulas"] == 6
    assert "6 texts look like a formula to a spreadsheet" in done.err
    assert pd.read_csv(project / "bad.csv")["text"].tolist()[:4] == texts[:4]


def test_parquet_is_one_file_with_the_same_frame_and_its_origin(
    lightwork, kept: Artifacts, project: Path
) -> None:
    frame = pd.DataFrame({"n": [1, 2, 3]}, index=pd.Index(["x", "y", "z"], name="place"))
    kept.write("wins", frame)
    shown = json.loads(lightwork("artifacts", "wins", "--to", "w.parquet", "--json").out)
    assert (shown["rows"], shown["to"]) == (3, "w.parquet")
    assert shown["bytes"] == (project / "w.parquet").stat().st_size
    pd.testing.assert_frame_equal(pd.read_parquet(project / "w.parquet"), frame)
    facts = json.loads(pq.read_schema(project / "w.parquet").metadata[b"lightwork"])
    assert (facts["run_id"], facts["version"]) == ("notebook", shown["version"])


def test_a_file_is_not_replaced_unless_asked(lightwork, kept: Artifacts, project: Path) -> None:
    kept.write("wins", FRAME)
    (project / "wins.csv").write_text("mine")
    done = lightwork("artifacts", "wins", "--to", "wins.csv")
    assert (done.code, done.err.strip()) == (2, "lightwork: wins.csv exists; --overwrite replaces it")
    assert (project / "wins.csv").read_text() == "mine"
    assert lightwork("artifacts", "wins", "--to", "wins.csv", "--overwrite").code == 0
    assert (project / "wins.csv").read_text().startswith('"place"')


def test_a_failure_in_the_middle_leaves_nothing(lightwork, kept: Artifacts, project: Path) -> None:
    artifact = kept.write("wins", FRAME)
    (project / "wins.csv").write_text("mine")
    last = max((project / ".lightwork/lake/local" / artifact.path).glob("*.parquet"))
    last.write_bytes(last.read_bytes()[:-20])
    for name in ("new.csv", "new.parquet", "wins.csv"):
        done = lightwork("artifacts", "wins", "--to", name, "--overwrite")
        assert done.code == 1
        assert "damaged" in done.err
        assert done.err.count("\n") == 1
    assert (project / "wins.csv").read_text() == "mine"
    assert not [path.name for path in project.iterdir() if "new" in path.name or path.name.endswith(".part")]


def test_its_path_is_one_that_pandas_reads(
    lightwork, kept: Artifacts, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = kept.write("wins", FRAME)
    path = lightwork("artifacts", "wins", "--path").out.strip()
    assert path == str(project / ".lightwork/lake/local/artifacts/wins/latest.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), FRAME)
    monkeypatch.setattr(latest, "MOST_BYTES", 1)
    kept.write("wins", FRAME[:2])
    shown = json.loads(lightwork("artifacts", "wins", "--path", "--json").out)
    assert shown["latest"] is False
    assert shown["path"] != path
    pd.testing.assert_frame_equal(pd.read_parquet(shown["path"]), FRAME[:2])
    assert [pq.read_metadata(part).num_rows for part in shown["parts"]] == [1, 1]
    kept.write_file("note.txt", b"a note")
    assert (project / lightwork("artifacts", "note.txt", "--path").out.strip()).read_bytes() == b"a note"
    of_run = lightwork("artifacts", "wins", "--path", "--run", "notebook").out.strip()
    assert of_run == shown["path"]
    assert artifact.version not in of_run


def test_a_stale_latest_is_not_taken_for_the_newest(lightwork, kept: Artifacts) -> None:
    write(kept, "run-1", "succeeded", FRAME)
    latest.renew(kept.lake, "wins")
    write(kept, "run-2", "succeeded", FRAME[:1])  # and was killed before it wrote the file anew
    shown = json.loads(lightwork("artifacts", "wins", "--path", "--json").out)
    assert (shown["run"], shown["latest"]) == ("run-2", False)
    assert len(pd.read_parquet(shown["path"])) == 1
    assert lightwork("cache", "prune").code == 0
    assert json.loads(lightwork("artifacts", "wins", "--path", "--json").out)["latest"] is True


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("winz --head 2", "there is no artifact 'winz' in "),
        ("winz --head 2", "; did you mean 'wins'?"),
        ("wins --head 2 --run run-9", "there is no artifact 'wins' of run 'run-9'"),
        ("half --path", "no run that wrote artifact 'half' has succeeded; --run run-8 gives its version"),
        ("note.txt --head 2", "artifact 'note.txt' is a file, not a table; it is at "),
        ("note.txt --to x.csv", "artifact 'note.txt' is a file, not a table; it is at "),
        ("wins --to x.txt", "--to x.txt: expected a name that ends in .csv or .parquet"),
        ("wins --to no/x.csv", "no/x.csv: there is no folder no"),
        ("wins --to folder.csv", "folder.csv is a folder; expected a file"),
        ("wins --to x.csv --head 2", "--head and --to: expected one of the two"),
        ("--path", "--path is about one artifact; expected its NAME"),
        ("wins --run run-1", "--run goes with --head, --to or --path"),
        ("wins --path --overwrite", "--overwrite goes with --to"),
        ("wins --head 0", "0 is not in the range"),
    ],
)
def test_what_cannot_be_is_one_line(
    lightwork: Callable[..., Any], kept: Artifacts, project: Path, words: str, text: str
) -> None:
    kept.write("wins", FRAME)
    kept.write_file("note.txt", b"a note")
    of_failed = Artifacts(kept.lake, run_id="run-8", provenance={}, recorded=True)
    of_failed.write("half", FRAME)
    leave(kept.lake, "run-8", status="failed")
    (project / "folder.csv").mkdir()
    before = sorted(project.iterdir())
    done = lightwork("artifacts", *words.split())
    assert done.code == 2
    assert text in done.err
    assert (done.err.count("\n"), done.out) == (1, "")
    assert sorted(project.iterdir()) == before


def test_control_characters_are_escaped(lightwork, kept: Artifacts) -> None:
    kept.write("odd", pd.DataFrame({"na\x1b[2Jme": ["\x1b]0;title\x07", "\u202eevil"]}))
    out = lightwork("artifacts", "odd", "--head", "5").out
    assert not set(out) & set("\x1b\x07\u202e")
    assert "\\x1b" in out

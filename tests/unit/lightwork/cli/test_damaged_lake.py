"""Whatever the files of a lake hold: no traceback, no wrong value, and each bad file is named."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightwork.errors import LightworkError
from lightwork.lake import open_lake
from lightwork.store import marks
from lightwork.store.artifacts import Artifacts
from tests.unit.lightwork.cli.conftest import PACKAGE, Outcome

_MODULE = """
import pandas as pd
from lightwork import current_session, pipeline, task

@task
def square(x: int) -> int:
    return x * x

@task
def listed(x: int) -> list:
    return [x, str(x)]

@pipeline
def keeps() -> dict:
    session = current_session()
    session.artifacts.write("wins", pd.DataFrame({"place": ["a", "b", "c"], "n": [1, 2, 3]}))
    frame = pd.DataFrame({"n": [1, 2, 3], "by": ["x", "y", "x"]})
    session.artifacts.write("split", frame, partition_by=["by"])
    session.artifacts.write_file("note.txt", "a note")
    return {"sum": sum(square.map(range(20))), "lists": [item[1] for item in listed.map(range(3))]}
"""
_RESULT = {"sum": 2470, "lists": ["0", "1", "2"]}
_TABLES = {
    "wins": {"place": ["a", "b", "c"], "n": [1, 2, 3]},
    "split": {"n": [1, 3, 2], "by": ["x", "x", "y"]},
}
KINDS = {
    "run record": "runs/*/attempts/*.json",
    "record of before": "runs/before/run.json",
    "heartbeat of before": "runs/before/alive",
    "mark": "lightwork-lake",
    "segment": "results/*square/*/*.seg",
    "segment of lists": "results/*listed/*/*.seg",
    "code": "results/*square/*/code.json",
    "commit of a table": "artifacts/wins/_versions/*.json",
    "commit of a partitioned table": "artifacts/split/_versions/*.json",
    "commit of a file": "artifacts/note.txt/_versions/*.json",
    "part": "artifacts/wins/2*/*.parquet",
    "part of a partition": "artifacts/split/2*/by=x/*.parquet",
    "file": "artifacts/note.txt/2*/note.txt",
}
_ODD: list[Any] = [
    "x", "../../../etc/passwd", "/etc/passwd", "", None, True, -1, 0, 70_000, 10**30, 1e300, float("nan"),
    [], {}, [[]], {"a": 1}, "\ud800", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59", ["../x", 0, 0],
]  # fmt: skip


class Kept:
    """A lake with one run in it, and a copy that can be damaged and restored."""

    def __init__(self, project: Path, run: Callable[..., Outcome], caplog: pytest.LogCaptureFixture) -> None:
        self._run = run
        self._caplog = caplog
        self.folder = project / ".lightwork/lake"
        self.whole = project / "whole"
        (project / PACKAGE / "keeping.py").write_text(_MODULE)
        assert json.loads(run("run", "keeps", "--on", "serial", "--json").out)["result"] == _RESULT
        before = self.folder / "local/runs/before"
        before.mkdir()
        values = {"run_id": "before", "status": "running", "started": "2026-01-01T11:00:00+00:00"}
        (before / "run.json").write_text(json.dumps(values))
        (before / "alive").write_text("2026-01-01T12:00:00+00:00")
        (self.folder / "local/lightwork-lake").write_text("0123456789abcdef" * 2)
        shutil.copytree(self.folder, self.whole)
        self.runs = json.loads(run("runs", "--json").out)["runs"]
        self.artifacts = json.loads(run("artifacts", "--json").out)["artifacts"]
        self.tasks = {task["task"]: task for task in json.loads(run("cache", "size", "--json").out)["tasks"]}

    def run(self, *argv: str) -> Outcome:
        """Run a command; its log lines, which pytest takes, count as errors."""
        self._caplog.clear()
        done = self._run(*argv)
        lines = [record.getMessage() for record in self._caplog.records]
        return Outcome(done.code, done.out, "\n".join([*lines, done.err]))

    def restore(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.whole, self.folder)

    def file(self, kind: str) -> Path:
        return min(self.folder.glob(f"local/{KINDS[kind]}"))

    def problems(self, *, is_sealed: bool) -> Iterator[str]:
        """Use the damaged lake in every way; yield what goes wrong.

        Args:
            is_sealed: whether a change of a document shows; without its seal, another text is as good.
        """
        looks = [
            ["runs", "--json"],
            ["runs"],
            ["artifacts", "--json"],
            ["artifacts"],
            ["cache", "size", "--json"],
        ]
        looks += [["cache", "size"], ["explain", "keeps", "square", "x=3", "--value"]]
        looks += [["artifacts", name] for name in ("wins", "split", "note.txt")]
        outputs = {}
        for command in looks:
            done = outputs[" ".join(command)] = self.run(*command)
            text = done.out + done.err
            if "Traceback" in text or (
                done.code and ("Error:" in done.err or len(done.err.splitlines()) > 3)
            ):
                yield f"{command}: {done.code}: {text[-400:]}"
        for name, before in (("runs", self.runs), ("artifacts", self.artifacts)) if is_sealed else ():
            yield from self._differences(name, outputs[f"{name} --json"].out, before)
        for task in json.loads(outputs["cache size --json"].out)["tasks"]:
            if task["results"] not in (0, self.tasks[task["task"]]["results"]):
                yield f"cache size: {task}"
        explained = outputs["explain keeps square x=3 --value"].out
        if "cached: 9" not in explained and "not cached" not in explained:
            yield f"explain: {explained[-300:]}"
        yield from self._reads()
        done = self.run("run", "keeps", "--on", "serial", "--json")
        if done.code or json.loads(done.out)["result"] != _RESULT or "Traceback" in done.err:
            yield f"run: {done}"
        again = self.run("run", "keeps", "--on", "serial", "--json")
        if "damaged" in again.err or json.loads(again.out)["result"] != _RESULT:
            yield f"the next run: {again}"

    def _differences(self, name: str, out: str, before: list[dict[str, Any]]) -> Iterator[str]:
        for item in json.loads(out)[name]:
            if item not in before and {**item, "status": "running"} not in before:
                yield f"{name}: {item}"

    def _reads(self) -> Iterator[str]:
        artifacts = Artifacts(open_lake(self.folder, tenant="local"), run_id="", provenance={})
        for name, expected in _TABLES.items():
            for options in ({}, {"columns": ["n"]}, {"lazy": True}):
                try:
                    frame = artifacts.read(name, **options)
                    frame = frame.compute() if "lazy" in options else frame
                except LightworkError as error:
                    if "\n" in str(error):
                        yield f"{name}: {error}"
                except Exception as error:
                    yield f"read {name} {options}: {type(error).__name__}: {error}"
                else:
                    values = frame.to_dict("list")
                    if values != {column: expected[column] for column in values}:
                        yield f"read {name} {options}: {values}"
        try:
            if (data := artifacts.read_file("note.txt")) != b"a note":
                yield f"read_file: {data!r}"
        except LightworkError:
            pass
        except Exception as error:
            yield f"read_file: {type(error).__name__}: {error}"


@pytest.fixture
def kept(project: Path, lightwork: Callable[..., Outcome], caplog: pytest.LogCaptureFixture) -> Kept:
    return Kept(project, lightwork, caplog)


def _by_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return the content of a file after an accident."""
    changed = bytearray(data)
    at = chance.randrange(len(data))
    match chance.randrange(6):
        case 0:
            return b""
        case 1:
            return data[:at]
        case 2:
            return bytes(len(data))
        case 3:
            return data[:at] + bytes(len(data) - at)
        case 4:
            return data + chance.randbytes(chance.randint(1, 20))
        case _:
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return bytes(changed)


def _by_fields(data: bytes, chance: random.Random) -> bytes:
    """Return a JSON file with one value removed or made odd, as if written so: without a seal."""
    document = json.loads(data)
    document.pop("seal", None)
    places: list[tuple[Any, Any]] = []

    def visit(item: Any) -> None:
        for key in list(item) if isinstance(item, dict) else range(len(item)):
            places.append((item, key))
            if isinstance(item[key], dict | list):
                visit(item[key])

    visit(document)
    item, key = chance.choice(places)
    if chance.random() < 0.25:
        del item[key]
    else:
        item[key] = chance.choice(_ODD)
    return json.dumps(document).encode()


def _check(
    kept: Kept, kind: str, change: Callable[[bytes, random.Random], bytes], times: int, *, sealed: bool = True
) -> None:
    failures = []
    for seed in range(times):
        path = kept.file(kind)
        data = path.read_bytes()
        changed = change(data, random.Random(f"{kind} {seed}"))
        if changed != data:
            path.write_bytes(changed)
            failures += [f"{kind}, seed {seed}: {problem}" for problem in kept.problems(is_sealed=sealed)]
        kept.restore()
    assert not failures, "\n".join(failures)


@pytest.mark.sample(7)
@pytest.mark.parametrize("kind", KINDS)
def test_accidents_cause_no_traceback_and_no_wrong_value(kept: Kept, kind: str) -> None:
    _check(kept, kind, _by_bytes, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_accidents_cause_no_traceback_and_no_wrong_value(kept: Kept, kind: str) -> None:
    _check(kept, kind, _by_bytes, 60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, path in KINDS.items() if path.endswith(".json")])
def test_odd_fields_cause_no_traceback(kept: Kept, kind: str) -> None:
    _check(kept, kind, _by_fields, 40, sealed=False)


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("run record", ["show RUN"]),
        ("commit of a table", ["artifacts"]),
        ("commit of a file", ["artifacts"]),
        ("segment", ["cache size", "explain keeps square x=3", "run keeps --on serial"]),
        ("code", ["run keeps --on serial"]),
        ("mark", ["run keeps --on local --workers 1 --refresh"]),
        ("part", ["artifacts wins"]),
    ],
)
def test_an_empty_file_is_named_once(kept: Kept, kind: str, commands: list[str]) -> None:
    path = kept.file(kind)
    run = kept.file("run record").relative_to(kept.folder / "local").parts[1]
    for command in commands:
        path.write_bytes(b"")
        done = kept.run(*command.replace("RUN", run).split())
        assert done.err.count(path.name) == 1, (command, done.err)
        assert done.code == (1 if kind == "part" else 0)


@pytest.mark.parametrize("kind", ["segment", "code", "mark"])
@pytest.mark.parametrize("on", ["serial", pytest.param("local", marks=pytest.mark.slow)])
def test_a_run_after_one_that_found_an_empty_file_is_quiet(kept: Kept, kind: str, on: str) -> None:
    path = kept.file(kind)
    path.write_bytes(b"")
    command = ["run", "keeps", "--on", on] + (["--workers", "1", "--refresh"] if on == "local" else [])
    first, second = kept.run(*command), kept.run(*command)
    assert first.code == second.code == 0
    assert "damaged" not in second.err
    if (kind, on) != ("mark", "serial"):  # a serial run has no workers to compare it with
        assert first.err.count(path.name) == 1
        assert not path.exists() or path.stat().st_size


@pytest.mark.parametrize(
    "record",
    [
        '{"seconds": "x"}',
        '{"parameters": 3}',
        "[]",
        "3",
        '{"run_id": "other"}',
        '{"elements": {"total": "many"}}',
        '{"started": 1e400}',
    ],
)
def test_one_odd_record_leaves_the_others_shown(kept: Kept, record: str) -> None:
    odd = kept.folder / "local/runs/odd/run.json"
    odd.parent.mkdir()
    values = json.loads(record)
    text = json.dumps({"run_id": "odd", "status": "failed", **values}) if isinstance(values, dict) else record
    odd.write_text(text)
    marks.mark(open_lake(kept.folder, tenant="local"), "odd")
    done = kept.run("runs")
    assert done.code == 0
    assert kept.runs[0]["run"][:8] in done.out.replace("\n", "")
    assert [line for line in done.err.splitlines() if os.fspath(odd.parent) in line]


def test_a_command_that_looks_names_a_damaged_file_in_one_line(tmp_path: Path) -> None:
    record = tmp_path / "local/runs/odd/run.json"
    record.parent.mkdir(parents=True)
    record.write_bytes(b"")
    command = [sys.executable, "-m", "lightwork", "runs", "--lake", os.fspath(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert "ignored a damaged file" in line
    assert os.fspath(record) in line
    assert "{" not in line


def test_a_commit_cannot_name_files_outside_its_folder(kept: Kept, project: Path) -> None:
    secret = project / "secret.parquet"
    shutil.copyfile(kept.file("part"), secret)
    path = kept.file("commit of a table")
    document = json.loads(path.read_bytes())
    del document["seal"]
    steps = os.path.relpath(secret, next(kept.folder.glob("local/artifacts/wins/2*")))
    for file in (steps, os.fspath(secret), "a/../../x", ".", ""):
        document["files"][0][0] = file
        path.write_text(json.dumps(document))
        done = kept.run("artifacts", "wins")
        assert done.code == 2
        assert path.name in done.err

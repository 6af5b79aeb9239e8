"""A run that failed: found by `runs`, explained by `show`, debugged by `--only`, tried again by `retry`."""

from __future__ import annotations

import gzip
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from lightwork.functions import discovery
from lightwork.lake import open_lake
from lightwork.store import attempts, records
from lightwork.store.documents import parse, seal

CODE = """
import pathlib
from lightwork import pipeline, task

@task
def speed(number: int) -> int:
    if number == 7 and not pathlib.Path("mended").exists():
        raise ValueError(f"element {number} is upside down")
    return number * number

@task(on_error="skip")
def inverse(number: int) -> float:
    return 1 / (number % 4)

@pipeline
def speeds(count: int = 10) -> int:
    return sum(speed.map(range(count)))

@pipeline
def twice(count: int = 6) -> list[int]:
    list(inverse.map(range(1)))
    return len(list(inverse.map(range(1, count))))
"""


@pytest.fixture
def module(project: Path) -> Path:
    (project / "cli_pipelines" / "more.py").write_text(CODE)
    discovery.scan.cache_clear()
    return project


def last(out: str) -> dict:
    return json.loads(out.splitlines()[-1])


def test_a_run_that_fails_is_explained_debugged_and_tried_again(lightwork: Callable, module: Path) -> None:
    done = lightwork("run", "speeds", "--on", "serial", "--json")
    failed = last(done.out)
    assert done.code == 1
    assert (failed["status"], failed["result"]) == ("failed", None)
    assert failed["elements"] == {"total": 10, "cached": 0, "computed": 7, "failed": 1}
    (row,) = failed["failures"]
    assert (row["index"], row["input"]) == (7, "7")
    assert "upside down" in row["traceback"]
    assert "upside down" in Path(failed["report"]).read_text()

    shown = lightwork("show", failed["run"])
    for words in ("failed", "speed:7 --on serial", "ValueError: element 7 is upside down"):
        assert words in shown.out
    assert shown.out.count("upside down") == 2, "the run's error and the element's; its log has no other"
    assert shown.out.endswith(f"once mended: lightwork retry {failed['run']}\n")
    assert f"its errors: lightwork logs {failed['run']} --errors\n" in shown.out
    as_json = last(lightwork("show", failed["run"], "--json").out)
    assert [item["error"] for item in as_json["failures"]] == [row["error"]]
    assert "upside down" in as_json["log_errors"][-1]["event"]

    debugged = lightwork("run", "speeds", "--only", "speed:7,8", "--on", "serial")
    assert debugged.code == 1
    assert "upside down" in debugged.err
    (module / "mended").touch()
    debugged = lightwork("run", "speeds", "--only", "speed:7,8", "--on", "serial")
    assert debugged.out.split() == ["cli_pipelines.more.speed:7", "49", "cli_pipelines.more.speed:8", "64"]

    again = last(lightwork("retry", failed["run"], "--json").out)
    assert (again["status"], again["result"], again["retry_of"]) == ("succeeded", 285, failed["run"])
    assert again["elements"]["cached"] == 9, "what was computed, and debugged, is not computed again"
    assert again["run"] in lightwork("show", failed["run"]).out
    assert failed["run"] in lightwork("show", again["run"]).out
    assert len(last(lightwork("runs", "--json").out)["runs"]) == 2, "debugging is not a run"
    assert last(lightwork("show", again["run"], "--json").out)["before"]["runs"] == 1


def test_failed_elements_that_are_skipped_are_kept_too(lightwork: Callable, module: Path) -> None:
    run = last(lightwork("run", "twice", "--on", "serial", "--json").out)
    assert (run["status"], run["result"]) == ("succeeded", 4)
    assert [(row["map"], row["index"]) for row in run["failures"]] == [(1, 0), (2, 3)]
    assert "2/3" in lightwork("show", run["run"]).out
    done = lightwork("run", "twice", "--only", "inverse:2/3", "--on", "serial")
    assert "ZeroDivisionError" in done.err
    assert lightwork("run", "twice", "--only", "inverse:2/0", "--on", "serial").out.split()[1] == "1.0"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--only", "7"], "TASK:INDEX names one; available: inverse, speed"),
        (["--only", "sped:7"], "did you mean 'speed'?"),
        (["--only", "speed:x"], "expected [TASK:]INDEX"),
        (["--only", "speed:0/1"], "expected [TASK:]INDEX"),
        (["--only", "speed:99"], "no element 99 of cli_pipelines.more.speed, which got 10"),
        (["--only", "speed:1", "--on", "local"], "--on serial"),
    ],
)
def test_elements_that_are_not_there_are_one_line(
    lightwork: Callable, module: Path, words: list[str], reason: str
) -> None:
    (module / "mended").touch()
    done = lightwork("run", "speeds", *(words if "--on" in words else [*words, "--on", "serial"]))
    assert done.code == 2
    assert reason in done.err
    done = lightwork("run", "speeds", *words, "--json")
    assert last(done.out)["status"] == "refused"


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["speeds", "count=x"],
        ["speeds", "--on", "mars"],
        ["speeds", "--nothing"],
        ["speeds", "--on"],
    ],
)
def test_json_ends_in_one_object_also_if_nothing_starts(
    lightwork: Callable, module: Path, words: list[str]
) -> None:
    done = lightwork("run", "--json", *words)
    assert done.code == 2
    refused = json.loads(done.out)
    assert (refused["status"], refused["run"]) == ("refused", None)
    assert refused["error"]


def test_the_commands_that_show_names_are_about_the_same_lake(
    lightwork: Callable, module: Path, tmp_path: Path
) -> None:
    place = ("--lake", str(tmp_path / "my lake"), "--tenant", "acme")
    run = last(lightwork("run", "speeds", "--on", "serial", "--json", *place).out)["run"]
    named = lightwork("show", run, *place).out.splitlines()[-1]
    *_, words = named.partition(": lightwork ")
    assert shlex.split(words) == ["retry", run, *place]
    (module / "mended").touch()
    assert lightwork(*shlex.split(words)).code == 0
    again = last(lightwork("runs", "--json", *place).out)["runs"][0]["run"]
    assert "once mended" not in lightwork("show", again, *place).out


@pytest.mark.parametrize("status", ["running", "submitted"])
def test_a_run_that_goes_on_is_not_tried_again(lightwork: Callable, module: Path, status: str) -> None:
    run = last(lightwork("run", "speeds", "--on", "serial", "--json").out)["run"]
    lake = open_lake(module / ".lightwork/lake", tenant="local")
    (attempt,) = attempts.of_run(lake, run)
    now = attempt["finished"]
    path = attempts.path(run, attempt["id"])
    lake.write(path, seal({**parse(lake.read(path)), "status": status, "seen": now}))
    done = lightwork("retry", run, "--json")
    assert done.code == 2
    assert f"{run} is {status}" in done.err
    assert json.loads(done.out)["status"] == "refused"


@pytest.mark.parametrize("command", ["show", "open", "retry"])
def test_a_run_that_is_not_there_is_one_line(lightwork: Callable, module: Path, command: str) -> None:
    run = last(lightwork("run", "twice", "--on", "serial", "--json").out)["run"]
    done = lightwork(command, f"{run[:-1]}")
    assert done.code == 2
    assert f"did you mean '{run}'?" in done.err
    assert lightwork(command, "../../x").code == 2


def test_the_report_is_opened_in_the_browser(
    lightwork: Callable, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import click

    run = last(lightwork("run", "twice", "--on", "serial", "--json").out)
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    assert lightwork("open", run["run"]).code == 0
    assert opened == [run["report"]]
    assert last(lightwork("open", run["run"], "--json").out)["report"] == run["report"]


def test_a_damaged_table_of_failures_is_left_out_with_a_warning(
    lightwork: Callable, module: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = last(lightwork("run", "twice", "--on", "serial", "--json").out)["run"]
    (file,) = (module / ".lightwork/lake").glob("local/runs/*/failures/*.gz")
    for data in (b"", b"x", file.read_bytes()[:-9], *map(gzip.compress, (b"[1]", b"{", b"{}", b"\xff"))):
        file.write_bytes(data)
        caplog.clear()
        done = lightwork("show", run)
        assert done.code == 0, done.err
        assert "ignored a damaged file" in caplog.text


def test_the_log_of_a_run_is_kept(lightwork: Callable, module: Path) -> None:
    run = last(lightwork("run", "speeds", "--on", "serial", "--json").out)["run"]
    file = module / f".lightwork/lake/local/runs/{run}/log.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert all(line["run"] == run for line in lines)
    assert (lines[-1]["level"], lines[-1]["event"][:12]) == ("error", "ElementError")
    trace = lines[-1]["exception"].splitlines()
    assert (trace[0], "upside down" in trace[-1]) == ("Traceback (most recent call last):", True)
    files = [line.split('"')[1] for line in trace if line.startswith("  File ")]
    assert {Path(file).name for file in files} == {"more.py"}, "no frames of the engine"


def test_a_heartbeat_tells_what_a_killed_run_has_done(module: Path, tmp_path: Path) -> None:
    from lightwork import connect
    from lightwork.runs.record import Record

    task = discovery.tasks(discovery.find("speeds"))["speed"]
    with connect("serial", lake=tmp_path, run_id="speeds-1", pipeline="speeds") as session:
        record = Record(session, {"count": 5})
        record.write()
        results = task.map(range(5))
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        record.beat()
        found = records.run(session.lake, "speeds-1")
    assert found is not None
    assert found["status"] == "running"
    assert found["tasks"] == {"cli_pipelines.more.speed": found["elements"]}
    assert (found["elements"]["total"], found["elements"]["computed"]) == (5, 3)


def test_what_differs_between_two_runs_is_shown(lightwork: Callable, module: Path) -> None:
    first, second, same = (
        last(lightwork("run", "twice", f"count={count}", "--on", "serial", "--json").out)["run"]
        for count in (6, 7, 6)
    )
    found = last(lightwork("diff", first, second, "--json").out)["differences"]
    by_field = {item["field"]: (item["first"], item["second"]) for item in found}
    assert (by_field["parameters.count"], by_field["result"]) == ((6, 7), (4, 5))
    assert not any(name.startswith(("code_keys", "versions", "pipeline", "status")) for name in by_field)
    out = lightwork("diff", first, second).out
    assert "parameters.count" in out
    found = last(lightwork("diff", first, same, "--json").out)["differences"]
    assert {item["field"].partition(".")[0] for item in found} == {"elements"}, "the cache had its results"
    assert "Nothing differs" in lightwork("diff", same, same).out
    assert lightwork("diff", first, "another").code == 2

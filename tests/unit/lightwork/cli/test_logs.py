"""`lightwork logs` of a run on one machine: which lines are printed, and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightwork.cli.logs import Line, Wanted
from lightwork.lake import open_lake
from lightwork.store import run_logs
from lightwork.store.run_logs import Kept

RUN = "r1"
LINES = [
    ("2026-11-28T07:00:00.001Z", {"level": "info", "event": "reading", "task": "pipes.read", "rows": 3}),
    ("2026-11-28T07:00:01.001Z", {"level": "info", "event": "reading", "task": "pipes.read", "worker": "17"}),
    ("2026-11-28T07:00:02.001Z", {"level": "warning", "event": "\x1b[2Jslow\u202e", "task": "pipes.sum"}),
    (
        "2026-11-28T07:00:03.001Z",
        {"level": "error", "event": "failed", "exception": "Traceback\n  x\nE: \x07"},
    ),
]


@pytest.fixture
def logs(lightwork: Callable, project: Path) -> Callable:
    """A function that prints the log of a run and returns its lines."""
    lake = open_lake(project / ".lightwork/lake", tenant="local")
    text = "".join(f"{json.dumps({'timestamp': time, **event})}\n" for time, event in LINES)
    lake.write(f"runs/{RUN}/log.jsonl", f'{text}{{"timestamp": "unfini'.encode())

    def run(*words: str) -> list[str]:
        done = lightwork("logs", RUN, *words)
        assert done.code == 0, done.err
        lines: list[str] = done.out.splitlines()
        return lines

    return run


def test_an_event_is_its_text_and_fields_with_an_exception_below(logs: Callable) -> None:
    assert logs() == [
        "07:00:00 [info] reading task=pipes.read rows=3",
        "07:00:01 [info] reading task=pipes.read worker=17",
        "07:00:02 [warning] \\x1b[2Jslow\\u202e task=pipes.sum",
        "07:00:03 [error] failed",
        "    Traceback",
        "      x",
        "    E: \\x07",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--errors"], [3]),
        (["--task", "pipes.read"], [0, 1]),
        (["--task", "pipes.read", "--tail", "1"], [1]),
        (["--tail", "0"], []),
        (["--since", "2026-11-28T07:00:02+00:00"], [2, 3]),
        (["--worker", "17"], [1]),
        (["--role", "driver"], [0, 2, 3]),
        (["--follow", "--errors"], [3]),
    ],
)
def test_lines_are_selected(logs: Callable, words: list[str], expected: list[int]) -> None:
    found = [json.loads(line) for line in logs("--json", *words)]
    assert [line["time"] for line in found] == [LINES[index][0] for index in expected]


@pytest.mark.parametrize(
    ("pod", "role"),
    [
        ("wind-worker-20261128t070000-abcde-driver-1234567", "driver"),
        ("wind-driver-1-abcde-workers-6f7d8-x2k9q", "worker"),
        ("r1-scheduler-6f7d8-x2k9q", "scheduler"),
        ("r1-step-later-1234567", "step"),
    ],
)
def test_a_pod_tells_the_role_of_a_line_that_does_not(pod: str, role: str) -> None:
    assert Line.of("", pod, "a plain line").role == role
    assert Line.of("", pod, '{"event": "e", "role": "worker"}').role == "worker"


@pytest.mark.parametrize(
    "text", ['{"event"', "[1]", '{"no": "event"}', "[" * 100_000, '{"event": 1e999}', ""]
)
def test_any_line_can_be_shown(text: str) -> None:
    line = Line.of("2026", "p", text)
    assert text in line.shown() or line.event


def test_a_worker_is_named_by_a_part_of_its_pods_name() -> None:
    wanted = Wanted(worker="r1-")
    assert wanted.has(Line.of("", "r1-workers-6f7d8-x2k9q", "a line"))
    assert not wanted.has(Line.of("", "r1-driver-1234567", "a line"))


def test_a_damaged_file_of_the_log_is_named_and_the_others_are_shown(
    lightwork: Callable, logs: Callable, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake = open_lake(project / ".lightwork/lake", tenant="local")
    run_logs.keep(lake, RUN, "r1-driver-1", 0, [Kept(LINES[0][0], "r1-scheduler-6f7d8-x2k9q", "whole")])
    for number, data in enumerate((b"\x1f\x8bno gzip", b"no json", b'{"time": 1}\n', b"\x00\xff"), 1):
        lake.write(f"runs/{RUN}/logs/r1-driver-1/{number:06}.jsonl.gz", data)
    done = lightwork("logs", RUN)
    assert (done.code, len(done.out.splitlines())) == (0, 8), done.err
    assert caplog.text.count("ignored a damaged file") == 4


def test_python_itself_says_that_it_has_failed() -> None:
    assert Line.of("", "p", "Fatal Python error: Segmentation fault").is_error
    assert not Line.of("", "p", "no error").is_error


def test_an_unknown_run_and_a_context_without_an_environment_are_refused(
    lightwork: Callable, logs: Callable
) -> None:
    done = lightwork("logs", "nobody")
    assert (done.code, done.out) == (2, "")
    assert "logs: there is no run 'nobody' in " in done.err
    done = lightwork("logs", RUN, "--context", "c")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "expected --env ENV as well" in done.err

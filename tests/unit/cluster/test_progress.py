"""Builds that take long on a busy machine: the limit counts from their last sign of progress."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.cluster import binaries
from tests.cluster.__main__ import main
from tests.cluster.progress import HarnessError, run_while_it_advances, wait_for
from tests.waiting import VARIABLE, patience

SHORT = patience(0.4)
"""Seconds of silence that are permitted here."""
STEPS = round(SHORT * 1.3 / 0.1)
"""Steps of 0.1 s each, which take longer altogether."""


def python(code: str, **options) -> str:
    options = {"silence": SHORT, "every": 0.02, **options}
    return run_while_it_advances([sys.executable, "-c", f"import sys, time, pathlib\n{code}"], **options)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_that_says_something_goes_on(stream: str) -> None:
    text = python(f"for n in range({STEPS}): print(n, file=sys.{stream}, flush=True); time.sleep(0.1)")
    assert text == ("".join(f"{n}\n" for n in range(STEPS)) if stream == "stdout" else "")


def test_a_command_that_writes_files_goes_on(tmp_path: Path) -> None:
    code = (
        f"for n in range({STEPS}): pathlib.Path({str(tmp_path / 'a')!r}).write_text(str(n)); time.sleep(0.1)"
    )
    assert python(code, folders=[tmp_path]) == ""


def test_a_command_that_takes_long_says_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    python("time.sleep(0.5)", says_every=0.1)
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(re.search(r"\.\.\. goes on, \d+ s so far; something new \d+ s ago$", line) for line in lines)


@pytest.mark.parametrize(("error", "code"), [(HarnessError("no disk"), 1), (KeyboardInterrupt(), 130)])
def test_a_build_that_ends_early_says_that_the_same_command_goes_on(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(binaries, "build_all", fail)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(["build"]) == code
    assert capsys.readouterr().err.splitlines()[-1] == (
        "cluster: what was built is kept; the same command goes on from there"
    )


@pytest.mark.timeout(60)
def test_a_silent_command_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import pathlib, time\nwhile 1: pathlib.Path({str(alive)!r}).touch(); time.sleep(0.02)"
    with pytest.raises(HarnessError, match=r"stopped: nothing new for . s\nwarning: the last line"):
        python(
            "import subprocess; print('warning: the last line', file=sys.stderr, flush=True)\n"
            f"subprocess.run([sys.executable, '-c', {child!r}])"
        )
    alive.unlink(missing_ok=True)
    time.sleep(0.3)
    assert not alive.exists()


def test_a_failure_shows_the_end_of_the_output() -> None:
    with pytest.raises(HarnessError, match=r"exit code 3\nbroken"):
        python("print('broken', file=sys.stderr); sys.exit(3)")
    with pytest.raises(HarnessError, match="no-such-program"):
        run_while_it_advances(["no-such-program"], silence=1)


def test_programs_that_an_earlier_attempt_built_are_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LIGHTWORK_CLUSTER_CACHE", str(tmp_path / "cache"))
    theirs = tmp_path / "theirs"
    (theirs / "manifests").mkdir(parents=True)
    (theirs / "workflow/executor/osspecific").mkdir(parents=True)
    monkeypatch.setattr(binaries, "_module", lambda *_: {"Dir": str(theirs)})
    built: list[str] = []
    fails = ["argo"]

    def go(*arguments: str, **options) -> str:
        if arguments[-1] == f"./cmd/{fails and fails[0]}":
            raise HarnessError("stopped")
        built.append(arguments[-1])
        Path(arguments[arguments.index("-o") + 1]).touch()
        return ""

    monkeypatch.setattr(binaries, "_go", go)
    with pytest.raises(HarnessError, match="stopped"):
        binaries.build("argo")
    fails.clear()
    folder = binaries.build("argo")
    assert built == [f"./cmd/{name}" for name in binaries.ARGO]
    assert {path.name for path in (folder / "bin").iterdir()} == set(binaries.ARGO)


def test_a_wait_for_the_cluster_is_multiplied_by_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0.01")
    with pytest.raises(HarnessError, match=rf"^the end: timed out after 0 s \({VARIABLE}"):
        wait_for("the end", lambda: False, seconds=5, every=0.01)

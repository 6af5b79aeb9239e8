"""An interrupted harness restores the machine, even if it is interrupted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import patience, wait_until

pytestmark = [pytest.mark.kill, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[3]

SCRIPT = """
import os, shutil, signal, sys, time
from pathlib import Path
from tests.cluster import __main__ as harness, lifecycle, machine, processes
from tests.cluster.settings import run_folder
from tests.waiting import wait_until

note, go_on = map(Path, sys.argv[1:])

def say(text):
    with note.open("a") as file:
        file.write(text + " ")

def never_up():
    say("up")
    time.sleep(3600)
    say("never")

def remove():
    say("removing")
    wait_until(go_on.exists, "the test has sent its signals")
    shutil.rmtree(run_folder())
    say("removed")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
os.geteuid = lambda: 0
lifecycle._up = never_up
for name in ("end_pods", "unmount", "remove_control_groups", "tear_down_network"):
    setattr(machine, name, lambda: None)
machine.remove_folders = remove
processes.names = lambda: []
sys.exit(harness.main(["up"]))
"""


def wait_for(note: Path, word: str) -> None:
    wait_until(lambda: note.exists() and word in note.read_text(), f"{word!r} in the note")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("again", [None, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_takes_down_what_it_started(
    tmp_path: Path, first: signal.Signals, again: signal.Signals | None
) -> None:
    note, go_on = tmp_path / "note", tmp_path / "go on"
    environment = {
        **os.environ,
        "LIGHTWORK_CLUSTER_RUN": str(tmp_path / "run"),
        "LIGHTWORK_CLUSTER_CACHE": str(tmp_path / "cache"),
    }
    words = [sys.executable, "-c", SCRIPT, str(note), str(go_on)]
    with subprocess.Popen(
        words, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as harness:
        wait_for(note, "up")
        harness.send_signal(first)
        if again is not None:
            wait_for(note, "removing")
            harness.send_signal(again)
        go_on.touch()
        _, errors = harness.communicate(timeout=patience(30))
    assert note.read_text().split() == ["up", "removing", "removed"], errors
    assert not (tmp_path / "run").exists()
    interrupted, what_is_kept = errors.splitlines()[-2:]
    assert (harness.returncode, interrupted) == (130, "cluster: interrupted")
    assert "the same command goes on" in what_is_kept

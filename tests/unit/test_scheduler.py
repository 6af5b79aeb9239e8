"""The tests go on when a process that runs some of them dies: each runs once, and the end comes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import patience

REPOSITORY = Path(__file__).resolve().parents[2]
DIES = "import os, signal, time\n\ndef test_dies():\n    {before}\n    os.kill(os.getpid(), signal.SIGKILL)\n"
PASSES = "def test_passes():\n    pass\n"

pytestmark = [pytest.mark.slow, pytest.mark.kill]


def run(folder: Path, files: dict[str, str]) -> tuple[int, str]:
    """Run files with the tests' own conftest in two processes; return the exit code and the output."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    apart = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    settings = ["-c", str(REPOSITORY / "pyproject.toml"), "-p", "no:cacheprovider", "-p", "tests.conftest"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, "-n2", "--dist=loadfile", "-rA", str(folder)],
        cwd=REPOSITORY, env=apart, capture_output=True, text=True, check=False, timeout=patience(60),
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def passing(count: int, before: str = "") -> dict[str, str]:
    return {f"{before}{number:02}": PASSES for number in range(count)}


def test_a_process_that_dies_fails_one_test_once(tmp_path: Path) -> None:
    code, printed = run(tmp_path, {**passing(4, "a"), "b": DIES.format(before="pass"), **passing(4, "c")})
    assert code == 1, printed
    assert "1 failed, 8 passed" in printed


def test_files_wait_for_the_process_that_replaces_the_last_one(tmp_path: Path) -> None:
    """The other process has been told to end: only the new one is left for the files of the dead one."""
    last = f"{PASSES}\n\n{DIES.format(before='time.sleep(3)')}\n\ndef test_after():\n    pass\n"
    code, printed = run(tmp_path, {**passing(6, "a"), "b": last})
    assert code == 1, printed
    assert "1 failed, 8 passed" in printed


def test_both_processes_may_die_at_once(tmp_path: Path) -> None:
    dies = DIES.format(before="time.sleep(1)")
    files = {f"{name}{number}": dies for name in "ab" for number in range(2)}
    code, printed = run(tmp_path, {**files, **passing(8, "c")})
    assert "INTERNALERROR" not in printed
    assert code == 1, printed
    assert "4 failed, 8 passed" in printed


def test_a_process_may_die_before_the_other_has_collected(tmp_path: Path) -> None:
    late = (
        "import os, signal, threading, time\n"
        "name = os.environ.get('PYTEST_XDIST_WORKER')\n"
        "if name == 'gw0':\n"
        "    threading.Timer(1, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "elif name:\n"
        "    time.sleep(4)\n"
    )
    (tmp_path / "conftest.py").write_text(late)
    code, printed = run(tmp_path, passing(6))
    assert "INTERNALERROR" not in printed
    assert code == 0, printed
    assert "6 passed" in printed


def test_a_long_file_does_not_wait_for_those_of_more_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests import scheduler\nscheduler.LONG = ('test_z.py',)\n")
    order = tmp_path / "order"
    note = f":\n    with open({str(order)!r}, 'a') as file:\n        print(worker_id, __name__, file=file)\n"
    two = f"def test_one(worker_id){note}def test_two(worker_id){note}"
    files = {f"a{number:02}": two for number in range(8)}
    code, printed = run(tmp_path, {**files, "z": f"def test_one(worker_id){note}"})
    assert code == 0, printed
    lines = order.read_text().splitlines()
    (long,) = [line for line in lines if line.endswith("test_z")]
    assert long == next(line for line in lines if line.startswith(long[:4])), "the first of its process"

"""The tests' own waits and markers: what a loaded machine and a user without root get."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import waiting

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = """
import os
import pytest

def test_plain(request):
    print("timeout", request.node.get_closest_marker("timeout").args)

@pytest.mark.timeout(7)
def test_with_its_own(request):
    print("timeout", request.node.get_closest_marker("timeout").args)

@pytest.mark.root
def test_needs_root():
    pass
"""


def run(folder: Path, *words: str, euid: int = 0) -> str:
    """Run the cases with the tests' own conftest; what pytest printed."""
    (folder / "test_cases.py").write_text(CASES)
    (folder / "conftest.py").write_text(f"import os\nos.geteuid = lambda: {euid}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-c",
        str(REPOSITORY / "pyproject.toml"),
    ]
    done = subprocess.run(
        [*command, "-rA", "-p", "no:cacheprovider", *words, str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=waiting.patience(60),
    )  # fmt: skip
    return done.stdout + done.stderr


def test_all_waits_grow_by_one_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(waiting.VARIABLE, "3")
    assert waiting.patience(20) == 60
    monkeypatch.delenv(waiting.VARIABLE)
    assert waiting.patience(20) == 20 * waiting.DEFAULT


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_factor_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(waiting.VARIABLE, text)
    with pytest.raises(ValueError, match=rf"{waiting.VARIABLE}: found '{text}'"):
        waiting.patience(1)


def test_a_wait_ends_when_it_is_over_or_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    waiting.wait_until(lambda: next(answers), "the third", every=0)
    assert list(answers) == []
    monkeypatch.setenv(waiting.VARIABLE, "0.001")
    with pytest.raises(AssertionError, match="the lake: not within"):
        waiting.wait_until(lambda: False, "the lake", every=0)


def test_each_test_has_a_timeout_that_is_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(waiting.VARIABLE, "2")
    printed = run(tmp_path)
    assert "timeout (240.0,)" in printed
    assert "timeout (7,)" in printed, "its own stands"


@pytest.mark.slow
def test_what_needs_root_is_slow_and_skipped_by_name_without_it(tmp_path: Path) -> None:
    assert "2 passed, 1 deselected" in run(tmp_path, "-m", "not slow")
    assert "1 passed, 2 deselected" in run(tmp_path, "-m", "slow")
    without = run(tmp_path, "-m", "slow", euid=1000)
    assert "1 skipped, 2 deselected" in without
    assert "needs root" in without

"""Type checkers accept the uses of tasks in one file, and refuse each marked line of another."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RIGHT, WRONG = (REPOSITORY / "tests" / "typing" / name for name in ("right.py", "wrong.py"))
MARKED = {number for number, line in enumerate(WRONG.read_text().splitlines(), 1) if "# wrong" in line}

pytestmark = pytest.mark.slow


def mypy_lines(file: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(file)],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert all(line.startswith(str(file.relative_to(REPOSITORY))) for line in errors), errors
    return {int(line.split(":")[1]) for line in errors}


def pyright_lines(file: Path) -> set[int]:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed: pip install 'pyright[nodejs]'")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(file)],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}


@pytest.mark.parametrize("lines", [mypy_lines, pyright_lines])
def test_right_uses_are_accepted(lines) -> None:
    assert lines(RIGHT) == set()


@pytest.mark.parametrize("lines", [mypy_lines, pyright_lines])
def test_each_wrong_use_is_refused(lines) -> None:
    assert len(MARKED) > 20
    assert lines(WRONG) == MARKED

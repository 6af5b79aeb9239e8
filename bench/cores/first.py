"""The first result of a new local session, against that of a bare LocalCluster, each in new processes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.cores.turns import CORES, alternate, listed, most

if TYPE_CHECKING:
    from bench.measure import Row

TARGET = 1.15
"""The most processor time over that of a bare LocalCluster."""


@dataclass
class Sessions:
    """One side: programs that start workers and get one result.

    Args:
        name: what the program runs, `lightwork` or `LocalCluster`.
        seconds: a turn repeats the program for so long.

    Attributes:
        turns: processor time of a program and its processes until the first result, mean of each turn.
    """

    name: str
    seconds: float
    turns: list[float] = field(default_factory=list)

    def turn(self) -> None:
        """Run the program until the turn is long enough."""
        begin = time.perf_counter()
        measured: list[float] = []
        while not measured or time.perf_counter() - begin < self.seconds:
            measured.append(probed(self.name))
        self.turns.append(statistics.mean(measured))


def probed(name: str) -> float:
    """Return the processor seconds of one program up to its first result."""
    command = [sys.executable, "-m", "bench.cores.probe", name, str(CORES)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(json.loads(output.splitlines()[-1]))


def first_result(seconds: float, turns: int) -> Row:
    """Compare the processor time until the first result."""
    ours, bare = Sessions("lightwork", seconds), Sessions("LocalCluster", seconds)
    for side in (ours, bare):
        probed(side.name)  # which compiles what it imports
    alternate((ours, bare), turns)
    ratios = [mine / other for mine, other in zip(ours.turns, bare.turns, strict=True)]
    medians = {side.name: statistics.median(side.turns) for side in (ours, bare)}
    return most(
        f"the first result on {CORES} local workers: processor time / a bare LocalCluster with TLS",
        TARGET, ratios, TARGET - 1, f"turns of {seconds:g} s; {listed(medians, 2)} s",
    )  # fmt: skip

"""Real work on all cores: processor time and elapsed time against joblib, `Pool.map` and a bare LocalCluster.

All sides of a row are up before it starts and take turns; a figure is the median of the turns' ratios. A row
whose turns differ by more than its margin is not a result but says so: the machine is too busy or too small.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.cores.first import first_result
from bench.cores.work import many_calls, real_work

if TYPE_CHECKING:
    from bench.measure import Row


def run() -> list[Row]:
    """Measure all rows; CORES_SECONDS and CORES_TURNS set the length and the number of the turns."""
    seconds = float(os.environ.get("CORES_SECONDS", "10"))
    turns = int(os.environ.get("CORES_TURNS", "7"))
    return [*real_work(seconds, turns), many_calls(seconds, turns), first_result(seconds, turns)]

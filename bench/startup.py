"""How soon the command line answers."""

from __future__ import annotations

import subprocess
import sys

from bench.measure import Row, timed

REACH = 0.3


def run() -> list[Row]:
    """`lightwork --help` in a new process, against Python's own start."""

    def start(*words: str) -> float:
        return timed(
            lambda: subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True),
            repeat=7,
        )

    help_seconds = start("-m", "lightwork", "--help")
    python = start("-c", "pass")
    return [
        Row(
            "lightwork --help, cold",
            f"under {REACH} s",
            f"{help_seconds:.2f} s",
            help_seconds < REACH,
            f"python -c pass: {python:.2f} s; median of 7",
        )
    ]

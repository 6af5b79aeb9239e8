"""Startup time of the command line."""

from __future__ import annotations

import subprocess
import sys

from bench.measure import Row, timed

LIMIT = 0.3


def run() -> list[Row]:
    """Time `lightwork --help` in a new process, against Python's own startup."""

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
            f"under {LIMIT} s",
            f"{help_seconds:.2f} s",
            help_seconds < LIMIT,
            f"python -c pass: {python:.2f} s; median of 7",
        )
    ]

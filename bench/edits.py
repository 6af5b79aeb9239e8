"""Edits of random programs: what a cached run skips is what a plain run would compute."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from bench.measure import WORKERS, Row
from tests.programs.compare import Finding, Tally, compare
from tests.programs.processes import Processes
from tests.programs.shrink import show, shrink

EDITS = 10_000
TOLD = 500
"""Edits after which the progress is told."""
SHOWN = 10
"""Findings of one sort that are shrunk and printed, each of another kind."""


def run() -> list[Row]:
    """Edit random programs of a series that is printed; `EDITS_SERIES` repeats one, `EDITS` says how many."""
    series = os.environ.get("EDITS_SERIES") or secrets.token_hex(4)
    edits = int(os.environ.get("EDITS") or EDITS)
    print(f"edits: series {series} (EDITS_SERIES={series} repeats it)", file=sys.stderr, flush=True)
    tally = _tally(series, edits)
    for what in ("stale", "wrong", "refused", "missed"):
        _print(tally.of(what))
    return _rows(tally, series)


def _tally(series: str, edits: int) -> Tally:
    """Run programs of a series in several threads until there are enough edits."""
    whole, lock, numbers = Tally(), threading.Lock(), count()

    def work() -> None:
        with Processes() as processes:
            while True:
                with lock:
                    if whole.edits >= edits:
                        return
                    number = next(numbers)
                tally = compare(processes, f"{series}-{number}")
                with lock:
                    before = whole.edits
                    whole.add(tally)
                    if before // TOLD < whole.edits // TOLD:
                        bad = len(whole.of("stale") + whole.of("wrong"))
                        print(
                            f"edits: {whole.edits:,} of {edits:,}, {bad} stale", file=sys.stderr, flush=True
                        )

    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(work) for _ in range(WORKERS)]:
            future.result()
    return whole


def _print(findings: list[Finding]) -> None:
    kinds = {finding.edit.kind: finding for finding in reversed(findings)}
    with Processes() as processes:
        for finding in list(kinds.values())[:SHOWN]:
            print(show(shrink(processes, finding)), file=sys.stderr, flush=True)


def _rows(tally: Tally, series: str) -> list[Row]:
    ways = ", ".join(f"{number:,} {way}" for way, number in sorted(tally.ways.items()))
    bad = {what: len(tally.of(what)) for what in ("stale", "wrong", "refused")}
    return [
        Row(
            f"edits of random programs, series {series}",
            "0 stale",
            f"{bad['stale'] + bad['wrong']} stale of {tally.edits:,}",
            bad["stale"] + bad["wrong"] == 0,
            f"{len(tally.kinds):,} kinds; {ways}; {bad['refused']} refused, {tally.unusable} did not run, "
            f"{tally.uncached} programs not kept",
        ),
        Row(
            "edits that change the plain run",
            "at least 50 %",
            f"{tally.changed / tally.edits:.1%}",
            tally.changed * 2 >= tally.edits,
            f"{tally.changed:,} of {tally.edits:,}",
        ),
        _hits("hits after comments, docstrings, moved lines, elsewhere", tally.neutral, 1.0, ""),
        _hits(
            "hits after edits of code that is not reached",
            tally.unreached,
            0.95,
            f"; in modules that computed names reach {tally.whole[True]} of {sum(tally.whole.values())}",
        ),
    ]


def _hits(what: str, counts: dict[bool, int], target: float, detail: str) -> Row:
    total = sum(counts.values())
    share = counts[True] / total if total else 0.0
    return Row(
        what, f"{target:.0%}", f"{share:.1%}", share >= target, f"{counts[True]:,} of {total:,}{detail}"
    )

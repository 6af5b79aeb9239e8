"""`python -m tests.programs SERIES-NUMBER ...`: run the programs of these seeds and print what is found."""

from __future__ import annotations

import sys

from tests.programs.compare import compare
from tests.programs.processes import Processes
from tests.programs.shrink import show, shrink


def main(seeds: list[str]) -> int:
    """Run programs and print every finding, shrunk; return 1 if there is one."""
    failed = False
    with Processes() as processes:
        for seed in seeds:
            tally = compare(processes, seed)
            print(f"{seed}: {tally.edits} edits, {len(tally.findings)} findings")
            for finding in tally.findings:
                failed = True
                print(show(shrink(processes, finding)))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

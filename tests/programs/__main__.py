"""`python -m tests.programs SERIES-NUMBER ...`: run the programs of these seeds and print what is found.

Without seeds, print the table of the kinds of edits.
"""

from __future__ import annotations

import sys

from tests.programs import neutral
from tests.programs.compare import compare
from tests.programs.grow import FILES
from tests.programs.imports import FORMS
from tests.programs.processes import Processes
from tests.programs.shrink import show, shrink
from tests.programs.templates import edits, load


def table() -> str:
    """Return the table: the files of `kinds/` with their templates, and what an edit changes in each."""
    lines = []
    for name in (*FILES, "entries", "unreached"):
        lines.append(f"{name}:")
        lines += [f"  {template.title}: {', '.join(edits(template))}" for template in load(name)]
    lines.append(f"names imported in {len(FORMS)} forms: {', '.join(FORMS)}")
    lines.append(f"neutral: {', '.join(neutral.EDITS)}")
    return "\n".join(lines)


def main(seeds: list[str]) -> int:
    """Run programs and print every finding, shrunk; return 1 if there is one."""
    if not seeds:
        print(table())
        return 0
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

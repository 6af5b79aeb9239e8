"""Random programs, each edited in one place: a cached run gives what a plain one computes.

Every map is a real one, with `serial`, in a process of its own; a run before an edit leaves its results in
the lake that the run after it reads. Half of the edits are run in another process than the one that wrote the
lake, with another hash seed and in another folder; others are imported anew or reloaded in the process that
has imported the program before. `make bench ARGS=edits` does the same with 10,000 edits.
"""

from __future__ import annotations

import pytest

from tests.programs.compare import Tally, compare
from tests.programs.processes import Processes
from tests.programs.shrink import show, shrink

SERIES = "fixed"
CHUNKS = 6
EDITS = 50
"""Edits in each chunk."""
EDITS_ON_WORKERS = 12


@pytest.fixture(scope="module")
def processes():
    with Processes() as opened:
        yield opened


@pytest.mark.sample(2)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_edit_of_a_random_program_is_missed(processes, chunk):
    tally, number = Tally(), 0
    while tally.edits < EDITS:
        compare(processes, f"{SERIES}{chunk}-{number}", tally)
        number += 1
    findings = [show(shrink(processes, finding)) for finding in tally.findings[:3]]
    assert not findings, f"{len(tally.findings)} of {tally.edits} edits\n" + "\n".join(findings)
    assert tally.changed * 2 >= tally.edits
    assert tally.ways["two processes"] * 2 >= tally.edits
    assert tally.neutral[True] == sum(tally.neutral.values()) > 0
    assert tally.unreached[True] >= 0.95 * sum(tally.unreached.values()) > 0
    assert tally.unusable * 10 <= tally.edits


@pytest.mark.slow
def test_no_edit_is_missed_on_worker_processes_that_have_imported_the_program_before(scheduler):
    tally, number = Tally(), 0
    with Processes(scheduler) as processes:
        while tally.edits < EDITS_ON_WORKERS:
            compare(processes, f"{SERIES}-{number}", tally, edits=2)
            number += 1
        wrong = tally.of("stale") + tally.of("wrong")
        assert not wrong, "\n".join(show(shrink(processes, finding)) for finding in wrong[:3])

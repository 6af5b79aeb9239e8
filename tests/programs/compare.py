"""Cached runs of edited programs against plain ones, and what came of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.programs import grow, neutral
from tests.programs.processes import Outcome, Processes
from tests.programs.program import Module, Program

EDITS = 6
"""Edits of reached code for each program; a neutral one and one of unreached code come with them."""
WAYS = ("two processes", "two processes", "one process", "reload")


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit of a program.

    Attributes:
        kind: what is edited.
        way: `two processes`, `one process` (imported anew) or `reload`.
        before: the files before.
        after: the files after.
        choices: the slots that the edit chooses; empty for a neutral edit.
    """

    kind: str
    way: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    choices: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """An edit with which a cached run was wrong, or missed.

    Attributes:
        seed: the seed of the program.
        what: `stale`, `wrong` (computed, and not what plain Python computes), `missed` or `refused`.
        program: the program.
        edit: the edit.
        outcome: the run after it.
    """

    seed: str
    what: str
    program: Program
    edit: Edit
    outcome: Outcome


@dataclass(slots=True)
class Tally:
    """Counts of edits.

    Attributes:
        edits: edits that were run.
        changed: edits that changed what plain Python computes.
        neutral: edits that must not matter, by whether all results were hits.
        unreached: edits of code that is not reached, likewise.
        whole: edits of code that is not reached in modules that computed names reach, likewise.
        unusable: programs or edits that do not run.
        uncached: programs of which nothing is kept, so that a repeated run computes everything again.
        ways: edits by way.
        kinds: edits by kind.
        findings: what is wrong.
    """

    edits: int = 0
    changed: int = 0
    neutral: Counter[bool] = field(default_factory=Counter)
    unreached: Counter[bool] = field(default_factory=Counter)
    whole: Counter[bool] = field(default_factory=Counter)
    unusable: int = 0
    uncached: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.edits += other.edits
        self.changed += other.changed
        self.unusable += other.unusable
        self.uncached += other.uncached
        for name in ("neutral", "unreached", "whole", "ways", "kinds"):
            getattr(self, name).update(getattr(other, name))
        self.findings += other.findings

    def of(self, what: str) -> list[Finding]:
        """Return the findings of one sort."""
        return [finding for finding in self.findings if finding.what == what]


def compare(processes: Processes, seed: str, tally: Tally | None = None, *, edits: int = EDITS) -> Tally:
    """Run the program of a seed, and edits of it, from one lake.

    Args:
        processes: where it runs.
        seed: the seed of the program and of its edits.
        tally: gets the counts; by default a new one.
        edits: how many edits of reached code are made, at most.
    """
    tally = Tally() if tally is None else tally
    random = Random(f"edits {seed}")
    program = grow.program(seed)
    before = program.files({})
    lake = processes.lake()
    base = processes.run(0, program, before, lake)
    if base.plain is None:
        tally.unusable += 1
        return tally
    if base.cached != base.plain:
        what = "refused" if base.cached is None else "wrong"
        tally.findings.append(Finding(seed, what, program, Edit("no edit", "", before, before), base))
        return tally
    keeps = True
    for edit, dead in _edits(program, random, before, edits):
        outcome = run(processes, program, edit, lake)
        if keeps and dead and outcome.plain is not None and outcome.cached is not None and not outcome.hits:
            keeps = processes.run(0, program, before, lake).hits > 0
            tally.uncached += not keeps
        _count(tally, Finding(seed, "", program, edit, outcome), base, dead if keeps else "")
    processes.done(lake.parent)
    return tally


def run(processes: Processes, program: Program, edit: Edit, lake: object) -> Outcome:
    """Run an edited program with the lake that a run of the program before left."""
    if edit.way == "two processes":
        return processes.run(1, program, edit.after, lake)  # type: ignore[arg-type]
    order = sorted(program.modules.values(), key=lambda module: (-module.level, not module.package))
    changed = [m.name for m in order if edit.before[m.path] != edit.after[m.path]]
    how = "anew" if edit.way == "one process" else "reload"
    return processes.run(0, program, edit.before, lake, edited=dict(edit.after), how=how, changed=changed)  # type: ignore[arg-type]


def _edits(
    program: Program, random: Random, before: dict[str, str], number: int
) -> Iterator[tuple[Edit, str]]:
    kind, after = neutral.edit(before, random, ordered=bool(_whole(program)))
    yield Edit(f"neutral: {kind}", "two processes", before, after), "neutral"
    slots = program.reached_slots()
    dead = [at for at in slots if program.slots[at].dead]
    live = [at for at in slots if program.slots[at].kind and not program.slots[at].dead]
    if dead:
        at = random.choice(dead)
        yield _chosen(program, random, at, "two processes", before), _where(program, at)
    for at in random.sample(live, min(number, len(live))):
        way = random.choice(WAYS)
        if way == "reload" and program.start != "import":
            way = "one process"
        yield _chosen(program, random, at, way, before), ""


def _where(program: Program, at: int) -> str:
    """Tell whether computed names can reach a place: in a module that they reach, or that it imports."""
    whole = _whole(program)
    mark = f"\x02{at}\x03"
    inside = any(mark in text for module in whole for text in module.body)
    return "whole" if inside else "unreached"


def _whole(program: Program) -> list[Module]:
    pending = [module for module in program.modules.values() if module.whole]
    reached: list[Module] = []
    while pending:
        module = pending.pop()
        if module not in reached:
            reached.append(module)
            text = "\n".join((*module.head, *module.body))
            pending += [
                other
                for other in program.modules.values()
                if re.search(rf"(?<!\w){re.escape(other.name)}(?!\w)", text)
                or (other.name.startswith("pkg.") and re.search(rf"from \.+{other.name[4:]} ", text))
            ]
    return reached


def _chosen(program: Program, random: Random, at: int, way: str, before: dict[str, str]) -> Edit:
    slot = program.slots[at]
    choices = {at: random.randrange(1, len(slot.values))}
    kind = ("not reached: " if slot.dead else "") + slot.kind
    return Edit(kind, way, before, program.files(choices), choices)


def _count(tally: Tally, finding: Finding, base: Outcome, dead: str) -> None:
    outcome, edit = finding.outcome, finding.edit
    if outcome.plain is None:
        tally.unusable += 1
        return
    tally.edits += 1
    tally.ways[edit.way] += 1
    tally.kinds[edit.kind] += 1
    tally.changed += outcome.plain != base.plain
    all_hits = outcome.hits == outcome.total and outcome.cached is not None
    if dead:
        getattr(tally, dead)[all_hits] += 1
    what = verdict(outcome)
    if not what and dead in {"neutral", "unreached"} and not all_hits:
        what = "missed"
    if what:
        tally.findings.append(Finding(finding.seed, what, finding.program, edit, outcome))


def verdict(outcome: Outcome) -> str:
    """Return what is wrong with a cached run: `stale`, `wrong`, `refused`, or nothing."""
    if outcome.cached is None:
        return "refused"
    if outcome.cached != outcome.plain:
        return "stale" if outcome.hits else "wrong"
    return ""


Judge = Callable[[Outcome], bool]

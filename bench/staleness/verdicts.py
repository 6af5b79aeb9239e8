"""What a tool did after an edit, and the tables of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bench.staleness.programs import GROUPS, Edit

if TYPE_CHECKING:
    from bench.staleness.tools import Tool


class Verdict(Enum):
    """What came out of the edited program."""

    RIGHT = "right"
    """The results of a run without a cache."""
    STALE = "stale"
    """The results of the program before the edit, or otherwise wrong."""
    HIT = "hit"
    """After an edit without effect: right, and nothing was computed again."""
    MISS = "miss"
    """After an edit without effect: right, but computed again for nothing."""
    ERROR = "error"
    """The program did not run to its end, but does without a cache."""
    NOT_APPLICABLE = "n/a"
    """The tool cannot express the program."""
    NOT_MEASURED = "-"
    """It cannot be measured on this machine, or need not be."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of a program printed: the `repr` of each result, and the number of computed calls."""

    results: tuple[str, ...]
    computed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict.

    Attributes:
        verdict: what happened.
        kept: whether a second run of the program before the edit computed nothing.
        detail: the wrong results, or the last line of an error.
    """

    verdict: Verdict
    kept: bool = False
    detail: str = ""


def judge(edit: Edit, right: Run, again: Run, edited: Run) -> Outcome:
    """Judge a run of an edited program.

    Args:
        edit: the edit.
        right: the run of the edited program without a cache.
        again: the second run of the program before the edit.
        edited: the run of the edited program.
    """
    kept = again.computed == 0
    if edited.results != right.results:
        detail = f"{', '.join(edited.results)} in place of {', '.join(right.results)}"
        return Outcome(Verdict.STALE, kept, detail)
    if not edit.harmless:
        return Outcome(Verdict.RIGHT, kept)
    return Outcome(Verdict.MISS if edited.computed else Verdict.HIT, kept)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the edits of one tool.

    Attributes:
        noticed: edits with an effect after which the results were right; `changes` is how many there were.
        claimed: how many of `claims` were noticed: the edits that the tool's documentation says it notices.
        hits: edits without an effect after which nothing was computed; `harmless` is how many there were.
        kept: programs whose second run computed nothing; `programs` is how many there were.
        stale: edits after which the results were wrong, and no error said so.
        errors: edits after which the program did not run to its end.
    """

    noticed: int
    changes: int
    claimed: int
    claims: int
    hits: int
    harmless: int
    kept: int
    programs: int
    stale: int
    errors: int


Outcomes = Mapping[Edit, Outcome]
_ABSENT = (Verdict.NOT_APPLICABLE, Verdict.NOT_MEASURED)


def totals(tool: Tool, outcomes: Outcomes) -> Totals:
    """Sum up the outcomes of one tool; what is not applicable or not measured does not count."""
    measured = {edit: one for edit, one in outcomes.items() if one.verdict not in _ABSENT}
    changes = {edit: one for edit, one in measured.items() if not edit.harmless}
    harmless = [one for edit, one in measured.items() if edit.harmless]
    claims = [one for edit, one in changes.items() if edit.group in tool.claims]
    programs = {_program(edit): one.kept for edit, one in measured.items()}
    return Totals(
        noticed=_count(changes.values(), Verdict.RIGHT),
        changes=len(changes),
        claimed=_count(claims, Verdict.RIGHT),
        claims=len(claims),
        hits=_count(harmless, Verdict.HIT),
        harmless=len(harmless),
        kept=sum(programs.values()),
        programs=len(programs),
        stale=_count(measured.values(), Verdict.STALE),
        errors=_count(measured.values(), Verdict.ERROR),
    )


def headline(tools: Sequence[Tool], outcomes: Mapping[str, Outcomes]) -> str:
    """Return the short table, in Markdown."""
    lines = ["| tool | edits noticed | of those it claims | kept after harmless edits |", "|---|---|---|---|"]
    for tool in tools:
        sums = totals(tool, outcomes[tool.name])
        cells = (
            tool.name,
            _of(sums.noticed, sums.changes),
            _of(sums.claimed, sums.claims),
            _of(sums.hits, sums.harmless),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def matrix(tools: Sequence[Tool], edits: Sequence[Edit], outcomes: Mapping[str, Outcomes]) -> list[list[str]]:
    """Return the rows of the whole table: a kind of edit, then a cell for each tool.

    A row that holds a group's name alone comes before its kinds. A cell ends in `*` where the tool does not
    claim to notice such an edit, and in `!` where it keeps nothing of the program in the first place.
    """
    rows = []
    for group in GROUPS:
        rows.append([group])
        rows += [
            [edit.kind, *(_cell(tool, edit, outcomes[tool.name]) for tool in tools)]
            for edit in edits
            if edit.group == group
        ]
    return rows


def _cell(tool: Tool, edit: Edit, outcomes: Outcomes) -> str:
    outcome = outcomes.get(edit, Outcome(Verdict.NOT_MEASURED))
    text = outcome.verdict.value
    if outcome.verdict in _ABSENT:
        return text
    if not edit.harmless and edit.group not in tool.claims:
        text += "*"
    return text if outcome.kept else f"{text}!"


def _of(count: int, whole: int) -> str:
    return f"{count} of {whole}" if whole else "not measured"


def _count(outcomes: Iterable[Outcome], verdict: Verdict) -> int:
    return sum(one.verdict is verdict for one in outcomes)


def _program(edit: Edit) -> int:
    """The identity of an edit's program; the harmless edits share one."""
    return id(edit.program)

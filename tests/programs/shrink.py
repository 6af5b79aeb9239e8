"""Make a program that shows a finding as small as it gets."""

from __future__ import annotations

from tests.programs.compare import Edit, Finding, run, verdict
from tests.programs.processes import Processes
from tests.programs.program import Program

TRIES = 300


def shrink(processes: Processes, finding: Finding, tries: int = TRIES) -> Finding:
    """Return a finding of the same sort with as little program as possible; the same one if it stands alone.

    Only edits that choose at a slot are shrunk.
    """
    program, edit = finding.program, finding.edit
    if not edit.choices:
        return finding
    base: dict[int, int] = {}
    left = [tries]
    smallest = _again(processes, finding, program, base, left)
    if smallest is None:
        return finding
    for at in sorted(program.reached_slots(), reverse=True):
        if not program.slots[at].kind:
            base[at] = 1
            smaller = _again(processes, finding, program, base, left)
            if smaller is None:
                del base[at]
            else:
                smallest = smaller
    for module in list(program.modules.values()):
        for where, texts in (("body", module.body), ("head", module.head)):
            for at in reversed(range(len(texts))):
                program.gone.add((module.name, where, at))
                smaller = _again(processes, finding, program, base, left)
                if smaller is None:
                    program.gone.discard((module.name, where, at))
                else:
                    smallest = smaller
    return smallest


def _again(
    processes: Processes, finding: Finding, program: Program, base: dict[int, int], left: list[int]
) -> Finding | None:
    """Try the program as it is now, with a lake of its own."""
    left[0] -= 1
    if left[0] < 0:
        return None
    edit = finding.edit
    before, after = program.files(base), program.files({**base, **edit.choices})
    if before == after:
        return None
    lake = processes.lake()
    first = processes.run(0, program, before, lake)
    smaller = Edit(edit.kind, edit.way, before, after, edit.choices)
    outcome = run(processes, program, smaller, lake)
    processes.done(lake.parent)
    if first.plain is None or first.plain != first.cached or outcome.plain is None:
        return None
    missed = outcome.cached is not None and outcome.hits < outcome.total
    same = verdict(outcome) == finding.what or (
        finding.what == "missed" and missed and first.plain == outcome.plain
    )
    return Finding(finding.seed, finding.what, program, smaller, outcome) if same else None


def show(finding: Finding) -> str:
    """Print a finding: the program before and after, and the seed."""
    edit, lines = finding.edit, []
    lines.append(
        f"{finding.what}: {edit.kind} ({edit.way}, started as {finding.program.start}), seed {finding.seed}"
    )
    lines.append(
        f"  plain {finding.outcome.plain}, cached {finding.outcome.cached} {finding.outcome.error}".rstrip()
    )
    for path, text in edit.before.items():
        if text.strip() and (text or path in edit.after):
            lines.append(f"  --- {path}")
            lines += [f"  | {line}" for line in text.splitlines()]
            if edit.after[path] != text:
                lines.append(f"  --- {path}, after")
                lines += [f"  | {line}" for line in edit.after[path].splitlines()]
    return "\n".join(lines)

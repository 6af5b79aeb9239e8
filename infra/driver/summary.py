"""What became of all stacks: in Markdown for a note on a merge request, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infra.driver.outcome import GOOD, Command, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from infra.driver.outcome import Outcome
    from infra.driver.precious import Step

LONGEST = 100
"""So many changes of a stack are listed in a note; GitLab takes a megabyte."""

SIGNS = {"create": "+", "import": "+", "update": "~", "delete": "-", "replace": "+-"}
SUMMED_UP = frozenset({"create-replacement", "delete-replaced", "read", "refresh"})
"""Steps that another step speaks for, or that change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All of it.

    Attributes:
        command: what was done.
        environment: where.
        commit: of which commit; empty if nobody knows.
        outcomes: one for each stack.
        warnings: one line each.
    """

    command: Command
    environment: str
    commit: str
    outcomes: Sequence[Outcome]
    warnings: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether every stack was done."""
        return all(outcome.result in GOOD for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """What `summary.json` holds."""
        return {
            "command": str(self.command),
            "environment": self.environment,
            "commit": self.commit,
            "good": self.good,
            "stacks": [
                {
                    "stack": outcome.stack,
                    "result": str(outcome.result),
                    **asdict(outcome.counts),
                    "seconds": round(outcome.seconds, 1),
                    "error": "; ".join(outcome.error) or None,
                    "reason": outcome.reason or None,
                    "changes": [
                        {"op": step.op, "type": step.type, "name": step.name}
                        for step in outcome.steps
                        if step.op not in SUMMED_UP
                    ],
                }
                for outcome in self.outcomes
            ],
            "warnings": list(self.warnings),
        }

    def as_markdown(self) -> str:
        """What `summary.md` holds."""
        of = f" of `{self.commit[:12]}`" if self.commit else ""
        lines = [f"### {self.command} {self.environment}{of}: {self.verdict()}", ""]
        lines += [f"> {_cell(warning)}\n" for warning in self.warnings]
        if self.outcomes:
            lines += [
                "| stack | result | create | update | replace | delete | same | seconds | |",
                "|---|---|--:|--:|--:|--:|--:|--:|---|",
                *(_row(outcome) for outcome in self.outcomes),
                "",
            ]
        for outcome in self.outcomes:
            lines += _details(outcome)
        return "\n".join(lines).rstrip() + "\n"

    def verdict(self) -> str:
        """All of it in a few words."""
        if not self.outcomes:
            return "no stack is touched"
        by_result: dict[Result, int] = {}
        for outcome in self.outcomes:
            by_result[outcome.result] = by_result.get(outcome.result, 0) + 1
        return ", ".join(f"{by_result[result]} {result}" for result in Result if result in by_result)

    def write(self, folder: Path) -> None:
        """Write `summary.md` and `summary.json` into a folder, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.md").write_text(self.as_markdown(), encoding="utf-8")
        text = json.dumps(self.as_json(), indent=2) + "\n"
        (folder / "summary.json").write_text(text, encoding="utf-8")


def changes(steps: Iterable[Step], *, longest: int = LONGEST) -> list[str]:
    """The changes of a stack, a line each: `+ aws:s3/bucket:Bucket lake`."""
    lines = [
        f"{SIGNS.get(step.op, step.op):<2} {step.type}  {step.name}"
        for step in steps
        if step.op not in SUMMED_UP
    ]
    more = len(lines) - longest
    return [*lines[:longest], *([f"   and {more} more"] if more > 0 else [])]


def _row(outcome: Outcome) -> str:
    counts = outcome.counts
    sums = (counts.create, counts.update, counts.replace, counts.delete, counts.same)
    cells = [
        f"`{outcome.stack}`",
        str(outcome.result) if outcome.result in GOOD else f"**{outcome.result}**",
        *(str(count or "") for count in sums),
        f"{outcome.seconds:.0f}",
        _cell("; ".join(outcome.error)),
    ]
    return f"| {' | '.join(cells)} |"


def _details(outcome: Outcome) -> list[str]:
    lines = changes(outcome.steps)
    if not lines:
        return []
    title = f"<details><summary><code>{outcome.stack}</code>: {outcome.counts}</summary>"
    return [title, "", "```diff", *lines, "```", "", "</details>", ""]


def _cell(text: str) -> str:
    """A text that stays in its cell, and is not taken for markup."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(plain.split())

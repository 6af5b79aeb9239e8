"""The summary of a run: Markdown for a note on a merge request, and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infra.driver.outcome import GOOD, Command, Result
from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from infra.driver.outcome import Outcome
    from infra.driver.precious import Step

LONGEST = 100
"""The number of changes listed for a stack, since GitLab limits a note to a megabyte."""

SIGNS = {"create": "+", "import": "+", "update": "~", "delete": "-", "replace": "+-"}
SUMMED_UP = frozenset({"create-replacement", "delete-replaced", "read", "refresh"})
"""Steps that are part of another step, or change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The summary of a run.

    Attributes:
        command: the operation.
        environment: the environment.
        commit: the commit that was deployed; empty if unknown.
        outcomes: the stacks' outcomes.
        warnings: the warnings, one line each.
    """

    command: Command
    environment: str
    commit: str
    outcomes: Sequence[Outcome]
    warnings: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether no stack failed, was refused or was interrupted."""
        return all(outcome.result in GOOD for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """Return the content of `summary.json`."""
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
        """Return the content of `summary.md`."""
        commit = f" of `{self.commit[:12]}`" if self.commit else ""
        lines = [f"### {self.command} {self.environment}{commit}: {self.verdict()}", ""]
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
        """Return the number of stacks by result."""
        if not self.outcomes:
            return "no stack is touched"
        by_result: dict[Result, int] = {}
        for outcome in self.outcomes:
            by_result[outcome.result] = by_result.get(outcome.result, 0) + 1
        return ", ".join(f"{by_result[result]} {result}" for result in Result if result in by_result)

    def write(self, folder: Path) -> None:
        """Write `summary.md` and `summary.json` to a folder, creating it if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.md").write_text(self.as_markdown(), encoding="utf-8")
        text = json.dumps(self.as_json(), indent=2) + "\n"
        (folder / "summary.json").write_text(text, encoding="utf-8")


def changes(steps: Iterable[Step], *, longest: int = LONGEST, values: bool = False) -> list[str]:
    """Return a stack's changes, one line each: `+  aws:s3/bucket:Bucket  lake`.

    Args:
        steps: the stack's steps.
        longest: the most lines.
        values: whether old and new values follow, one line each.
    """
    lines = [
        line
        for step in steps
        if step.op not in SUMMED_UP
        for line in (
            f"{SIGNS.get(step.op, step.op):<2} {step.type}  {step.name}",
            *(f"     {value}" for value in step.values if values),
        )
    ]
    more = len(lines) - longest
    return [*lines[:longest], *([f"   and {more} more"] if more > 0 else [])]


def _row(outcome: Outcome) -> str:
    counts = outcome.counts
    numbers = (counts.create, counts.update, counts.replace, counts.delete, counts.same)
    cells = [
        f"`{outcome.stack}`",
        str(outcome.result) if outcome.result in GOOD else f"**{outcome.result}**",
        *(str(number or "") for number in numbers),
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
    """Escape a text so that it stays in its table cell and is not interpreted as markup."""
    return one_line(text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|"))

"""What the engine tells while it works, made into steps, sums and lines. Imports no Pulumi."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.driver.outcome import Counts
from infra.driver.precious import HARMLESS, Step

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 3
"""So many of an engine's complaints are handed on; more often than not the rest follow from them."""

_COLOUR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_LOCK = re.compile(r"created by (?P<who>\S+) \(pid (?P<pid>\d+)\) at (?P<when>\S+)")
_SUMMARIES = ("update failed", "preview failed", "program exited with non-zero exit code")
LOCKED = "the stack is currently locked by"
"""How the engine says that another one is at work on a stack."""


@dataclass
class Recorder:
    """Takes the events of one run of the engine; `watch` is told of each step.

    Attributes:
        watch: called with each step that begins.
        steps: those that change something, in the engine's order.
        sums: how many steps of each operation, by the engine's own account; None if it never said.
        complaints: its errors, one line each.
    """

    watch: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)
    sums: dict[str, int] | None = None
    complaints: list[str] = field(default_factory=list)

    def __call__(self, event: Any) -> None:
        """Take one event, as the Automation API hands it out."""
        if found := event.resource_pre_event:
            step = step_of(found.metadata)
            if step.op != "same":
                self.steps.append(step)
            self.watch(step)
        elif found := event.diagnostic_event:
            if found.severity == "error" and (line := one_line(found.message)):
                self.complaints.append(line)
        elif found := event.policy_event:
            if found.enforcement_level == "mandatory":
                name = (found.resource_urn or "").rpartition("::")[2]
                self.complaints.append(one_line(f"{found.policy_name}: {name}: {found.message}"))
        elif found := event.summary_event:
            self.sums = {str(op): int(count) for op, count in found.resource_changes.items()}

    @property
    def counts(self) -> Counts:
        """The sums."""
        return Counts.of(self.sums or {})

    def unread(self) -> list[str]:
        """The harmful operations of the plan that are not among its steps: an event that nobody could read.

        A plan of which something is missing cannot be judged.
        """
        seen: dict[str, int] = {}
        for step in self.steps:
            seen[step.op] = seen.get(step.op, 0) + 1
        return sorted(
            op for op, count in (self.sums or {}).items() if op not in HARMLESS and seen.get(op, 0) < count
        )


def step_of(metadata: Any) -> Step:
    """A step, as the engine's events tell it."""
    op = str(getattr(metadata.op, "value", metadata.op))
    return Step(op=op, urn=metadata.urn, type=metadata.type, name=metadata.urn.rpartition("::")[2])


def one_line(text: str) -> str:
    """A message without colours and line breaks."""
    return " ".join(_COLOUR.sub("", text).split())


def failure(recorder: Recorder, said: str) -> tuple[str, ...]:
    """Why a run of the engine failed, in a few lines.

    Args:
        recorder: what its events said; they come first.
        said: what it printed on stderr.
    """
    lines = list(dict.fromkeys(_plain(line) for line in recorder.complaints))
    # The engine sums up by such a line, and so does its host for Python: it says nothing beside the others.
    telling = [line for line in lines if not line.startswith(_SUMMARIES)]
    if not telling:
        telling = [
            _plain(one_line(line))
            for line in said.splitlines()
            if line.strip() and not line.lstrip().startswith("warning:")
        ][-1:]
    if not telling:
        return ("the engine ended without saying why",)
    more = len(telling) - SHOWN
    return (*telling[:SHOWN], *([f"and {more} more like these"] if more > 0 else []))


def locked(stack: str, said: str, backend: str | None) -> str | None:
    """One line about a stack that another run has locked; None if that is not what the engine says.

    Args:
        stack: the stack.
        said: what the engine printed.
        backend: where the states are; None if it is where `pulumi login` says.
    """
    if LOCKED not in said:
        return None
    holders = [
        f"{found['who']} (pid {found['pid']}) since {found['when']}"
        for found in _LOCK.finditer(one_line(said))
    ]
    who = f" by {' and '.join(holders)}" if holders else ""
    login = f"PULUMI_BACKEND_URL='{backend}' " if backend else ""
    return (
        f"is locked{who}: another run is at work on it, or was killed; once you are sure that none is:"
        f" {login}pulumi cancel --stack {stack} --yes"
    )


def _plain(line: str) -> str:
    for word in ("error: ", "Preview failed: ", "Update failed: ", "an unhandled error occurred: "):
        line = line.removeprefix(word)
    return line

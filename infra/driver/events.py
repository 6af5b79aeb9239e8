"""The engine's events, converted to steps, counts and messages. Imports no Pulumi."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.config.stack import StackName
from infra.driver.outcome import Counts
from infra.driver.precious import HARMLESS, UNCHANGED, Step
from infra.driver.values import differences, namespace
from lightwork.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 3
"""The number of error messages that are passed on; the rest usually follow from them."""

_COLOUR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_LOCK = re.compile(r"created by (?P<who>\S+) \(pid (?P<pid>\d+)\) at (?P<when>\S+)")
_CONFLICT = re.compile(
    r'conflicts? with "(?P<manager>[^"]+)"(?: with subresource "[^"]*")?(?: using \S+?)?'
    r"(?: at (?P<when>\S+Z))?: (?P<fields>(?:(?:- )?\.\S+ ?)+)"
)
"""The API server's message about fields that have another manager."""
_EXISTS = re.compile(r'(?P<kind>[a-z.]+) "(?P<name>[^"]+)" already exists')
"""The API server's message about an object that is there already."""
_FIELD = re.compile(r"\.\S+")
_SUMMARIES = ("update failed", "preview failed", "program exited with non-zero exit code")
_CONSEQUENCE = "Resource monitor has terminated"
"""What a program says of an engine that is gone, which is never the first thing that went wrong."""
REMEDIES = {
    "PULUMI_ACCESS_TOKEN must be set": "Pulumi keeps its states nowhere yet; to keep them on this machine:"
    " pulumi login --local",
    "passphrase must be set with": "set PULUMI_CONFIG_PASSPHRASE to a passphrase of your own, which encrypts"
    " the secrets in the states, and keep it",
}
"""The engine's messages that name the wrong remedy or none, with the lines to print instead."""
LOCKED = "the stack is currently locked by"
"""The engine's message about a stack that another run has locked."""


@dataclass
class Recorder:
    """Collects the events of one run of the engine.

    Attributes:
        watch: called with each step that begins.
        steps: the changing steps, in the engine's order.
        sums: the engine's own count of resources by operation; None if it reported none.
        errors: its error messages, one line each.
    """

    watch: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)
    sums: dict[str, int] | None = None
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: Any) -> None:
        """Take one event of the Automation API."""
        if resource := event.resource_pre_event:
            step = step_of(resource.metadata)
            if step.op not in UNCHANGED:
                self.steps.append(step)
            self.watch(step)
        elif diagnostic := event.diagnostic_event:
            if diagnostic.severity == "error" and (line := uncoloured(diagnostic.message)):
                urn = diagnostic.urn or ""
                self.errors.append(conflict(urn, line) or existing(urn, line) or line)
        elif violation := event.policy_event:
            if violation.enforcement_level == "mandatory":
                name = (violation.resource_urn or "").rpartition("::")[2]
                self.errors.append(uncoloured(f"{violation.policy_name}: {name}: {violation.message}"))
        elif summary := event.summary_event:
            self.sums = {str(op): int(count) for op, count in summary.resource_changes.items()}

    @property
    def counts(self) -> Counts:
        """The number of resources by kind of change."""
        return Counts.of(self.sums or {})

    def unread(self) -> list[str]:
        """Return the plan's destructive operations that are missing from its steps.

        Their events could not be read, so the plan cannot be judged.
        """
        seen: dict[str, int] = {}
        for step in self.steps:
            seen[step.op] = seen.get(step.op, 0) + 1
        return sorted(
            op for op, count in (self.sums or {}).items() if op not in HARMLESS and seen.get(op, 0) < count
        )


def step_of(metadata: Any) -> Step:
    """Convert the metadata of an engine's event to a step."""
    op = str(getattr(metadata.op, "value", metadata.op))
    name = metadata.urn.rpartition("::")[2]
    values = () if op in UNCHANGED else differences(metadata)
    return Step(
        op=op, urn=metadata.urn, type=metadata.type, name=name, values=values, namespace=namespace(metadata)
    )


def conflict(urn: str, line: str) -> str | None:
    """Return a line about fields of a Kubernetes object that others have set; None for any other error.

    Args:
        urn: the object's URN.
        line: the engine's error, in one line.
    """
    held = [
        f"{', '.join(_FIELD.findall(match['fields']))} was set by {match['manager']}"
        + (f" at {match['when']}" if match["when"] else "")
        for match in _CONFLICT.finditer(line)
    ]
    if not urn or not held:
        return None
    return (
        f"{urn.rpartition('::')[2]}: {'; '.join(held)}; to keep that value, put it into the files; to set the"
        f" files' value: {_take_over(urn)}"
    )


def existing(urn: str, line: str) -> str | None:
    """Return a line about a Kubernetes object that is there already; None for any other error.

    Args:
        urn: the object's URN.
        line: the engine's error, in one line.
    """
    match = _EXISTS.search(line)
    if match is None or "kubernetes:" not in urn:
        return None
    return (
        f"{urn.rpartition('::')[2]}: {match['kind']} {match['name']!r} exists already: an earlier"
        " deployment has left it, or somebody else has made it; to manage it here, with the files' values:"
        f" {_take_over(urn)}"
    )


def _take_over(urn: str) -> str:
    return f"lightwork-estate up --stack {StackName.of_urn(urn)} --take-over"


def uncoloured(text: str) -> str:
    """Return a message without colours and line breaks."""
    return one_line(_COLOUR.sub("", text))


def failure(recorder: Recorder, stderr: str) -> tuple[str, ...]:
    """Return why a run of the engine failed, in a few lines.

    Args:
        recorder: the recorded events, whose errors take precedence.
        stderr: the engine's output on stderr.
    """
    lines = list(dict.fromkeys(_plain(line) for line in recorder.errors))
    # The engine and its Python host each end with a summary line, which adds nothing to the other errors.
    reasons = [line for line in lines if not line.startswith((*_SUMMARIES, _CONSEQUENCE))]
    if not reasons:
        said = _said(stderr)
        causes = [line for line in said if not line.startswith((*_SUMMARIES, _CONSEQUENCE))]
        consequences = [line for line in lines if line.startswith(_CONSEQUENCE)]
        reasons = causes[-1:] or consequences[:1] or said[-1:]
    if not reasons:
        return ("the engine failed without giving a reason",)
    more = len(reasons) - SHOWN
    reasons = [
        next((line for text, line in REMEDIES.items() if text in reason), reason) for reason in reasons
    ]
    return (*reasons[:SHOWN], *([f"and {more} more errors"] if more > 0 else []))


def _said(stderr: str) -> list[str]:
    lines = [line for line in stderr.splitlines() if line.strip()]
    return [_plain(uncoloured(line)) for line in lines if not line.lstrip().startswith("warning:")]


def locked(stack: str, output: str, backend: str | None) -> str | None:
    """Return a line about a stack that another run has locked; None if the output does not mention a lock.

    Args:
        stack: the stack's name.
        output: the engine's output.
        backend: the address of the states; None for the one of `pulumi login`.
    """
    if LOCKED not in output:
        return None
    holders = [
        f"{match['who']} (pid {match['pid']}) since {match['when']}"
        for match in _LOCK.finditer(uncoloured(output))
    ]
    holder = f" by {' and '.join(holders)}" if holders else ""
    login = f"PULUMI_BACKEND_URL='{backend}' " if backend else ""
    return (
        f"is locked{holder}: another run is working on it, or was killed; if you are sure that none is"
        f" running: {login}pulumi cancel --stack {stack} --yes"
    )


def _plain(line: str) -> str:
    for word in ("error: ", "Preview failed: ", "Update failed: ", "an unhandled error occurred: "):
        line = line.removeprefix(word)
    return line

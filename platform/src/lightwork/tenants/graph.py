"""An entry's steps as a graph: what each uses of others, what comes before what, what may go on at once.

In a text, `${day}` is a parameter of the run, `${fetch.rows}` an output of a step, and `$${` is `${` itself.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.tenants.model import ContainerStep, Entry, ScaledStep

RESULT = "result"
"""The one output of a scaled step: what its pipeline returned, as JSON."""

_PART = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_REFERENCE = re.compile(r"(?:([a-z][a-z0-9-]*)\.)?([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that is known when the run goes on.

    Attributes:
        step: whose output it is; empty for a parameter of the run.
        name: the output's name, or the parameter's.
    """

    step: str
    name: str


def parts(text: str) -> list[str | Reference]:
    """What a text is made of: texts as they are, and references.

    Raises:
        ValueError: a `${` that begins no reference.
    """
    found: list[str | Reference] = []
    end = 0
    for match in _PART.finditer(text):
        found.append(text[end : match.start()])
        end = match.end()
        if match[0] == "$${":
            found.append("${")
            continue
        reference = _REFERENCE.fullmatch(match[1] or "")
        if reference is None:
            raise ValueError(
                "should be ${parameter} or ${step.output}, or have $${ where the text itself has ${"
            )
        found.append(Reference(reference[1] or "", reference[2]))
    found.append(text[end:])
    return _joined(found)


def _joined(found: list[str | Reference]) -> list[str | Reference]:
    joined: list[str | Reference] = []
    for part in found:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined


def texts(step: ScaledStep | ContainerStep) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The texts of a step that may have references, each behind the way to it in the file."""
    from lightwork.tenants.model import ContainerStep

    if isinstance(step, ContainerStep):
        for index, text in enumerate(step.args):
            yield ("args", index), text
        return
    for name, value in step.parameters.items():
        if isinstance(value, str):
            yield ("parameters", name), value


def references(step: ScaledStep | ContainerStep) -> list[Reference]:
    """What a step uses of others and of the run, each once; texts that cannot be read are left out."""
    found: dict[Reference, None] = {}
    for _, text in texts(step):
        try:
            found |= {part: None for part in parts(text) if isinstance(part, Reference)}
        except ValueError:
            continue
    return list(found)


def dependencies(entry: Entry) -> dict[str, tuple[str, ...]]:
    """The steps that each step waits for: those it names, and those whose values it uses."""
    steps = entry.steps or {}
    return {
        name: tuple(
            dict.fromkeys(
                other
                for other in (*step.after, *(used.step for used in references(step)))
                if other in steps and other != name
            )
        )
        for name, step in steps.items()
    }


def used_results(entry: Entry) -> set[str]:
    """The scaled steps whose result another step uses."""
    return {
        used.step
        for step in (entry.steps or {}).values()
        for used in references(step)
        if used.name == RESULT and used.step
    }


def cycle(waits_for: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The steps of a cycle, each waiting for the next, the first again at the end; empty if there is none."""
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        steps: list[str] = error.args[1][:0:-1]
        first = min(range(len(steps)), key=lambda at: list(waits_for).index(steps[at]))
        return [*steps[first:], *steps[: first + 1]]
    return []


def before(waits_for: Mapping[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """All steps that have ended when one begins.

    Raises:
        graphlib.CycleError: steps wait for each other.
    """
    earlier: dict[str, set[str]] = {}
    for name in TopologicalSorter(waits_for).static_order():
        earlier[name] = set(waits_for[name]).union(*(earlier[other] for other in waits_for[name]))
    return earlier


def heaviest(weights: Mapping[str, int], earlier: Mapping[str, set[str]]) -> list[str]:
    """The steps of the largest sum of which none is before another: the most that may go on at once.

    By Dilworth's theorem this sum and a largest flow in a graph of pairs add up to the sum of all, and the
    smallest cut of that flow says which steps they are.

    Args:
        weights: what each asks for.
        earlier: for each the steps before it, all of them, as `before` says.
    """
    left = dict(weights)  # what may still flow into a step as the earlier of a pair
    right = dict(weights)  # and out of it as the later of one
    flow: dict[tuple[str, str], int] = {}
    later = {name: [other for other in weights if name in earlier[other]] for name in weights}
    while (path := _augmenting(left, right, flow, later)) is not None:
        steps = list(itertools.pairwise(path))
        amount = min(left[path[0]], right[path[-1]])
        amount = min([amount, *(flow[b, a] for i, (a, b) in enumerate(steps) if i % 2)])
        left[path[0]] -= amount
        right[path[-1]] -= amount
        for i, (a, b) in enumerate(steps):
            pair = (b, a) if i % 2 else (a, b)
            flow[pair] = flow.get(pair, 0) + (-amount if i % 2 else amount)
    reached, ends = _reached(left, flow, later)
    return [name for name in weights if name in reached and name not in ends]


def _reached(
    left: Mapping[str, int], flow: Mapping[tuple[str, str], int], later: Mapping[str, list[str]]
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Where more could flow to: steps as the earlier ones of pairs, and as the later, each with whence."""
    starts: dict[str, str | None] = {name: None for name, room in left.items() if room > 0}
    ends: dict[str, str] = {}
    waiting = deque(starts)
    while waiting:
        name = waiting.popleft()
        for other in later[name]:
            if other in ends:
                continue
            ends[other] = name
            for back in later:
                if back not in starts and flow.get((back, other), 0) > 0:
                    starts[back] = other
                    waiting.append(back)
    return starts, ends


def _augmenting(
    left: Mapping[str, int],
    right: Mapping[str, int],
    flow: Mapping[tuple[str, str], int],
    later: Mapping[str, list[str]],
) -> list[str] | None:
    """A way for more to flow, by turns an earlier and a later step; None if there is none."""
    starts, ends = _reached(left, flow, later)
    last = next((name for name in ends if right[name] > 0), None)
    if last is None:
        return None
    path = [last]
    while True:
        path.append(ends[path[-1]])
        whence = starts[path[-1]]
        if whence is None:
            return path[::-1]
        path.append(whence)

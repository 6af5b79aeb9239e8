"""An entry's steps as a graph: references between them, their order, and which may run at the same time.

In a string, `${day}` is a parameter of the run, `${fetch.rows}` an output of a step, `$${` a literal `${`.
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
"""The only output of a scaled step: the return value of its pipeline, as JSON."""

_PART = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_REFERENCE = re.compile(r"(?:([a-z][a-z0-9-]*)\.)?([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that is known only during a run.

    Attributes:
        step: the step whose output it is; empty for a parameter of the run.
        name: the name of the output or the parameter.
    """

    step: str
    name: str


def parts(text: str) -> list[str | Reference]:
    """Split a string into literal strings and references.

    Raises:
        ValueError: a `${` does not begin a reference.
    """
    pieces: list[str | Reference] = []
    end = 0
    for match in _PART.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match[0] == "$${":
            pieces.append("${")
            continue
        reference = _REFERENCE.fullmatch(match[1] or "")
        if reference is None:
            raise ValueError("should be ${parameter} or ${step.output}; write $${ for a literal ${")
        pieces.append(Reference(reference[1] or "", reference[2]))
    pieces.append(text[end:])
    return _joined(pieces)


def _joined(pieces: list[str | Reference]) -> list[str | Reference]:
    """Join neighbouring strings, and drop empty ones."""
    joined: list[str | Reference] = []
    for part in pieces:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return joined


def texts(step: ScaledStep | ContainerStep) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the strings of a step that may hold references, each with its location in the step."""
    from lightwork.tenants.model import ContainerStep

    if isinstance(step, ContainerStep):
        for index, text in enumerate(step.args):
            yield ("args", index), text
        return
    for name, value in step.parameters.items():
        if isinstance(value, str):
            yield ("parameters", name), value


def references(step: ScaledStep | ContainerStep) -> list[Reference]:
    """Return the references of a step, each once; malformed strings are skipped."""
    unique: dict[Reference, None] = {}
    for _, text in texts(step):
        try:
            unique |= {part: None for part in parts(text) if isinstance(part, Reference)}
        except ValueError:
            continue
    return list(unique)


def dependencies(entry: Entry) -> dict[str, tuple[str, ...]]:
    """Return the steps that each step waits for: those it names, and those whose outputs it uses."""
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
    """Return the scaled steps whose result another step uses."""
    return {
        used.step
        for step in (entry.steps or {}).values()
        for used in references(step)
        if used.name == RESULT and used.step
    }


def cycle(waits_for: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the steps of a cycle, each waiting for the next and the first repeated at the end, or none."""
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        steps: list[str] = error.args[1][:0:-1]
        first = min(range(len(steps)), key=lambda position: list(waits_for).index(steps[position]))
        return [*steps[first:], *steps[: first + 1]]
    return []


def predecessors(waits_for: Mapping[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """Return, for each step, all steps that have ended when it starts.

    Raises:
        graphlib.CycleError: steps wait for each other.
    """
    earlier: dict[str, set[str]] = {}
    for name in TopologicalSorter(waits_for).static_order():
        earlier[name] = set(waits_for[name]).union(*(earlier[other] for other in waits_for[name]))
    return earlier


def heaviest(weights: Mapping[str, int], earlier: Mapping[str, set[str]]) -> list[str]:
    """Return the heaviest set of steps that may all run at the same time: an antichain of the graph.

    By Dilworth's theorem, its weight and a maximum flow through the pairs of an earlier and a later step add
    up to the weight of all steps. A minimum cut of that flow gives the steps.

    Args:
        weights: the weight of each step.
        earlier: all predecessors of each step, as returned by `predecessors`.

    Returns:
        The names of the steps, in the order of `weights`.
    """
    left = dict(weights)  # the flow that a step can still take as the earlier one of a pair
    right = dict(weights)  # the flow that it can still give as the later one
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
    """Return the steps that more flow can reach, as earlier and as later ones, each with the one before."""
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
    """Return an augmenting path, alternating between earlier and later steps; None if there is none."""
    starts, ends = _reached(left, flow, later)
    last = next((name for name in ends if right[name] > 0), None)
    if last is None:
        return None
    path = [last]
    while True:
        path.append(ends[path[-1]])
        previous = starts[path[-1]]
        if previous is None:
            return path[::-1]
        path.append(previous)

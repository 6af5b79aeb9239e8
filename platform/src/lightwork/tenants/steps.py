"""Checks of an entry's steps on their own: unknown names, malformed references, cycles."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightwork.errors import near
from lightwork.functions import given
from lightwork.functions.parameter_types import to_text
from lightwork.tenants import graph
from lightwork.tenants.fit import Problem
from lightwork.tenants.model import ContainerStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightwork.tenants.model import Entry, ScaledStep, Tenant

LONGEST_NAMES = 63 - len("-0123456789--scheduler")
"""Characters of an entry's and a step's name together: a Service's name holds both, and has at most 63."""

PER_STEP = ("pipeline", "image", "description", "workers", "limits", "scheduler", "driver")
"""Fields of an entry with one pipeline; with several steps, each step has its own."""

_SHORTER = (
    "should be at most about {:,} bytes (quotes and line ends count more); write it into the lake and give"
    " its path"
)

_OF_PIPELINES = (
    'is only for an entry with `steps`; a pipeline says it itself: @pipeline(interval=("start", "end"))'
)

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def problems(tenant: Tenant) -> list[Problem]:
    """Return the mistakes in the steps of a tenant's entries."""
    mistakes = []
    for name, entry in tenant.pipelines.items():
        found = list(_check_parameters(entry.parameters))
        if entry.steps is not None:
            found += _check_entry(name, entry, entry.steps)
        elif entry.interval is not None:
            found.append((("interval",), _OF_PIPELINES))
        mistakes += [Problem(("pipelines", name, *location), reason) for location, reason in found]
    return mistakes


def _check_parameters(parameters: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the location and the reason of each wrong name and value of a run's or a step's parameters."""
    for name, value in parameters.items():
        if not _PARAMETER.fullmatch(name):
            reason = "should be letters, digits and _, and not start with a digit"
            yield ("parameters", name), f"found {name!r}; {reason}"
        if given.weight(to_text(value)) > given.LONGEST:
            size = len(to_text(value).encode())
            yield ("parameters", name), f"found a value of {size:,} bytes; {_SHORTER.format(given.LONGEST)}"
    weights = [given.weight(to_text(value)) for value in parameters.values()]
    if sum(weights) > given.LONGEST_TOGETHER and max(weights) <= given.LONGEST:
        yield ("parameters",), f"the values are too long together; {_SHORTER.format(given.LONGEST_TOGETHER)}"


def _check_entry(
    name: str, entry: Entry, steps: Mapping[str, ScaledStep | ContainerStep]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the location and the reason of each mistake in one entry with steps."""
    for field in PER_STEP:
        if field in entry.model_fields_set:
            yield (field,), "is only for an entry with one pipeline; with `steps`, set it on each step"
    yield from _check_interval(entry)
    for step_name, step in steps.items():
        step_location: tuple[str | int, ...] = ("steps", step_name)
        if len(name) + len(step_name) > LONGEST_NAMES:
            length = f"has {len(name) + len(step_name)} characters together with its entry's name"
            yield step_location, f"found {step_name!r}; {length}; should be {LONGEST_NAMES} or less"
        for index, other in enumerate(step.after):
            if (reason := _check_dependency(step_name, other, steps)) is not None:
                yield (*step_location, "after", index), f"found {other!r}; {reason}"
        for location, reason in _check_texts(step_name, step, entry, steps):
            yield (*step_location, *location), reason
    yield from _check_cycles(entry)


def _check_interval(entry: Entry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the location and the reason of each mistake in the parameters that take a run's interval."""
    names: tuple[str, ...] = entry.interval or ()
    if len(set(names)) != len(names):
        yield (
            ("interval",),
            f"found {names[0]!r} twice; should be one parameter for the start, one for the end",
        )
    for name in dict.fromkeys(names):
        if name in entry.parameters:
            yield ("parameters", name), "takes the interval, which each run is given: leave it out here"


def _check_dependency(name: str, other: str, steps: Mapping[str, object]) -> str | None:
    """Return why a step cannot wait for another one; None if it can."""
    if other == name:
        return "is this step itself; should be another step"
    return None if other in steps else f"there is no such step{near(other, steps)}"


def _check_texts(
    name: str,
    step: ScaledStep | ContainerStep,
    entry: Entry,
    steps: Mapping[str, ScaledStep | ContainerStep],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the location and the reason of each mistake in the strings of one step."""
    if not isinstance(step, ContainerStep):
        yield from _check_parameters(step.parameters)
        for parameter, value in step.parameters.items():
            if not isinstance(value, str) and "${" in repr(value):
                yield (
                    ("parameters", parameter),
                    f"found {value!r}; a value of the run is allowed in a string, not in a list or a mapping",
                )
    else:
        yield from _check_words(step)
    for location, text in graph.texts(step):
        try:
            parts = graph.parts(text)
        except ValueError as error:
            yield location, f"found {text!r}; {error}"
            continue
        for part in parts:
            if isinstance(part, graph.Reference) and (reason := _check_reference(name, part, entry, steps)):
                yield location, f"found {text!r}; {reason}"
        if reason := _check_use_of_interval(step, parts, entry):
            yield location, f"found {text!r}; {reason}"


def _check_use_of_interval(
    step: ScaledStep | ContainerStep, parts: Sequence[str | graph.Reference], entry: Entry
) -> str | None:
    """Return why a text cannot have the start or the end of the interval; None if it has neither, or may.

    The driver of a pipeline computes them from the schedule; a plain container has no such program.
    """
    of_interval = [part for part in parts if isinstance(part, graph.Reference) and _takes(part, entry)]
    if not of_interval or (len(parts) == 1 and not isinstance(step, ContainerStep)):
        return None
    name = of_interval[0].name
    return (
        f"{name} takes the interval, which only a pipeline can be given, as the whole value of a parameter:"
        f" ${{{name}}}"
    )


def _takes(reference: graph.Reference, entry: Entry) -> bool:
    return not reference.step and reference.name in (entry.interval or ())


def _check_words(step: ContainerStep) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the location and the reason of each mistake in the texts of a container's command line."""
    for field, words in (("command", step.command), ("args", step.args)):
        for index, text in enumerate(words):
            if given.CONTROL.search(text):
                reason = "has a control character; should be given as a parameter of the run"
                yield (field, index), f"found {reprlib.repr(text)}, which {reason}"
    if sum(map(given.weight, (*step.command, *step.args))) > given.LONGEST_TOGETHER:
        yield ("args",), f"the texts are too long together; {_SHORTER.format(given.LONGEST_TOGETHER)}"


def _check_reference(
    name: str, reference: graph.Reference, entry: Entry, steps: Mapping[str, ScaledStep | ContainerStep]
) -> str | None:
    """Return why a reference has no value; None if it has one."""
    if not reference.step:
        known = {*entry.parameters, *(entry.interval or ())}
        if reference.name in known:
            return None
        hint = near(reference.name, known) if known else "; it has none"
        return f"the run has no parameter {reference.name!r}{hint}"
    if reference.step == name:
        return "a step cannot use its own output"
    if reference.step not in steps:
        return f"there is no step {reference.step!r}{near(reference.step, steps)}"
    step = steps[reference.step]
    outputs = step.outputs if isinstance(step, ContainerStep) else (graph.RESULT,)
    if reference.name in outputs:
        return None
    hint = near(reference.name, outputs) if outputs else "; it declares none"
    return f"{reference.step} has no output {reference.name!r}{hint}"


def _check_cycles(entry: Entry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the first step of a cycle, if there is one, with the cycle as the reason."""
    if cycle := graph.cycle(graph.dependencies(entry)):
        reason = f"waits for itself: {' after '.join(cycle)}; remove one of these dependencies"
        yield ("steps", cycle[0]), reason

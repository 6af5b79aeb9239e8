"""What is wrong with an entry's steps in themselves: names that are not there, steps in a circle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lightwork.errors import near
from lightwork.tenants import graph
from lightwork.tenants.fit import Problem
from lightwork.tenants.model import ContainerStep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lightwork.tenants.model import Entry, ScaledStep, Tenant

LONGEST_NAMES = 63 - len("-0123456789--scheduler")
"""Letters of an entry's and a step's name together: a Service's name has 63, and there is more in it."""

OF_ONE = ("pipeline", "image", "workers", "scheduler", "driver")
"""What an entry says of its pipeline, and with steps each step says for itself."""

BRACES = "should not have {{, which is where Argo puts a value: values of the run are written as ${name}"

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def problems(tenant: Tenant) -> list[Problem]:
    """What is wrong with the steps of a tenant's entries, each with its place."""
    found = []
    for name, entry in tenant.pipelines.items():
        if entry.steps is None:
            continue
        for location, reason in _of_entry(name, entry, entry.steps):
            found.append(Problem(("pipelines", name, *location), reason))
    return found


def _of_entry(
    name: str, entry: Entry, steps: Mapping[str, ScaledStep | ContainerStep]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for field in OF_ONE:
        if field in entry.model_fields_set:
            yield (field,), "is for an entry of one pipeline; with `steps` each step says it for itself"
    for parameter in entry.parameters:
        if not _PARAMETER.fullmatch(parameter):
            yield (
                ("parameters", parameter),
                f"found {parameter!r}; should be letters, digits and _, with a letter first",
            )
    for step_name, step in steps.items():
        here: tuple[str | int, ...] = ("steps", step_name)
        if len(name) + len(step_name) > LONGEST_NAMES:
            letters = f"has {len(name) + len(step_name)} letters together with its entry's name"
            yield here, f"found {step_name!r}; {letters}; should be {LONGEST_NAMES} or less"
        for index, other in enumerate(step.after):
            if (reason := _other(step_name, other, steps)) is not None:
                yield (*here, "after", index), f"found {other!r}; {reason}"
        for location, reason in _texts(step_name, step, entry, steps):
            yield (*here, *location), reason
    yield from _cycles(entry)


def _other(name: str, other: str, steps: Mapping[str, object]) -> str | None:
    """Why a step cannot wait for another one; None if it can."""
    if other == name:
        return "is this step itself; should be another one"
    return None if other in steps else f"there is no such step{near(other, steps)}"


def _texts(
    name: str,
    step: ScaledStep | ContainerStep,
    entry: Entry,
    steps: Mapping[str, ScaledStep | ContainerStep],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not isinstance(step, ContainerStep):
        for parameter, value in step.parameters.items():
            if not isinstance(value, str) and "${" in repr(value):
                yield (
                    ("parameters", parameter),
                    f"found {value!r}; a value of the run goes into a text, not into a list or a mapping",
                )
    for index, text in enumerate(step.command if isinstance(step, ContainerStep) else ()):
        if "{{" in text:
            yield ("command", index), f"found {text!r}; {BRACES}"
    for location, text in graph.texts(step):
        if "{{" in text:
            yield location, f"found {text!r}; {BRACES}"
            continue
        try:
            found = graph.parts(text)
        except ValueError as error:
            yield location, f"found {text!r}; {error}"
            continue
        for used in found:
            if isinstance(used, graph.Reference) and (reason := _reference(name, used, entry, steps)):
                yield location, f"found {text!r}; {reason}"


def _reference(
    name: str, used: graph.Reference, entry: Entry, steps: Mapping[str, ScaledStep | ContainerStep]
) -> str | None:
    """Why a reference stands for nothing; None if it does stand for something."""
    if not used.step:
        if used.name in entry.parameters:
            return None
        rest = near(used.name, entry.parameters) if entry.parameters else "; it has none"
        return f"the run has no parameter {used.name!r}{rest}"
    if used.step == name:
        return "a step cannot use what it writes itself"
    if used.step not in steps:
        return f"there is no step {used.step!r}{near(used.step, steps)}"
    step = steps[used.step]
    outputs = step.outputs if isinstance(step, ContainerStep) else (graph.RESULT,)
    if used.name in outputs:
        return None
    rest = near(used.name, outputs) if outputs else "; it declares none"
    return f"{used.step} has no output {used.name!r}{rest}"


def _cycles(entry: Entry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """A line for a step that waits for itself by way of others."""
    if cycle := graph.cycle(graph.dependencies(entry)):
        reason = f"waits for itself: {' after '.join(cycle)}; one of them has to come first"
        yield ("steps", cycle[0]), reason

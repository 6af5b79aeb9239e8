"""A tenant's pipelines against the code: that they exist, and that their parameters are theirs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, near
from lightwork.functions import parameters
from lightwork.tenants import graph, schedules
from lightwork.tenants.model import ContainerStep, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.functions.decorated import Pipeline
    from lightwork.tenants.model import ScaledStep
    from lightwork.tenants.reading import Loaded


def check(loaded: Loaded, known: Mapping[str, Pipeline[..., Any]]) -> list[str]:
    """Check each entry's pipeline and parameters.

    Args:
        loaded: the tenant's file.
        known: the pipelines by name.

    Returns:
        Warnings, a line each: what could not be checked, and times that a change of clocks makes special.

    Raises:
        InputError: one line for each mistake: `file:line: field: what was found; what is allowed`.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for name, entry in loaded.tenant.pipelines.items():
        location: tuple[str, ...] = ("pipelines", name)
        if entry.steps is None:
            _one(loaded, location, entry, loaded.tenant.pipeline_of(name), known, problems, warnings)
            continue
        if name in known:
            problems.append(
                f"{loaded.place(*location)}: found {name!r}, which is a pipeline; several steps go under"
                " another name, so that nobody takes one for the other"
            )
        unused = entry.parameters.keys() - {
            used.name for one in entry.steps.values() for used in graph.references(one) if not used.step
        }
        warnings += [
            f"{loaded.place(*location, 'parameters', item)}: no step uses it" for item in sorted(unused)
        ]
        for step_name, step in entry.steps.items():
            if not isinstance(step, ContainerStep):
                here = (*location, "steps", step_name)
                _one(loaded, here, step, step.pipeline, known, problems, warnings)
    if problems:
        raise InputError("\n".join(problems))
    return warnings + clock_warnings(loaded, dt.datetime.now(dt.UTC))


def _one(
    loaded: Loaded,
    location: tuple[str, ...],
    entry: Entry | ScaledStep,
    wanted: str,
    known: Mapping[str, Pipeline[..., Any]],
    problems: list[str],
    warnings: list[str],
) -> None:
    """Check one pipeline: an entry's, or a step's."""
    pipeline = known.get(wanted)
    if pipeline is not None:
        problems += _parameters(loaded, location, entry, pipeline)
    elif entry.image is not None:
        where = loaded.place(*location)
        warnings.append(f"{where}: not checked: its own image has it, and this installation does not")
    else:
        here = (*location, "pipeline") if entry.pipeline else location
        problems.append(
            f"{loaded.place(*here)}: found {wanted!r}; there is no such pipeline{near(wanted, known)}"
        )


def clock_warnings(loaded: Loaded, now: dt.datetime) -> list[str]:
    """A line for each hour of a schedule that a change of clocks skips or doubles within two years."""
    lines = []
    for name, entry in loaded.tenant.pipelines.items():
        if entry.schedule is None or entry.timezone is None:
            continue
        first: dict[str, schedules.ClockChange] = {}
        for change in schedules.clock_changes(entry.schedule, entry.timezone, now):
            first.setdefault(change.kind, change)
        where = loaded.place("pipelines", name, "schedule")
        lines += [f"{where}: {_sentence(change, entry.timezone)}" for change in first.values()]
    return lines


def _sentence(change: schedules.ClockChange, zone: str) -> str:
    moment = f"{change.local:%H:%M} on {change.local:%Y-%m-%d}"
    if change.kind == "skipped":
        return f"{moment} does not exist in {zone}, as clocks go forward: no run on that day"
    return f"{moment} comes twice in {zone}, as clocks go back: two runs on that day"


def _parameters(
    loaded: Loaded, location: tuple[str, ...], entry: Entry | ScaledStep, pipeline: Pipeline[..., Any]
) -> list[str]:
    """The wrong parameters of one pipeline, each alone, so that each is named."""
    given = entry.parameters
    try:
        known = parameters.of(pipeline)
    except InputError as error:
        return [f"{loaded.place(*location)}: {error}"]
    lines = []
    for parameter, value in given.items():
        where = loaded.place(*location, "parameters", parameter)
        if parameter not in known:
            rest = near(parameter, known) if known else "; it takes none"
            lines.append(f"{where}: {pipeline.name} has no such parameter{rest}")
            continue
        text = text_of(value) if isinstance(entry, Entry) else _known_text(loaded, location, value)
        if text is None:
            continue  # what another step writes is known when the run goes on
        try:
            parameters.value_of(pipeline.name, known[parameter], text)
        except InputError as error:
            if isinstance(value, str) and "an existing " in known[parameter].type:
                continue  # a path in the pod, which nobody can look at here
            found = repr(value) if text == text_of(value) else f"{value!r}, which is {text!r}"
            lines.append(f"{where}: found {found}; {str(error).partition('; ')[2] or error}")
    nobody = _nobody_to_ask(entry)
    for parameter, item in known.items():
        if item.required and parameter not in given and nobody:
            where = loaded.place(*location, "parameters")
            lines.append(f"{where}: {parameter} is missing, and {nobody}; {item.expected()}")
    return lines


def _nobody_to_ask(entry: Entry | ScaledStep) -> str:
    """Why what is not in the file will not be given later; empty if it may be."""
    if not isinstance(entry, Entry):
        return "a step has nobody to ask"
    return "a schedule has nobody to ask" if entry.schedule else ""


def _known_text(loaded: Loaded, location: tuple[str, ...], value: object) -> str | None:
    """A step's value as a text, with the run's parameters as the file has them; None if it uses others."""
    if not isinstance(value, str):
        return text_of(value)
    given = loaded.tenant.pipelines[location[1]].parameters
    text = ""
    for part in graph.parts(value):
        if isinstance(part, graph.Reference):
            if part.step:
                return None
            part = text_of(given[part.name])
        text += part
    return text


def text_of(value: object) -> str:
    """A parameter's value from a file as the text that the command line would have."""
    from lightwork.functions.parameter_types import to_text

    return to_text(value)

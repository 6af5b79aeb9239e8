"""A tenant's pipelines against the code: that they exist, and that their parameters are theirs."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork import parameters
from lightwork.errors import InputError
from lightwork.suggest import near
from lightwork.tenants import schedules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.pipelines import Pipeline
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
    problems, warnings = [], []
    for name, entry in loaded.tenant.pipelines.items():
        pipeline = known.get(loaded.tenant.pipeline_of(name))
        if pipeline is not None:
            problems += _parameters(loaded, name, pipeline)
        elif entry.image is not None:
            where = loaded.place("pipelines", name)
            warnings.append(f"{where}: not checked: its own image has it, and this installation does not")
        else:
            location = ("pipelines", name, "pipeline") if entry.pipeline else ("pipelines", name)
            wanted = loaded.tenant.pipeline_of(name)
            problems.append(
                f"{loaded.place(*location)}: found {wanted!r}; there is no such pipeline{near(wanted, known)}"
            )
    if problems:
        raise InputError("\n".join(problems))
    return warnings + clock_warnings(loaded, dt.datetime.now(dt.UTC))


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


def _parameters(loaded: Loaded, name: str, pipeline: Pipeline[..., Any]) -> list[str]:
    """The wrong parameters of one entry, each alone, so that each is named."""
    given = loaded.tenant.pipelines[name].parameters
    try:
        known = parameters.of(pipeline)
    except InputError as error:
        return [f"{loaded.place('pipelines', name)}: {error}"]
    lines = []
    for parameter, value in given.items():
        where = loaded.place("pipelines", name, "parameters", parameter)
        if parameter not in known:
            rest = near(parameter, known) if known else "; it takes none"
            lines.append(f"{where}: {pipeline.name} has no such parameter{rest}")
            continue
        try:
            parameters.value_of(pipeline.name, known[parameter], text_of(value))
        except InputError as error:
            if isinstance(value, str) and "an existing " in known[parameter].type:
                continue  # a path in the pod, which nobody can look at here
            lines.append(f"{where}: found {value!r}; {str(error).partition('; ')[2] or error}")
    for parameter, item in known.items():
        if item.required and parameter not in given and loaded.tenant.pipelines[name].schedule:
            where = loaded.place("pipelines", name, "parameters")
            lines.append(
                f"{where}: {parameter} is missing, and a schedule has nobody to ask; {item.expected()}"
            )
    return lines


def text_of(value: object) -> str:
    """A parameter's value from a file as the text that the command line would have."""
    from lightwork.parameter_types import to_text

    return to_text(value)

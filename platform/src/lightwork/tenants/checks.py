"""Checks of a tenant's file against the code: its pipelines exist and take the parameters given."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError, near
from lightwork.functions import given, parameters, wanted
from lightwork.tenants import descriptions, graph, offers, schedules
from lightwork.tenants.model import ContainerStep, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.functions.decorated import Pipeline
    from lightwork.tenants.model import ScaledStep
    from lightwork.tenants.reading import Loaded

    AnyPipeline = Pipeline[..., Any] | parameters.Described


_OF_INTERVAL = ", such as the start or the end of the entry's `interval`"


def check(loaded: Loaded, pipelines: Mapping[str, Pipeline[..., Any]]) -> list[str]:
    """Check the pipeline and the parameters of each entry.

    Args:
        loaded: the tenant's file.
        pipelines: the installed pipelines by name.

    Returns:
        Warnings, one per line: what could not be checked, unused parameters, and scheduled times that a
        clock change skips or doubles.

    Raises:
        InputError: one line per mistake: `file:line: field: what was found; what is allowed`.
    """
    problems: list[str] = []
    warnings: list[str] = []
    for name, entry in loaded.tenant.pipelines.items():
        location: tuple[str, ...] = ("pipelines", name)
        if entry.steps is None:
            _check_pipeline(
                loaded, location, entry, loaded.tenant.pipeline_of(name), pipelines, problems, warnings
            )
            continue
        if name in pipelines:
            problems.append(
                f"{loaded.place(*location)}: found {name!r}, which is also a pipeline; give an entry with"
                " steps a name of its own"
            )
        used = {
            item.name for step in entry.steps.values() for item in graph.references(step) if not item.step
        }
        unused = entry.parameters.keys() - used
        warnings += [
            f"{loaded.place(*location, 'parameters', item)}: no step uses it" for item in sorted(unused)
        ]
        warnings += [
            f"{loaded.place(*location, 'interval')}: no step uses ${{{item}}}"
            for item in entry.interval or ()
            if item not in used
        ]
        for step_name, step in entry.steps.items():
            if not isinstance(step, ContainerStep):
                step_location = (*location, "steps", step_name)
                _check_pipeline(loaded, step_location, step, step.pipeline, pipelines, problems, warnings)
    if problems:
        raise InputError("\n".join(problems))
    return warnings + clock_warnings(loaded, dt.datetime.now(dt.UTC))


def _check_pipeline(
    loaded: Loaded,
    location: tuple[str, ...],
    entry: Entry | ScaledStep,
    name: str,
    pipelines: Mapping[str, Pipeline[..., Any]],
    problems: list[str],
    warnings: list[str],
) -> None:
    """Check the pipeline of one entry or step, and add to the problems and warnings."""
    pipeline = descriptions.pipeline_of(entry.description, name, pipelines)
    if pipeline is not None:
        problems += _parameters(loaded, location, entry, pipeline)
        problems += _resources(loaded, location, entry, pipeline)
        problems += _limits(loaded, location, entry, pipeline)
        warnings += _unchecked(loaded, location, entry, pipeline)
    elif entry.description is not None:
        where = loaded.place(*location, "pipeline") if entry.pipeline else loaded.place(*location)
        hint = near(name, entry.description.pipelines)
        problems.append(f"{where}: found {name!r}; {entry.image} has no such pipeline{hint}")
    elif entry.image is not None:
        where = loaded.place(*location)
        warnings.append(
            f"{where}: not checked: {name!r} is not installed here but in {entry.image}; a `description` of"
            " the image would say what it takes"
        )
    else:
        where = loaded.place(*location, "pipeline") if entry.pipeline else loaded.place(*location)
        problems.append(f"{where}: found {name!r}; there is no such pipeline{near(name, pipelines)}")


def clock_warnings(loaded: Loaded, now: dt.datetime) -> list[str]:
    """Return a line for the first skipped and the first doubled time of each schedule within two years.

    A suspended schedule has none, and neither has one of a tenant that is leaving.
    """
    lines = []
    for name, entry in loaded.tenant.pipelines.items():
        if not loaded.tenant.fires(name) or entry.schedule is None or entry.timezone is None:
            continue
        first_of_kind: dict[str, schedules.ClockChange] = {}
        for change in schedules.clock_changes(entry.schedule, entry.timezone, now):
            first_of_kind.setdefault(change.kind, change)
        where = loaded.place("pipelines", name, "schedule")
        lines += [f"{where}: {_describe(change, entry.timezone)}" for change in first_of_kind.values()]
    return lines


def _describe(change: schedules.ClockChange, zone: str) -> str:
    moment = f"{change.local:%H:%M} on {change.local:%Y-%m-%d}"
    if change.kind == "skipped":
        return f"{moment} does not exist in {zone}, where clocks go forward: no run on that day"
    return f"{moment} occurs twice in {zone}, where clocks go back: two runs on that day"


def _parameters(
    loaded: Loaded, location: tuple[str, ...], entry: Entry | ScaledStep, pipeline: AnyPipeline
) -> list[str]:
    """Return a line for each wrong or missing parameter of one pipeline."""
    values = entry.parameters
    try:
        signature = parameters.of(pipeline)
        interval = parameters.interval(pipeline) or ()
    except InputError as error:
        return [f"{loaded.place(*location)}: {error}"]
    lines = []
    for parameter, value in values.items():
        where = loaded.place(*location, "parameters", parameter)
        if parameter in interval and isinstance(entry, Entry) and entry.schedule:
            lines.append(f"{where}: found {value!r}; a scheduled run gets it from its firing: leave it out")
            continue
        if parameter not in signature:
            hint = near(parameter, signature) if signature else "; it takes none"
            lines.append(f"{where}: {pipeline.name} has no such parameter{hint}")
            continue
        text = text_of(value) if isinstance(entry, Entry) else _step_text(loaded, location, value)
        if text is None:
            continue  # it uses an output of another step, known only during the run
        try:
            parameters.value_of(pipeline.name, signature[parameter], text)
        except InputError as error:
            if isinstance(value, str) and "an existing " in signature[parameter].type:
                continue  # a path in the pod, which cannot be checked here
            shown = repr(value) if text == text_of(value) else f"{value!r}, which becomes {text!r}"
            lines.append(f"{where}: found {shown}; {str(error).partition('; ')[2] or error}")
    if isinstance(entry, Entry):
        lines += [
            f"{loaded.place(*location)}: the default of parameter {parameter} is too long for a Workflow; set"
            f" {parameter} to a shorter value"
            for parameter, item in signature.items()
            if parameter not in values
            and not item.required
            and given.weight(text_of(item.default)) > given.LONGEST
        ]
    if unattended := _unattended(entry):
        where = loaded.place(*location, "parameters")
        lines += [
            f"{where}: {parameter} is missing, and {unattended} cannot ask for it; {item.expected()}"
            f"{_OF_INTERVAL if parameter in interval else ''}"
            for parameter, item in signature.items()
            if item.required
            and parameter not in values
            and (parameter not in interval or not isinstance(entry, Entry))
        ]
    return lines


def _limits(
    loaded: Loaded, location: tuple[str, ...], entry: Entry | ScaledStep, pipeline: AnyPipeline
) -> list[str]:
    """Return a line for each task of a pipeline that waits for a limit which its runs do not have."""
    by_task = pipeline.limits if isinstance(pipeline, parameters.Described) else wanted.limits(pipeline)
    where = loaded.place(*location, *(("limits",) if "limits" in entry.model_fields_set else ()))
    return [
        f"{where}: task {task} of {pipeline.name} has limit={limit!r}, and there is none of this name;"
        f" add it to `limits`, for example {limit}: 4"
        for task, limit in by_task.items()
        if limit not in entry.limits
    ]


def _resources(
    loaded: Loaded, location: tuple[str, ...], entry: Entry | ScaledStep, pipeline: AnyPipeline
) -> list[str]:
    """Return a line for each task of a pipeline that asks for more than one of its workers offers."""
    wanted_by_task = (
        pipeline.resources if isinstance(pipeline, parameters.Described) else wanted.resources(pipeline)
    )
    offered = offers.offered(entry.workers.resources)
    where = loaded.place(*location, *(("workers",) if "workers" in entry.model_fields_set else ()))
    each = offers.as_text(offered) or "nothing"
    return [
        f"{where}: task {task} of {pipeline.name} asks for {offers.as_text(needed)}, and each worker offers"
        f" {each}; add it to `resources` of the workers"
        for task, needed in wanted_by_task.items()
        if any(offered.get(name, 0) < number for name, number in needed.items())
    ]


def _unchecked(
    loaded: Loaded, location: tuple[str, ...], entry: Entry | ScaledStep, pipeline: AnyPipeline
) -> list[str]:
    """Return a line for each parameter whose type a description cannot say."""
    if not isinstance(pipeline, parameters.Described):
        return []
    return [
        f"{loaded.place(*location, 'parameters', name)}: not checked: its type {item.type} is known in"
        f" {entry.image} only"
        for name, item in pipeline.parameters.items()
        if name in entry.parameters and item.annotation is Any and item.type != "Any"
    ]


def _unattended(entry: Entry | ScaledStep) -> str:
    """Return what starts the pipeline without anyone to supply missing parameters; empty if a person may."""
    if not isinstance(entry, Entry):
        return "a step"
    return "a scheduled run" if entry.schedule else ""


def _step_text(loaded: Loaded, location: tuple[str, ...], value: object) -> str | None:
    """Return a step's value as text, with the run's parameters filled in; None if it uses another step."""
    if not isinstance(value, str):
        return text_of(value)
    run_parameters = loaded.tenant.pipelines[location[1]].parameters
    text = ""
    for part in graph.parts(value):
        if isinstance(part, graph.Reference):
            if part.step:
                return None
            # What is missing here takes the interval.
            part = text_of(run_parameters.get(part.name, parameters.AN_INSTANT))
        text += part
    return text


def text_of(value: object) -> str:
    """Return a parameter's value from a file as the text that the command line would take."""
    from lightwork.functions.parameter_types import to_text

    return to_text(value)

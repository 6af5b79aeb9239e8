"""Debugging some elements of a pipeline: only they are computed, in this process, and the run ends there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.engine.only import Done, Only, parsed, written
from lightwork.errors import InputError, near
from lightwork.functions import discovery
from lightwork.runs.jsonable import jsonable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.functions.decorated import Pipeline


@dataclass(frozen=True, slots=True)
class Debugged:
    """An element that was computed.

    Attributes:
        task: its task's name.
        index: its index, as `lightwork show` prints it.
        result: its result as plain JSON values.
    """

    task: str
    index: str
    result: Any


def debug(
    pipeline: Pipeline[..., Any], parameters: Mapping[str, Any], only: str, *, lake: str, tenant: str
) -> list[Debugged]:
    """Run a pipeline until some elements of one task are computed; what comes before takes cached results.

    Other elements of that task are left out where the lake has no result of them. No record is made, and the
    pipeline does not go on after them.

    Args:
        pipeline: the pipeline.
        parameters: its checked parameters.
        only: the elements, as `[TASK:]INDEX[,INDEX]...`.
        lake: the lake.
        tenant: the tenant.

    Raises:
        InputError: the task or an element does not exist.
        ElementError: one of the elements failed.
    """
    from lightwork.runs.session import connect

    text, wanted = parsed(only)
    task = _task(pipeline, text)
    chosen = Only(task, wanted)
    plain = {name: jsonable(value) for name, value in parameters.items()}
    with connect("serial", lake=lake, tenant=tenant, pipeline=pipeline.name, parameters=plain) as session:
        session.runner.only = chosen
        session.origin = {"only": only}  # `Artifacts.read` gives nobody else what is written here
        try:
            pipeline.fn(**parameters)
        except Done:
            pass
        else:
            total = session.runner.counts_by_task().get(task, {}).get("total", 0)
            raise InputError(
                f"run: --only: {pipeline.name} maps no element {chosen.missing()} of {task},"
                f" which got {total:,}"
            )
        return [
            Debugged(task, written(number, index), jsonable(result))
            for number, index, result in chosen.results
        ]


def _task(pipeline: Pipeline[..., Any], text: str) -> str:
    """Return the name of the task that a text names; of a pipeline with one task, it can be empty.

    Raises:
        InputError: there is no such task, or there are several and none is named.
    """
    tasks = discovery.tasks(pipeline)
    names = {name: task.name for name, task in tasks.items()}
    if not text:
        if len(names) == 1:
            return next(iter(names.values()))
        raise InputError(
            f"run: --only: {pipeline.name} has {len(names)} tasks: TASK:INDEX names one{near('', names)}"
        )
    if text in names:
        return names[text]
    if text in names.values():
        return text
    raise InputError(f"run: --only: {pipeline.name} has no task {text!r}{near(text, names)}")

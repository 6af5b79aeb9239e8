"""The interval of a run that a schedule starts, on its way through Argo.

The CronWorkflow gives such a run the schedule in place of its two parameters, after the mark OF_FIRING. An
expression in the template of the run appends the firing, which Argo knows as `workflow.scheduledTime`, and
the driver computes the interval. A Workflow that somebody makes of the CronWorkflow by hand, on Argo's page
or by its command line, has the time of that in place of a firing: its interval is that of the last firing.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

from lightwork.errors import InputError
from lightwork.kube import contract, texts
from lightwork.tenants import intervals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.tenants.intervals import Interval

__all__ = ["given", "moment", "of_workflow", "parameters", "text"]

_PARTS = ("start", "end")


def parameters(names: tuple[str, str], cron: str, zone: str) -> dict[str, str]:
    """Return what a CronWorkflow gives as the two parameters that take the interval."""
    return {name: f"{texts.OF_FIRING}{part} {zone} {cron} " for name, part in zip(names, _PARTS, strict=True)}


def text(value: str) -> str:
    """Return the text that a driver gets for what `parameters` made, with the firing appended.

    Raises:
        InputError: there is no firing, or the schedule is none; in one line.
    """
    part, _, rest = value.removeprefix(texts.OF_FIRING).partition(" ")
    zone, _, rest = rest.partition(" ")
    cron, _, firing = rest.rpartition(" ")
    try:
        interval = intervals.of_firing(cron, zone, dt.datetime.fromisoformat(firing))
        return dict(zip(_PARTS, interval.texts(), strict=True))[part]
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the interval of this run cannot be told: its schedule is {cron!r} in {zone!r}, and it was"
            f" started for {firing or 'no time'!r}; give it by hand, or start it by `lightwork backfill`"
        ) from error


def moment(workflow: Mapping[str, Any]) -> dt.datetime | None:
    """Return the firing that has started a Workflow; None if no schedule has."""
    metadata = workflow.get("metadata", {})
    written = (metadata.get("annotations") or {}).get(contract.ANNOTATION_SCHEDULED)
    if written is None or contract.LABEL_CRON not in (metadata.get("labels") or {}):
        return None
    try:
        return dt.datetime.fromisoformat(str(written)).astimezone(dt.UTC)
    except ValueError:
        return None


def given(workflow: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that a Workflow was started with, as texts, with the interval of a schedule's.

    Of a WorkflowTemplate, those that have a default.
    """
    arguments = workflow.get("spec", {}).get("arguments") or {}
    items = arguments.get("parameters") or []
    values = {item["name"]: str(item["value"]) for item in items if "value" in item}
    return {name: _given(value, moment(workflow)) for name, value in values.items()}


def _given(value: str, firing: dt.datetime | None) -> str:
    if not value.startswith(texts.OF_FIRING):
        return texts.of_parameter(value)
    with contextlib.suppress(InputError):
        return text(f"{value}{firing.isoformat() if firing else ''}")
    return value.removeprefix(texts.OF_FIRING)


def of_workflow(workflow: Mapping[str, Any], names: tuple[str, str]) -> Interval | None:
    """Return the interval that a Workflow works on; None if its parameters do not tell.

    Args:
        workflow: the Workflow.
        names: the parameters that take the interval.
    """
    values = given(workflow)
    instants = intervals.parse([values.get(name) for name in names])
    return intervals.Interval(*instants) if instants else None

"""Which runs of a tenant are at work and which wait, and behind whom: read from their Workflows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.kube import status
from lightwork.kube.contract import LABEL_CRON, LABEL_PIPELINE
from lightwork.kube.states import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Queued", "holders", "pipeline_of", "queue", "waits_for"]


@dataclass(frozen=True, slots=True)
class Queued:
    """A run that has not ended.

    Attributes:
        run: its name.
        pipeline: the pipeline's name in the tenant's file.
        by: `schedule` or `hand`.
        phase: Pending (it waits for its turn) or Running; empty until Argo has seen it.
        message: what it waits for, in words; empty if for nothing.
        since: when it was submitted, or when it started if it runs.
        before: how many runs are before it in its queue, at least and at most; None if it waits in none.
        behind: the runs that have the places it waits for, and then those before it.
        progress: its finished steps out of all, such as `3/4`.
    """

    run: str
    pipeline: str
    by: str
    phase: str
    message: str
    since: str
    before: tuple[int, int] | None
    behind: tuple[str, ...]
    progress: str


def queue(workflows: Iterable[Mapping[str, Any]]) -> list[Queued]:
    """Return the runs that have not ended: those at work, then those that wait, in the order of their turns.

    Args:
        workflows: the Workflows of a namespace.
    """
    going = [item for item in workflows if status.phase(item) not in ENDED]
    going.sort(key=lambda item: (bool(status.queue(item)), _created(item), _name(item)))
    return [_queued(item, going) for item in going]


def _queued(workflow: Mapping[str, Any], going: list[Mapping[str, Any]]) -> Queued:
    labels, state = workflow["metadata"].get("labels") or {}, workflow.get("status") or {}
    own = status.queue(workflow)
    earlier = [_name(item) for item in going if own and status.queue(item) == own]
    at_work = holders(workflow) if own else []
    behind = [*at_work, *earlier[: earlier.index(_name(workflow))]] if own else []
    waits = bool(own) or not state.get("startedAt")
    return Queued(
        _name(workflow),
        pipeline_of(workflow),
        "schedule" if LABEL_CRON in labels else "hand",
        status.phase(workflow),
        status.message(workflow),
        _created(workflow) if waits else str(state["startedAt"]),
        status.before(workflow, going),
        tuple(dict.fromkeys(behind)),
        status.steps(workflow),
    )


def holders(workflow: Mapping[str, Any]) -> list[str]:
    """Return the runs that have the places a run waits for, as Argo has noted when it looked last."""
    own = status.queue(workflow)
    waiting = [item for item in _semaphores(workflow, "waiting") if item.get("semaphore") == own]
    keys = [str(key) for item in waiting for key in item.get("holders") or []]
    return list(dict.fromkeys(parts[1] for key in keys if len(parts := key.split("/")) > 1))


def waits_for(workflow: Mapping[str, Any]) -> str:
    """Return whose places a run waits for: a pipeline, or `tenant` for all of its runs; empty if for none."""
    return status.queue(workflow).rpartition("/")[2]


def held(workflow: Mapping[str, Any]) -> list[str]:
    """Return the semaphores that a Workflow holds a place of."""
    return [str(item.get("semaphore")) for item in _semaphores(workflow, "holding") if item.get("holders")]


def _semaphores(workflow: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    state = (workflow.get("status") or {}).get("synchronization") or {}
    yield from (state.get("semaphore") or {}).get(kind) or []


def pipeline_of(workflow: Mapping[str, Any]) -> str:
    """Return the name of a Workflow's pipeline in the tenant's file."""
    labels = workflow["metadata"].get("labels") or {}
    template = workflow["spec"].get("workflowTemplateRef") or {}
    return str(labels.get(LABEL_PIPELINE) or template.get("name") or "")


def _name(workflow: Mapping[str, Any]) -> str:
    return str(workflow["metadata"]["name"])


def _created(workflow: Mapping[str, Any]) -> str:
    return str(workflow["metadata"].get("creationTimestamp"))

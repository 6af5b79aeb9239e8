"""How a run has ended, in words: read from its Workflow, and for a single pod from its node. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.kube import reasons, status

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DELETED", "SEEN_WITHIN", "UNSEEN", "End", "how", "of_pods"]

_TOLD = re.compile(r"workflow shutdown|exceeded its deadline|Error \(exit code (?:130|143)\)")
_POD_LATE = "longer than the specified deadline"
_RUN_LATE = "exceeded its deadline"


@dataclass(frozen=True, slots=True)
class End:
    """How a run, or a pod of it, has ended.

    Attributes:
        status: succeeded, failed, stopped, skipped or lost, as in a run's record.
        reason: why, in one line; empty if it succeeded.
    """

    status: str
    reason: str = ""


DELETED = End("stopped", "its Workflow was deleted")
SEEN_WITHIN = 40.0
"""Seconds for which an ended Workflow surely stays: less than `manifests.workflows.KEPT_SECONDS`."""
UNSEEN = End("lost", "its Workflow was gone before anybody saw how it ended; see the archive")


def how(workflow: Mapping[str, Any]) -> End | None:
    """Return how a run has ended; None if it has not.

    Args:
        workflow: the run's Workflow.
    """
    phase, shutdown = status.phase(workflow), str(workflow.get("spec", {}).get("shutdown") or "")
    if phase == "Succeeded":
        return End("succeeded")
    if phase not in ("Failed", "Error", "Skipped"):
        return None
    reason = status.message(workflow)
    if phase == "Skipped":
        return End("skipped", reason)
    if status.why_ended(workflow):
        return End("failed", reason)
    if shutdown:
        return End("stopped", _by_hand(workflow, shutdown))
    return End("failed", _late(workflow) or reason or "it failed, and Argo does not say why")


def of_pods(workflow: Mapping[str, Any]) -> dict[str, End]:
    """Return how each pod of a run that Argo started has ended, by the last part of the pod's name.

    Pods that have not ended are not in it, nor those that were told to end with the run: `how` knows why.
    """
    ends = {}
    nodes = status.nodes(workflow)
    attempts = [node.get("children") or [] for node in nodes.values() if node.get("type") == "Retry"]
    followed = {identifier for children in attempts for identifier in children[:-1]}
    for identifier, node in nodes.items():
        message = one_line(node.get("message") or "")
        if node.get("type") != "Pod":
            continue
        key = identifier.rpartition("-")[2]
        if _TOLD.search(message):
            if identifier in followed:
                ends[key] = End("stopped", "its pod was told to end, and another one went on")
        elif node.get("phase") == "Succeeded":
            ends[key] = End("succeeded")
        elif node.get("phase") in ("Failed", "Error"):
            reason = (
                _deadline(node) if _POD_LATE in message else reasons.of_node(str(node.get("message") or ""))
            )
            ends[key] = End("failed", reason or "its pod failed, and Argo does not say why")
    return ends


def _by_hand(workflow: Mapping[str, Any], shutdown: str) -> str:
    verb = "terminated" if shutdown == "Terminate" else "stopped"
    kinds = {node.get("type") for node in status.nodes(workflow).values()}
    # Without any node Argo has not seen the run, or keeps its nodes elsewhere.
    return f"{verb} by hand{' while it waited for its turn' if kinds and 'Pod' not in kinds else ''}"


def _late(workflow: Mapping[str, Any]) -> str:
    """Return which time of a failed run was over; empty if none was."""
    failed = [node for node in status.nodes(workflow).values() if node.get("phase") in ("Failed", "Error")]
    pods = [node for node in failed if node.get("type") == "Pod"]
    if any(_RUN_LATE in str(node.get("message")) for node in failed):
        turn = "" if pods else " before its turn came"
        return f"its time from submission to end (`ends_within`) was over{turn}"
    late = [node for node in pods if _POD_LATE in str(node.get("message"))]
    return _deadline(late[0]) if late else ""


def _deadline(node: Mapping[str, Any]) -> str:
    parameters = (node.get("inputs") or {}).get("parameters") or []
    seconds = next((item.get("value") for item in parameters if item.get("name") == "deadline"), None)
    text = f" of {_duration(int(seconds))}" if str(seconds).isdigit() and seconds else ""
    return f"its `deadline`{text} was over"


def _duration(seconds: int) -> str:
    """Return a duration as a tenant's file has it: `6h`, `90m`, `100s`."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

"""How a run ended whose Workflow is gone: Argo's archive knows it, and for an hour Kubernetes' events do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.errors import one_line
from lightwork.kube.api import NoTokenError, RefusedError
from lightwork.kube.contract import SKIPPABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lightwork.kube.api import ByClient

__all__ = ["SERVER", "Answer", "archived", "from_events"]

SERVER = "/api/v1/namespaces/argo/services/https:argo-server:2746/proxy"
"""Argo's server, by the proxy of the Kubernetes API."""
PAUSES = (1.0, 2.0)
"""Seconds after which a server that is away for the moment is asked again."""
_ENDS = {"WorkflowSucceeded": "Succeeded", "WorkflowFailed": "Failed"}


class Answer(NamedTuple):
    """What Argo's server answers.

    Attributes:
        workflow: the Workflow; None if it has none, or could not be asked.
        why: why there is none.
        may_pass: whether the server is away for the moment.
    """

    workflow: dict[str, Any] | None
    why: str = ""
    may_pass: bool = False


def archived(api: ByClient, namespace: str, run: str) -> Answer:
    """Return a run as Argo's server knows it, whether or not its Workflow or its nodes are in the cluster."""
    for pause in PAUSES:
        answer = _ask(api, namespace, run)
        if not answer.may_pass:
            return answer
        time.sleep(pause)
    return _ask(api, namespace, run)


def _ask(api: ByClient, namespace: str, run: str) -> Answer:
    try:
        return Answer(api.get_by_cookie(f"{SERVER}/api/v1/workflows/{namespace}/{run}"))
    except NoTokenError:
        return Answer(None, "Argo's archive takes a token, and this context logs in without one")
    except RefusedError as error:
        if error.status == 404:
            return Answer(None, f"Argo's archive does not have it ({error})")
        away = error.status == 429 or error.status >= 500
        return Answer(None, f"Argo's archive cannot be read ({error})", away)
    except (OSError, ValueError) as error:
        return Answer(None, f"Argo's archive cannot be reached ({one_line(error)})", may_pass=True)


def from_events(events: Iterable[Mapping[str, Any]], run: str) -> dict[str, Any] | None:
    """Return what the events of a Workflow tell of its end, as a Workflow; None if they do not.

    Argo writes an event for each change of a node and for the end; Kubernetes keeps them for an hour.

    Args:
        events: the events of the Workflow.
        run: its name.
    """
    listed = sorted(events, key=_time)
    last = next((event for event in reversed(listed) if event.get("reason") in _ENDS), None)
    if last is None:
        return None
    failed = [event for event in listed if event.get("reason") in ("WorkflowNodeFailed", "WorkflowNodeError")]
    nodes = {str(number): _node(event) for number, event in enumerate(failed)}
    skipped = [_node(event) for event in listed if event.get("reason") == "WorkflowNodeSkipped"]
    nodes |= {node["displayName"]: node for node in skipped if node["displayName"] == SKIPPABLE}
    state = _ENDS[last["reason"]]
    text = last.get("message") if state == "Failed" else ""
    return {
        "metadata": {"name": run},
        "status": {"phase": state, "message": text, "finishedAt": _time(last), "nodes": nodes},
    }


def _node(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node that an event tells of: `Failed node r1(0).work[0].run.driver(0): text`."""
    annotations = (event.get("metadata") or {}).get("annotations") or {}
    name, _, text = str(event.get("message")).partition(" node ")[2].partition(": ")
    return {
        "type": annotations.get("workflows.argoproj.io/node-type"),
        "displayName": name.rpartition(".")[2],
        "phase": str(event["reason"]).removeprefix("WorkflowNode"),
        "message": text,
        "finishedAt": _time(event),
    }


def _time(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")

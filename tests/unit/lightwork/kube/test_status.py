"""A Workflow's status in one line, and whether a run can fit the quota at all."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from lightwork.kube import status

QUOTA_MESSAGE = (
    'pods "x" is forbidden: exceeded quota: quota, requested: pods=1, used: pods=2, limited: pods=2'
)


def pod(name: str, phase: str, message: str = "", finished: str = "") -> dict[str, str]:
    return {"type": "Pod", "displayName": name, "phase": phase, "message": message, "finishedAt": finished}


def workflow_status(phase: str, message: str = "", *pods: dict[str, str]) -> dict[str, object]:
    group = {"type": "StepGroup", "displayName": "[0]", "phase": phase, "message": "child 'x-1' failed"}
    nodes = {str(i): node for i, node in enumerate([group, *pods])}
    return {"status": {"phase": phase, "message": message, "nodes": nodes}}


def test_a_failed_run_has_the_message_of_the_step_that_failed_last() -> None:
    first = pod("driver(0)", "Error", "pod deleted", "2026-01-01T00:00:01Z")
    last = pod("driver(1)", "Failed", "main: Error (exit code 1): no files", "2026-01-01T00:00:02Z")
    assert status.message(workflow_status("Failed", "child 'x-1' failed", first, last)) == "driver: no files"


ARGOS = '{"argo":true,"error":null,"level":"info","msg":"sub-process exited","time":"2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            f"main: Error (exit code 3): Trace:\n  at x\nValueError: no day\n{ARGOS}\nError: exit status 3\n",
            "",
        ),
        ("main: Error (exit code 3): ValueError: no day\ntime=x level=info msg=exited argo=true\n", ""),
        (f"main: Error (exit code 3): {ARGOS}\n", "main: Error (exit code 3)"),
        ("main: Error (exit code 3)", "main: Error (exit code 3)"),
        (f"main: OOMKilled (exit code 137): reading\n{ARGOS}\n", "main: OOMKilled (exit code 137)"),
        ("main: Error (exit code 1): a\x1b[2J\u202eb", "a\\x1b[2J\\u202eb"),
        ("main: Error (exit code 1): " + "x" * 2000, "x" * 299 + "…"),
        (
            "Pod was active on the node longer than\nthe deadline",
            "Pod was active on the node longer than the deadline",
        ),
    ],
)
def test_a_failed_container_is_quoted_with_its_last_line(message: str, words: str) -> None:
    last = pod("fetch(0)", "Failed", message, "2026-01-01T00:00:02Z")
    text = status.message(workflow_status("Failed", "child 'x-1' failed", last))
    assert text == f"fetch: {words or 'ValueError: no day'}"


def test_a_stopped_run_keeps_argos_message() -> None:
    killed = pod("driver(0)", "Failed", "main: Error (exit code 130)", "2026-01-01T00:00:01Z")
    assert (
        status.message(workflow_status("Failed", "Stopped with strategy 'Stop'", killed))
        == "Stopped with strategy 'Stop'"
    )


def test_a_run_that_the_controller_has_ended_says_why_while_it_ends_and_afterwards() -> None:
    annotations = {"metadata": {"name": "r", "annotations": {"lightwork/reason": "no\nimage"}}}
    for phase, message in (("Running", ""), ("Failed", "Stopped with strategy 'Stop'")):
        assert status.message(annotations | workflow_status(phase, message)) == "no image"


def test_a_waiting_run_says_what_it_waits_for() -> None:
    assert status.message(workflow_status("Running", "", pod("driver(0)", "Pending", QUOTA_MESSAGE))) == (
        f"driver waits: {QUOTA_MESSAGE}"
    )


def test_a_running_run_has_no_message() -> None:
    assert (
        status.message(workflow_status("Running", "", pod("driver(0)", "Pending", "PodInitializing"))) == ""
    )
    assert status.message(workflow_status("Running", "", pod("driver(0)", "Running"))) == ""
    assert status.message({}) == ""


LOCK = "Waiting for tenant-acme/ConfigMap/semaphores/{} lock. Lock status: {}"


def argo_workflow(
    phase: str, main: str | None, *more: dict[str, object], shutdown: str = "", message: str = ""
) -> dict[str, Any]:
    nodes = {str(number): node for number, node in enumerate(more)}
    if main is not None:
        nodes["r1"] = {"type": "DAG", "displayName": "r1", "phase": main}
    spec = {"shutdown": shutdown} if shutdown else {}
    state = {"phase": phase, "message": message, "nodes": nodes}
    return {"metadata": {"name": "r1"}, "spec": spec, "status": state}


def waiting(key: str, free: str, phase: str = "Pending") -> dict[str, object]:
    text = LOCK.format(key, free)
    return {"type": "DAG", "phase": phase, "message": text, "synchronizationStatus": {"waiting": "x"}}


SKIPPED = {"type": "Skipped", "displayName": "work-or-skip", "phase": "Skipped", "message": "when 'x'"}
OFFLOADED = {"phase": "Succeeded", "offloadNodeStatusVersion": "fnv:1"}


def compressed(workflow: dict[str, Any]) -> dict[str, Any]:
    """Return the same Workflow as Argo stores it if its nodes are many."""
    status = dict(workflow["status"])
    packed = gzip.compress(json.dumps(status.pop("nodes")).encode())
    return {**workflow, "status": {**status, "compressedNodes": base64.b64encode(packed).decode()}}


@pytest.mark.parametrize("stored", [dict, compressed])
@pytest.mark.parametrize(
    ("workflow", "phase", "message"),
    [
        # Argo's own word for a Workflow that was terminated while it waited for a semaphore of its own.
        (
            argo_workflow("Succeeded", None, shutdown="Terminate"),
            "Failed",
            "Stopped with strategy 'Terminate'",
        ),
        (argo_workflow("Succeeded", "Pending", shutdown="Stop"), "Failed", "Stopped with strategy 'Stop'"),
        (argo_workflow("Succeeded", "Failed", pod("driver(0)", "Failed", "no")), "Failed", "driver: no"),
        (argo_workflow("Succeeded", "Error"), "Error", ""),
        # Stopped after its work had ended, while the exit handler ran.
        (argo_workflow("Succeeded", "Succeeded", shutdown="Stop"), "Succeeded", ""),
        (argo_workflow("Succeeded", "Succeeded"), "Succeeded", ""),
        (
            argo_workflow("Succeeded", "Succeeded", SKIPPED),
            "Skipped",
            "skipped by the schedule: as many runs as",
        ),
        (
            argo_workflow("Running", "Running", waiting("windy-city", "0/1")),
            "Pending",
            "waits for its turn: 1 of at most 1 of the runs of windy-city are active",
        ),
        (
            argo_workflow("Running", "Running", waiting("tenant", "1/6")),
            "Pending",
            "waits for its turn: 5 of at most 6 of the tenant's runs are active",
        ),
        (
            argo_workflow("Pending", None, message=LOCK.format("windy-city", "0/2")),
            "Pending",
            "waits for its turn: 2 of at most 2 of the runs of windy-city are active",
        ),
        (
            argo_workflow("Failed", "Failed", waiting("tenant", "0/6", "Failed"), shutdown="Stop"),
            "Failed",
            "Stop",
        ),
        (
            argo_workflow("Failed", "Failed", {"phase": "Failed", "message": "Step exceeded its deadline"}),
            "Failed",
            "ends_within",
        ),
    ],
)
def test_what_is_said_is_what_happened(
    workflow: dict[str, Any], phase: str, message: str, stored: Callable[[Any], dict[str, Any]]
) -> None:
    workflow = stored(workflow)
    assert status.phase(workflow) == phase
    assert message in status.message(workflow)
    assert bool(message) == bool(status.message(workflow))


def test_argos_own_phase_stands_if_only_its_database_has_the_nodes() -> None:
    workflow = {"metadata": {"name": "r1"}, "spec": {"shutdown": "Stop"}, "status": OFFLOADED}
    assert status.phase(workflow) == "Succeeded"
    assert status.phase({}) == ""


def queued(name: str, second: int, key: str = "windy-city") -> dict[str, Any]:
    workflow = argo_workflow("Running", "Running", waiting(key, "0/1"))
    created = f"2026-01-01T00:00:{second:02}Z"
    return {**workflow, "metadata": {"name": name, "creationTimestamp": created}}


@pytest.mark.parametrize(
    ("others", "place"),
    [
        ([], (0, 0)),
        ([queued("r1", 5)], (0, 0)),
        ([queued("a", 1), queued("b", 2), queued("c", 9)], (2, 2)),
        ([queued("a", 1), queued("b", 5), queued("c", 5)], (1, 3)),
        ([queued("a", 1, "sun-hours"), queued("b", 1, "tenant"), argo_workflow("Running", None)], (0, 0)),
    ],
)
def test_runs_before_one_in_its_queue(others: list[dict[str, Any]], place: tuple[int, int]) -> None:
    assert status.before(queued("r1", 5), others) == place


def test_a_run_that_does_not_wait_is_in_no_queue() -> None:
    assert status.before(argo_workflow("Running", "Running"), [queued("a", 1)]) is None


def test_finished_steps_are_counted_without_the_elements_that_drivers_tell_argo_of() -> None:
    workflow = workflow_status("Running", "", pod("a", "Succeeded"), pod("b", "Running"))
    assert status.steps({"status": {**workflow["status"], "progress": "501/1001"}}) == "1/2"  # type: ignore[dict-item]
    assert status.steps({}) == ""


def test_the_places_of_kept_logs_are_known() -> None:
    artifacts = [{"name": "main-logs", "s3": {"key": "acme/argo/r1/p/main.log"}}, {"name": "other", "s3": {}}]
    workflow = {
        "status": {
            "artifactRepositoryRef": {"artifactRepository": {"s3": {"bucket": "b"}}},
            "nodes": {"p": {"outputs": {"artifacts": artifacts}}, "q": {}},
        }
    }
    assert status.logs(workflow) == ["s3://b/acme/argo/r1/p/main.log"]


SIZES = {
    "driver-memory": "512Mi",
    "scheduler-memory": "512Mi",
    "worker-memory": "1Gi",
    "driver-cpu": "1",
    "scheduler-cpu": "500m",
    "worker-cpu": "2",
    "worker-spill": "123",
    "image": "x",
}


def template(kind: str) -> dict[str, object]:
    step = {
        "name": "run",
        "arguments": {"parameters": [{"name": key, "value": value} for key, value in SIZES.items()]},
    }
    inner = {"steps": [[step]]} if kind == "steps" else {"dag": {"tasks": [step]}}
    return {"spec": {"templates": [{"name": "main", **inner}, {"name": "other", "container": {}}]}}


def quota(**hard: str) -> dict[str, object]:
    return {
        "metadata": {"name": "quota"},
        "spec": {"hard": {key.replace("_", "."): value for key, value in hard.items()}},
    }


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(
    ("hard", "words"),
    [
        (
            {"requests_memory": "2303Mi"},
            ("memory 512Mi driver + 512Mi scheduler + 1Gi worker + 256Mi Argo", "2303Mi"),
        ),
        ({"requests_cpu": "3"}, ("cpu 1 driver + 500m scheduler + 2 worker + 100m Argo", "3")),
        ({"pods": "2"}, ("pods 1 driver + 1 scheduler + 1 worker", "2")),
        ({"memory": "1Gi"}, ("memory 512Mi driver", "1Gi")),
    ],
)
def test_a_run_that_never_fits_is_explained_with_its_sum(
    kind: str, hard: dict[str, str], words: tuple[str, str]
) -> None:
    needed, allowed = words
    text = status.shortfall(template(kind), [quota(), quota(**hard)])
    assert needed in text
    assert text.endswith(f" {allowed}")


def test_a_run_that_fits_exactly_fits() -> None:
    exact = quota(requests_memory="2304Mi", requests_cpu="3600m", pods="3", services="0")
    assert status.shortfall(template("steps"), [exact]) == ""


def test_a_template_without_sizes_is_not_checked() -> None:
    assert status.shortfall({"spec": {}}, [quota(pods="0")]) == ""

"""A Workflow's status in one line, and whether a run can fit the quota at all."""

from __future__ import annotations

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
    return {"phase": phase, "message": message, "nodes": nodes}


def test_a_failed_run_has_the_message_of_the_step_that_failed_last() -> None:
    first = pod("driver(0)", "Error", "pod deleted", "2026-01-01T00:00:01Z")
    last = pod("driver(1)", "Failed", "main: Error (exit code 1): no\nfiles", "2026-01-01T00:00:02Z")
    assert status.message(workflow_status("Failed", "child 'x-1' failed", first, last)) == "driver: no files"


def test_a_stopped_run_keeps_argos_message() -> None:
    killed = pod("driver(0)", "Failed", "main: Error (exit code 130)", "2026-01-01T00:00:01Z")
    assert (
        status.message(workflow_status("Failed", "Stopped with strategy 'Stop'", killed))
        == "Stopped with strategy 'Stop'"
    )


def test_a_waiting_run_says_what_it_waits_for() -> None:
    assert status.message(workflow_status("Running", "", pod("driver(0)", "Pending", QUOTA_MESSAGE))) == (
        f"driver waits: {QUOTA_MESSAGE}"
    )


def test_a_running_run_has_no_message() -> None:
    assert status.message(workflow_status("Running", "", pod("driver(0)", "Running"))) == ""
    assert status.message({}) == ""


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

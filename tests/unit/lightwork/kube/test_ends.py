"""How a run has ended, in words; the messages are Argo's own, and `tests/cluster` meets them."""

from __future__ import annotations

from typing import Any

import pytest

from lightwork.kube import ends
from lightwork.kube.ends import End


def workflow(
    phase: str, *nodes: dict[str, Any], message: str = "", shutdown: str = "", reason: str = ""
) -> dict[str, Any]:
    by_id = {f"r-1-{100 + number}": node for number, node in enumerate(nodes)}
    annotations = {"lightwork/reason": reason} if reason else {}
    return {
        "metadata": {"name": "r-1", "annotations": annotations},
        "spec": {"shutdown": shutdown} if shutdown else {},
        "status": {"phase": phase, "message": message, "nodes": by_id},
    }


def pod(phase: str, message: str = "", **parameters: str) -> dict[str, Any]:
    values = [{"name": name, "value": value} for name, value in parameters.items()]
    return {
        "type": "Pod",
        "displayName": "driver(0)",
        "phase": phase,
        "message": message,
        "inputs": {"parameters": values},
    }


LATE_POD = "Pod was active on the node longer than the specified deadline"
GONE = "workflow shutdown with strategy:  Stop"
TURN = {"type": "DAG", "displayName": "turn", "phase": "Failed"}
NO_LOCK = {
    "type": "Skipped",
    "displayName": "turn",
    "phase": "Error",
    "message": "task 'x-1.turn' errored: failed to initialize semaphore ns/ConfigMap/c/k",
}
"""As Argo says it if the semaphore that a task needs is not there."""
WAITING = {"type": "DAG", "displayName": "turn", "phase": "Failed", "message": "Step exceeded its deadline"}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (workflow("Running", pod("Running")), None),
        (workflow(""), None),
        (workflow("Succeeded", pod("Succeeded")), End("succeeded")),
        (
            workflow(
                "Failed", pod("Failed", "main: Error (exit code 1): no files"), message="child 'x' failed"
            ),
            End("failed", "driver: no files"),
        ),
        (
            workflow("Failed", pod("Failed", GONE), shutdown="Stop", reason="no image", message="Stopped"),
            End("failed", "no image"),
        ),
        (workflow("Failed", pod("Failed", GONE), shutdown="Stop"), End("stopped", "stopped by hand")),
        (workflow("Failed", pod("Failed"), shutdown="Terminate"), End("stopped", "terminated by hand")),
        (
            workflow("Failed", TURN, shutdown="Terminate"),
            End("stopped", "terminated by hand while it waited for its turn"),
        ),
        (workflow("Failed", shutdown="Terminate"), End("stopped", "terminated by hand")),
        (
            workflow("Failed", pod("Failed", LATE_POD, deadline="21600"), message=LATE_POD),
            End("failed", "its `deadline` of 6h was over"),
        ),
        (
            workflow("Failed", pod("Failed", LATE_POD, deadline="100"), message=LATE_POD),
            End("failed", "its `deadline` of 100s was over"),
        ),
        (
            workflow("Failed", WAITING),
            End("failed", "its time from submission to end (`ends_within`) was over before its turn came"),
        ),
        (
            workflow("Failed", pod("Failed", "Step exceeded its deadline")),
            End("failed", "its time from submission to end (`ends_within`) was over"),
        ),
        (workflow("Error", message="invalid spec: x"), End("failed", "invalid spec: x")),
        (workflow("Error", NO_LOCK), End("failed", "failed to initialize semaphore ns/ConfigMap/c/k")),
        (workflow("Failed"), End("failed", "it failed, and Argo does not say why")),
    ],
)
def test_a_run_ends_with_a_status_and_words(run: dict[str, Any], expected: End | None) -> None:
    assert ends.how(run) == expected


def test_a_pod_ends_by_its_own_reason_unless_the_runs_end_took_it() -> None:
    run = workflow(
        "Failed",
        pod("Failed", "main: Error (exit code 1): the lake refuses access"),
        pod("Failed", "OOMKilled (exit code 137)"),
        pod("Failed", GONE),
        pod("Running"),
        pod("Succeeded"),
        pod("Failed", LATE_POD, deadline="120"),
        pod("Failed", "main: Error (exit code 130): stopped; finished results are kept"),
        pod("Error", "main: Error (exit code 143)"),
        {"type": "Retry", "phase": "Failed", "children": ["r-1-107", "r-1-106"]},
    )
    assert ends.of_pods(run) == {
        "100": End("failed", "the lake refuses access"),
        "101": End("failed", "OOMKilled (exit code 137)"),
        "104": End("succeeded"),
        "105": End("failed", "its `deadline` of 2m was over"),
        "107": End("stopped", "its pod was told to end, and another one went on"),
    }

"""Tests of why pods do not start and why they end; `tests/cluster` meets the same reasons on real pods."""

from __future__ import annotations

from typing import Any

import pytest

from lightwork.kube import reasons


def _pod(phase: str = "Pending", **status: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example/acme:1"}
    return {
        "metadata": {"uid": "1", "name": "driver"},
        "spec": {"containers": [container]},
        "status": {"phase": phase, **status},
    }


def _waits(reason: str, message: str = "") -> dict[str, Any]:
    return _pod(
        containerStatuses=[{"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]
    )


def _over(**end: Any) -> dict[str, Any]:
    return _pod("Failed", containerStatuses=[{"name": "main", "state": {"terminated": end}}])


def _disrupted(reason: str) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    return _pod("Failed", conditions=[condition])


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (_waits("ImagePullBackOff", "not found"), "the image registry.example/acme:1 cannot be pulled"),
        (_waits("ErrImagePull"), "the image registry.example/acme:1 cannot be pulled: ErrImagePull"),
        (_waits("InvalidImageName", "bad"), "the image registry.example/acme:1 cannot be pulled: bad"),
        (_waits("CreateContainerConfigError", 'secret "x" not found'), 'secret "x" not found'),
        (
            _pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are\navailable"}
                ]
            ),
            "no node fits: 0/1 nodes are available",
        ),
    ],
)
def test_a_pod_that_cannot_start_has_its_reason(pod: dict[str, Any], expected: str) -> None:
    assert expected in reasons.not_started(pod)


@pytest.mark.parametrize(
    "pod",
    [_waits("ContainerCreating"), _waits("PodInitializing"), _pod("Running"), _pod(), _over(exitCode=1)],
)
def test_a_pod_that_is_new_or_runs_or_is_over_has_none(pod: dict[str, Any]) -> None:
    assert reasons.not_started(pod) == ""


def test_a_volume_that_cannot_be_mounted_is_known_from_the_pods_own_events_only() -> None:
    def event(uid: str, time: str, text: str) -> dict[str, Any]:
        return {
            "involvedObject": {"uid": uid},
            "lastTimestamp": time,
            "reason": "FailedMount",
            "message": text,
        }

    events = [
        event("1", "2026-01-02T00:00:00Z", 'secret "dask-tls" not found'),
        event("1", "2026-01-01T00:00:00Z", "an earlier one"),
        event("2", "2026-01-03T00:00:00Z", "of another pod"),
    ]
    assert reasons.not_started(_waits("ContainerCreating"), events) == 'secret "dask-tls" not found'
    assert reasons.not_started(_waits("ContainerCreating"), events[2:]) == ""


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (_pod("Failed", reason="Evicted", message="used 3Gi of 2Gi"), "evicted: used 3Gi of 2Gi"),
        (_over(reason="OOMKilled", exitCode=137), "container main ran out of memory (OOMKilled)"),
        (_over(reason="Error", exitCode=139), "container main ended with exit code 139 (SIGSEGV)"),
        (_over(exitCode=1, message="no\nlake"), "container main ended with exit code 1: no lake"),
        (
            _over(reason="StartError", exitCode=128, message="exec: not found"),
            "container main cannot be created: exec: not found",
        ),
        (_disrupted("DeletionByPodGC"), "its node is gone"),
        (_disrupted("PreemptionByScheduler"), "preempted by a pod with a higher priority"),
        (_over(reason="Completed", exitCode=0), ""),
        (_pod("Running"), ""),
    ],
)
def test_a_pod_that_ended_has_its_reason(pod: dict[str, Any], expected: str) -> None:
    assert reasons.ended(pod) == expected


def test_a_container_that_was_started_again_has_the_reason_of_its_last_end() -> None:
    status = {
        "name": "worker",
        "state": {"running": {}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }
    assert "OOMKilled" in reasons.ended(_pod("Running", containerStatuses=[status]))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available",
            "no node fits: no node has nvidia.com/gpu, or all of it is in use: 0/1 nodes are available: 1",
        ),
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient a.b/x_1, 3 Insufficient b.c/d.",
            "no node fits: no node has a.b/x_1 and b.c/d, or all of it is in use: 0/3 nodes",
        ),
        ("0/1 nodes are available: 1 Insufficient ephemeral-storage.", "no node fits: 0/1 nodes are"),
    ],
)
def test_a_resource_that_no_node_has_is_told_in_plain_words(message: str, expected: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    assert reasons.not_started(_pod(conditions=[condition])).startswith(expected)

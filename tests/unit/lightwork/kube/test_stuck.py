"""Which runs wait in vain, and when they are ended; `tests/cluster/test_starts.py` has real ones."""

from __future__ import annotations

from typing import Any

import pytest

from lightwork.kube import stuck
from lightwork.kube.stuck import BRIEF, LONG

IMAGE = {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"}
SECRET = {"reason": "CreateContainerConfigError", "message": 'secret "key" not found'}
NODES = "0/3 nodes are available: "
AFFINITY = (
    "3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption."
)


def pod(
    role: str = "driver", run: str = "r-1", uid: str = "", step: str = "", **status: Any
) -> dict[str, Any]:
    labels = {"lightwork/run": run, "lightwork/role": role, "lightwork/step": step}
    return {
        "metadata": {"uid": uid or f"{run}-{role}", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "acme/own:7"}]},
        "status": {"phase": "Pending", **status},
    }


def waiting(state: dict[str, str], **more: Any) -> dict[str, Any]:
    return pod(**more, containerStatuses=[{"name": "main", "state": {"waiting": state}}])


def unscheduled(message: str, **more: Any) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(**more, conditions=[condition])


def event(uid: str, reason: str, message: str, last: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": last, "involvedObject": {"uid": uid}}


def after(seconds: float, pods: list[dict[str, Any]], *events: dict[str, Any]) -> dict[str, str]:
    """Look at unchanged pods each five seconds; return the runs that wait in vain in the end."""
    waits, runs = stuck.Waits(), {}
    for now in range(0, int(seconds) + 1, 5):
        runs = waits.hopeless(pods, events, 1000.0 + now)
    return runs


def test_a_run_is_ended_after_two_minutes_by_the_name_of_its_image() -> None:
    assert after(BRIEF - 5, [waiting(IMAGE)]) == {}
    assert after(BRIEF, [waiting(IMAGE)]) == {
        "r-1": "the driver did not start within 2 minutes: the image acme/own:7 cannot be pulled:"
        " Back-off pulling image: not found"
    }


@pytest.mark.parametrize(
    ("role", "step", "expected"),
    [
        ("driver", "", "the driver did not start"),
        ("driver", "first", "the driver of first did not start"),
        ("scheduler", "", "the scheduler did not start"),
        ("step", "fetch", "the step fetch did not start"),
        ("scaler", "", "a pod that creates the run's objects did not start"),
        ("worker", "", "no worker started"),
        ("worker", "second", "no worker of second started"),
    ],
)
def test_the_reason_says_which_pod_it_is(role: str, step: str, expected: str) -> None:
    (reason,) = after(BRIEF, [waiting(SECRET, role=role, step=step)]).values()
    assert reason.startswith(f"{expected} within 2 minutes: container main cannot be created: secret")


def test_a_worker_that_does_not_start_beside_others_ends_no_run() -> None:
    stuck_worker, other = waiting(IMAGE, role="worker", uid="w1"), pod("worker", uid="w2", phase="Running")
    assert after(BRIEF, [stuck_worker, other]) == {}
    evicted = pod("worker", uid="w3", phase="Failed")
    assert list(after(BRIEF, [stuck_worker, evicted])) == ["r-1"], "one that has ended does not count"
    of_another_step = pod("worker", uid="w4", step="second", phase="Running")
    assert list(after(BRIEF, [stuck_worker, of_another_step])) == ["r-1"]


def test_pods_that_clean_up_or_belong_to_no_run_or_are_deleted_end_no_run() -> None:
    cleaning = waiting(IMAGE, role="scaler")
    cleaning["metadata"]["labels"]["workflows.argoproj.io/on-exit"] = "true"
    other = waiting(IMAGE)
    other["metadata"]["labels"] = {"lightwork/role": "controller"}
    deleted = waiting(IMAGE)
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert after(BRIEF, [cleaning, other, deleted]) == {}


def test_argos_own_pods_are_known_by_argos_label() -> None:
    created = waiting(IMAGE)
    created["metadata"]["labels"] = {"workflows.argoproj.io/workflow": "r-9"}
    assert list(after(BRIEF, [created])) == ["r-9"]


def test_a_pod_that_just_starts_or_runs_waits_for_nothing() -> None:
    for state in ({"reason": "ContainerCreating"}, {"reason": "PodInitializing"}):
        assert after(LONG, [waiting(state)]) == {}
    assert after(LONG, [pod(phase="Running")]) == {}


def test_a_wait_begins_anew_with_another_reason_and_after_a_pause() -> None:
    waits = stuck.Waits()
    assert waits.hopeless([waiting(IMAGE)], [], 0) == {}
    assert waits.hopeless([waiting(SECRET)], [], 100) == {}
    assert waits.hopeless([waiting(SECRET)], [], 150) == {}
    assert list(waits.hopeless([waiting(SECRET)], [], 220)) == ["r-1"]
    assert waits.hopeless([], [], 290) == {}
    assert waits.hopeless([waiting(SECRET)], [], 295) == {}


def test_a_short_pause_between_two_attempts_does_not_count() -> None:
    waits = stuck.Waits()
    waits.hopeless([waiting(IMAGE)], [], 0)
    waits.hopeless([waiting({"reason": "ContainerCreating"})], [], 30)
    waits.hopeless([waiting({"reason": "ErrImagePull"})], [], 50)
    waits.hopeless([waiting(IMAGE)], [], 90)
    assert list(waits.hopeless([waiting(IMAGE)], [], 120)) == ["r-1"]


@pytest.mark.parametrize(
    ("message", "events", "expected"),
    [
        (AFFINITY, [], BRIEF),
        (
            "1 node(s) had untolerated taint {gpu: true}, 2 node(s) didn't match Pod's node affinity",
            [],
            BRIEF,
        ),
        ("3 node(s) had untolerated taint(s)", [], BRIEF),
        # may come by itself
        ("2 Insufficient cpu, 1 Insufficient memory. preemption: 0/3 nodes are available", [], LONG),
        ("1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector", [], LONG),
        ("3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }", [], LONG),
        ("3 node(s) were unschedulable", [], LONG),
        ("3 Too many pods", [], LONG),
        ("no nodes available to schedule pods", [], LONG),
        # what the autoscaler knows better
        (AFFINITY, ["TriggeredScaleUp:pod triggered scale-up: [{od 0->1 (max: 5)}]"], LONG),
        ("3 Insufficient cpu", ["NotTriggerScaleUp:pod didn't trigger scale-up: 2 Insufficient cpu"], BRIEF),
        ("3 Insufficient cpu", ["NotTriggerScaleUp:1 Insufficient cpu, 1 max node group size reached"], LONG),
        (AFFINITY, ["NotTriggerScaleUp:1 in backoff after failed scale-up, 1 node(s) didn't match"], LONG),
    ],
)
def test_how_long_a_node_is_waited_for(message: str, events: list[str], expected: float) -> None:
    text = message if message.startswith("no nodes") else NODES + message
    told = [event("p", *text_of.split(":", 1)) for text_of in events]
    assert stuck.patience(f"no node fits: {text}", told) == expected
    runs = after(BRIEF, [unscheduled(text, uid="p")], *told)
    assert bool(runs) == (expected == BRIEF)
    assert after(LONG, [unscheduled(text, uid="p")], *told), "nothing is waited for without end"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('MountVolume.SetUp failed for volume "tls" : secret "dask-tls" not found', BRIEF),
        ('MountVolume.SetUp failed for volume "x" : configmap "tables" not found', BRIEF),
        ("MountVolume.SetUp failed for volume: timed out waiting for the condition", LONG),
        ("Failed to create pod sandbox: plugin type=aws-cni failed: no free address", LONG),
    ],
)
def test_how_long_a_volume_is_waited_for(message: str, expected: float) -> None:
    told = event("p", "FailedMount", message)
    assert bool(after(BRIEF, [pod(uid="p")], told)) == (expected == BRIEF)
    assert after(LONG, [pod(uid="p")], told)


def test_a_volume_that_was_mounted_at_last_keeps_nothing_back() -> None:
    """A large image may be pulled for minutes after that."""
    failed = event("p", "FailedMount", 'secret "dask-tls" not found', "2026-01-01T00:00:00Z")
    pulling = event("p", "Pulling", "pulling image", "2026-01-01T00:00:10Z")
    assert after(LONG, [pod(uid="p")], failed, pulling) == {}

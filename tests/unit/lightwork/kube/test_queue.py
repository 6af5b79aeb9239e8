"""Who is at work, who waits, and behind whom."""

from __future__ import annotations

from lightwork.kube.queue import queue

KEY = "tenant-acme/ConfigMap/semaphores/windy-city"


def workflow(name: str, second: int, *, waits: bool = False, phase: str = "Running", **more: object) -> dict:
    node = {"type": "Pod", "phase": "Running", "displayName": "driver"}
    status: dict = {"phase": phase, "startedAt": f"2026-11-24T06:30:{second:02}Z", "nodes": {"a": node}}
    if waits:
        message = f"Waiting for {KEY} lock. Lock status: 0/1"
        waiting = {"waiting": KEY}
        node = {"type": "DAG", "phase": "Pending", "message": message, "synchronizationStatus": waiting}
        holder = {"semaphore": KEY, "holders": ["tenant-acme/one/node-1"]}
        status |= {"nodes": {"a": node}, "synchronization": {"semaphore": {"waiting": [holder]}}}
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": f"2026-11-24T06:30:{second:02}Z",
            "labels": {"lightwork/pipeline": "windy-city", **more},
        },
        "spec": {},
        "status": status,
    }


def test_those_at_work_come_first_and_then_those_that_wait_in_their_order() -> None:
    cron = {"workflows.argoproj.io/cron-workflow": "windy-city"}
    found = queue(
        [
            workflow("three", 7, waits=True),
            workflow("two", 5, waits=True, **cron),
            workflow("one", 1),
            workflow("over", 0, phase="Succeeded"),
        ]
    )
    assert [item.run for item in found] == ["one", "two", "three"]
    one, two, three = found
    assert (one.behind, one.before, one.by) == ((), None, "hand")
    assert (two.behind, two.before, two.by) == (("one",), (0, 0), "schedule")
    assert (three.behind, three.before) == (("one", "two"), (1, 1))
    assert three.message == "waits for its turn: 1 of at most 1 of the runs of windy-city are active"
    assert three.since == "2026-11-24T06:30:07Z", "when it was submitted"


def test_a_run_that_argo_has_not_seen_is_in_it() -> None:
    new = {
        "metadata": {"name": "new", "creationTimestamp": "2026-11-24T06:30:09Z"},
        "spec": {"workflowTemplateRef": {"name": "p"}},
    }
    (item,) = queue([new])
    assert (item.run, item.pipeline, item.phase, item.behind) == ("new", "p", "", ())

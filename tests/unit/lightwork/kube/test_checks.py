"""What the doctor finds in a namespace, from its objects; see `tests/cluster/test_intervals.py` as well."""

from __future__ import annotations

import datetime as dt

from lightwork.kube import checks, contract
from lightwork.kube.schedules import read
from tests.unit.lightwork.kube.test_queue import KEY, workflow

NOW = dt.datetime(2026, 11, 24, 7, 0, tzinfo=dt.UTC)
OLD, NEW = "2026-11-24T06:30:00Z", "2026-11-24T06:59:30Z"


def thing(kind: str, run: str, created: str = OLD, **status: object) -> dict:
    labels = {"lightwork/run": run}
    return {
        "kind": kind,
        "metadata": {"name": f"{run}-x", "labels": labels, "creationTimestamp": created},
        "status": status,
    }


def test_objects_of_runs_that_are_gone_are_leftovers_and_others_are_not() -> None:
    ended = workflow("ended", 0, phase="Failed")
    ended["status"]["finishedAt"] = OLD
    just = workflow("just", 0, phase="Failed")
    just["status"]["finishedAt"] = NEW
    objects = [
        thing("Pod", "gone", phase="Running"),
        thing("Deployment", "gone"),
        thing("Pod", "ended", phase="Pending"),
        thing("Pod", "goes-on", phase="Running"),
        thing("Pod", "just", phase="Running"),
        thing("Pod", "over", phase="Succeeded"),
        thing("Pod", "new", NEW, phase="Running"),
    ]
    found = checks.leftovers(objects, [workflow("goes-on", 0), ended, just], "tenant-acme", NOW)
    assert [item.what for item in found] == [
        "gone is gone, and left 1 Pod, 1 Deployment",
        "ended has ended, and left 1 Pod",
    ]
    assert found[0].mend == "kubectl -n tenant-acme delete deployments,services,pods -l lightwork/run=gone"


def test_a_place_that_a_run_holds_which_is_gone_is_a_lock() -> None:
    waits = workflow("two", 5, waits=True)
    assert checks.locks([workflow("one", 1), waits]) == [], "one holds it, and goes on"
    (found,) = checks.locks([waits])
    assert found.what == "one has ended, and holds a place of the runs of windy-city: two waits for it"
    ended = workflow("ended", 0, phase="Succeeded")
    ended["status"]["synchronization"] = {"semaphore": {"holding": [{"semaphore": KEY, "holders": ["x"]}]}}
    (found,) = checks.locks([ended])
    assert found.what == "ended has ended, and holds a place of the runs of windy-city"


def test_a_pod_that_does_not_start_says_why_and_a_new_one_is_left_alone() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/3 nodes are available: 3 too small.",
    }
    pods = [
        thing("Pod", "big", phase="Pending", conditions=[condition]),
        thing("Pod", "quiet", phase="Pending"),
        thing("Pod", "new", NEW, phase="Pending"),
    ]
    big, quiet = checks.pending(pods, [], "--env dev --tenant acme", NOW)
    assert big.what == "big-x has waited for 30 min: no node fits: 0/3 nodes are available: 3 too small."
    assert big.mend == "lightwork stop big --env dev --tenant acme"
    assert "nothing says what it waits for" in quiet.what
    assert quiet.mend == "lightwork logs quiet --env dev --tenant acme"


def test_a_schedule_that_a_person_has_suspended_is_named_and_one_of_the_files_is_not() -> None:
    held = {contract.LABEL_SUSPENDED: contract.SUSPENDED}
    item = {
        "metadata": {"name": "windy-city", "creationTimestamp": OLD, "labels": held},
        "spec": {"schedules": ["30 6 * * *"], "timezone": "UTC"},
    }
    (found,) = checks.schedules([read(item, NOW)], "--env dev --tenant acme")
    assert found.what == "windy-city is suspended: by hand, without a reason"
    assert found.mend == "lightwork schedule resume windy-city --env dev --tenant acme"
    item["spec"]["suspend"] = True
    item["metadata"]["annotations"] = {contract.ANNOTATION_BY_FILE: "suspended: true"}
    assert checks.schedules([read(item, NOW)], "") == []


def test_clocks_may_differ_by_seconds_only() -> None:
    assert checks.clock("the lake", 1000.0, 995.0) == []
    (found,) = checks.clock("the lake", 1000.0, 900.0)
    assert found.what == "this machine's clock is 100 s behind that of the lake"
    (found,) = checks.clock("the lake", 900.0, 1000.0)
    assert "100 s ahead of that" in found.what

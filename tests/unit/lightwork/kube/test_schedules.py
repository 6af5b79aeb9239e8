"""The state of a schedule, as its CronWorkflow tells: on time, late, missed, never started, suspended."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lightwork.errors import InputError
from lightwork.kube import schedules
from lightwork.kube.contract import ANNOTATION_BY_FILE, ANNOTATION_NOTE, LABEL_SUSPENDED
from lightwork.kube.schedules import Schedules
from tests.unit.lightwork.kube.objects import ARGO, CORE

NOW = dt.datetime(2026, 11, 24, 7, 40, tzinfo=dt.UTC)
CREATED = "2026-11-01T00:00:00Z"


def cron(last: str | None = None, changed: str = CREATED, **spec: object) -> dict:
    status = {"lastScheduledTime": last} if last else {}
    return {
        "metadata": {
            "name": "windy-city",
            "creationTimestamp": CREATED,
            "managedFields": [
                {"time": changed, "fieldsV1": {"f:spec": {}}},
                {"time": "2026-11-24T07:39:00Z", "fieldsV1": {"f:status": {}}},
            ],
        },
        "spec": {"schedules": ["30 6 * * *"], "timezone": "UTC", "startingDeadlineSeconds": 600, **spec},
        "status": status,
    }


def read(item: dict, now: dt.datetime = NOW) -> schedules.Schedule:
    return schedules.read(item, now)


def test_one_that_fired_when_it_should_is_on_time() -> None:
    found = read(cron("2026-11-24T06:30:00Z"))
    assert (found.state, found.why) == ("on time", "")
    assert found.next == dt.datetime(2026, 11, 25, 6, 30, tzinfo=dt.UTC)
    assert found.run == "windy-city-1795501800", "as Argo names it"


def test_one_that_did_not_fire_is_late_while_argo_may_catch_up_and_then_has_missed_it() -> None:
    yesterday = cron("2026-11-23T06:30:00Z")
    at = dt.datetime(2026, 11, 24, 6, 31, tzinfo=dt.UTC)
    assert read(yesterday, at).state == "on time", "a minute is nothing"
    late = read(yesterday, dt.datetime(2026, 11, 24, 6, 35, tzinfo=dt.UTC))
    assert (late.state, late.why) == (
        "late",
        "due at 2026-11-24 06:30 +0000; Argo starts it until 2026-11-24 06:40 +0000 if it comes back",
    )
    missed = read(yesterday)
    assert (missed.state, missed.why) == ("missed", "1 firing without a run since 2026-11-24 06:30 +0000")
    assert read(cron("2026-11-20T06:30:00Z")).why.startswith("4 firings without a run since 2026-11-21")


def test_one_that_never_fired_since_it_was_made_has_never_started() -> None:
    assert read(cron()).state == "never started"
    assert read(cron(), dt.datetime(2026, 11, 1, 3, tzinfo=dt.UTC)).state == "not due yet"


def test_what_was_due_before_a_change_is_not_missed() -> None:
    assert read(cron("2026-11-20T06:30:00Z", changed="2026-11-24T07:00:00Z")).state == "on time"
    assert read(cron(changed="2026-11-24T07:00:00Z")).state == "not due yet"


def test_what_was_due_before_it_was_resumed_is_not_missed() -> None:
    """`resume` deletes the field, so nobody has it; what it leaves is the note."""
    item = cron("2026-11-20T06:30:00Z")
    note = {"f:metadata": {"f:annotations": {f"f:{ANNOTATION_NOTE}": {}}}}
    item["metadata"]["managedFields"].append({"time": "2026-11-24T07:00:00Z", "fieldsV1": note})
    assert read(item).state == "on time"


def test_a_suspended_one_says_why_by_whom_and_when() -> None:
    item = cron("2026-11-20T06:30:00Z", suspend=True)
    assert read(item).why == "by hand, without a reason"
    note = {"reason": "data\x1b is late", "by": "jane", "at": "2026-11-24T07:00:00+00:00"}
    item["metadata"]["annotations"] = {ANNOTATION_NOTE: json.dumps(note)}
    found = read(item)
    assert (found.state, found.next) == ("suspended", None)
    assert found.why == "data\\x1b is late (jane, 2026-11-24T07:00:00+00:00)"
    item["metadata"]["annotations"] = {ANNOTATION_NOTE: "odd"}
    assert read(item).why == "odd"
    item["metadata"]["annotations"] |= {ANNOTATION_BY_FILE: "state: leaving"}
    assert (read(item).why, read(item).by_file) == ("state: leaving in the tenant's file", "state: leaving")
    item["spec"]["suspend"] = False
    assert read(item).by_file == "", "an administrator has resumed it all the same"


def test_one_that_argo_refuses_is_broken() -> None:
    item = cron()
    item["status"]["conditions"] = [{"type": "SpecError", "status": "True", "message": "no\ntemplate"}]
    found = read(item)
    assert (found.state, found.why) == ("broken", "Argo cannot start its runs: no template")


@pytest.fixture
def remote(api) -> Schedules:
    api.answers["GET", f"{ARGO}/cronworkflows"] = 200, {"items": [cron("2026-11-20T06:30:00Z")]}
    api.answers["PATCH", f"{ARGO}/cronworkflows/windy-city"] = 200, {}
    who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    api.answers["POST", who] = 201, {"status": {"userInfo": {"username": "jane"}}}
    return Schedules("dev", "acme")


def test_suspend_and_resume_change_nothing_but_that_and_the_note(api, remote: Schedules) -> None:
    assert remote.suspend("windy-city", "broken data") is True
    *_, (_, _, _, body) = api.requests
    note = json.loads(body["metadata"]["annotations"].pop(ANNOTATION_NOTE))
    assert (note["reason"], note["by"]) == ("broken data", "jane")
    assert body == {"metadata": {"labels": {LABEL_SUSPENDED: "suspended"}, "annotations": {}}}
    item = cron("2026-11-20T06:30:00Z")
    item["metadata"]["labels"] = {LABEL_SUSPENDED: "suspended"}
    assert (read(item).state, read(item).next) == ("suspended", None)
    api.answers["GET", f"{ARGO}/cronworkflows"] = 200, {"items": [item]}
    assert remote.resume("windy-city", "the data is there") is True
    body = api.requests[-1][3]
    assert "the data is there" in body["metadata"]["annotations"].pop(ANNOTATION_NOTE)
    assert body == {"metadata": {"labels": {LABEL_SUSPENDED: None}, "annotations": {}}}
    item["metadata"]["labels"] = {LABEL_SUSPENDED: "none"}
    assert read(item).state != "suspended", "it is another controller's"


def test_what_somebody_has_suspended_in_its_spec_is_not_resumed_by_the_label(api, remote: Schedules) -> None:
    api.answers["GET", f"{ARGO}/cronworkflows"] = 200, {"items": [cron(suspend=True)]}
    with pytest.raises(InputError, match=r"windy-city is suspended in its own field, .*kubectl -n"):
        remote.resume("windy-city", "x")
    assert not [request for request in api.requests if request[0] == "PATCH"]


def test_what_the_file_suspends_is_not_for_people_to_change(api, remote: Schedules) -> None:
    item = cron(suspend=True)
    item["metadata"]["annotations"] = {ANNOTATION_BY_FILE: "suspended: true"}
    api.answers["GET", f"{ARGO}/cronworkflows"] = 200, {"items": [item]}
    for change in (remote.suspend, remote.resume):
        with pytest.raises(InputError) as caught:
            change("windy-city", "x")
        assert str(caught.value) == (
            "windy-city is suspended by the tenant's file (suspended: true): change the file, and have it"
            " deployed"
        )
    assert not [request for request in api.requests if request[0] == "PATCH"]


def test_a_pipeline_without_a_schedule_is_told_from_one_that_is_not_there(api, remote: Schedules) -> None:
    with pytest.raises(InputError, match="acme has no pipeline 'windy-cty'; did you mean 'windy-city'"):
        remote.resume("windy-cty", "x")
    api.answers["GET", f"{ARGO}/cronworkflows"] = 200, {"items": []}
    api.answers["GET", CORE] = 200, {}
    with pytest.raises(InputError, match="windy-city has no schedule in the cluster"):
        remote.suspend("windy-city", "x")

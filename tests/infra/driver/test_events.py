"""The engine's events as steps, sums and lines."""

from __future__ import annotations

from pulumi.automation.events import EngineEvent

from infra.driver.events import Recorder, failure, locked, one_line
from infra.driver.outcome import Counts
from infra.driver.precious import Step

URN = "urn:pulumi:dev.acme::lightwork::lightwork:tenant:Tenant$aws:s3/bucket:Bucket::lake"
LOCKED = """\
 code: 255
 stdout:
 stderr: error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or \
delete the lock file with `pulumi cancel`.
  s3://states/.pulumi/locks/organization/lightwork/dev.acme/1.json: created by root@runner-7 (pid 4711) at \
2030-01-02T03:04:05Z
"""


def event(**content: object) -> EngineEvent:
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **content})


def step(op: str, urn: str = URN) -> EngineEvent:
    return event(resourcePreEvent={"metadata": {"op": op, "urn": urn, "type": "aws:s3/bucket:Bucket"}})


def complaint(text: str, severity: str = "error") -> EngineEvent:
    return event(diagnosticEvent={"message": text, "severity": severity})


def recorded(*events: EngineEvent) -> Recorder:
    recorder = Recorder(lambda _: None)
    for one in events:
        recorder(one)
    return recorder


def test_steps_are_taken_from_the_events_and_what_stays_the_same_is_left_out() -> None:
    seen: list[Step] = []
    recorder = Recorder(seen.append)
    recorder(step("same"))
    recorder(step("create-replacement"))
    assert [found.op for found in seen] == ["same", "create-replacement"], "progress counts all"
    assert recorder.steps == [
        Step(op="create-replacement", urn=URN, type="aws:s3/bucket:Bucket", name="lake")
    ]


def test_the_sums_are_the_engines_own() -> None:
    changes = {
        "create": 2,
        "same": 3,
        "replace": 1,
        "create-replacement": 1,
        "delete-replaced": 1,
        "delete": 1,
    }
    recorder = recorded(event(summaryEvent={"resourceChanges": changes}))
    assert recorder.counts == Counts(create=2, same=3, replace=1, delete=1), "a replacement counts once"


def test_an_operation_whose_event_nobody_could_read_is_noticed() -> None:
    recorder = recorded(
        step("delete"), event(summaryEvent={"resourceChanges": {"delete": 1, "forget": 1, "create": 4}})
    )
    assert recorder.unread() == ["forget"], "what ends something must not go by unseen; a new resource may"


def test_messages_lose_their_colours_and_breaks() -> None:
    assert one_line("<{%reset%}>a\n\n  b<{%fg 1%}>\x1b[31mc") == "a bc"


def test_a_failure_is_what_the_engine_complained_of() -> None:
    recorder = recorded(
        complaint("it is late", "warning"),
        complaint("<{%reset%}>creating Bucket:\n  taken<{%reset%}>\n"),
        complaint("update failed"),
        complaint("an unhandled error occurred: program exited with non-zero exit code: 1"),
        complaint("an unhandled error occurred: creating Bucket: taken"),
    )
    assert failure(recorder, "error: update failed\n") == ("creating Bucket: taken",)


def test_many_complaints_are_summed_up() -> None:
    lines = failure(recorded(*(complaint(f"error: no {number}") for number in range(9))), "")
    assert lines == ("no 0", "no 1", "no 2", "and 6 more like these")


def test_without_complaints_it_is_the_last_line_that_was_printed() -> None:
    assert failure(recorded(), "warning: a\nerror: could not open the bucket\n") == (
        "could not open the bucket",
    )
    assert failure(recorded(), "") == ("the engine ended without saying why",)


def test_a_broken_policy_names_policy_and_resource() -> None:
    recorder = recorded(
        event(
            policyEvent={
                "message": "carries\nno tags",
                "policyName": "tagged",
                "enforcementLevel": "mandatory",
                "resourceUrn": URN,
            }
        )
    )
    assert failure(recorder, "") == ("tagged: lake: carries no tags",)


def test_a_lock_says_who_since_when_and_what_to_run() -> None:
    line = locked("dev.acme", LOCKED, "s3://states")
    assert line is not None
    assert "\n" not in line
    assert "locked by root@runner-7 (pid 4711) since 2030-01-02T03:04:05Z" in line
    assert line.endswith("PULUMI_BACKEND_URL='s3://states' pulumi cancel --stack dev.acme --yes")


def test_another_error_is_no_lock() -> None:
    assert locked("dev.acme", "error: no such bucket", None) is None

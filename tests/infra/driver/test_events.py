"""The engine's events, converted to steps, counts and messages."""

from __future__ import annotations

import pytest
from pulumi.automation.events import EngineEvent

from infra.driver.events import Recorder, failure, locked, uncoloured
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


def complaint(text: str, severity: str = "error", urn: str | None = None) -> EngineEvent:
    return event(diagnosticEvent={"message": text, "severity": severity, **({"urn": urn} if urn else {})})


def recorded(*events: EngineEvent) -> Recorder:
    recorder = Recorder(lambda _: None)
    for entry in events:
        recorder(entry)
    return recorder


def test_steps_come_from_the_events_without_unchanged_resources() -> None:
    seen: list[Step] = []
    recorder = Recorder(seen.append)
    recorder(step("same"))
    recorder(step("create-replacement"))
    assert [step.op for step in seen] == ["same", "create-replacement"], "progress counts every resource"
    assert recorder.steps == [
        Step(op="create-replacement", urn=URN, type="aws:s3/bucket:Bucket", name="lake")
    ]


def test_the_counts_are_the_engines_own() -> None:
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


def test_a_destructive_operation_without_a_readable_event_is_noticed() -> None:
    recorder = recorded(
        step("delete"), event(summaryEvent={"resourceChanges": {"delete": 1, "forget": 1, "create": 4}})
    )
    assert recorder.unread() == ["forget"], "a missed creation is harmless, a missed deletion is not"


def test_messages_lose_their_colours_and_line_breaks() -> None:
    assert uncoloured("<{%reset%}>a\n\n  b<{%fg 1%}>\x1b[31mc") == "a bc"


def test_a_failure_lists_the_engines_errors_once_and_without_its_summary_lines() -> None:
    recorder = recorded(
        complaint("it is late", "warning"),
        complaint("<{%reset%}>creating Bucket:\n  taken<{%reset%}>\n"),
        complaint("update failed"),
        complaint("an unhandled error occurred: program exited with non-zero exit code: 1"),
        complaint("an unhandled error occurred: creating Bucket: taken"),
    )
    assert failure(recorder, "error: update failed\n") == ("creating Bucket: taken",)


def test_many_errors_are_cut_short() -> None:
    lines = failure(recorded(*(complaint(f"error: no {number}") for number in range(9))), "")
    assert lines[:3] == ("no 0", "no 1", "no 2")
    assert "6 more" in lines[3]
    assert len(lines) == 4


def test_without_errors_the_last_line_of_stderr_is_the_reason() -> None:
    assert failure(recorded(), "warning: a\nerror: could not open the bucket\n") == (
        "could not open the bucket",
    )
    (line,) = failure(recorded(), "")
    assert "without" in line


def test_that_the_engine_is_gone_is_the_reason_only_where_there_is_no_other() -> None:
    gone = complaint("<{%reset%}>Resource monitor has terminated, shutting down<{%reset%}>\n")
    said = "error: Preview failed: Resource monitor has terminated, shutting down"
    assert failure(recorded(gone, complaint("no such role")), said) == ("no such role",)
    assert failure(recorded(gone), f"error: could not open the bucket\n{said}\n") == (
        "could not open the bucket",
    )
    assert failure(recorded(gone, complaint("preview failed")), "error: preview failed") == (
        "Resource monitor has terminated, shutting down",
    )


def test_a_policy_violation_names_policy_and_resource() -> None:
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


def test_a_lock_is_reported_with_its_holder_its_time_and_the_remedy() -> None:
    line = locked("dev.acme", LOCKED, "s3://states")
    assert line is not None
    assert "\n" not in line
    assert "locked by root@runner-7 (pid 4711) since 2030-01-02T03:04:05Z" in line
    assert line.endswith("PULUMI_BACKEND_URL='s3://states' pulumi cancel --stack dev.acme --yes")


def test_another_error_is_not_a_lock() -> None:
    assert locked("dev.acme", "error: no such bucket", None) is None


QUOTA = (
    "urn:pulumi:local.acme::lightwork::lightwork:infra:LocalTenant$kubernetes:core/v1:ResourceQuota::quota"
)
CONFLICT = (
    "error: Preview failed: 1 error occurred:\n\t* the Kubernetes API server reported that"
    ' "tenant-acme/quota"'
    " failed to fully initialize or become live: Server-Side Apply field conflict detected. See"
    " https://www.pulumi.com/x/#handle for troubleshooting help.\nThe resource managed by field manager"
    ' "pulumi-kubernetes-1a2b" had an apply conflict: '
)
CONFLICTS = [
    (
        'Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: .spec.hard.pods',
        ".spec.hard.pods was set by kubectl-patch;",
    ),
    (
        (
            'Apply failed with 1 conflict: conflict with "argo" using argoproj.io/v1alpha1 at'
            " 2030-01-02T03:04:05Z: .spec.suspend"
        ),
        ".spec.suspend was set by argo at 2030-01-02T03:04:05Z;",
    ),
    (
        (
            'Apply failed with 3 conflicts: conflicts with "kubectl-patch" using v1:\n- .spec.hard.pods\n'
            '- .spec.hard.cpu\nconflicts with "helm" with subresource "status":\n- .status.hard'
        ),
        ".spec.hard.pods, .spec.hard.cpu was set by kubectl-patch; .status.hard was set by helm;",
    ),
    (
        'Apply failed with 1 conflict: conflict with "kubectl" using v1: .spec.containers[name="a"].image',
        '.spec.containers[name="a"].image was set by kubectl;',
    ),
]


@pytest.mark.parametrize(("text", "expected"), CONFLICTS)
def test_a_field_that_somebody_else_has_set_is_one_line_with_the_remedy(text: str, expected: str) -> None:
    (line,) = recorded(complaint(CONFLICT + text, urn=QUOTA)).errors
    assert line.startswith(f"quota: {expected}"), line
    assert line.endswith("lightwork-estate up --stack local.acme --take-over"), line


def test_another_error_of_the_cluster_stays_as_it_is() -> None:
    text = 'error: quota conflicts with "everything": it is wrong'
    assert recorded(complaint(text, urn=QUOTA)).errors == [text]


def test_what_a_refresh_reads_is_not_a_change() -> None:
    assert recorded(step("refresh"), step("update")).steps == recorded(step("update")).steps


EXISTS = (
    "error: resource tenant-acme was not successfully created by the Kubernetes API server: namespaces"
    ' "tenant-acme" already exists\n\nThe resource already exists in the cluster. This can happen when:\n'
)


def test_an_object_that_is_there_already_is_one_line_with_the_remedy() -> None:
    (line,) = recorded(complaint(EXISTS, urn=QUOTA.replace("quota", "namespace"))).errors
    assert line.startswith("namespace: namespaces 'tenant-acme' exists already: an earlier deployment has"), (
        line
    )
    assert line.endswith("lightwork-estate up --stack local.acme --take-over"), line
    bucket = 'error: bucket "lake" already exists'
    assert recorded(complaint(bucket, urn=URN)).errors == [bucket], "a bucket is not taken over"

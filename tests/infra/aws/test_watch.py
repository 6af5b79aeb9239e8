"""CloudWatch's alarms on the database, the domain and the NAT gateways, and the rule on failed rotations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.config import streams
from infra.config.sizes import DEFAULTS

if TYPE_CHECKING:
    from tests.infra.engine import Run

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"

METRICS = {
    ("AWS/RDS", "DatabaseConnections"),
    ("AWS/RDS", "FreeStorageSpace"),
    ("AWS/RDS", "CPUUtilization"),
    ("AWS/ES", "ClusterStatus.red"),
    ("AWS/ES", "ClusterIndexWritesBlocked"),
    ("AWS/ES", "KMSKeyInaccessible"),
    ("AWS/ES", "FreeStorageSpace"),
    ("AWS/ES", "JVMMemoryPressure"),
    ("AWS/ES", "Shards.active"),
    ("AWS/NATGateway", "ErrorPortAllocation"),
}


def test_each_alarm_is_about_a_metric_of_this_estate_and_tells_the_topic(estate: Run) -> None:
    alarms = [alarm.inputs for alarm in estate.all(ALARM)]
    own = (f"lightwork/{estate.outputs['environment']}", "AlertsWork")
    assert {(alarm["namespace"], alarm["metricName"]) for alarm in alarms} == {*METRICS, own}
    (archive,) = estate.all("aws:rds/instance:Instance")
    (domain,) = estate.all("aws:opensearch/domain:Domain")
    gateways = {f"{gateway.name}-id" for gateway in estate.all("aws:ec2/natGateway:NatGateway")}
    watched = set()
    for alarm in alarms:
        assert alarm["alarmActions"] == alarm["okActions"]
        assert alarm["alarmActions"][0].endswith("-alarms")
        match alarm["namespace"]:
            case "AWS/RDS":
                assert alarm["dimensions"] == {"DBInstanceIdentifier": archive.inputs["identifier"]}
            case own if own == f"lightwork/{estate.outputs['environment']}":
                assert alarm["dimensions"] == {"Cluster": estate.outputs["cluster_name"]}
            case "AWS/ES":
                assert alarm["dimensions"]["DomainName"] == domain.inputs["domainName"]
                assert set(alarm["dimensions"]) == {"DomainName", "ClientId"}
            case _:
                watched.add(alarm["dimensions"]["NatGatewayId"])
    assert watched == gateways, "one NAT gateway without ports is enough to fail a zone's runs"


def test_thresholds_follow_the_sizes(estates: dict[str, Run]) -> None:
    for environment, run in estates.items():
        thresholds = {
            (alarm.inputs["namespace"], alarm.inputs["metricName"]): alarm.inputs["threshold"]
            for alarm in run.all(ALARM)
        }
        sizes = DEFAULTS[environment]  # type: ignore[index]
        assert thresholds["AWS/RDS", "FreeStorageSpace"] == sizes["archive_gigabytes"] * 2**30 / 20, "bytes"
        assert thresholds["AWS/ES", "FreeStorageSpace"] == sizes["search_gigabytes"] * 1024 / 5, (
            "MiB, of a node"
        )
        shards = streams.advised_shards(sizes["search_type"], sizes["search_nodes"])
        assert thresholds["AWS/ES", "Shards.active"] == shards, "25 for each GiB of heap"


FAILED = {
    "source": "aws.secretsmanager",
    "detail-type": "AWS Service Event via CloudTrail",
    "time": "2026-11-28T03:00:00Z",
    "detail": {
        "eventType": "AwsServiceEvent",
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "RotationFailed",
        "additionalEventData": {"SecretId": "arn:aws:secretsmanager:eu-central-1:1:secret:rds!db-1"},
    },
}
"""What EventBridge gets from CloudTrail, in the members that count here."""


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether a rule gets an event: each member that the pattern names has one of its values."""
    return all(
        matches(wanted, event[name]) if isinstance(wanted, dict) else event.get(name) in wanted
        for name, wanted in pattern.items()
    )


def test_a_failed_rotation_is_told_in_a_sentence(estate: Run) -> None:
    (rule,), (target,) = (
        estate.all(f"aws:cloudwatch/{kind}") for kind in ("eventRule:EventRule", "eventTarget:EventTarget")
    )
    pattern = json.loads(rule.inputs["eventPattern"])
    assert matches(pattern, FAILED)
    assert not matches(pattern, {**FAILED, "detail": {**FAILED["detail"], "eventName": "RotationSucceeded"}})
    assert not matches(pattern, {**FAILED, "source": "aws.rds"})
    assert target.inputs["rule"] == rule.inputs["name"]
    assert target.inputs["arn"].endswith("-alarms")
    transformer = target.inputs["inputTransformer"]
    sentence = json.loads(transformer["inputTemplate"])
    for name, path in transformer["inputPaths"].items():
        value: Any = FAILED
        for member in path.removeprefix("$.").split("."):
            value = value[member]
        sentence = sentence.replace(f"<{name}>", value)
    assert "RotationFailed of the secret arn:aws:secretsmanager:eu-central-1:1:secret:rds!db-1 at" in sentence
    assert "<" not in sentence

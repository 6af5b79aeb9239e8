"""CloudWatch's alarms on the database, the domain and the NAT gateways."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    assert {(alarm["namespace"], alarm["metricName"]) for alarm in alarms} == METRICS
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

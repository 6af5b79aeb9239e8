"""Alarms on what runs outside the cluster, where Prometheus does not look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.config import streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.config.naming import Names
    from infra.config.sizes import Sizes

GIBIBYTE, MEBIBYTES = 2**30, 1024
NOT_ROTATED = {
    "source": ["aws.secretsmanager"],
    "detail-type": ["AWS Service Event via CloudTrail"],
    "detail": {
        "eventSource": ["secretsmanager.amazonaws.com"],
        "eventName": ["RotationFailed", "RotationAbandoned"],
    },
}
"""The events by which Secrets Manager tells that a secret of this account and region was not rotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchArgs:
    """Arguments of `Watch`.

    Attributes:
        names: the environment's names.
        sizes: the environment's sizes, which set some of the thresholds.
        nat_ids: the IDs of the NAT gateways, by the letter of their zone.
        topic_arn: the ARN of the topic that alarms are published to.
    """

    names: Names
    sizes: Sizes
    nat_ids: Mapping[str, pulumi.Output[str]]
    topic_arn: pulumi.Output[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alarm:
    """One alarm: it goes off when the metric was beyond the threshold for `times` periods of `minutes`."""

    name: str
    says: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    threshold: float
    statistic: str = "Maximum"
    below: bool = False
    minutes: int = 5
    times: int = 3


class Watch(pulumi.ComponentResource):
    """Alarms on the database's disk and processor, the domain's health, and the ports of NAT gateways.

    A rule of EventBridge adds each rotation of a secret that failed: of the database's master password, by
    RDS, and of tenants' secrets where somebody has them rotated. It needs the account's trail.

    Costs: 0.10 USD a month for each alarm. The rule is free.

    Deleting: nobody is told any more.
    """

    def __init__(self, name: str, args: WatchArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Watch", name, {}, opts)
        for namespace, alarm in _alarms(args):
            side = "LessThan" if alarm.below else "GreaterThanOrEqualTo"
            aws.cloudwatch.MetricAlarm(
                f"{name}-{alarm.name}",
                name=args.names.named(alarm.name),
                alarm_description=alarm.says,
                namespace=namespace,
                metric_name=alarm.metric,
                dimensions=alarm.dimensions,
                statistic=alarm.statistic,
                period=alarm.minutes * 60,
                evaluation_periods=alarm.times,
                threshold=alarm.threshold,
                comparison_operator=f"{side}Threshold",
                treat_missing_data="notBreaching",
                alarm_actions=[args.topic_arn],
                ok_actions=[args.topic_arn],
                tags=args.names.tags(),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self._tell_failed_rotations(name, args)
        self.register_outputs({})

    def _tell_failed_rotations(self, name: str, args: WatchArgs) -> None:
        inner = pulumi.ResourceOptions(parent=self)
        rule = aws.cloudwatch.EventRule(
            f"{name}-rotations",
            name=args.names.named("rotations"),
            description="Secrets that were not rotated",
            event_pattern=json.dumps(NOT_ROTATED),
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
            tags=args.names.tags(),
            opts=inner,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-rotations",
            rule=rule.name,
            target_id="alarms",
            arn=args.topic_arn,
            input_transformer={
                "input_paths": {
                    "event": "$.detail.eventName",
                    "secret": "$.detail.additionalEventData.SecretId",
                    "time": "$.time",
                },
                "input_template": json.dumps(
                    f"{args.names.cluster}: <event> of the secret <secret> at <time>. See docs/restore.md"
                ),
            },
            opts=inner,
        )


def _alarms(args: WatchArgs) -> Iterator[tuple[str, _Alarm]]:
    """Yield each alarm with its metric's namespace."""
    for alarm in _database(args):
        yield "AWS/RDS", alarm
    for alarm in _search(args):
        yield "AWS/ES", alarm
    for letter, nat_id in args.nat_ids.items():
        yield (
            "AWS/NATGateway",
            _Alarm(
                name=f"nat-{letter}-ports",
                says="No free port for a connection to one address: pulls of images and requests fail",
                metric="ErrorPortAllocation",
                dimensions={"NatGatewayId": nat_id},
                statistic="Sum",
                threshold=1,
                times=1,
            ),
        )


def _database(args: WatchArgs) -> Iterator[_Alarm]:
    dimensions = {"DBInstanceIdentifier": args.names.named("archive")}
    yield _Alarm(
        name="archive-disk",
        says="The archive's disk is almost full and no longer grows: see archive_gigabytes",
        metric="FreeStorageSpace",
        dimensions=dimensions,
        statistic="Minimum",
        # RDS grows a disk that has less than a tenth left. Half of that for half an hour: it cannot.
        threshold=args.sizes.archive_gigabytes * GIBIBYTE * 0.05,
        below=True,
        times=6,
    )
    yield _Alarm(
        name="archive-processor",
        says="The archive is busy: listing old runs is slow, and ended ones wait to be kept",
        metric="CPUUtilization",
        dimensions=dimensions,
        statistic="Average",
        threshold=90,
        times=6,
    )


def _search(args: WatchArgs) -> Iterator[_Alarm]:
    names, sizes = args.names, args.sizes
    dimensions = {"DomainName": names.search_domain, "ClientId": names.account}
    for part, metric, says in (
        ("red", "ClusterStatus.red", "Some logs have no copy left on any node"),
        ("blocked", "ClusterIndexWritesBlocked", "OpenSearch takes no logs: they wait on their nodes"),
        ("key", "KMSKeyInaccessible", "OpenSearch cannot use its key; without it, the logs are lost"),
    ):
        yield _Alarm(
            name=f"search-{part}", says=says, metric=metric, dimensions=dimensions, threshold=1, times=1
        )
    yield _Alarm(
        name="search-disk",
        says="A node of OpenSearch has less than a fifth of its disk left: see search_gigabytes and log_days",
        metric="FreeStorageSpace",
        dimensions=dimensions,
        statistic="Minimum",
        threshold=sizes.search_gigabytes * MEBIBYTES * 0.2,
        below=True,
    )
    yield _Alarm(
        name="search-memory",
        says="OpenSearch's heap is full: see search_type",
        metric="JVMMemoryPressure",
        dimensions=dimensions,
        threshold=95,
    )
    yield _Alarm(
        name="search-shards",
        says="More shards than OpenSearch's heap is for: see search_type and search_nodes",
        metric="Shards.active",
        dimensions=dimensions,
        threshold=streams.advised_shards(sizes.search_type, sizes.search_nodes),
    )

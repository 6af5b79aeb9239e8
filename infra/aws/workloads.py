"""The AWS side of the shared services: the login's secret, roles of monitoring and autoscaler, two alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.roles import PodRole, PodRoleArgs
from infra.config import accounts
from infra.config.accounts import SSO
from infra.policies import pods
from lightwork.pods.watch.switch import DIMENSION, METRIC

if TYPE_CHECKING:
    from infra.config.naming import Names

QUIET_MINUTES = 15
SILENT_MINUTES = 10
"""Minutes without a sign of life after which alerts do not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformAwsArgs:
    """Arguments of `PlatformAws`.

    Attributes:
        names: the environment's names.
        cluster: the cluster's name.
        boundary: the ARN of the permissions boundary of the estate's roles.
        topic_arn: the ARN of the topic that alarms are published to.
    """

    names: Names
    cluster: pulumi.Output[str]
    boundary: pulumi.Input[str]
    topic_arn: pulumi.Output[str]


class PlatformAws(pulumi.ComponentResource):
    """An empty secret for the identity provider's client, roles of monitoring, and two alarms.

    One alarm goes off when the archive is down, the other one when Prometheus or Alertmanager does not work:
    their last alert is the metric that it waits for.

    A person stores the secret's value, `{"client-id": ..., "client-secret": ...}`, once the application is
    registered; until then nobody can log in, and everything else works.

    Costs: 0.40 USD a month for the secret, 0.10 USD for each alarm, 0.30 USD for the metric.

    Deleting: the secret is protected and retained.
    """

    def __init__(self, name: str, args: PlatformAwsArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:PlatformAws", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        names, tags = args.names, args.names.tags()
        aws.secretsmanager.Secret(
            f"{name}-{SSO}",
            name=pods.platform_secret(names, SSO),
            description="The client of the identity provider: client-id and client-secret, put here by hand",
            recovery_window_in_days=30,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        PodRole(
            f"{name}-alarms",
            PodRoleArgs(
                role=names.named("alertmanager", limit=64),
                path=names.role_path,
                boundary=args.boundary,
                cluster=args.cluster,
                cluster_arn=names.cluster_arn,
                account=accounts.ALARMS,
                policy=args.topic_arn.apply(lambda arn: pods.publish(topic_arn=arn, names=names)),
                tags=tags,
            ),
            inner,
        )
        PodRole(
            f"{name}-watch",
            PodRoleArgs(
                role=names.named("watch", limit=64),
                path=names.role_path,
                boundary=args.boundary,
                cluster=args.cluster,
                cluster_arn=names.cluster_arn,
                account=accounts.WATCH,
                policy=pods.beat(names=names),
                tags=tags,
            ),
            inner,
        )
        aws.cloudwatch.MetricAlarm(
            f"{name}-alerts-silent",
            name=names.named("alerts-silent"),
            alarm_description="Alerts do not work: see Prometheus, Alertmanager and `watch` in `monitoring`",
            namespace=pods.metric_namespace(names),
            metric_name=METRIC,
            dimensions={DIMENSION: names.cluster},
            statistic="SampleCount",
            period=60,
            evaluation_periods=SILENT_MINUTES,
            threshold=1,
            comparison_operator="LessThanThreshold",
            treat_missing_data="breaching",
            alarm_actions=[args.topic_arn],
            ok_actions=[args.topic_arn],
            tags=tags,
            opts=inner,
        )
        # Argo's controllers always hold connections: none means that the database is down or unreachable.
        aws.cloudwatch.MetricAlarm(
            f"{name}-archive-down",
            name=names.named("archive-down"),
            alarm_description="Nobody is connected to the archive: ended runs are not kept",
            namespace="AWS/RDS",
            metric_name="DatabaseConnections",
            dimensions={"DBInstanceIdentifier": names.named("archive")},
            statistic="Maximum",
            period=60,
            evaluation_periods=QUIET_MINUTES,
            threshold=1,
            comparison_operator="LessThanThreshold",
            treat_missing_data="breaching",
            alarm_actions=[args.topic_arn],
            ok_actions=[args.topic_arn],
            tags=tags,
            opts=inner,
        )
        self.register_outputs({})


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerArgs:
    """Arguments of `Autoscaler`.

    Attributes:
        names: the environment's names.
        cluster: the cluster's name.
        boundary: the ARN of the permissions boundary of the estate's roles.
    """

    names: Names
    cluster: pulumi.Output[str]
    boundary: pulumi.Input[str]


class Autoscaler(pulumi.ComponentResource):
    """The role that lets the cluster-autoscaler resize this cluster's scaling groups, and no others.

    Costs: nothing.

    Deleting: groups keep their current size, and runs get no more nodes.
    """

    def __init__(self, name: str, args: AutoscalerArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Autoscaler", name, {}, opts)
        PodRole(
            f"{name}-pods",
            PodRoleArgs(
                role=args.names.named("autoscaler", limit=64),
                path=args.names.role_path,
                boundary=args.boundary,
                cluster=args.cluster,
                cluster_arn=args.names.cluster_arn,
                account=accounts.AUTOSCALER,
                policy=pods.autoscaler(
                    account=args.names.account, region=args.names.region, cluster=args.names.cluster
                ),
                tags=args.names.tags(),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

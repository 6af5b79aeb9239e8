"""The AWS side of the platform's workloads: a Secret for the login, roles of Alertmanager and autoscaler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.roles import PodRole, PodRoleArgs
from infra.config import accounts
from infra.config.accounts import SSO
from infra.policies import pods

if TYPE_CHECKING:
    from infra.config.naming import Names

QUIET_MINUTES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformAwsArgs:
    """What it is made from.

    Attributes:
        names: the environment's names.
        cluster: the cluster's name.
        boundary: the ARN of the policy that bounds the estate's roles.
        topic_arn: the topic that alarms go to.
    """

    names: Names
    cluster: pulumi.Output[str]
    boundary: pulumi.Input[str]
    topic_arn: pulumi.Output[str]


class PlatformAws(pulumi.ComponentResource):
    """An empty secret for the identity provider's client, Alertmanager's role, and the archive's alarm.

    The secret's value, `{"client-id": ..., "client-secret": ...}`, is put there by hand once the application
    is registered; until then nobody logs in, and all else works.

    Costs: 0.40 USD a month for the secret, 0.10 USD for the alarm.

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
        # Argo's controllers hold connections all the time: none means that it is down, or out of their reach.
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
    """What it is made from.

    Attributes:
        names: the environment's names.
        cluster: the cluster's name.
        boundary: the ARN of the policy that bounds the estate's roles.
    """

    names: Names
    cluster: pulumi.Output[str]
    boundary: pulumi.Input[str]


class Autoscaler(pulumi.ComponentResource):
    """The role by which the cluster-autoscaler sizes this cluster's scaling groups, and no others.

    Costs: nothing.

    Deleting: groups keep the size that they have, and no run gets more nodes.
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

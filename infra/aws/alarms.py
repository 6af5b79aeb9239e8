"""The SNS topic that alarms are published to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.key import Key, KeyArgs
from infra.policies import resources
from infra.policies.statements import Policy, let, policy

if TYPE_CHECKING:
    from infra.config.naming import Names


PUBLISHERS = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.rds.amazonaws.com")
"""The AWS services that may publish alarms: Budgets, CloudWatch, RDS."""
EVENTS = "events.amazonaws.com"
"""EventBridge, which publishes failed rotations. It names no account to topics or their keys: with a
condition on the account, AWS drops its messages without a word."""


def topic_policy(*, topic_arn: str, account: str) -> Policy:
    """Let `PUBLISHERS` publish to the topic, on behalf of this account only, and EventBridge.

    A rule of another account publishes by a role of that account, which gets nothing here.
    """
    return policy(
        let(
            "Services",
            {"Service": list(PUBLISHERS)},
            ["sns:Publish"],
            [topic_arn],
            {"StringEquals": {"aws:SourceAccount": account}},
        ),
        let("Events", {"Service": EVENTS}, ["sns:Publish"], [topic_arn]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmsArgs:
    """Arguments of `Alarms`.

    Attributes:
        names: the environment's names.
        email: the e-mail address that receives alarms.
    """

    names: Names
    email: str


class Alarms(pulumi.ComponentResource):
    """An encrypted topic with one subscriber, who confirms the subscription by a link that AWS sends.

    Costs: 1 USD a month for the key.

    Deleting: alarms no longer reach anybody.

    Attributes:
        topic_arn: the topic's ARN.
    """

    topic_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Alarms", name, {}, opts)
        inner, tags, account = pulumi.ResourceOptions(parent=self), args.names.tags(), args.names.account
        key = Key(
            name,
            KeyArgs(
                alias=args.names.key("alarms"),
                description="Encrypts alarms on their way",
                policy=resources.account_key(
                    account=account,
                    more=resources.for_alarms(account=account, services=PUBLISHERS, events=EVENTS),
                ),
                tags=tags,
            ),
            inner,
        )
        physical = args.names.named("alarms")
        topic = aws.sns.Topic(
            f"{name}-topic", name=physical, kms_master_key_id=key.arn, tags=tags, opts=inner
        )
        document = topic_policy(
            topic_arn=f"arn:aws:sns:{args.names.region}:{account}:{physical}", account=account
        )
        aws.sns.TopicPolicy(f"{name}-policy", arn=topic.arn, policy=json.dumps(document), opts=inner)
        aws.sns.TopicSubscription(
            f"{name}-email", topic=topic.arn, protocol="email", endpoint=args.email, opts=inner
        )
        self.topic_arn = topic.arn
        self.register_outputs({"topic_arn": self.topic_arn})

"""A KMS key of the estate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.policies.statements import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyArgs:
    """Arguments of `Key`.

    Attributes:
        alias: its alias, `alias/...`.
        description: its description, which says what it encrypts.
        policy: its key policy.
        tags: the key's tags.
    """

    alias: str
    description: str
    policy: Policy
    tags: Mapping[str, str]


class Key(pulumi.ComponentResource):
    """A KMS key that rotates every year, with an alias.

    Costs: 1 USD a month (each of the first two rotations adds 1 USD).

    Deleting: it is protected and retained. A key deleted by hand can be recovered for thirty days; after that
    the data it encrypted is lost.

    Attributes:
        arn: its ARN.
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Key", name, {}, opts)
        key = aws.kms.Key(
            f"{name}-key",
            description=args.description,
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=json.dumps(args.policy),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        aws.kms.Alias(
            f"{name}-alias",
            name=args.alias,
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})

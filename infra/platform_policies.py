"""What the platform's own pods may do on AWS, beyond what each chart's role says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra import policies_pods
from infra.statements import Condition, Policy, allow, policy

if TYPE_CHECKING:
    from infra.naming import Names


def platform_secret(names: Names, name: str) -> str:
    """The name of a secret of the platform's own. No tenant's name begins with an underscore."""
    return f"{names.secret_prefix('_platform')}{name}"


def operator(*, names: Names, secret_arn: str, key_arn: str) -> Policy:
    """The secrets' operator: the archive's password, the platform's own secrets, and to become the role of
    each tenant's secrets. By itself it reads no tenant's secret.

    Args:
        names: the environment's names.
        secret_arn: the secret with the archive's password.
        key_arn: its key.
    """
    own = f"arn:aws:secretsmanager:{names.region}:{names.account}:secret:{platform_secret(names, '*')}"
    archive = policies_pods.read_secret(secret_arn=secret_arn, key_arn=key_arn, region=names.region)
    roles = names.role_arn(f"{names.named('secrets')}-*", tenant=True)
    return policy(
        *archive["Statement"],
        allow("Platform", ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"], [own]),
        # A pod's session has tags that come along, so becoming a role is tagging a session too.
        allow("Tenants", ["sts:AssumeRole", "sts:TagSession"], [roles]),
    )


def publish(*, topic_arn: str, names: Names) -> Policy:
    """Alertmanager: publish alarms, and use the topic's key for that."""
    context: Condition = {
        "StringEquals": {"kms:ViaService": f"sns.{names.region}.amazonaws.com"},
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key("alarms")},
    }
    keys = f"arn:aws:kms:{names.region}:{names.account}:key/*"
    return policy(
        allow("Publish", ["sns:Publish"], [topic_arn]),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [keys], context),
    )

"""The policies of the estate's KMS keys. In a key's own policy the resource `*` is that key."""

from __future__ import annotations

from infra.statements import Condition, Policy, Statement, let, policy

USE = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]


def account_key(*, account: str, more: tuple[Statement, ...] = ()) -> Policy:
    """A key that the account's own policies decide about, and AWS's services as far as `more` says."""
    root: dict[str, str | list[str]] = {"AWS": f"arn:aws:iam::{account}:root"}
    return policy(let("Account", root, ["kms:*"], ["*"]), *more)


def for_logs(*, account: str, region: str, group: str) -> Statement:
    """CloudWatch Logs may use the key for one log group."""
    context: Condition = {
        "ArnEquals": {
            "kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{region}:{account}:log-group:{group}"
        }
    }
    return let("Logs", {"Service": f"logs.{region}.amazonaws.com"}, USE, ["*"], context)


def for_alarms(*, account: str, services: tuple[str, ...]) -> Statement:
    """Services that publish to an encrypted topic may use its key, on behalf of this account alone."""
    context: Condition = {"StringEquals": {"aws:SourceAccount": account}}
    return let(
        "Publishers", {"Service": list(services)}, ["kms:Decrypt", "kms:GenerateDataKey*"], ["*"], context
    )

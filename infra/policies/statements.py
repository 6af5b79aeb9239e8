"""What policy documents are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

Policy: TypeAlias = dict[str, Any]
"""An IAM policy document, as it is written in JSON."""

Statement: TypeAlias = dict[str, Any]
Condition: TypeAlias = dict[str, dict[str, "str | list[str]"]]


def policy(*statements: Statement) -> Policy:
    """A document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(
    sid: str, actions: list[str], resources: list[str], condition: Condition | None = None
) -> Statement:
    """Allow whoever the document is attached to."""
    made: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**made, "Condition": condition} if condition else made


def let(
    sid: str,
    principal: dict[str, str | list[str]],
    actions: list[str],
    resources: list[str] | None,
    condition: Condition | None = None,
) -> Statement:
    """Allow a principal, in a document attached to what it is about; a trust policy names no resources."""
    made: Statement = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions}
    if resources is not None:
        made["Resource"] = resources
    return {**made, "Condition": condition} if condition else made


def deny(sid: str, action: str | list[str], resources: list[str], condition: Condition) -> Statement:
    """Deny everybody, in a document that is attached to what it is about."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resources,
        "Condition": condition,
    }


def refuse(
    sid: str, actions: list[str], resources: list[str], condition: Condition | None = None
) -> Statement:
    """Deny whoever the document is attached to."""
    made: Statement = {"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": resources}
    return {**made, "Condition": condition} if condition else made

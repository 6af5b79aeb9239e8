"""The building blocks of policy documents."""

from __future__ import annotations

from typing import Any, TypeAlias

Policy: TypeAlias = dict[str, Any]
"""An IAM policy document, with the keys of its JSON form."""

Statement: TypeAlias = dict[str, Any]
Condition: TypeAlias = dict[str, dict[str, "str | list[str]"]]


def policy(*statements: Statement) -> Policy:
    """Build a document from statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(
    sid: str, actions: list[str], resources: list[str], condition: Condition | None = None
) -> Statement:
    """Allow the identity that the document is attached to."""
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def let(
    sid: str,
    principal: dict[str, str | list[str]],
    actions: list[str],
    resources: list[str] | None,
    condition: Condition | None = None,
) -> Statement:
    """Allow a principal, in a document attached to a resource; a trust policy has no `resources`."""
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions}
    if resources is not None:
        statement["Resource"] = resources
    return {**statement, "Condition": condition} if condition else statement


def deny(sid: str, action: str | list[str], resources: list[str], condition: Condition) -> Statement:
    """Deny every principal, in a document attached to a resource."""
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
    """Deny the identity that the document is attached to."""
    statement: Statement = {"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement

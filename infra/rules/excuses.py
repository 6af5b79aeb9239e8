"""The wildcards that stand, each with the reason. What is not in this table is refused."""

from __future__ import annotations

from dataclasses import dataclass

POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
KEY = "aws:kms/key:Key"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
LOOKING = ("*:Describe*", "*:Get*", "*:List*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """One statement that may have a wildcard.

    Attributes:
        type: the type of the resource that has the statement.
        names: the logical names of such resources.
        sid: the statement's `Sid`.
        actions: patterns of all that the statement may allow; another action ends the excuse.
        parts: what may be a wildcard: `actions`, `resources`, `principals`.
        reason: why.
    """

    type: str
    names: tuple[str, ...]
    sid: str
    actions: tuple[str, ...]
    parts: tuple[str, ...] = ("resources",)
    reason: str


EXCUSES: tuple[Excuse, ...] = ()

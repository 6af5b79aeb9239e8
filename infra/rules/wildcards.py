"""The rule `wildcard`: no IAM policy allows all actions of a service, all resources or every principal.

`s3:Get*` and `arn:aws:kms:…:key/*` are allowed, as they name one kind of action or resource in one account.
The tests of each policy check whether those are too wide.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from infra.rules.excuses import EXCUSES
from infra.rules.subject import UNKNOWN, everybody, listed, statements, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.rules.excuses import Excuse
    from infra.rules.subject import Subject

KEYS = frozenset({"aws:kms/key:Key", "aws:kms/keyPolicy:KeyPolicy", "aws:kms/replicaKey:ReplicaKey"})
"""Types with a key policy, where the resource `*` means the key itself."""

MIGHTY = re.compile(
    r"arn:aws[a-z-]*:iam::aws:policy/([\w/-]*/)?(AdministratorAccess|PowerUserAccess|\w*FullAccess)"
)


def wildcard(subject: Subject) -> Iterator[str]:
    """Yield the wildcards in a resource's policies, except for those in the table of excuses."""
    for _, value in walk(subject.inputs) if subject.type.startswith("aws:iam/") else ():
        if isinstance(value, str) and (match := MIGHTY.fullmatch(value)):
            yield f"AWS's policy {match[2]} is as wide as a wildcard; write a policy with the needed actions"
    for statement in statements(subject):
        if statement.get("Effect") != "Allow":
            continue
        sid = statement.get("Sid", "?")
        excused = {part for excuse in EXCUSES if holds(excuse, subject, statement) for part in excuse.parts}
        for part, wildcards in _wide(subject, statement):
            if part not in excused:
                yield f"the statement {sid!r} allows {wildcards}; name {REMEDIES[part]}"


REMEDIES = {
    "actions": "the actions",
    "resources": "the resources, or add an excuse with its reason to infra/rules/excuses.py",
    "principals": "the principals",
}


def holds(excuse: Excuse, subject: Subject, statement: Mapping[str, Any]) -> bool:
    """Return whether an excuse applies to a statement and covers all of its actions."""
    return (
        excuse.type == subject.type
        and subject.name in excuse.names
        and excuse.sid == statement.get("Sid")
        and all(
            any(fnmatchcase(str(action), pattern) for pattern in excuse.actions)
            for action in listed(statement.get("Action"))
        )
    )


def _wide(subject: Subject, statement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the wildcards of a statement, each after the part that it is in."""
    if "NotAction" in statement:
        yield "actions", "all actions but some (NotAction)"
    for action in listed(statement.get("Action")):
        if action == "*" or re.fullmatch(r"[\w*-]+:\*+", str(action)):
            yield "actions", f"the actions {action!r}"
    if "NotResource" in statement:
        yield "resources", "all resources but some (NotResource)"
    for resource in listed(statement.get("Resource")):
        if subject.type not in KEYS and resource is not UNKNOWN and _everything(str(resource)):
            yield "resources", f"the resource {resource!r}"
    # `public_bucket` checks the principals of buckets.
    if everybody(statement) and not subject.type.startswith("aws:s3"):
        yield "principals", "every principal (Principal *)"


def _everything(resource: str) -> bool:
    """Return whether a pattern covers all resources of a service, or any account: `*`, `arn:aws:ec2:…:*`."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return resource.endswith("*")
    return parts[2] == "*" or "*" in parts[4] or parts[5].strip("*/") == ""

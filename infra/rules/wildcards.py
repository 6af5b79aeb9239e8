"""A wildcard in an IAM policy: everything of a service, everything there is, or everybody.

`s3:Get*` and `arn:aws:kms:…:key/*` are none: the one names a kind of actions, the other a kind of things in
one account. Whether those are too wide is what the tests of each policy say.
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
"""In a key's own policy `*` is that key, and nothing else can be written there."""

MIGHTY = re.compile(
    r"arn:aws[a-z-]*:iam::aws:policy/([\w/-]*/)?(AdministratorAccess|PowerUserAccess|\w*FullAccess)"
)


def wildcard(subject: Subject) -> Iterator[str]:
    """What of one resource grants by a wildcard, but for what the table of excuses has."""
    for _, value in walk(subject.inputs) if subject.type.startswith("aws:iam/") else ():
        if isinstance(value, str) and (found := MIGHTY.fullmatch(value)):
            yield f"AWS's policy {found[2]} is a wildcard by another name; write what is needed"
    for statement in statements(subject):
        if statement.get("Effect") != "Allow":
            continue
        sid = statement.get("Sid", "?")
        excused = {part for one in EXCUSES if holds(one, subject, statement) for part in one.parts}
        for part, what in _wide(subject, statement):
            if part not in excused:
                yield f"the statement {sid!r} allows {what}; name {WHAT[part]}"


WHAT = {
    "actions": "the actions",
    "resources": "the resources, or excuse it in infra/rules/excuses.py with the reason",
    "principals": "who may",
}


def holds(excuse: Excuse, subject: Subject, statement: Mapping[str, Any]) -> bool:
    """Whether an excuse is for this statement, and the statement allows nothing that the excuse lacks."""
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
    # A bucket's is `public_bucket`'s affair.
    if everybody(statement) and not subject.type.startswith("aws:s3"):
        yield "principals", "everybody (Principal *)"


def _everything(resource: str) -> bool:
    """Whether a resource is all there are of a service, or is anybody's: `*`, `arn:aws:ec2:…:*`."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return resource.endswith("*")
    return parts[2] == "*" or "*" in parts[4] or parts[5].strip("*/") == ""

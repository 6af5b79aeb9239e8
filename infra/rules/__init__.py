"""Rules that stop a deployment: what no resource may be, whoever writes it and wherever.

Each rule is a function of one resource (`public_bucket` also of a whole stack) and answers with one line for
each offence. The tests call them on what the program records, the CrossGuard pack (`infra/policy_pack`) on
what the engine is asked for. None of them needs Pulumi.

Add a module here for what no resource may be, and its rule to the tables below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from infra.rules.limits import unlimited
from infra.rules.public import public_bucket, unblocked_buckets
from infra.rules.subject import UNKNOWN, Subject
from infra.rules.tags import untagged
from infra.rules.versions import unpinned
from infra.rules.wildcards import wildcard

__all__ = ["RULES", "STACK_RULES", "UNKNOWN", "Rule", "StackRule", "Subject", "violations"]

Rule: TypeAlias = Callable[[Subject], Iterator[str]]
StackRule: TypeAlias = Callable[[Iterable[Subject]], Iterator[tuple[Subject, str]]]

RULES: dict[str, Rule] = {
    "public-bucket": public_bucket,
    "wildcard": wildcard,
    "untagged": untagged,
    "unpinned": unpinned,
    "unlimited": unlimited,
}
"""The rules for one resource, by name."""

STACK_RULES: dict[str, StackRule] = {"unblocked-bucket": unblocked_buckets}
"""The rules for all resources of a stack together, by name."""


def violations(subjects: Iterable[Subject]) -> list[str]:
    """Every offence in a stack: `name (type): rule: what is wrong; what to do`."""
    known = list(subjects)
    found = [(one, rule, reason) for one in known for rule, check in RULES.items() for reason in check(one)]
    found += [(one, rule, reason) for rule, check in STACK_RULES.items() for one, reason in check(known)]
    return [f"{one.name} ({one.type}): {rule}: {reason}" for one, rule, reason in found]

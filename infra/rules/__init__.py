"""Rules for every resource; a violation stops a deployment.

Each rule is a function of one resource, or of all resources of a stack, and yields one line per violation.
The tests call the rules on recorded resources, and the CrossGuard pack (`infra/policy_pack`) on those of the
engine. No rule needs Pulumi.

Add a module here for a new rule, and list it in the tables below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from infra.rules.balancers import open_balancer, open_node_ports
from infra.rules.creators import privileged_creator
from infra.rules.limits import unlimited
from infra.rules.people import soft_gate, unguarded_people
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
    "open-balancer": open_balancer,
    "privileged-creator": privileged_creator,
    "soft-gate": soft_gate,
}
"""The rules for one resource, by name."""

STACK_RULES: dict[str, StackRule] = {
    "unblocked-bucket": unblocked_buckets,
    "open-node-port": open_node_ports,
    "unguarded-people": unguarded_people,
}
"""The rules for all resources of a stack together, by name."""


def violations(subjects: Iterable[Subject]) -> list[str]:
    """Return all violations in a stack, as `name (type): rule: problem; remedy`."""
    stack = list(subjects)
    violated = [
        (subject, rule, reason)
        for subject in stack
        for rule, check in RULES.items()
        for reason in check(subject)
    ]
    violated += [
        (subject, rule, reason) for rule, check in STACK_RULES.items() for subject, reason in check(stack)
    ]
    return [f"{subject.name} ({subject.type}): {rule}: {reason}" for subject, rule, reason in violated]

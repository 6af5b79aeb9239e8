"""The rules on what a preview does not know yet: no complaint, and no crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from infra.rules import RULES, STACK_RULES, UNKNOWN, Subject, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.engine import Run

MOST = 30
"""The most values of a resource that are tried; a chart has thousands."""
KINDS = {
    "open-node-port": {"Service", "NetworkPolicy"},
    "unblocked-bucket": {"Bucket", "BucketPublicAccessBlock"},
    "unguarded-people": {
        *("Role", "RoleBinding", "ClusterRoleBinding", "ClusterWorkflowTemplate"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    },
}
"""The kinds that the rules of whole stacks look at."""


def holes(value: Any) -> Iterator[Any]:
    """Yield a value with each of its parts in turn not known yet, the outermost first."""
    parts = [(value, ())]
    for part, path in parts:
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        parts += [(item, (*path, key)) for key, item in items]
        if path:
            yield _with(value, path, UNKNOWN)


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a value with another part in one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], new)
    return copy


def variants(item: Subject, most: int = MOST) -> Iterator[Subject]:
    for _, inputs in zip(range(most), holes(item.inputs), strict=False):
        yield Subject(
            type=item.type, name=item.name, inputs=inputs, stack=item.stack, default_tags=item.default_tags
        )


@pytest.fixture(scope="module")
def stacks(estates: dict[str, Run], customers: dict[str, Run]) -> dict[str, list[Subject]]:
    """The resources of an estate and of a tenant, children of components included."""
    runs = {"dev": estates["dev"], "dev.acme": customers["dev.acme"]}
    return {name: recorded.subjects(run, name) for name, run in runs.items()}


@pytest.mark.parametrize("rule", RULES)
def test_a_value_that_is_not_known_yet_is_not_reported(stacks: dict[str, list[Subject]], rule: str) -> None:
    by_type = {item.type: item for items in stacks.values() for item in items}
    assert {"aws:eks/cluster:Cluster", "aws:lb/loadBalancer:LoadBalancer"} <= by_type.keys()
    for item in by_type.values():
        for variant in variants(item):
            assert list(RULES[rule](variant)) == [], variant.inputs


@pytest.mark.parametrize("rule", STACK_RULES)
@pytest.mark.parametrize("stack", ["dev", "dev.acme"])
def test_a_stack_of_which_something_is_not_known_yet_is_not_reported(
    stacks: dict[str, list[Subject]], stack: str, rule: str
) -> None:
    looked_at = [item for item in stacks[stack] if item.type.rpartition(":")[2] in KINDS[rule]]
    assert looked_at
    kinds = {item.type: item for item in looked_at}  # one of each kind changes
    for item in kinds.values():
        others = [other for other in looked_at if other is not item]
        for variant in variants(item):
            assert list(STACK_RULES[rule]([*others, variant])) == [], variant.inputs

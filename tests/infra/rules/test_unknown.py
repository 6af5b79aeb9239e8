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


LOOKED_AT = {
    *("cluster-eksCluster", "page-balancer", "page-argo-from-balancer", "service-argo-page"),
    *("networkpolicy-argo-page", "role-people", "rolebinding-people"),
    *("validatingadmissionpolicybinding-lightwork-people-runs-acme", "statefulset-log-relay"),
    *("lake-bucket", "network-default"),
}
"""Resources that show what each rule is about."""


def holes(value: Any, new: Any) -> Iterator[Any]:
    """Yield a value with another one in place of each of its parts in turn, the outermost first."""
    parts = [(value, ())]
    for part, path in parts:
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        parts += [(item, (*path, key)) for key, item in items]
        if path:
            yield _with(value, path, new)


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a value with another part in one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], new)
    return copy


def variants(item: Subject, new: Any = UNKNOWN) -> Iterator[Subject]:
    """Yield a resource with another value in place of its parts, by default one that is not known yet."""
    for _, inputs in zip(range(MOST), holes(item.inputs, new), strict=False):
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
    by_type = {item.type: item for item in looked_at}
    for item in looked_at:
        if item is not by_type[item.type] and item.name not in LOOKED_AT:
            continue
        others = [other for other in looked_at if other is not item]
        for variant in variants(item):
            assert list(STACK_RULES[rule]([*others, variant])) == [], variant.inputs


@pytest.mark.slow
@pytest.mark.parametrize("rule", [*RULES, *STACK_RULES])
def test_no_shape_of_a_resource_ends_a_rule(stacks: dict[str, list[Subject]], rule: str) -> None:
    """A rule that fails would stop the deployment without a word about what is wrong."""
    for items in stacks.values():
        own = [item for item in items if item.name in LOOKED_AT]
        for item in own:
            others = [other for other in own if other is not item]
            for junk in (None, 7, "x", [], {}, [None], [UNKNOWN], {"x": None}):
                for variant in variants(item, junk):
                    if rule in RULES:
                        list(RULES[rule](variant))
                    else:
                        list(STACK_RULES[rule]([*others, variant]))

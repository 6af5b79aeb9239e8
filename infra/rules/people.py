"""The rules `soft-gate` and `unguarded-people`: admission policies check what a tenant's people write.

Whoever may create or change Workflows could run an image of theirs with the tenant's rights
(`lightwork.manifests.gate`). So such a right comes with the policy's binding to that namespace, in the same
stack, and the estate's template comes with the policies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from infra.rules.subject import UNKNOWN, listed, mapping, undecided
from lightwork.kube import contract
from lightwork.manifests import gate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from infra.rules.subject import Subject

PEOPLE: Final = re.compile(rf"{contract.people_group('.+')}|system:(authenticated|serviceaccounts(:.+)?)")
"""Groups that a tenant's people are in, by the access entry or as everybody; Argo's page has an account."""
WRITING: Final = frozenset({"create", "update", "patch", "*"})
GUARDED: Final = {
    contract.GATE_RUNS: frozenset({"workflows", "workflows/*", "*"}),
    contract.GATE_VALUES: frozenset({"configmaps", "*"}),
    contract.GATE_SCHEDULES: frozenset({"cronworkflows", "cronworkflows/*", "*"}),
}
"""The policies, and the resources that each is about."""


def soft_gate(subject: Subject) -> Iterator[str]:
    """Yield why an admission policy or a binding lets through what it should refuse."""
    if (spec := subject.inputs.get("spec")) is UNKNOWN:
        return
    spec = mapping(spec)
    if subject.type.endswith(f":{gate.POLICY}") and spec.get("failurePolicy") not in ("Fail", UNKNOWN):
        yield "what it cannot check, it lets through; set `failurePolicy: Fail`"
    if subject.type.endswith(f":{gate.BINDING}"):
        actions = spec.get("validationActions")
        if not undecided(actions) and "Deny" not in listed(actions):
            yield "it refuses nothing; add Deny to `validationActions`"


def unguarded_people(subjects: Iterable[Subject]) -> Iterator[tuple[Subject, str]]:
    """Yield the bindings that let people write what no policy checks, and an estate without the policies."""
    stack = [item for item in subjects if item.type.startswith("kubernetes:")]
    roles = {(_namespace(item), _name(item)): item.inputs.get("rules") for item in _of(stack, "Role")}
    bindings = _of(stack, gate.BINDING)
    guards = {guard for item in bindings for guard in _guards(item)}
    for item in _of(stack, "ClusterRoleBinding"):
        if _names_people(item):
            yield item, "it gives a tenant's people rights in every namespace; bind a Role in their own"
    for item in _of(stack, "RoleBinding"):
        if not _names_people(item) or undecided([item.inputs, *(other.inputs for other in bindings)]):
            continue
        namespace = _namespace(item)
        for policy in _needed(item, roles):
            if (policy, namespace) not in guards:
                reason = f"people may write in {namespace} what no policy checks; bind {policy} to it"
                yield item, reason
    made = {_name(item) for item in _of(stack, gate.POLICY)}
    for item in _of(stack, "ClusterWorkflowTemplate"):
        for policy in sorted(GUARDED.keys() - made) if UNKNOWN not in made else ():
            yield item, f"a tenant's people could start it with their own image; make the policy {policy} too"


def _of(stack: Iterable[Subject], kind: str) -> list[Subject]:
    return [item for item in stack if item.type.endswith(f":{kind}")]


def _metadata(item: Subject, field: str) -> Any:
    metadata = item.inputs.get("metadata")
    value = metadata if metadata is UNKNOWN else mapping(metadata).get(field)
    return value if value is UNKNOWN else str(value)


def _name(item: Subject) -> Any:
    return _metadata(item, "name")


def _namespace(item: Subject) -> Any:
    return _metadata(item, "namespace")


def _names_people(item: Subject) -> bool:
    """Return whether a binding is for a tenant's people, or for the account of Argo's page for them."""
    return any(
        PEOPLE.fullmatch(str(subject.get("name")))
        if subject.get("kind") == "Group"
        else (subject.get("kind"), subject.get("name")) == ("ServiceAccount", contract.PEOPLE)
        for subject in map(mapping, listed(item.inputs.get("subjects")))
    )


def _needed(item: Subject, roles: Mapping[tuple[Any, Any], Any]) -> Iterator[str]:
    """Yield the policies that a binding needs: all, if its role is not in the stack, but for the relay's."""
    reference = mapping(item.inputs.get("roleRef"))
    role = _namespace(item), str(reference.get("name"))
    is_here = reference.get("kind") == "Role"  # a ClusterRole may have the same name
    if is_here and role == (contract.LOGS_NAMESPACE, contract.RELAY):
        return
    rules = roles.get(role) if is_here else None
    for policy, resources in GUARDED.items():
        if rules is None or any(
            WRITING & _texts(rule.get("verbs")) and resources & _texts(rule.get("resources"))
            for rule in map(mapping, listed(rules))
        ):
            yield policy


def _texts(values: Any) -> set[str]:
    return {str(value) for value in listed(values)}


def _guards(item: Subject) -> Iterator[tuple[str, Any]]:
    """Yield the policy of a binding, with the one namespace that it applies to."""
    spec = mapping(item.inputs.get("spec"))
    if "Deny" not in listed(spec.get("validationActions")):
        return
    match spec.get("matchResources"):
        case {"namespaceSelector": {"matchLabels": {gate.OF_NAMESPACE: namespace}}} as resources:
            if resources == gate.only_in(namespace):  # anything more would narrow it
                yield str(spec.get("policyName")), str(namespace)

"""What a tenant's people may write: admission policies that let in what their commands send.

RBAC tells kinds and verbs apart, but not what an object says. Whoever may create Workflows could start the
platform's own template with an image of theirs, or put other templates into the status of a run, from where
Argo takes them. So the API server checks what they write. The policies name the fields that are allowed: a
field that a later Argo adds is refused. What people may change of a schedule is in `gate_schedules`.

The policies are the estate's, one of each. Each tenant has a binding of all of them, in its own stack: what
applies a policy to a namespace is deployed with the right that it limits. docs/decisions/tenants-people.md
has the reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lightwork.kube import contract, texts
from lightwork.manifests import base, cel, gate_schedules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

API: Final = "admissionregistration.k8s.io/v1"
POLICY: Final = "ValidatingAdmissionPolicy"
BINDING: Final = "ValidatingAdmissionPolicyBinding"
POLICIES: Final = (contract.GATE_RUNS, contract.GATE_VALUES, contract.GATE_SCHEDULES)
OF_NAMESPACE: Final = "kubernetes.io/metadata.name"
"""The label that Kubernetes itself gives each namespace: its name."""

SPEC: Final = ("workflowTemplateRef", "arguments")
"""The fields of a run's `spec` that people set when they start it."""
STOPPING: Final = ("shutdown", "suspend")
"""The fields that people change afterwards."""
ACTOR: Final = tuple(
    f"workflows.argoproj.io/{name}" for name in ("actor", "actor-email", "actor-preferred-username", "action")
)
"""The labels by which Argo's page says who has stopped a run. Its server sets them, and people do not."""

_A_RUN: Final = "^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$"
"""The name of a run."""
_GROUP, _, _ = contract.ARGO.partition("/")
_KINDS: Final = ["workflows", "workflows/*"]
_ACCOUNT: Final = "request.userInfo.username.startsWith('system:serviceaccount:')"
_PERSON: Final = (
    "(has(request.userInfo.groups) && request.userInfo.groups.exists(group,"
    " group.startsWith('lightwork:') && group.endsWith(':people')))"
    f" || ({_ACCOUNT} && request.userInfo.username.endsWith(':{contract.PEOPLE}'))"
)
"""Whether a request is of a tenant's people: by their group, or by the account of Argo's page."""


def policies() -> list[Manifest]:
    """Return the policies, which the estate has once for all tenants."""
    return [
        _policy(contract.GATE_RUNS, _GROUP, _KINDS, _VARIABLES, [*_started(), *_changed()]),
        _policy(contract.GATE_VALUES, "", ["configmaps"], _OWNER, _values()),
        _policy(
            contract.GATE_SCHEDULES,
            _GROUP,
            ["cronworkflows", "cronworkflows/*"],
            gate_schedules.VARIABLES,
            gate_schedules.rules(),
        ),
    ]


def bindings(tenant: Tenant) -> list[Manifest]:
    """Return the bindings of the policies to a tenant's namespace; none if its file names no people."""
    if tenant.people is None:
        return []
    return [
        {
            "apiVersion": API,
            "kind": BINDING,
            "metadata": {"name": contract.gate_binding(policy, tenant.name), "labels": base.labels(tenant)},
            "spec": {
                "policyName": policy,
                "validationActions": ["Deny"],
                "matchResources": only_in(tenant.namespace),
            },
        }
        for policy in POLICIES
    ]


def only_in(namespace: str) -> dict[str, Any]:
    """Return the resources that a binding is about: all of one namespace."""
    return {"namespaceSelector": {"matchLabels": {OF_NAMESPACE: namespace}}}


def _policy(
    name: str, group: str, resources: list[str], variables: dict[str, str], rules: Iterable[dict[str, str]]
) -> Manifest:
    operations = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"]}
    return {
        "apiVersion": API,
        "kind": POLICY,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "lightwork"}},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [{**operations, "resources": resources, "scope": "Namespaced"}]
            },
            "matchConditions": [{"name": "people", "expression": _PERSON}],
            "variables": [{"name": key, "expression": text} for key, text in variables.items()],
            "validations": [{**rule, "reason": "Forbidden"} for rule in rules],
        },
    }


_VARIABLES: Final = {
    "starts": "request.operation == 'CREATE'",
    "page": _ACCOUNT,
    "reference": cel.or_empty("object.spec", "workflowTemplateRef", "{}"),
    "arguments": cel.or_empty("object.spec", "arguments", "{}"),
    "parameters": cel.or_empty("variables.arguments", "parameters", "[]"),
    "labels": cel.or_empty("object.metadata", "labels", "{}"),
    "annotations": cel.or_empty("object.metadata", "annotations", "{}"),
    "before": "variables.starts ? object.metadata : oldObject.metadata",
    "labelsBefore": cel.or_empty("variables.before", "labels", "{}"),
    "annotationsBefore": cel.or_empty("variables.before", "annotations", "{}"),
    "shutdown": cel.or_empty("object.spec", "shutdown", "''"),
    "specBefore": "variables.starts ? object.spec : oldObject.spec",
    "shutdownBefore": cel.or_empty("variables.specBefore", "shutdown", "''"),
}


def _started() -> list[dict[str, str]]:
    """Return what a run must be that people start: a pipeline of the tenant's, and parameters for it."""
    spec, reference = "object.spec", "variables.reference"
    item = (
        f"{cel.only('item', ('name', 'value'))} && has(item.name) && has(item.value)"
        f" && type(item.value) == string && !item.value.contains({cel.text(texts.BRACES)})"
    )
    rules = [
        cel.rule(
            cel.only(spec, SPEC),
            "a run names a pipeline (workflowTemplateRef) and its parameters (arguments) and no more of spec",
            cel.others(spec, SPEC),
        ),
        cel.rule(
            f"{cel.only(reference, ('name',))} && has({reference}.name)",
            "a run names a pipeline of this tenant by workflowTemplateRef.name, and nothing else there",
        ),
        cel.rule(
            f"{cel.only('variables.arguments', ('parameters',))} && variables.parameters.all(item, {item})",
            "arguments has parameters only, each with a name and a text without double braces as its value",
        ),
        cel.rule(
            f"{cel.only('variables.labels', contract.SUBMITTED_LABELS)}"
            f" && (!({cel.text(contract.LABEL_PIPELINE)} in variables.labels)"
            f" || variables.labels[{cel.text(contract.LABEL_PIPELINE)}] == {reference}.name)",
            f"a run may have the label {contract.LABEL_PIPELINE} with its own pipeline, and no other label",
        ),
        cel.rule(
            f"{cel.only('variables.annotations', contract.SUBMITTED_ANNOTATIONS)}"
            f" && variables.annotations.all(key, variables.annotations[key].matches('{_A_RUN}'))",
            f"a run may have the annotation {', '.join(contract.SUBMITTED_ANNOTATIONS)} with a run's name,"
            " and no other annotation",
        ),
        cel.rule(
            "!has(object.metadata.finalizers) && !has(object.metadata.ownerReferences)",
            "a run of yours may have neither finalizers nor owners",
        ),
        cel.rule("!has(object.status)", "a new run has no status: only Argo writes it"),
        cel.rule(
            "!object.metadata.name.matches('-[0-9]{9,}$')",
            "names that end in so long a number are those of scheduled runs; choose another one",
        ),
    ]
    return [{**rule, "expression": f"!variables.starts || ({rule['expression']})"} for rule in rules]


def _changed() -> list[dict[str, str]]:
    """Return what people may change in a run that is there: whether it goes on."""
    rules = [
        cel.rule(
            cel.same("object.spec", "oldObject.spec", f"key in {cel.names(STOPPING)}"),
            "a run that is there can be stopped and suspended, and nothing else of its spec changed",
        ),
        cel.rule(
            "variables.shutdown == variables.shutdownBefore"
            " || (variables.shutdown in ['Stop', 'Terminate'] && variables.shutdownBefore in ['', 'Stop'])",
            "shutdown becomes Stop or Terminate, and does not go back",
        ),
        cel.rule(
            "!has(object.spec.suspend) || type(object.spec.suspend) == bool",
            "suspend is true or false",
        ),
        cel.rule(
            cel.unchanged("status", "object", "oldObject"),
            "the status of a run is written by Argo alone",
        ),
        cel.rule(
            cel.same(
                "variables.labels", "variables.labelsBefore", f"(variables.page && key in {cel.names(ACTOR)})"
            ),
            "labels of a run are not yours to change",
        ),
        cel.rule(
            "variables.annotations == variables.annotationsBefore",
            "annotations of a run are not yours to change",
        ),
        cel.rule(cel.unchanged_owners(), "finalizers and owners of a run are not yours to change"),
    ]
    return [{**rule, "expression": f"variables.starts || ({rule['expression']})"} for rule in rules]


_OWNER: Final = {
    "only_checked": "has(request.dryRun) && request.dryRun",
    "owners": cel.or_empty("object.metadata", "ownerReferences", "[]"),
    "labels": cel.or_empty("object.metadata", "labels", "{}"),
}


def _values() -> list[dict[str, str]]:
    """Return what a ConfigMap must be that people create: the long parameters of a run, which owns it.

    `submit` first asks whether it may create one, when the run has no name yet.
    """
    owner = "variables.owners[0]"
    suffix = cel.text(contract.parameters_name(""))
    return [
        cel.rule(
            "variables.only_checked || (variables.owners.size() == 1"
            f" && {owner}.kind == 'Workflow' && {owner}.apiVersion == {cel.text(contract.ARGO)}"
            f" && object.metadata.name == {owner}.name + {suffix})",
            "a ConfigMap of yours has the long parameters of a run: it is called RUN-parameters, and the run"
            " owns it",
        ),
        cel.rule(
            f"{cel.only('variables.labels', (contract.LABEL_RUN,))}"
            " && !has(object.metadata.annotations) && !has(object.metadata.finalizers)",
            f"a ConfigMap of yours may have the label {contract.LABEL_RUN}, and no other label or annotation",
        ),
        cel.rule("has(object.immutable) && object.immutable", "a ConfigMap of yours is immutable"),
    ]

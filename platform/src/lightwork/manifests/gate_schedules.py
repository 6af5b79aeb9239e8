"""What a tenant's people may change of its schedules: whether they are suspended, with a reason.

Whoever may change a CronWorkflow could put any Workflow into it, which Argo would start with the tenant's
rights. So this policy lets `lightwork schedule suspend` and `resume` through, and nothing else.

A schedule that a person suspends gets a label that keeps Argo's controller from it, and not the field
`spec.suspend`: in Argo's definitions `spec` is one value as a whole, so whoever changes a part of it is in
conflict with the next deployment, which then fails, or resumes the schedule. Labels are values of their own.
People may not apply the object either, by which its other fields would be theirs as well.

Pure. `manifests.gate` makes the policy, `kube.schedules` sends what it lets through.
"""

from __future__ import annotations

from typing import Final

from lightwork.kube import contract
from lightwork.manifests import cel

CHANGED: Final = (contract.LABEL_SUSPENDED, contract.ANNOTATION_NOTE)
"""The label and the annotation that people change."""
_BY, _AT = '{"by": "', '", "at": "'
NOTE_LENGTH: Final = 2000
"""The most characters of the note with the reason."""
_NOTE: Final = (
    r'^\{"by": "[^"\\]*", "at": "[0-9T:+Z.-]{10,40}", "reason": "([^"\\[:cntrl:]]|\\[^[:cntrl:]])+"\}$'
)
"""The form of the note, so that nobody puts another name into it by a reason."""
_LABEL, _KEY = map(cel.text, CHANGED)

VARIABLES: Final = {
    "creates": "request.operation == 'CREATE'",
    "before": "variables.creates ? object : oldObject",
    "labels": cel.or_empty("object.metadata", "labels", "{}"),
    "labelsBefore": cel.or_empty("variables.before.metadata", "labels", "{}"),
    "annotations": cel.or_empty("object.metadata", "annotations", "{}"),
    "annotationsBefore": cel.or_empty("variables.before.metadata", "annotations", "{}"),
    "note": f"{_KEY} in variables.annotations ? variables.annotations[{_KEY}] : ''",
    "noteBefore": f"{_KEY} in variables.annotationsBefore ? variables.annotationsBefore[{_KEY}] : ''",
    "managers": cel.or_empty("object.metadata", "managedFields", "[]"),
    # No label has this value: it stands for none.
    "suspended": f"{_LABEL} in variables.labels ? variables.labels[{_LABEL}] : '?'",
    "suspendedBefore": f"{_LABEL} in variables.labelsBefore ? variables.labelsBefore[{_LABEL}] : '?'",
}


def rules() -> list[dict[str, str]]:
    """Return what must be true of a schedule that people change."""
    manager = cel.text(contract.FIELD_MANAGER)
    start = f"{cel.text(_BY)} + request.userInfo.username + {cel.text(_AT)}"
    changes = [
        cel.rule(
            cel.unchanged("spec", "object", "variables.before"),
            "a schedule of yours can be suspended and resumed by a label, and nothing of its spec changed",
        ),
        cel.rule(
            "variables.suspended == variables.suspendedBefore"
            f" || variables.suspended in ['?', {cel.text(contract.SUSPENDED)}]",
            f"the label {contract.LABEL_SUSPENDED} becomes {contract.SUSPENDED}, or is deleted",
        ),
        cel.rule(
            "variables.note == variables.noteBefore ? variables.suspended == variables.suspendedBefore"
            f" : (size(variables.note) <= {NOTE_LENGTH} && variables.note.matches({cel.text(_NOTE)})"
            f" && variables.note.startsWith({start}))",
            f"the annotation {contract.ANNOTATION_NOTE} says why, when, and that it was you: use"
            " `lightwork schedule suspend` or `resume`",
        ),
        cel.rule(
            cel.same("variables.annotations", "variables.annotationsBefore", f"key == {_KEY}"),
            f"a schedule's annotations but {contract.ANNOTATION_NOTE} are not yours to change",
        ),
        cel.rule(
            cel.same("variables.labels", "variables.labelsBefore", f"key == {_LABEL}"),
            f"a schedule's labels but {contract.LABEL_SUSPENDED} are not yours to change",
        ),
        cel.rule(
            cel.unchanged("status", "object", "variables.before"),
            "the status of a schedule is written by Argo alone",
        ),
        cel.rule(cel.unchanged_owners(), "finalizers and owners of a schedule are not yours to change"),
        # Nothing says whether a request is an apply, but what it leaves does, under the name that it gives.
        cel.rule(
            f"has(request.options.fieldManager) && request.options.fieldManager == {manager}"
            f" && !variables.managers.exists(item, item.manager == {manager} && item.operation == 'Apply')",
            "a schedule is not yours to apply: a deployment would be in conflict with you; send a patch as"
            f" the field manager {contract.FIELD_MANAGER}",
        ),
    ]
    made = cel.rule("!variables.creates", "schedules are made from the tenant's file alone")
    return [
        made,
        *({**rule, "expression": f"variables.creates || ({rule['expression']})"} for rule in changes),
    ]

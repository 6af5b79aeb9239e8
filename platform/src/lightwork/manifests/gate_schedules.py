"""What a tenant's people may change of its schedules: whether they are suspended, with a reason.

Whoever may change a CronWorkflow could put any Workflow into it, which Argo would start with the tenant's
rights. So this policy lets `lightwork schedule suspend` and `resume` through, and nothing else. It also keeps
people from getting in the way of deployments, which set the fields of the same object by server-side apply:

- `resume` deletes the field `suspend`. One that says false would be in conflict with a file that says true.
- A schedule that the tenant's file suspends has an annotation that says so, and stays suspended.
- People apply nothing themselves, so that no field is theirs besides the two that they change.

Pure. `manifests.gate` makes the policy, `kube.schedules` sends what it lets through.
"""

from __future__ import annotations

from typing import Final

from lightwork.kube import contract
from lightwork.manifests import cel

SUSPEND: Final = "suspend"
"""The only field of a CronWorkflow's `spec` that people change."""
_BY, _AT = '{"by": "', '", "at": "'
NOTE_LENGTH: Final = 2000
"""The most characters of the note with the reason."""
_NOTE: Final = (
    r'^\{"by": "[^"\\]*", "at": "[0-9T:+Z.-]{10,40}", "reason": "([^"\\[:cntrl:]]|\\[^[:cntrl:]])+"\}$'
)
"""The form of the note, so that nobody puts another name into it by a reason."""

VARIABLES: Final = {
    "creates": "request.operation == 'CREATE'",
    "before": "variables.creates ? object : oldObject",
    "labels": cel.or_empty("object.metadata", "labels", "{}"),
    "labelsBefore": cel.or_empty("variables.before.metadata", "labels", "{}"),
    "annotations": cel.or_empty("object.metadata", "annotations", "{}"),
    "annotationsBefore": cel.or_empty("variables.before.metadata", "annotations", "{}"),
    "note": f"{cel.text(contract.ANNOTATION_NOTE)} in variables.annotations"
    f" ? variables.annotations[{cel.text(contract.ANNOTATION_NOTE)}] : ''",
    "noteBefore": f"{cel.text(contract.ANNOTATION_NOTE)} in variables.annotationsBefore"
    f" ? variables.annotationsBefore[{cel.text(contract.ANNOTATION_NOTE)}] : ''",
    "managers": cel.or_empty("object.metadata", "managedFields", "[]"),
    "suspendKept": cel.unchanged(SUSPEND, "object.spec", "variables.before.spec"),
}


def rules() -> list[dict[str, str]]:
    """Return what must be true of a schedule that people change."""
    by_file = cel.text(contract.ANNOTATION_BY_FILE)
    manager = cel.text(contract.FIELD_MANAGER)
    start = f"{cel.text(_BY)} + request.userInfo.username + {cel.text(_AT)}"
    changes = [
        cel.rule(
            cel.same("object.spec", "variables.before.spec", f"key == '{SUSPEND}'"),
            "a schedule of yours can be suspended and resumed, and nothing else of its spec changed",
        ),
        cel.rule(
            "variables.suspendKept || !has(object.spec.suspend)"
            " || (type(object.spec.suspend) == bool && object.spec.suspend)",
            "suspend becomes true, or is deleted to resume the schedule",
        ),
        cel.rule(
            f"variables.suspendKept || !({by_file} in variables.annotationsBefore)",
            "the tenant's file suspends this schedule: change the file, and have it deployed",
        ),
        cel.rule(
            "variables.note == variables.noteBefore ? variables.suspendKept"
            f" : (size(variables.note) <= {NOTE_LENGTH} && variables.note.matches({cel.text(_NOTE)})"
            f" && variables.note.startsWith({start}))",
            f"the annotation {contract.ANNOTATION_NOTE} says why, when, and that it was you: use"
            " `lightwork schedule suspend` or `resume`",
        ),
        cel.rule(
            cel.same(
                "variables.annotations",
                "variables.annotationsBefore",
                f"key == {cel.text(contract.ANNOTATION_NOTE)}",
            ),
            f"a schedule's annotations but {contract.ANNOTATION_NOTE} are not yours to change",
        ),
        cel.rule(
            "variables.labels == variables.labelsBefore", "labels of a schedule are not yours to change"
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

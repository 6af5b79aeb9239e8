"""What a tenant's people may change of its schedules: by real requests with such a person's rights.

Argo starts whatever a CronWorkflow has, with the tenant's rights. The cases are an attacker's, all fields
that this version of Argo knows, and each rule of the policy taken away, which lets its own case through.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from lightwork.kube import contract
from lightwork.manifests import gate
from tests.cluster import schedules, tenants
from tests.cluster.impersonation import Answer, Caller
from tests.cluster.kube import apply, get, kubectl
from tests.cluster.progress import wait_for
from tests.cluster.settings import ROOT
from tests.cluster.test_gate import APPLY, IMAGE, JSON_PATCH, OWNER, definition, sample
from tests.cluster.test_waiting import kubeconfig_of

SPACE = tenants.namespace("acme")
NAME = "windy-city"
SCHEDULES = f"/apis/{contract.ARGO}/namespaces/{SPACE}/cronworkflows"
OBJECT = f"{SCHEDULES}/{NAME}"
ONE = f"{OBJECT}?fieldManager={contract.FIELD_MANAGER}"
JANE = "arn:aws:sts::123456789012:assumed-role/lightwork-dev-people-acme/jane"
MAIN = {"name": "main", "container": {"image": IMAGE, "command": ["sh"]}}


def note(by: str = JANE, reason: str = "the data is late", at: str = "2026-11-28T07:00:00+00:00") -> str:
    return json.dumps({"by": by, "at": at, "reason": reason}, ensure_ascii=False)


def patch(
    value: str | None = contract.SUSPENDED, text: str | None = None, *, spec: Any = None, **metadata: Any
) -> dict[str, Any]:
    """Return what `lightwork schedule suspend` sends, with more of its spec and metadata."""
    annotations = {contract.ANNOTATION_NOTE: note() if text is None else text}
    annotations |= metadata.pop("annotations", {})
    labels = {contract.LABEL_SUSPENDED: value, **metadata.pop("labels", {})}
    return {
        **({"spec": spec} if spec else {}),
        "metadata": {"labels": labels, "annotations": annotations, **metadata},
    }


@pytest.fixture(scope="module")
def schedule(both_tenants: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """A schedule of acme that nothing suspends, and that does not fire during the tests."""
    with schedules.active(NAME) as item:
        yield item


@pytest.fixture(scope="module")
def jane(schedule: dict[str, Any]) -> Caller:
    """One of acme's people."""
    caller = Caller(JANE, (contract.people_group("acme"), "system:authenticated"))
    wait_for("the policy", lambda: caller.send("PATCH", ONE, patch("x")).status != 200, seconds=30)
    return caller


@pytest.fixture
def resumed(schedule: dict[str, Any]) -> Iterator[None]:
    """Undo what a test really changes."""
    yield
    labels, annotations = {contract.LABEL_SUSPENDED: None}, {contract.ANNOTATION_NOTE: None}
    body = {"metadata": {"labels": labels, "annotations": annotations}}
    assert Caller().send("PATCH", ONE, body, really=True).status == 200


def is_suspended() -> bool:
    labels = get("cronworkflow", NAME, "-n", SPACE)["metadata"]["labels"]
    return bool(labels.get(contract.LABEL_SUSPENDED) == contract.SUSPENDED)


def refused(answer: Answer) -> str:
    """Return the reason of a refusal by the policy, which is one line."""
    binding = contract.gate_binding(contract.GATE_SCHEDULES, "acme")
    expected = (
        f"ValidatingAdmissionPolicy '{contract.GATE_SCHEDULES}' with binding '{binding}' denied request: "
    )
    assert answer.status in (403, 422), (answer.status, answer.message)
    _, found, reason = answer.message.partition(expected)
    assert found, answer.message
    assert "\n" not in reason
    return reason


def test_a_person_suspends_and_resumes_with_a_reason(jane: Caller, resumed: None) -> None:
    for reason in ("late", 'a "quoted" \\ one', "ä {{x}} 風", "x" * 500, '", "by": "anna"'):
        assert jane.send("PATCH", ONE, patch(text=note(reason=reason))).status == 200, reason
    assert jane.send("PATCH", ONE, patch(), really=True).status == 200
    assert is_suspended()
    assert jane.send("PATCH", ONE, patch(text=note(reason="still late"))).status == 200, "another reason"
    assert jane.send("PATCH", ONE, patch(None, note(reason="it is there")), really=True).status == 200
    assert not is_suspended()


ELSEWHERE = {contract.LABEL_SUSPENDED: "another"}
HELD = {"labels": {contract.LABEL_SUSPENDED: contract.SUSPENDED}}
SPEC = {"workflowSpec": {"templates": [MAIN], "entrypoint": "main"}}
CHANGES: dict[str, tuple[Any, str]] = {
    "templates of their own": (patch(spec=SPEC), ""),
    "the platform's template": (
        patch(
            spec={"workflowSpec": {"workflowTemplateRef": {"name": contract.SCALER, "clusterScope": True}}}
        ),
        "",
    ),
    "an image by a JSON patch": (
        [{"op": "add", "path": "/spec/workflowSpec/templates", "value": [MAIN]}],
        JSON_PATCH,
    ),
    "another time": (patch(spec={"schedules": ["* * * * *"]}), ""),
    "a status": ({**patch(), "status": {"lastScheduledTime": "2026-01-01T00:00:00Z"}}, ""),
    "a label": (patch(labels={contract.LABEL_TENANT: "globex"}), ""),
    "that it is another controller's": (patch(labels=ELSEWHERE), ""),
    "that it is nobody's": (patch(""), ""),
    "its own field": (patch(spec={"suspend": True}), ""),
    "another annotation": (patch(annotations={"x": "y"}), ""),
    "that the file suspends it": (patch(annotations={contract.ANNOTATION_BY_FILE: "x"}), ""),
    "a finalizer": (patch(finalizers=["example.com/stays"]), ""),
    "an owner": (patch(ownerReferences=OWNER), ""),
    "no reason": ({"metadata": HELD}, ""),
    "an empty reason": (patch(text=note(reason="")), ""),
    "a reason of another's": (patch(text=note(by="anna")), ""),
    "a reason in another form": (patch(text="late"), ""),
    "another's name after their own": (patch(text=note()[:-1] + ', "by": "anna"}'), ""),
    "a very long reason": (patch(text=note(reason="x" * 3000)), ""),
    "a reason of several lines": (patch(text=note() + "\n"), ""),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_person_changes_nothing_of_a_schedule_but_whether_it_is_suspended(jane: Caller, what: str) -> None:
    body, kind = CHANGES[what]
    assert "resulted in error" not in refused(jane.send("PATCH", ONE, body, kind)), "it says why"


def applied(schedule: dict[str, Any], manager: str = contract.FIELD_MANAGER) -> tuple[str, dict[str, Any]]:
    """Return the path and the body of an apply that changes nothing but whether it is suspended."""
    item = copy.deepcopy(schedule)
    item["metadata"]["labels"] |= HELD["labels"]
    item["metadata"]["annotations"] = {contract.ANNOTATION_NOTE: note()}
    return f"{OBJECT}?fieldManager={manager}&force=true", item


def test_a_person_does_not_own_the_fields_of_a_deployment(jane: Caller, schedule: dict[str, Any]) -> None:
    """With the same values, or under the deployment's own name: its next change would be refused."""
    for manager in ("jane", "kubectl", contract.FIELD_MANAGER):
        path, body = applied(schedule, manager)
        assert "not yours to apply" in refused(jane.send("PATCH", path, body, APPLY))
    for query in ("", "?fieldManager=jane", "?fieldManager=kubectl"):
        assert "not yours to apply" in refused(jane.send("PATCH", f"{OBJECT}{query}", patch()))


def test_every_other_field_is_refused(jane: Caller) -> None:
    fields = definition("cronworkflows")["spec"]["properties"]
    assert sorted(fields) == KNOWN.split(), (
        "Argo's CronWorkflows have other fields; they are refused to people. Read what they do, and write"
        " them here"
    )
    for name, inner in {**fields, "somethingNew": {"type": "string"}}.items():
        if name != "workflowSpec":
            refused(jane.send("PATCH", ONE, patch(spec={name: sample(inner)})))
    inside = fields["workflowSpec"]["properties"]
    assert len(inside) > 40, "the whole definition"
    for name, inner in {**inside, "somethingNew": {"type": "string"}}.items():
        refused(jane.send("PATCH", ONE, patch(spec={"workflowSpec": {name: sample(inner)}})))


KNOWN = """
concurrencyPolicy failedJobsHistoryLimit schedule schedules startingDeadlineSeconds stopStrategy
successfulJobsHistoryLimit suspend timezone when workflowMetadata workflowSpec
"""


def test_nobody_makes_or_deletes_a_schedule_or_changes_another_ones(
    jane: Caller, schedule: dict[str, Any], both_tenants: tuple[str, ...]
) -> None:
    new = {**schedule, "metadata": {"name": "mine"}}
    by_apply = f"{SCHEDULES}/mine?fieldManager=jane&force=true"
    theirs = ONE.replace(SPACE, tenants.namespace("globex"))
    requests = [
        ("POST", SCHEDULES, new, ""),
        ("PATCH", by_apply, new, APPLY),
        ("DELETE", OBJECT, None, ""),
        ("PATCH", theirs, patch(), ""),
        ("PATCH", f"{SCHEDULES}/not-in-the-file", patch(), ""),
    ]
    for verb, path, body, kind in requests:
        answer = jane.send(verb, path, body, kind)
        assert answer.status == 403, (verb, path, answer.status, answer.message)
        assert "cannot" in answer.message, "RBAC refuses it before the policy is asked"
    stranger = Caller("anna", (contract.people_group("globex"), "system:authenticated"))
    assert stranger.send("PATCH", ONE, patch()).status == 403


def test_operators_argo_and_deployments_are_left_alone(jane: Caller, schedule: dict[str, Any]) -> None:
    others = [Caller(), Caller("system:serviceaccount:argo:argo", ("system:authenticated", "system:masters"))]
    for caller in others:
        for what in ("another time", "a label", "a finalizer", "a status"):
            assert caller.send("PATCH", ONE, CHANGES[what][0]).status == 200, what


def test_a_deployment_leaves_alone_what_people_have_suspended(
    jane: Caller, schedule: dict[str, Any], resumed: None
) -> None:
    """It neither resumes it nor is in conflict, also when the file suspends it and then does not."""
    assert jane.send("PATCH", ONE, patch(), really=True).status == 200
    changed = copy.deepcopy(schedule)
    changed["spec"]["startingDeadlineSeconds"] = 77
    by_file = copy.deepcopy(changed)
    by_file["spec"]["suspend"] = True
    by_file["metadata"]["annotations"] = {contract.ANNOTATION_BY_FILE: "suspended: true"}
    for item in (changed, by_file, schedule):
        text = json.dumps(item)
        kubectl("apply", "--server-side", "-f", "-", stdin=text)  # without force: a conflict would fail
        found = get("cronworkflow", NAME, "-n", SPACE)
        assert is_suspended()
        assert bool(found["spec"].get("suspend")) == bool(item["spec"].get("suspend"))
        assert found["metadata"]["annotations"][contract.ANNOTATION_NOTE] == note()


def test_the_commands_of_a_person_work_and_say_who_and_why(
    jane: Caller, schedule: dict[str, Any], resumed: None, tmp_path: Any
) -> None:
    """With a service account in place of the person, whom the policy knows by its name."""
    account = {"kind": "ServiceAccount", "name": contract.PEOPLE, "namespace": "default"}
    metadata = {"name": "suspending", "namespace": SPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": contract.PEOPLE}
    binding = {"apiVersion": f"{reference['apiGroup']}/v1", "kind": "RoleBinding", "metadata": metadata}
    made = {"apiVersion": "v1", "kind": "ServiceAccount"}
    apply([{**made, "metadata": {"name": contract.PEOPLE, "namespace": "default"}}])
    apply([{**binding, "roleRef": reference, "subjects": [account]}])
    environment = {**tenants.environment(), "KUBECONFIG": kubeconfig_of(contract.PEOPLE, tmp_path)}

    def lightwork(*words: str, code: int = 0) -> str:
        command = [*tenants.LIGHTWORK, *words, *tenants.WHERE, "acme"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    try:
        said = lightwork("schedule", "suspend", NAME, "--reason", "no wind", "--json")
        assert json.loads(said) == {"pipeline": NAME, "state": "suspended", "changed": True}
        (found,) = (
            item
            for item in json.loads(lightwork("schedule", "--json"))["schedules"]
            if item["pipeline"] == NAME
        )
        assert found["state"] == "suspended"
        assert found["why"].startswith("no wind (system:serviceaccount:default:people, 20")
        listed = json.loads(lightwork("doctor", "--json", code=1).splitlines()[0])["findings"]
        (finding,) = [item for item in listed if item["what"].startswith(f"{NAME} is suspended: no wind")]
        assert finding["mend"] == f"lightwork schedule resume {NAME} --env dev --tenant acme"
        moment = dt.datetime.now(dt.UTC)
        assert "goes on; its next run starts at" in lightwork("schedule", "resume", NAME)
        assert not is_suspended()
        (managed,) = [
            item["time"]
            for item in json.loads(kubectl("get", "--raw", OBJECT))["metadata"]["managedFields"]
            if item["manager"] == "lightwork"
        ]
        assert dt.datetime.fromisoformat(managed) >= moment.replace(microsecond=0), "when it was resumed"
    finally:
        kubectl("-n", SPACE, "delete", "rolebinding", "suspending", "--ignore-not-found")
        kubectl("-n", "default", "delete", "serviceaccount", contract.PEOPLE, "--ignore-not-found")


def test_the_policy_has_no_expression_that_the_api_server_doubts(jane: Caller) -> None:
    found = get("validatingadmissionpolicy", contract.GATE_SCHEDULES)
    assert found["spec"]["failurePolicy"] == "Fail"
    assert not found.get("status", {}).get("typeChecking", {}).get("expressionWarnings")


ALONE = {
    "nothing of its spec": "an image by a JSON patch",
    f"becomes {contract.SUSPENDED}": "that it is nobody's",
    "says why, when": "a reason of another's",
    "annotations but": "another annotation",
    "labels but": "a label",
    "written by Argo alone": "a status",
    "finalizers and owners": "a finalizer",
    "not yours to apply": "",
}
"""Of each rule, by words of its message, a case that it alone refuses; that of the last is an apply."""


def test_each_rule_is_what_refuses_its_case(jane: Caller, schedule: dict[str, Any]) -> None:
    (policy,) = [item for item in gate.policies() if item["metadata"]["name"] == contract.GATE_SCHEDULES]
    rules = policy["spec"]["validations"]
    assert len(rules) == len(ALONE) + 1, "people have no right to create one, so that rule is asked by nobody"
    path, body = applied(schedule)
    try:
        for words, what in ALONE.items():
            (own,) = [rule for rule in rules if words in rule["message"]]
            change, kind = CHANGES.get(what, (patch(None), ""))
            where = ONE
            if words == "not yours to apply":
                where, change, kind = path, body, APPLY
            refused(jane.send("PATCH", where, change, kind))
            less = copy.deepcopy(policy)
            less["spec"]["validations"] = [rule for rule in rules if rule is not own]
            apply([less])
            wait_for(
                f"the hole without: {own['message']}",
                lambda w=where, c=change, k=kind: jane.send("PATCH", w, c, k).status == 200,
                seconds=30,
            )
            apply([policy])
            wait_for(
                "the refusal",
                lambda w=where, c=change, k=kind: jane.send("PATCH", w, c, k).status != 200,
                seconds=30,
            )
    finally:
        apply([policy, schedule])

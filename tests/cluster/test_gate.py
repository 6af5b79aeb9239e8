"""What a tenant's people may write: the admission policies, by real requests with such a person's rights.

Nothing else stands between somebody who may create Workflows and an image of theirs that runs with the
tenant's rights. The cases are an attacker's, and all fields that this version of Argo knows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.kube import values as values_of_runs
from lightwork.manifests import gate, people
from tests.cluster import tenants
from tests.cluster.binaries import argo_manifests
from tests.cluster.impersonation import Answer, Caller
from tests.cluster.kube import get, kubectl
from tests.cluster.progress import wait_for
from tests.estate import files

SPACE = tenants.namespace("acme")
WORKFLOWS = f"/apis/{contract.ARGO}/namespaces/{SPACE}/workflows"
MAPS = f"/api/v1/namespaces/{SPACE}/configmaps"
PIPELINE = "windy-city"
IMAGE = "example.com/mine:1"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def jane(both_tenants: tuple[str, ...]) -> Caller:
    """One of acme's people."""
    groups = (contract.people_group("acme"), "system:authenticated")
    caller = Caller("arn:aws:sts::123456789012:assumed-role/lightwork-dev-people-acme/jane", groups)
    hole = {**started(), "spec": {**started()["spec"], "podSpecPatch": "x"}}
    wait_for("the policies", lambda: caller.send("POST", WORKFLOWS, hole).status == 403, seconds=30)
    return caller


@pytest.fixture(scope="module")
def run(jane: Caller) -> Iterator[str]:
    """A run of acme that is suspended from its start and has no pods; Argo has filled in its status."""
    administrator = Caller()
    body = started()
    body["spec"]["suspend"] = True
    name = str(administrator.send("POST", WORKFLOWS, body, really=True).body["metadata"]["name"])
    wait_for(
        "Argo's first look at the run",
        lambda: "storedWorkflowTemplateSpec" in tenants.status("acme", name),
        seconds=60,
    )
    yield name
    kubectl("-n", SPACE, "delete", "workflow", name, "--ignore-not-found")


def started(**metadata: Any) -> dict[str, Any]:
    """Return what `lightwork submit` sends, with more of its metadata."""
    return {
        "apiVersion": contract.ARGO,
        "kind": "Workflow",
        "metadata": {
            "generateName": f"{PIPELINE}-",
            "labels": {contract.LABEL_PIPELINE: PIPELINE},
            **metadata,
        },
        "spec": {
            "workflowTemplateRef": {"name": PIPELINE},
            "arguments": {"parameters": [{"name": "max_timestamps", "value": "100"}]},
        },
    }


def with_spec(**fields: Any) -> dict[str, Any]:
    body = started()
    body["spec"] |= fields
    return body


def with_parameter(**fields: Any) -> dict[str, Any]:
    return with_spec(arguments={"parameters": [{"name": "max_timestamps", **fields}]})


MAIN = {"name": "main", "container": {"image": IMAGE, "command": ["sh"]}}
OWN_IMAGE = {
    "entrypoint": "driver",
    "workflowTemplateRef": {"name": contract.SCALER, "clusterScope": True},
    "arguments": {"parameters": [{"name": "image", "value": IMAGE}]},
}
OWNER = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]

STARTS: dict[str, dict[str, Any]] = {
    "the platform's template with an image of theirs": {**started(), "spec": OWN_IMAGE},
    "the platform's template alone": with_spec(workflowTemplateRef=OWN_IMAGE["workflowTemplateRef"]),
    "a template by two fields": with_spec(workflowTemplateRef={"name": PIPELINE, "clusterScope": False}),
    "templates of their own": {**started(), "spec": {"entrypoint": "main", "templates": [MAIN]}},
    "templates beside the pipeline's": with_spec(templates=[MAIN]),
    "a patch of pods": with_spec(podSpecPatch=json.dumps({"containers": [{"name": "main", "image": IMAGE}]})),
    "another account": with_spec(serviceAccountName=contract.ACCOUNT_DRIVER),
    "an executor of another account": with_spec(executor={"serviceAccountName": contract.ACCOUNT_DRIVER}),
    "a volume with the tenant's secret": with_spec(volumes=[{"name": "s", "secret": {"secretName": "s"}}]),
    "a claim": with_spec(volumeClaimTemplates=[{"metadata": {"name": "c"}, "spec": {}}]),
    "an artifact": with_spec(arguments={"artifacts": [{"name": "a", "raw": {"data": "x"}}]}),
    "hooks": with_spec(hooks={"running": {"template": "main", "expression": "true"}}),
    "an exit handler": with_spec(onExit="main"),
    "defaults of templates": with_spec(templateDefaults={"container": {"image": IMAGE}}),
    "an entrypoint past the queue": with_spec(entrypoint="work"),
    "a later deadline": with_spec(activeDeadlineSeconds=10**7),
    "a Workflow that stays": with_spec(ttlStrategy={"secondsAfterCompletion": 10**7}),
    "a higher priority": with_spec(priority=10**6),
    "labels by the spec": with_spec(workflowMetadata={"labels": {contract.LABEL_TENANT: "globex"}}),
    "labels of pods": with_spec(podMetadata={"labels": {contract.LABEL_ROLE: "driver"}}),
    "a patch of the artifacts' collector": with_spec(artifactGC={"podSpecPatch": "x"}),
    "metrics": with_spec(metrics={"prometheus": []}),
    "pods without the restricted level": with_spec(securityContext={"runAsNonRoot": False}),
    "a parameter from a ConfigMap": with_parameter(valueFrom={"configMapKeyRef": {"name": "x", "key": "y"}}),
    "a parameter for all steps": with_parameter(value="1", globalName="image"),
    "a parameter that Argo fills in": with_parameter(value="{{workflow.serviceAccountName}}"),
    "an expression in a parameter": with_parameter(value="a {{=sprig.env('HOME')}}"),
    "a parameter that is a number": with_parameter(value=100),
    "arguments that are no mapping": with_spec(arguments=[1]),
    "parameters that are no list": with_spec(arguments={"parameters": {"max_timestamps": "1"}}),
    "a reference that is no mapping": with_spec(workflowTemplateRef=PIPELINE),
    "a reference of nothing": with_spec(workflowTemplateRef=None),
    "an empty spec": {**started(), "spec": {}},
    "a status with templates of their own": {
        **started(),
        "status": {"storedWorkflowTemplateSpec": {"entrypoint": "main", "templates": [MAIN]}},
    },
    "an empty status": {**started(), "status": {}},
    "a run that says it has ended": {**started(), "status": {"phase": "Succeeded"}},
    "the label of another pipeline": started(labels={contract.LABEL_PIPELINE: "probe"}),
    "the label of another tenant": started(labels={contract.LABEL_TENANT: "globex"}),
    "the label of another run": started(labels={contract.LABEL_RUN: "windy-city-abcde"}),
    "a label that hides it from Argo": started(labels={"workflows.argoproj.io/completed": "true"}),
    "a label for the archive": started(labels={"workflows.argoproj.io/workflow-archiving-status": "Pending"}),
    "a label of who made it": started(labels={"workflows.argoproj.io/creator": "anna"}),
    "a label of the schedule": started(labels={"workflows.argoproj.io/cron-workflow": PIPELINE}),
    "a reason as the controller's": started(annotations={contract.ANNOTATION_REASON: "all is well"}),
    "a firing of the schedule": started(
        annotations={"workflows.argoproj.io/scheduled-time": "2026-01-01T00:00:00Z"}
    ),
    "a retry of what is no run": started(annotations={contract.ANNOTATION_RETRY_OF: "{{workflow.uid}}"}),
    "a retry of nothing": started(annotations={contract.ANNOTATION_RETRY_OF: ""}),
    "a finalizer": started(finalizers=["example.com/stays"]),
    "an owner": started(ownerReferences=OWNER),
    "the name of a scheduled run": started(name=f"{PIPELINE}-1764288000"),
}


def refused(answer: Answer, policy: str = contract.GATE_RUNS) -> str:
    """Return the reason of a refusal by a policy, which is one line."""
    binding = contract.gate_binding(policy, "acme")
    expected = f"ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: "
    assert answer.status in (403, 422), (answer.status, answer.message)
    _, found, reason = answer.message.partition(expected)
    assert found, answer.message
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize("what", STARTS)
def test_a_person_starts_nothing_but_a_pipeline_with_texts_for_its_parameters(
    jane: Caller, what: str
) -> None:
    assert "resulted in error" not in refused(jane.send("POST", WORKFLOWS, STARTS[what])), "it says why"


def test_what_submit_sends_is_let_in(jane: Caller) -> None:
    for body in (
        started(),
        started(labels={}),
        with_spec(arguments={}),
        {**started(), "spec": {"workflowTemplateRef": {"name": PIPELINE}}},
        with_parameter(value='lightwork:json:"{\\u007bworkflow.name}}"'),
        with_parameter(value="x" * 60_000),
        started(name=f"{PIPELINE}-20261128t063000-x7k2p"),
        started(annotations={contract.ANNOTATION_RETRY_OF: f"{PIPELINE}-20261127t063000-x7k2p"}),
    ):
        answer = jane.send("POST", WORKFLOWS, body)
        assert answer.status == 201, answer.message


STORED = {"storedWorkflowTemplateSpec": {"entrypoint": "main", "templates": [MAIN]}}
CHANGES: dict[str, tuple[Any, str]] = {
    "another template": ({"spec": {"workflowTemplateRef": OWN_IMAGE["workflowTemplateRef"]}}, ""),
    "templates": ({"spec": {"templates": [MAIN]}}, ""),
    "an entrypoint": ({"spec": {"entrypoint": "work"}}, ""),
    "a patch of pods": ({"spec": {"podSpecPatch": "x"}}, ""),
    "another account": ({"spec": {"serviceAccountName": contract.ACCOUNT_DRIVER}}, ""),
    "a value": ({"spec": {"arguments": {"parameters": [{"name": "max_timestamps", "value": "5"}]}}}, ""),
    "no arguments": ({"spec": {"arguments": None}}, ""),
    "a deadline": ({"spec": {"activeDeadlineSeconds": 10**7}}, ""),
    "a shutdown of another kind": ({"spec": {"shutdown": "Never"}}, ""),
    "a suspension of another kind": ({"spec": {"suspend": "yes"}}, ""),
    "the templates that Argo has kept": ({"status": STORED}, ""),
    "the nodes": ({"status": {"nodes": {"x": {"id": "x", "phase": "Succeeded"}}}}, ""),
    "the phase": ({"status": {"phase": "Succeeded"}}, ""),
    "no status": ({"status": None}, ""),
    "a label": ({"metadata": {"labels": {contract.LABEL_TENANT: "globex"}}}, ""),
    "a label less": ({"metadata": {"labels": {contract.LABEL_PIPELINE: None}}}, ""),
    "who has stopped it": ({"metadata": {"labels": {gate.ACTOR[0]: "anna"}}}, ""),
    "an annotation": ({"metadata": {"annotations": {contract.ANNOTATION_REASON: "x"}}}, ""),
    "an owner": ({"metadata": {"ownerReferences": OWNER}}, ""),
    "a finalizer": ({"metadata": {"finalizers": ["example.com/stays"]}}, ""),
    "templates by a JSON patch": (
        [{"op": "add", "path": "/status/storedWorkflowTemplateSpec/templates", "value": [MAIN]}],
        JSON_PATCH,
    ),
    "templates by an apply": (
        {"apiVersion": contract.ARGO, "kind": "Workflow", "spec": {"templates": [MAIN]}},
        APPLY,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_person_changes_nothing_of_a_run_but_whether_it_goes_on(jane: Caller, run: str, what: str) -> None:
    body, kind = CHANGES[what]
    query = ""
    if kind == APPLY:
        body, query = {**body, "metadata": {"name": run}}, "?fieldManager=jane&force=true"
    refused(jane.send("PATCH", f"{WORKFLOWS}/{run}{query}", body, kind))


def test_an_apply_starts_no_more_than_a_create(jane: Caller) -> None:
    query = "?fieldManager=jane&force=true"
    body = {**with_spec(templates=[MAIN]), "metadata": {"name": "by-apply"}}
    refused(jane.send("PATCH", f"{WORKFLOWS}/by-apply{query}", body, APPLY))
    body = {**started(), "metadata": {"name": "by-apply"}}
    assert jane.send("PATCH", f"{WORKFLOWS}/by-apply{query}", body, APPLY).status == 201


MAP = values_of_runs.config_map({"name": "windy-city-abcde", "uid": "0"}, {"max_timestamps": "1"})


def changed(**fields: Any) -> dict[str, Any]:
    """Return the ConfigMap of a run's long values with other metadata."""
    return {**MAP, "metadata": {**MAP["metadata"], **fields}}


CONFIG_MAPS: dict[str, dict[str, Any]] = {
    "of any name": changed(name="mine"),
    "of a plugin of Argo's": changed(labels={"workflows.argoproj.io/configmap-type": "ExecutorPlugin"}),
    "of a parameter of Argo's": changed(labels={"workflows.argoproj.io/configmap-type": "Parameter"}),
    "of a dashboard": changed(labels={"grafana_dashboard": "1"}),
    "of the tenant's settings": changed(name=f"{contract.SETTINGS}-2"),
    "of another run": changed(name=contract.parameters_name("windy-city-bcdef")),
    "without an owner": changed(ownerReferences=[]),
    "of two owners": changed(ownerReferences=[*MAP["metadata"]["ownerReferences"], *OWNER]),
    "of a pod": changed(ownerReferences=[{**OWNER[0], "name": "windy-city-abcde"}]),
    "with an annotation": changed(annotations={"a": "b"}),
    "with a finalizer": changed(finalizers=["example.com/stays"]),
    "that may change": {key: value for key, value in MAP.items() if key != "immutable"},
}


@pytest.mark.parametrize("what", CONFIG_MAPS)
def test_a_person_creates_no_config_map_but_of_a_runs_long_values(jane: Caller, what: str) -> None:
    # Really: one that is only tried may have no owner yet, as the run has no name then.
    answer = jane.send("POST", MAPS, CONFIG_MAPS[what], really="finalizer" not in what)
    if answer.status == 201:
        kubectl("-n", SPACE, "delete", "configmap", answer.body["metadata"]["name"], "--ignore-not-found")
    refused(answer, contract.GATE_VALUES)


def test_the_config_maps_of_submit_are_let_in(jane: Caller) -> None:
    tried = values_of_runs.config_map(None, {"max_timestamps": "1"})
    assert jane.send("POST", MAPS, tried).status == 201
    refused(jane.send("POST", MAPS, tried, really=True), contract.GATE_VALUES)
    assert jane.send("POST", MAPS, MAP).status == 201


def definition(of: str = "workflows") -> dict[str, Any]:
    """Return the schema of Argo's own definition of a kind, with all its fields."""
    file = argo_manifests() / "base" / "crds" / "full" / f"argoproj.io_{of}.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    (version,) = yaml.load(file.read_text(), loader)["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]
    return schema


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return definition()


def sample(schema: dict[str, Any]) -> Any:
    """Return a value of a schema."""
    kind = schema.get("type")
    if kind == "object":
        required = {name: schema["properties"][name] for name in schema.get("required", [])}
        return {name: sample(inner) for name, inner in required.items()} or {"x": "y"}
    if kind == "array":
        return [sample(schema["items"])]
    return {"integer": 1, "boolean": True, "number": 1.5}.get(str(kind), "x")


def test_every_field_of_a_runs_spec_but_two_is_refused(
    jane: Caller, run: str, schema: dict[str, Any]
) -> None:
    """Each by itself, when a run is started and when it is there; and one that no version knows."""
    fields = {**schema["spec"]["properties"], "somethingNew": {"type": "string"}}
    assert len(fields) > 40, "the whole definition"
    for name, inner in fields.items():
        if name not in gate.SPEC:
            assert refused(jane.send("POST", WORKFLOWS, with_spec(**{name: sample(inner)}))).endswith(name)
        if name not in gate.STOPPING:
            refused(jane.send("PATCH", f"{WORKFLOWS}/{run}", {"spec": {name: sample(inner)}}))


def test_every_field_of_a_status_is_refused(jane: Caller, run: str, schema: dict[str, Any]) -> None:
    fields = {**schema["status"]["properties"], "somethingNew": {"type": "string"}}
    assert len(fields) > 15, "the whole definition"
    for name, inner in fields.items():
        body = {**started(), "status": {name: sample(inner)}}
        refused(jane.send("POST", WORKFLOWS, body))
        refused(jane.send("PATCH", f"{WORKFLOWS}/{run}", {"status": {name: sample(inner)}}))


def test_every_other_field_within_the_two_is_refused(jane: Caller, schema: dict[str, Any]) -> None:
    new = {"somethingNew": {"type": "string"}}
    spec = schema["spec"]["properties"]
    reference = spec["workflowTemplateRef"]["properties"]
    for name, inner in {**reference, **new}.items():
        body = with_spec(workflowTemplateRef={"name": PIPELINE, name: sample(inner)})
        if name != "name":
            refused(jane.send("POST", WORKFLOWS, body))
    arguments = spec["arguments"]["properties"]
    for name, inner in {**arguments, **new}.items():
        if name != "parameters":
            refused(jane.send("POST", WORKFLOWS, with_spec(arguments={name: sample(inner)})))
    parameter = arguments["parameters"]["items"]["properties"]
    assert {"name", "value", "valueFrom"} <= set(parameter)
    for name, inner in {**parameter, **new}.items():
        if name not in ("name", "value"):
            refused(jane.send("POST", WORKFLOWS, with_parameter(value="1", **{name: sample(inner)})))


KNOWN = """
activeDeadlineSeconds affinity archiveLogs arguments artifactGC artifactRepositoryRef
automountServiceAccountToken dnsConfig dnsPolicy entrypoint executor hooks hostAliases hostNetwork
imagePullSecrets metrics nodeSelector onExit parallelism podDisruptionBudget podGC podMetadata
podPriorityClassName podSpecPatch priority retryStrategy schedulerName securityContext
serviceAccountName shutdown suspend synchronization templateDefaults templates tolerations
ttlStrategy volumeClaimGC volumeClaimTemplates volumes workflowMetadata workflowTemplateRef
"""


def test_a_new_field_of_argos_is_noticed(schema: dict[str, Any]) -> None:
    """It is refused to people already. This asks whoever upgrades Argo to look at it."""
    assert sorted(schema["spec"]["properties"]) == KNOWN.split(), (
        "Argo's Workflows have other fields: read what each does (workflow/util/merge.go), and whether people"
        " need it (manifests/gate.py); then write it here"
    )


def test_the_policies_have_no_expression_that_the_api_server_doubts(jane: Caller) -> None:
    for policy in gate.POLICIES:
        found = get("validatingadmissionpolicy", policy)
        assert found["spec"]["failurePolicy"] == "Fail"
        assert not found.get("status", {}).get("typeChecking", {}).get("expressionWarnings"), policy


def test_operators_and_argo_are_left_alone(jane: Caller, run: str) -> None:
    administrator = Caller()
    for what in ("the platform's template with an image of theirs", "a finalizer", "a higher priority"):
        assert administrator.send("POST", WORKFLOWS, STARTS[what]).status == 201, what
    for what in ("a label", "an annotation", "the nodes", "a deadline"):
        answer = administrator.send("PATCH", f"{WORKFLOWS}/{run}", CHANGES[what][0])
        assert answer.status == 200, answer.message
    argo = Caller("system:serviceaccount:argo:argo", ("system:serviceaccounts", "system:authenticated"))
    answer = argo.send("PATCH", f"{WORKFLOWS}/{run}", {"status": {"message": "x"}})
    assert answer.status == 200, answer.message
    controller = Caller(
        f"system:serviceaccount:{SPACE}:{contract.ACCOUNT_CONTROLLER}", ("system:authenticated",)
    )
    body = {"metadata": {"annotations": {contract.ANNOTATION_REASON: "x"}}}
    assert controller.send("PATCH", f"{WORKFLOWS}/{run}", body).status == 200


def test_argos_page_says_who_has_stopped_a_run_and_changes_nothing_else(jane: Caller, run: str) -> None:
    account = f"system:serviceaccount:{SPACE}:{contract.PEOPLE}"
    page = Caller(account, ("system:serviceaccounts", "system:authenticated"))
    said = {"metadata": {"labels": dict.fromkeys(gate.ACTOR, "anna")}, "spec": {"shutdown": "Stop"}}
    assert page.send("PATCH", f"{WORKFLOWS}/{run}", said).status == 200
    for what in ("templates", "the templates that Argo has kept", "a label", "an annotation", "a value"):
        refused(page.send("PATCH", f"{WORKFLOWS}/{run}", CHANGES[what][0]))


def test_a_person_suspends_resumes_and_stops_a_run_for_good(jane: Caller, run: str) -> None:
    one = f"{WORKFLOWS}/{run}"
    for suspend in (True, False, None):
        assert jane.send("PATCH", one, {"spec": {"suspend": suspend}}).status == 200
    assert jane.send("PATCH", one, {"spec": {"shutdown": "Stop"}}, really=True).status == 200
    for word in (None, "", "Never"):
        refused(jane.send("PATCH", one, {"spec": {"shutdown": word}}))
    assert jane.send("PATCH", one, {"spec": {"shutdown": "Terminate"}}, really=True).status == 200
    refused(jane.send("PATCH", one, {"spec": {"shutdown": "Stop"}}))
    assert jane.send("PATCH", one, {"spec": {"suspend": None}}, really=True).status == 200
    ended = tenants.wait_for_end("acme", run, seconds=60)
    assert ended["phase"] == "Failed"


def test_without_the_binding_the_hole_is_open(jane: Caller) -> None:
    """RBAC alone lets it through: what is refused above is refused by the policy."""
    hole = STARTS["the platform's template with an image of theirs"]
    own, *_ = (contract.gate_binding(policy, "acme") for policy in gate.POLICIES)
    kept = get("validatingadmissionpolicybinding", own)
    kubectl("delete", "validatingadmissionpolicybinding", own)
    try:
        wait_for("the hole", lambda: jane.send("POST", WORKFLOWS, hole).status == 201, seconds=30)
    finally:
        metadata = {key: kept["metadata"][key] for key in ("name", "labels")}
        kubectl("create", "-f", "-", stdin=json.dumps({**kept, "metadata": metadata}))
    begin = time.monotonic()
    wait_for("the refusal", lambda: jane.send("POST", WORKFLOWS, hole).status == 403, seconds=30)
    assert time.monotonic() - begin < 10, "people's rights come right after it"


def test_people_write_nothing_else_that_a_policy_would_have_to_check() -> None:
    """A new right to write needs a policy, or a reason to be here."""
    writes = {
        (resource, verb)
        for rule in people.rules(files.load("acme"))
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in ("get", "list", "watch")
    }
    assert writes == {
        ("workflows", "create"),
        ("workflows", "patch"),
        ("cronworkflows", "patch"),
        ("configmaps", "create"),
        ("pods/portforward", "create"),
    }

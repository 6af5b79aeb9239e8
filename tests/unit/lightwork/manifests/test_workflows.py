"""A pipeline's WorkflowTemplate and CronWorkflow: parameters, queues, deadlines, schedules."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import yaml

from lightwork.functions import discovery
from lightwork.kube import contract, ends
from lightwork.manifests import controller as controllers
from lightwork.manifests import namespace, workflows
from lightwork.pods import controller
from tests.estate import files
from tests.unit.lightwork.manifests import objects

SIZES = "quota: {cpu: 8, memory: 20Gi}\npipelines:\n"


def template(text: str, entry: str = "windy-city") -> dict[str, Any]:
    tenant = objects.tenant(SIZES + text)
    pipeline = discovery.pipelines().get(tenant.pipeline_of(entry))
    return workflows.workflow_template(tenant, entry, objects.TARGET, pipeline)


def parameters(workflow: dict[str, Any]) -> dict[str, str | None]:
    return {item["name"]: item.get("value") for item in workflow["spec"]["arguments"]["parameters"]}


def by_name(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in workflow["spec"]["templates"]}


def scaler_arguments(workflow: dict[str, Any]) -> dict[str, str]:
    ((step,),) = by_name(workflow)["work"]["steps"]
    return {item["name"]: item["value"] for item in step["arguments"]["parameters"]}


def test_parameters_come_from_the_signature_and_values_from_the_file() -> None:
    workflow = template("  windy-city: {parameters: {max_timestamps: 10}}")
    assert parameters(workflow) == {"data": "none", "max_timestamps": "10", "unit": "none"}
    workflow = template("  bb: {pipeline: battery-health, parameters: {start: 2026-02-01}}", "bb")
    assert parameters(workflow)["start"] == "2026-02-01"
    assert parameters(workflow)["fleet"] == "20", "the default in the signature"


def test_the_parameters_reach_the_driver_as_one_json_object_rendered_by_argo() -> None:
    workflow = scaler_arguments(template("  windy-city: {}"))
    names = re.findall(r'"(\w+)"\): \(hasPrefix\(workflow\.parameters\["(\w+)"\]', workflow["arguments"])
    assert names == [(name, name) for name in ("data", "max_timestamps", "unit")]
    assert "toJson({" in workflow["arguments"]
    assert workflow["arguments"].count("}}") == 1, "the expression ends at the first"


def test_a_pipeline_in_its_own_image_has_the_parameters_of_the_file() -> None:
    workflow = template("  theirs: {image: 'registry.example/theirs:1', parameters: {x: 1}}", "theirs")
    assert parameters(workflow) == {"x": "1"}
    assert scaler_arguments(workflow)["image"] == "registry.example/theirs:1"
    assert scaler_arguments(template("  windy-city: {}"))["image"] == objects.TARGET.image


def test_an_entry_runs_its_pipeline_under_the_entrys_name() -> None:
    workflow = template("  nightly: {pipeline: windy-city}", "nightly")
    assert workflow["metadata"]["name"] == "nightly"
    assert (scaler_arguments(workflow)["pipeline"], scaler_arguments(workflow)["function"]) == (
        "nightly",
        "windy-city",
    )


def test_every_run_has_a_deadline_a_ttl_and_an_exit_handler() -> None:
    spec = template("  windy-city: {deadline: 90m}")["spec"]
    assert spec["activeDeadlineSeconds"] == 5400 + 86400, "a day to wait for its turn"
    spec = template("  windy-city: {deadline: 90m, ends_within: 2h}")["spec"]
    assert spec["activeDeadlineSeconds"] == 7200
    assert scaler_arguments(template("  windy-city: {deadline: 90m}"))["deadline"] == "5400"
    assert spec["ttlStrategy"] == {"secondsAfterCompletion": 45}, "the TTL cleans up after a `terminate`"
    assert spec["onExit"] == "exit"
    assert spec["serviceAccountName"] == "scaler"


def places(workflow: dict[str, Any], start: str = "main") -> list[str]:
    """Return the semaphores of a run in the order in which it takes them."""
    assert "synchronization" not in workflow["spec"], (
        "Argo neither ends nor times a Workflow that waits for one"
    )
    templates, keys, name = by_name(workflow), [], start
    while True:
        template = templates[name]
        for lock in template.get("synchronization", {}).get("semaphores", []):
            assert lock["configMapKeyRef"]["name"] == "semaphores"
            keys.append(lock["configMapKeyRef"]["key"])
        if name == "work":
            return keys
        (task,) = template["dag"]["tasks"]
        name = task["template"]


STEPS = "{steps: {one: {command: [x]}}, schedule: 0 6 * * *, timezone: UTC, %s}"


@pytest.mark.parametrize("entry", ["{max_parallel_runs: 1}", STEPS % "max_parallel_runs: 2"])
def test_runs_queue_for_the_place_of_their_pipeline_and_then_for_the_tenants(entry: str) -> None:
    one = f"  windy-city: {entry}"
    assert places(template(one)) == ["windy-city"]
    two = one + "\n  other: {pipeline: battery-health, workers: {count: 6}}"
    assert places(template(two)) == ["windy-city", "tenant"]
    assert places(template(two, "other")) == ["other", "tenant"]
    if "schedule" in entry:
        assert places(template(two), "scheduled") == ["windy-city", "tenant"]
    counts = namespace.semaphores(objects.tenant(SIZES + one))["data"]
    assert set(counts) == {"windy-city"}
    counts = namespace.semaphores(objects.tenant(SIZES + two))["data"]
    assert set(counts) == {"windy-city", "other", "tenant"}


def test_no_run_waits_in_two_queues_at_once() -> None:
    for name in files.NAMES:
        for item in objects.of_tenant(name):
            for part in item["spec"].get("templates", []) if item["kind"] == "WorkflowTemplate" else []:
                assert len(part.get("synchronization", {}).get("semaphores", [])) <= 1


@pytest.mark.parametrize(("when_busy", "start"), [("skip", "scheduled"), ("wait", None)])
def test_a_scheduled_run_of_a_busy_pipeline_is_skipped_or_waits(when_busy: str, start: str | None) -> None:
    text = f"  windy-city: {{schedule: 0 6 * * *, timezone: UTC, when_busy: {when_busy}}}"
    workflow, fired = template(text), cron(text)
    assert fired is not None
    assert fired["spec"]["concurrencyPolicy"] == "Allow", "Argo skips without a trace"
    assert fired["spec"]["workflowSpec"].get("entrypoint") == start
    conditions = [
        task["when"]
        for part in workflow["spec"]["templates"]
        for task in part.get("dag", {}).get("tasks", [])
        if "when" in task
    ]
    assert len(conditions) == (when_busy == "skip")
    assert workflow["spec"]["entrypoint"] == "main", "submitted runs wait"


def cron(text: str) -> dict[str, Any] | None:
    return workflows.cron_workflow(objects.tenant(SIZES + text), "windy-city")


def test_a_schedule_has_its_time_zone_and_makes_up_for_a_missed_run() -> None:
    workflow = cron("  windy-city: {schedule: 30 6 * * *, timezone: Europe/Berlin, starting_deadline: 1h}")
    assert workflow is not None
    spec = workflow["spec"]
    assert (spec["schedules"], spec["timezone"]) == (["30 6 * * *"], "Europe/Berlin")
    assert "schedule" not in spec, "Argo 4 has no such field"
    assert spec["startingDeadlineSeconds"] == 3600, "Argo's default never makes up for a missed run"
    assert spec["workflowSpec"] == {
        "entrypoint": "scheduled",
        "workflowTemplateRef": {"name": "windy-city"},
    }
    assert not spec.get("suspend")
    assert contract.LABEL_SUSPENDED not in workflow["metadata"]["labels"], "a deployment leaves it to people"
    assert "annotations" not in workflow["metadata"]


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [("max_parallel_runs: 2", "concurrencyPolicy", "Allow"), ("suspended: true", "suspend", True)],
)
def test_a_schedule_follows_the_settings_in_the_file(more: str, field: str, value: Any) -> None:
    sizes = "workers: {count: 1}"
    workflow = cron(f"  windy-city: {{schedule: 0 6 * * *, timezone: UTC, {sizes}, {more}}}")
    assert workflow is not None
    assert workflow["spec"][field] == value
    noted = (workflow["metadata"].get("annotations") or {}).get(contract.ANNOTATION_BY_FILE)
    assert noted == (more if field == "suspend" else None), "people are told, and cannot resume it"


def test_an_entry_without_a_schedule_has_no_cronworkflow() -> None:
    assert cron("  windy-city: {}") is None


@pytest.mark.parametrize(
    ("lake", "variables", "prefix"),
    [
        ("s3://lakes/dev", {}, "dev/acme/argo/"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "http://10.0.0.9:7070"}, "acme/argo/"),
    ],
)
def test_argo_archives_logs_in_the_tenants_part_of_the_lake(
    lake: str, variables: dict[str, str], prefix: str
) -> None:
    target = dataclasses.replace(objects.TARGET, lake=lake, variables=variables)
    archive = namespace.artifacts(objects.tenant("{}"), target)
    assert archive is not None
    key = archive["metadata"]["annotations"]["workflows.argoproj.io/default-artifact-repository"]
    repository = yaml.safe_load(archive["data"][key])
    assert repository["archiveLogs"] is False, "if enabled here, no template could disable it"
    assert repository["s3"]["keyFormat"].startswith(prefix + "{{workflow.name}}/")
    assert repository["s3"]["useSDKCreds"] is True, "the pod's own credentials, not a Secret"
    if variables:
        assert (repository["s3"]["endpoint"], repository["s3"]["insecure"]) == ("10.0.0.9:7070", True)


def test_argo_archives_logs_with_the_keys_of_a_secret_where_pods_have_no_identity() -> None:
    archive = namespace.artifacts(
        objects.tenant("{}"), dataclasses.replace(objects.TARGET, lake_keys="lightwork-secrets")
    )
    assert archive is not None
    s3 = yaml.safe_load(archive["data"]["lake"])["s3"]
    assert "useSDKCreds" not in s3, "Argo would look for an identity that no pod has"
    assert s3["accessKeySecret"] == {"name": "lightwork-secrets", "key": "AWS_ACCESS_KEY_ID"}
    assert s3["secretKeySecret"] == {"name": "lightwork-secrets", "key": "AWS_SECRET_ACCESS_KEY"}


def test_the_controller_waits_for_the_keys_of_the_lake_where_pods_have_no_identity() -> None:
    target = dataclasses.replace(objects.TARGET, lake_keys="lightwork-secrets")
    item = controllers.deployment(objects.tenant("{}"), target)
    variables = item["spec"]["template"]["spec"]["containers"][0]["env"]
    sources = [variable["valueFrom"]["secretKeyRef"] for variable in variables if "valueFrom" in variable]
    assert [source["key"] for source in sources] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert not any(source.get("optional") for source in sources), "it would start without, and stay without"
    assert item["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true", "`up` would wait for the Secret"


def test_a_lake_that_is_not_a_bucket_has_no_log_archive() -> None:
    target = dataclasses.replace(objects.TARGET, lake="file:///lake")
    assert namespace.artifacts(objects.tenant("{}"), target) is None


def test_settings_hold_the_names_of_secrets_but_no_values() -> None:
    data = namespace.settings(objects.tenant("secrets: [a, b]"), objects.TARGET)["data"]
    assert data["LIGHTWORK_SECRETS"] == "a,b"
    assert data["LIGHTWORK_SECRETS_PREFIX"] == "lightwork/dev/acme/"
    assert (data["LIGHTWORK_TENANT"], data["LIGHTWORK_LAKE"]) == ("acme", "s3://lakes/dev")
    assert data["AWS_REGION"] == "eu-central-1"


@pytest.mark.parametrize(
    ("text", "days", "runs", "artifacts"),
    [
        ("{}", "365", None, None),
        ("data_retention_days: 7", "365", None, None),
        ("history: {runs_days: 400, artifacts_kept: 12}", "400", None, "12"),
        ("history: {runs_kept: 5}", "365", "5", None),
    ],
)
def test_the_history_is_kept_as_long_as_the_file_says(
    text: str, days: str, runs: str | None, artifacts: str | None
) -> None:
    data = namespace.settings(objects.tenant(text), objects.TARGET)["data"]
    names = (contract.ENV_HISTORY_DAYS, contract.ENV_HISTORY_RUNS, contract.ENV_HISTORY_ARTIFACTS)
    assert tuple(map(data.get, names)) == (days, runs, artifacts)


def test_the_quota_is_that_of_the_file_and_has_room_for_what_is_not_the_tenants_beside_it() -> None:
    hard = objects.one("globex", "ResourceQuota", "quota")["spec"]["hard"]
    loaded = files.load("globex")
    quota = loaded.quota
    assert (quota.cpu, quota.memory, quota.pods) == ("6", "16Gi", 12)
    assert (hard["requests.cpu"], hard["limits.memory"], hard["pods"]) == ("6070m", "17280Mi", "14")
    assert hard["requests.memory"] == hard["limits.memory"]
    (container,) = objects.one("globex", "Deployment", "controller")["spec"]["template"]["spec"]["containers"]
    requests = container["resources"]["requests"]
    assert (requests["cpu"], requests["memory"]) == ("20m", "128Mi")
    job = objects.one("globex", "CronJob", "history")["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    requests = container["resources"]["requests"]
    assert (requests["cpu"], requests["memory"]) == ("50m", "768Mi"), "16Gi, 128Mi and 768Mi are 17280Mi"
    assert hard["services.loadbalancers"] == hard["services.nodeports"] == "0"


def test_an_ended_workflow_stays_until_the_controller_has_seen_its_end() -> None:
    assert controller.EVERY * 2 < ends.SEEN_WITHIN < workflows.KEPT_SECONDS

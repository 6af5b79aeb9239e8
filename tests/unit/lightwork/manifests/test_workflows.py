"""A pipeline's WorkflowTemplate and CronWorkflow: parameters, queues, deadlines, schedules."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import yaml

from lightwork.functions import discovery
from lightwork.kube import contract
from lightwork.manifests import namespace, workflows
from tests.estate import files
from tests.unit.lightwork.manifests import objects

SIZES = "quota: {cpu: 8, memory: 20Gi}\npipelines:\n"


def template(text: str, entry: str = "windy-city") -> dict[str, Any]:
    tenant = objects.tenant(SIZES + text)
    pipeline = discovery.pipelines().get(tenant.pipeline_of(entry))
    return workflows.workflow_template(tenant, entry, objects.TARGET, pipeline)


def parameters(workflow: dict[str, Any]) -> dict[str, str | None]:
    return {item["name"]: item.get("value") for item in workflow["spec"]["arguments"]["parameters"]}


def scaler_arguments(workflow: dict[str, Any]) -> dict[str, str]:
    ((step,),) = workflow["spec"]["templates"][0]["steps"]
    return {item["name"]: item["value"] for item in step["arguments"]["parameters"]}


def test_parameters_come_from_the_signature_and_values_from_the_file() -> None:
    workflow = template("  windy-city: {parameters: {max_timestamps: 10}}")
    assert parameters(workflow) == {"data": "none", "max_timestamps": "10", "unit": "none"}
    workflow = template("  bb: {pipeline: battery-health, parameters: {start: 2026-02-01}}", "bb")
    assert parameters(workflow)["start"] == "2026-02-01"
    assert parameters(workflow)["fleet"] == "20", "the default in the signature"


def test_the_parameters_reach_the_driver_as_one_json_object_rendered_by_argo() -> None:
    workflow = scaler_arguments(template("  windy-city: {}"))
    names = re.findall(r'"(\w+)": workflow\.parameters\["(\w+)"\]', workflow["arguments"])
    assert names == [(name, name) for name in ("data", "max_timestamps", "unit")]
    assert workflow["arguments"].startswith("{{=toJson({")
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
    assert spec["activeDeadlineSeconds"] == 5400
    assert scaler_arguments(template("  windy-city: {deadline: 90m}"))["deadline"] == "5400"
    assert spec["ttlStrategy"] == {"secondsAfterCompletion": 45}, "the TTL cleans up after a `terminate`"
    assert spec["onExit"] == "exit"
    assert spec["serviceAccountName"] == "scaler"


def keys(workflow: dict[str, Any]) -> list[str]:
    locks = workflow["spec"]["synchronization"]["semaphores"]
    assert {lock["configMapKeyRef"]["name"] for lock in locks} == {"semaphores"}
    return [lock["configMapKeyRef"]["key"] for lock in locks]


def test_runs_queue_on_the_semaphore_of_the_pipeline_and_of_a_tenant_whose_runs_do_not_all_fit() -> None:
    one = "  windy-city: {max_parallel_runs: 1}"
    assert keys(template(one)) == ["windy-city"]
    assert namespace.semaphores(objects.tenant(SIZES + one))["data"] == {"windy-city": "1"}
    two = one + "\n  other: {pipeline: battery-health, workers: {count: 5}}"
    assert keys(template(two)) == ["windy-city", "tenant"]
    assert namespace.semaphores(objects.tenant(SIZES + two))["data"] == {
        "windy-city": "1",
        "other": "1",
        "tenant": "1",
    }


def test_metrics_have_labels_of_few_values() -> None:
    metrics = template("  windy-city: {}")["spec"]["metrics"]["prometheus"]
    assert [item["name"] for item in metrics] == ["lightwork_runs_total", "lightwork_run_seconds"]
    for item in metrics:
        assert [label["key"] for label in item["labels"]] == ["tenant", "pipeline", "status"]


def cron(text: str) -> dict[str, Any] | None:
    return workflows.cron_workflow(objects.tenant(SIZES + text), "windy-city")


def test_a_schedule_has_its_time_zone_and_makes_up_for_a_missed_run() -> None:
    workflow = cron("  windy-city: {schedule: 30 6 * * *, timezone: Europe/Berlin, starting_deadline: 1h}")
    assert workflow is not None
    spec = workflow["spec"]
    assert (spec["schedules"], spec["timezone"]) == (["30 6 * * *"], "Europe/Berlin")
    assert "schedule" not in spec, "Argo 4 has no such field"
    assert spec["startingDeadlineSeconds"] == 3600, "Argo's default never makes up for a missed run"
    assert spec["workflowSpec"] == {"workflowTemplateRef": {"name": "windy-city"}}
    assert spec["concurrencyPolicy"] == "Forbid"
    assert not spec.get("suspend")


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [("max_parallel_runs: 2", "concurrencyPolicy", "Allow"), ("suspended: true", "suspend", True)],
)
def test_a_schedule_follows_the_settings_in_the_file(more: str, field: str, value: Any) -> None:
    sizes = "workers: {count: 1}"
    workflow = cron(f"  windy-city: {{schedule: 0 6 * * *, timezone: UTC, {sizes}, {more}}}")
    assert workflow is not None
    assert workflow["spec"][field] == value


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
    ("text", "days", "runs"),
    [
        ("{}", "90", None),
        ("data_retention_days: 7", "7", None),
        ("data_retention_days: 7\nhistory_days: 400\nhistory_runs: 12", "400", "12"),
    ],
)
def test_the_history_is_kept_as_long_as_the_file_says(text: str, days: str, runs: str | None) -> None:
    data = namespace.settings(objects.tenant(text), objects.TARGET)["data"]
    assert (data[contract.ENV_HISTORY_DAYS], data.get(contract.ENV_HISTORY_RUNS)) == (days, runs)


def test_the_quota_is_that_of_the_file_without_load_balancers_and_node_ports() -> None:
    hard = objects.one("globex", "ResourceQuota", "quota")["spec"]["hard"]
    loaded = files.load("globex")
    assert (hard["requests.cpu"], hard["limits.memory"], hard["pods"]) == ("6", "16Gi", "12")
    assert hard["requests.memory"] == loaded.quota.memory
    assert hard["services.loadbalancers"] == hard["services.nodeports"] == "0"

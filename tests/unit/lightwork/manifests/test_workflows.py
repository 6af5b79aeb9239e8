"""A pipeline's WorkflowTemplate and CronWorkflow: parameters, queues, ends, schedules."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lightwork.functions import discovery
from lightwork.manifests import namespace, workflows
from tests.estate import files
from tests.unit.lightwork.manifests import objects

SIZES = "quota: {cpu: 8, memory: 20Gi}\npipelines:\n"


def template(text: str, entry: str = "windy-city") -> dict[str, Any]:
    tenant = objects.tenant(SIZES + text)
    pipeline = discovery.pipelines().get(tenant.pipeline_of(entry))
    return workflows.workflow_template(tenant, entry, objects.TARGET, pipeline)


def arguments(found: dict[str, Any]) -> dict[str, str | None]:
    return {item["name"]: item.get("value") for item in found["spec"]["arguments"]["parameters"]}


def given(found: dict[str, Any]) -> dict[str, str]:
    ((step,),) = found["spec"]["templates"][0]["steps"]
    return {item["name"]: item["value"] for item in step["arguments"]["parameters"]}


def test_parameters_are_those_of_the_signature_with_the_files_values() -> None:
    found = template("  windy-city: {parameters: {max_timestamps: 10}}")
    assert arguments(found) == {"data": "none", "max_timestamps": "10", "unit": "none"}
    found = template(
        "  b: {pipeline: battery-health, parameters: {start: 2026-02-01}}".replace("  b:", "  bb:"), "bb"
    )
    assert arguments(found)["start"] == "2026-02-01"
    assert arguments(found)["fleet"] == "20", "the signature's own default"


def test_the_parameters_reach_the_driver_as_one_json_object_made_by_argo() -> None:
    found = given(template("  windy-city: {}"))
    names = re.findall(r'"(\w+)": workflow\.parameters\["(\w+)"\]', found["arguments"])
    assert names == [(name, name) for name in ("data", "max_timestamps", "unit")]
    assert found["arguments"].startswith("{{=toJson({")
    assert found["arguments"].count("}}") == 1, "the expression would end at the first"


def test_a_pipeline_in_an_image_of_its_own_has_the_files_parameters_and_that_image() -> None:
    found = template("  theirs: {image: 'registry.example/theirs:1', parameters: {x: 1}}", "theirs")
    assert arguments(found) == {"x": "1"}
    assert given(found)["image"] == "registry.example/theirs:1"
    assert given(template("  windy-city: {}"))["image"] == objects.TARGET.image


def test_an_entry_of_another_name_runs_its_pipeline_under_its_own() -> None:
    found = template("  nightly: {pipeline: windy-city}", "nightly")
    assert found["metadata"]["name"] == "nightly"
    assert (given(found)["pipeline"], given(found)["function"]) == ("nightly", "windy-city")


def test_every_run_has_an_end_a_ttl_and_an_exit_handler() -> None:
    spec = template("  windy-city: {deadline: 90m}")["spec"]
    assert spec["activeDeadlineSeconds"] == 5400
    assert given(template("  windy-city: {deadline: 90m}"))["deadline"] == "5400"
    assert spec["ttlStrategy"] == {"secondsAfterCompletion": 45}, "what clears up after `terminate`"
    assert spec["onExit"] == "exit"
    assert spec["serviceAccountName"] == "scaler"


def keys(found: dict[str, Any]) -> list[str]:
    locks = found["spec"]["synchronization"]["semaphores"]
    assert {lock["configMapKeyRef"]["name"] for lock in locks} == {"semaphores"}
    return [lock["configMapKeyRef"]["key"] for lock in locks]


def test_runs_queue_on_their_pipelines_semaphore_and_the_tenants_if_they_do_not_fit_together() -> None:
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


def test_metrics_say_how_long_and_how_it_ended_with_labels_of_few_values() -> None:
    metrics = template("  windy-city: {}")["spec"]["metrics"]["prometheus"]
    assert [item["name"] for item in metrics] == ["lightwork_runs_total", "lightwork_run_seconds"]
    for item in metrics:
        assert [label["key"] for label in item["labels"]] == ["tenant", "pipeline", "status"]


def cron(text: str) -> dict[str, Any] | None:
    return workflows.cron_workflow(objects.tenant(SIZES + text), "windy-city")


def test_a_schedule_fires_by_its_own_clock_and_makes_up_a_missed_run() -> None:
    found = cron("  windy-city: {schedule: 30 6 * * *, timezone: Europe/Berlin, starting_deadline: 1h}")
    assert found is not None
    spec = found["spec"]
    assert (spec["schedules"], spec["timezone"]) == (["30 6 * * *"], "Europe/Berlin")
    assert "schedule" not in spec, "Argo 4 has no such field"
    assert spec["startingDeadlineSeconds"] == 3600, "Argo's own default makes up nothing"
    assert spec["workflowSpec"] == {"workflowTemplateRef": {"name": "windy-city"}}
    assert spec["concurrencyPolicy"] == "Forbid"
    assert not spec.get("suspend")


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [("max_parallel_runs: 2", "concurrencyPolicy", "Allow"), ("suspended: true", "suspend", True)],
)
def test_a_schedule_does_what_the_file_says(more: str, field: str, value: Any) -> None:
    sizes = "workers: {count: 1}"
    found = cron(f"  windy-city: {{schedule: 0 6 * * *, timezone: UTC, {sizes}, {more}}}")
    assert found is not None
    assert found["spec"][field] == value


def test_no_schedule_makes_no_cronworkflow() -> None:
    assert cron("  windy-city: {}") is None


@pytest.mark.parametrize(
    ("lake", "variables", "prefix"),
    [
        ("s3://lakes/dev", {}, "dev/acme/argo/"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "http://10.0.0.9:7070"}, "acme/argo/"),
    ],
)
def test_argo_keeps_logs_in_the_tenants_own_part_of_the_lake(
    lake: str, variables: dict[str, str], prefix: str
) -> None:
    import dataclasses

    import yaml

    target = dataclasses.replace(objects.TARGET, lake=lake, variables=variables)
    found = namespace.artifacts(objects.tenant("{}"), target)
    assert found is not None
    key = found["metadata"]["annotations"]["workflows.argoproj.io/default-artifact-repository"]
    repository = yaml.safe_load(found["data"][key])
    assert repository["archiveLogs"] is False, (
        "said here, no template could refuse it, and only the driver may"
    )
    assert repository["s3"]["keyFormat"].startswith(prefix + "{{workflow.name}}/")
    assert repository["s3"]["useSDKCreds"] is True, "the pod's own credentials, and no secret"
    if variables:
        assert (repository["s3"]["endpoint"], repository["s3"]["insecure"]) == ("10.0.0.9:7070", True)


def test_a_lake_that_is_no_bucket_has_no_place_for_argos_logs() -> None:
    import dataclasses

    target = dataclasses.replace(objects.TARGET, lake="file:///lake")
    assert namespace.artifacts(objects.tenant("{}"), target) is None


def test_settings_name_secrets_and_hold_none() -> None:
    data = namespace.settings(objects.tenant("secrets: [a, b]"), objects.TARGET)["data"]
    assert data["LIGHTWORK_SECRETS"] == "a,b"
    assert data["LIGHTWORK_SECRETS_PREFIX"] == "lightwork/dev/acme/"
    assert (data["LIGHTWORK_TENANT"], data["LIGHTWORK_LAKE"]) == ("acme", "s3://lakes/dev")
    assert data["AWS_REGION"] == "eu-central-1"


def test_the_quota_is_what_the_file_says_and_reaches_nothing_outside() -> None:
    hard = objects.one("globex", "ResourceQuota", "quota")["spec"]["hard"]
    loaded = files.load("globex")
    assert (hard["requests.cpu"], hard["limits.memory"], hard["pods"]) == ("6", "16Gi", "12")
    assert hard["requests.memory"] == loaded.quota.memory
    assert hard["services.loadbalancers"] == hard["services.nodeports"] == "0"

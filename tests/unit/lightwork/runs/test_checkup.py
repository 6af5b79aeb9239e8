"""What the doctor finds in a lake, and between a tenant's file and the cluster."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork import tenants
from lightwork.kube import contract
from lightwork.lake import open_lake
from lightwork.lake.base import Lake
from lightwork.manifests import namespace, workflows
from lightwork.runs import checkup
from lightwork.version import __version__

TENANT = tenants.Tenant.model_validate(
    yaml.safe_load(
        """
name: acme
environments: [dev]
quota: {cpu: 16, memory: 64Gi}
pipelines:
  windy-city: {schedule: 30 6 * * *, timezone: UTC}
  ask-me: {}
"""
    )
)


def deployed() -> dict[str, list[dict[str, Any]]]:
    """Return what is deployed of the file, as Kubernetes keeps it."""
    quota = namespace.quota(TENANT)
    quota["spec"]["hard"]["requests.memory"] = f"{int(quota['spec']['hard']['requests.memory'][:-2])}Mi"
    templates = [{"metadata": {"name": name}} for name in TENANT.pipelines]
    cron = workflows.cron_workflow(TENANT, "windy-city")
    assert cron is not None
    return {"WorkflowTemplate": templates, "CronWorkflow": [cron], "ResourceQuota": [quota]}


def found(objects: dict[str, Any], environment: str = "dev") -> list[str]:
    findings = checkup.drift(TENANT, environment, objects)
    assert {item.mend for item in findings} <= {f"make up STACK={environment}.acme"}
    return [item.what for item in findings]


def test_what_is_deployed_as_the_file_says_has_not_drifted() -> None:
    assert found(deployed()) == []


def test_each_difference_is_named_with_both_values() -> None:
    objects = deployed()
    objects["WorkflowTemplate"][1]["metadata"]["name"] = "old"
    objects["CronWorkflow"][0]["spec"] |= {"suspend": True, "timezone": "Asia/Tokyo"}
    objects["ResourceQuota"][0]["spec"]["hard"]["requests.cpu"] = "99"
    lines = found(objects)
    assert lines[:2] == [
        "the pipeline ask-me is in the file, and not deployed",
        "the pipeline old is deployed, and not in the file",
    ]
    assert (
        "the schedule of windy-city: timezone is 'Asia/Tokyo' in the cluster, and 'UTC' by the file" in lines
    )
    assert "the schedule of windy-city: suspend is True in the cluster, and False by the file" in lines
    assert any(line.startswith("the quota: requests.cpu is '99' in the cluster") for line in lines)


def test_what_a_person_has_suspended_has_not_drifted() -> None:
    objects = deployed()
    (cron,) = objects["CronWorkflow"]
    cron["metadata"]["labels"][contract.LABEL_SUSPENDED] = contract.SUSPENDED
    assert found(objects) == []


def test_a_schedule_that_only_one_of_them_has_is_named() -> None:
    objects = deployed()
    objects["CronWorkflow"][0]["metadata"]["name"] = "ask-me"
    assert found(objects) == [
        "the schedule of windy-city (30 6 * * *) is not deployed",
        "ask-me has a schedule in the cluster, and none in the file",
    ]


def test_what_cannot_be_read_has_not_drifted_and_another_environment_has() -> None:
    assert found({}) == []
    assert found({}, "prod") == ["the file of acme does not list prod, where its namespace is"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path.as_uri(), tenant="acme")


def test_files_that_killed_processes_left_are_counted(lake: Lake, tmp_path: Path) -> None:
    lake.write("runs/a/x", b"1")
    assert checkup.unfinished(lake) == []
    left = tmp_path / "acme" / "runs" / "a" / ".tmp-left"
    left.write_bytes(b"x" * 2_000_000)
    os.utime(left, (time.time() - 200_000,) * 2)
    (finding,) = checkup.unfinished(lake)
    assert finding.what.startswith("1 unfinished file of processes that have ended (2.0 MB)")
    assert finding.mend == "lightwork cache prune"
    assert checkup.clocks(lake) == []


def test_versions_of_the_newest_run_are_compared() -> None:
    python = checkup._minor(tuple(map(str, __import__("sys").version_info)))
    same = {"name": "r", "versions": {"lightwork": __version__, "python": f"{python}.9"}}
    assert checkup.versions(same) == checkup.versions(None) == checkup.versions({"name": "r"}) == []
    other = {"name": "r", "versions": {"lightwork": "0.0.1", "python": "3.2.1"}}
    assert [item.what for item in checkup.versions(other)] == [
        f"lightwork is {__version__} here, and was 0.0.1 in r",
        f"python is {python} here, and was 3.2 in r",
    ]


def test_runs_that_ended_without_a_word_are_named() -> None:
    runs = [{"name": f"r{n}", "pipeline": "p", "status": "lost" if n else "failed"} for n in range(3)]
    assert [item.what for item in checkup.lost(runs)] == [
        "r1 has ended without a word",
        "r2 has ended without a word",
    ]

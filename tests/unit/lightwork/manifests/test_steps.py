"""Several steps as a DAG: who waits for whom, that values arrive whole, and what the containers may do."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork import manifests
from lightwork.functions import discovery
from lightwork.kube import contract
from lightwork.manifests import base, scaler, workflows
from tests.unit.lightwork.manifests import objects, shapes
from tests.waiting import patience

TEXT = """
quota: {cpu: 16, memory: 64Gi}
pipelines:
  nightly:
    schedule: 15 2 * * *
    timezone: UTC
    parameters: {day: 2026-01-01, unit: mph}
    steps:
      fetch-all:
        image: registry.example/fetch:1.2
        command: [fetch, "${HOME}"]
        args: [--day, "${day}", "$${as it is}"]
        size: {cpu: 250m, memory: 300Mi, storage: 1Gi}
        outputs: [rows]
        spot: true
      windy:
        pipeline: windy-city
        image: registry.example/windy:2
        parameters: {max_timestamps: "${fetch-all.rows}", unit: "${unit}"}
        workers: {count: 2}
      again:
        pipeline: windy-city
        after: [windy]
        parameters: {max_timestamps: 7, unit: 'a "quoted" {text}} of ${unit}}'}
      report:
        command: [report]
        args: ["${windy.result} in ${unit}"]
"""
TENANT = objects.tenant(TEXT)
MADE = workflows.workflow_template(TENANT, "nightly", objects.TARGET, None)
TEMPLATES = {item["name"]: item for item in MADE["spec"]["templates"]}
TASKS = {item["name"]: item for item in TEMPLATES["main"]["dag"]["tasks"]}


def given(task: str) -> dict[str, str]:
    return {item["name"]: item["value"] for item in TASKS[task]["arguments"]["parameters"]}


class Fields:
    """A mapping read as Argo's expressions read one: by name, and in brackets."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def __getitem__(self, name: str) -> Any:
        found = self._content[name]
        return Fields(found) if isinstance(found, dict) else found

    def __getattr__(self, name: str) -> Any:
        return self[name]


def evaluated(text: str, parameters: dict[str, str], outputs: dict[str, dict[str, str]]) -> str:
    """What Argo makes of a value; its expressions of this kind read the same in Python."""
    match = re.fullmatch(r"\{\{=(.*)\}\}", text)
    assert match, text
    assert "}}" not in match[1], "the expression would end there"
    tasks = {name: {"outputs": {"parameters": found}} for name, found in outputs.items()}
    names = {
        "workflow": Fields({"parameters": parameters}),
        "tasks": Fields(tasks),
        "toJson": json.dumps,
    }
    return str(eval(match[1], names))


def test_a_step_begins_when_those_have_succeeded_whose_values_it_uses_or_that_it_names() -> None:
    assert {name: task.get("dependencies", []) for name, task in TASKS.items()} == {
        "fetch-all": [],
        "windy": ["fetch-all"],
        "again": ["windy"],
        "report": ["windy"],
    }


def test_the_runs_parameters_are_the_entrys_own() -> None:
    found = MADE["spec"]["arguments"]["parameters"]
    assert found == [{"name": "day", "value": "2026-01-01"}, {"name": "unit", "value": "mph"}]


def test_a_scaled_step_gives_the_scaler_exactly_what_it_declares() -> None:
    reference = {"name": contract.SCALER, "template": "run", "clusterScope": True}
    for name in ("windy", "again"):
        assert TASKS[name]["templateRef"] == reference
        assert set(given(name)) == set(scaler.PARAMETERS)
    assert (given("windy")["image"], given("again")["image"]) == (
        "registry.example/windy:2",
        objects.TARGET.image,
    )
    assert given("windy")["workers"] == "2"


def test_two_scaled_steps_have_names_and_labels_of_their_own() -> None:
    assert [(given(name)["name"], given(name)["step"]) for name in ("windy", "again")] == [
        ("{{workflow.name}}-windy", "windy"),
        ("{{workflow.name}}-again", "again"),
    ]


def test_what_a_scaled_step_made_goes_when_the_step_has_ended_however_it_ended() -> None:
    for name in ("windy", "again"):
        hook = TASKS[name]["hooks"]["exit"]
        assert hook["templateRef"] == {"name": contract.SCALER, "template": "clear", "clusterScope": True}
        assert hook["arguments"]["parameters"] == [{"name": "step", "value": name}]
        assert "expression" not in hook, "it would keep the hook from some ends"
    assert "hooks" not in TASKS["report"], "a container makes nothing"


def test_only_a_result_that_is_used_is_asked_for() -> None:
    assert given("windy")["result-file"] == scaler.RESULT_FILE
    assert given("again")["result-file"] == ""


@pytest.mark.parametrize("rows", ["100", 'a "quote"', "two\nlines", "back\\slash", "{{x}} }}", "ünï", ""])
def test_values_reach_a_pipeline_as_they_are(rows: str) -> None:
    outputs, parameters = {"fetch-all": {"rows": rows}}, {"unit": rows, "day": "x"}
    made = evaluated(given("windy")["arguments"], parameters, outputs)
    assert json.loads(made) == {"max_timestamps": rows, "unit": rows}
    made = evaluated(given("again")["arguments"], parameters, outputs)
    assert json.loads(made) == {"max_timestamps": "7", "unit": f'a "quoted" {{text}}}} of {rows}}}'}


def test_values_reach_a_container_as_arguments() -> None:
    (argument,) = TEMPLATES["step-report"]["container"]["args"]
    assert argument == "{{inputs.parameters.arg-0}}"
    assert TEMPLATES["step-report"]["inputs"]["parameters"] == [{"name": "arg-0"}]
    result = '{"JFK": 3, "of": ["a \\"b\\""]}'
    made = evaluated(given("report")["arg-0"], {"unit": "mph"}, {"windy": {"result": result}})
    assert made == f"{result} in mph"


def test_what_is_no_reference_is_passed_as_it_is() -> None:
    container = TEMPLATES["step-fetch-all"]["container"]
    assert container["command"] == ["fetch", "${HOME}"], "the command is the container's own affair"
    assert container["args"] == ["--day", "{{inputs.parameters.arg-1}}", "${as it is}"]
    assert given("fetch-all") == {"arg-1": '{{=workflow.parameters["day"]}}'}


def test_outputs_are_files_in_a_folder_that_any_image_has() -> None:
    template = TEMPLATES["step-fetch-all"]
    assert template["outputs"]["parameters"] == [
        {"name": "rows", "valueFrom": {"path": "/tmp/outputs/rows"}}
    ], "without a default: a step that does not write what it says has failed"
    (mount,) = template["container"]["volumeMounts"]
    assert mount == {"mountPath": "/tmp/outputs", "name": "outputs"}
    assert template["volumes"] == [{"name": "outputs", "emptyDir": {}}]
    assert "outputs" not in TEMPLATES["step-report"]


def test_a_container_has_the_account_that_may_do_the_least_and_the_tenants_settings() -> None:
    for name in ("step-fetch-all", "step-report"):
        template = TEMPLATES[name]
        assert template["serviceAccountName"] == contract.ACCOUNT_STEP
        labels = template["metadata"]["labels"]
        assert (labels[contract.LABEL_ROLE], labels[contract.LABEL_RUN]) == ("step", "{{workflow.name}}")
        container = template["container"]
        assert container["securityContext"] == base.container_security()
        sources = [next(iter(item.values()))["name"] for item in container["envFrom"]]
        assert sources == [contract.SETTINGS, contract.SECRETS]
        values = {item["name"]: item["value"] for item in container["env"]}
        assert values == {
            "LIGHTWORK_PIPELINE": "nightly",
            "LIGHTWORK_RUN": "{{workflow.name}}",
            "LIGHTWORK_STEP": name.removeprefix("step-"),
        }
    assert TEMPLATES["step-fetch-all"]["container"]["image"] == "registry.example/fetch:1.2"
    assert TEMPLATES["step-report"]["container"]["image"] == objects.TARGET.image
    assert TEMPLATES["step-fetch-all"]["container"]["resources"] == base.resources("250m", "300Mi", "1Gi")


def test_only_a_container_that_may_be_on_spot_tolerates_it() -> None:
    assert TEMPLATES["step-report"]["affinity"] == base.never_spot()
    assert "tolerations" not in TEMPLATES["step-report"]
    (toleration,) = TEMPLATES["step-fetch-all"]["tolerations"]
    assert (toleration["key"], toleration["value"]) == (contract.LABEL_SPOT, "true")
    assert "required" not in json.dumps(TEMPLATES["step-fetch-all"]["affinity"])


def test_a_lost_container_is_tried_again_and_one_that_failed_is_not() -> None:
    expression = TEMPLATES["step-report"]["retryStrategy"]["expression"]
    expression = re.sub(r"(lastRetry\.message) contains ('[\w/]+')", r"(\2 in \1)", expression)

    def again(status: str, code: str, message: str = "") -> bool:
        attempt = type("Attempt", (), {"status": status, "exitCode": code, "message": message})
        return bool(eval(expression, {"lastRetry": attempt, "asInt": int}))

    assert again("Error", "-1", "pod deleted")
    assert again("Failed", "137", "main: Error (exit code 137)")
    assert not again("Failed", "1")
    missing = "Error (exit code 64): open /mainctrfs/tmp/outputs/rows: no such file or directory"
    assert not again("Error", "-1", missing), "it would forget to write it again"


def test_the_run_as_a_whole_ends_as_any_other() -> None:
    spec = MADE["spec"]
    assert (spec["entrypoint"], spec["onExit"]) == ("main", "exit")
    assert spec["activeDeadlineSeconds"] == 6 * 3600
    made = manifests.tenant_objects(TENANT, objects.TARGET, discovery.pipelines())
    assert [item["kind"] for item in made if item["metadata"]["name"] == "nightly"] == [
        "WorkflowTemplate",
        "CronWorkflow",
    ]
    assert shapes.unknown_fields(MADE) == []


def argo() -> Path | None:
    """Argo's own command line, if the cluster's programs were built on this machine."""
    found = sorted((Path.home() / ".cache" / "lightwork" / "cluster").glob("argo-*/bin/argo"))
    return found[-1] if found else None


def lint(folder: Path, made: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    path = folder / "all.yaml"
    path.write_text(manifests.to_yaml([objects.scaler(), made]))
    command = [str(argo()), "lint", "--offline", "--kinds=workflowtemplates,clusterworkflowtemplates"]
    return subprocess.run(
        [*command, str(path)], capture_output=True, text=True, check=False, timeout=patience(120)
    )


@pytest.mark.skipif(argo() is None, reason="Argo's command line is not built here: make cluster-up does it")
def test_argos_own_check_finds_nothing_wrong_and_would_find_a_wrong_reference(tmp_path: Path) -> None:
    whole = [MADE, *(objects.one("acme", "WorkflowTemplate", n) for n in ("windy-city", "battery-health"))]
    for made in (*whole, objects.one("globex", "WorkflowTemplate", "whole-days")):
        found = lint(tmp_path, made)
        assert found.returncode == 0, found.stdout + found.stderr
    wrong = yaml.safe_load(yaml.safe_dump(MADE).replace("arg-0}}", "arg-9}}"))
    found = lint(tmp_path, wrong)
    assert found.returncode != 0
    assert "arg-9" in found.stdout + found.stderr

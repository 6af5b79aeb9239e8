"""Several steps as a DAG: their dependencies, the values they pass, and the rights of their containers."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork import manifests
from lightwork.functions import discovery
from lightwork.kube import contract, firing, texts
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
TEMPLATE = workflows.workflow_template(TENANT, "nightly", objects.TARGET, None)
TEMPLATES = {item["name"]: item for item in TEMPLATE["spec"]["templates"]}
TASKS = {item["name"]: item for item in TEMPLATES["work"]["dag"]["tasks"]}


def arguments_of(task: str) -> dict[str, str]:
    return {item["name"]: item["value"] for item in TASKS[task]["arguments"]["parameters"]}


class Fields:
    """A mapping with access as in Argo's expressions: by attribute and in brackets."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def __getitem__(self, name: str) -> Any:
        value = self._content[name]
        return Fields(value) if isinstance(value, dict) else value

    def __getattr__(self, name: str) -> Any:
        return self[name]


CHOICE = re.compile(r"\((hasPrefix\([^()]*\)) \? (fromJSON\([^()]*\)|\"[^\"]*\") : ([^()]*)\)")


def evaluated(text: str, parameters: dict[str, str], outputs: dict[str, dict[str, str]]) -> str:
    """Return the value of an Argo expression; those of this kind are valid Python, except for choices."""
    match = re.fullmatch(r"\{\{=(.*)\}\}", text)
    assert match, text
    assert "}}" not in match[1], "the expression would end there"
    assert "{{" not in match[1]
    tasks = {name: {"outputs": {"parameters": values}} for name, values in outputs.items()}
    held = {name: texts.as_parameter(value) for name, value in parameters.items()}
    names = {
        "workflow": Fields({"parameters": held}),
        "tasks": Fields(tasks),
        "toJson": json.dumps,
        "fromJSON": json.loads,
        "hasPrefix": str.startswith,
        "replace": str.replace,
    }
    value = str(eval(CHOICE.sub(r"(\2 if \1 else \3)", match[1]), names))
    assert "{{" not in value, "Argo would fill it in at the next template"
    return value


def by_kubelet(text: str, variables: dict[str, str]) -> str:
    """Return a container's argument as kubelet passes it on."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda m: variables.get(m[1], m[0]) if m[1] else "$", text)


def test_a_step_depends_on_the_steps_it_names_and_those_whose_outputs_it_uses() -> None:
    assert {name: task.get("dependencies", []) for name, task in TASKS.items()} == {
        "fetch-all": [],
        "windy": ["fetch-all"],
        "again": ["windy"],
        "report": ["windy"],
    }


def test_the_runs_parameters_are_those_of_the_entry() -> None:
    parameters = TEMPLATE["spec"]["arguments"]["parameters"]
    assert parameters == [{"name": "day", "value": "2026-01-01"}, {"name": "unit", "value": "mph"}]


def test_a_scaled_step_passes_exactly_what_the_scaler_declares() -> None:
    reference = {"name": contract.SCALER, "template": "run", "clusterScope": True}
    for name in ("windy", "again"):
        assert TASKS[name]["templateRef"] == reference
        assert set(arguments_of(name)) == set(scaler.PARAMETERS)
    assert (arguments_of("windy")["image"], arguments_of("again")["image"]) == (
        "registry.example/windy:2",
        objects.TARGET.image,
    )
    assert arguments_of("windy")["workers"] == "2"


def test_two_scaled_steps_have_names_and_labels_of_their_own() -> None:
    assert [(arguments_of(name)["name"], arguments_of(name)["step"]) for name in ("windy", "again")] == [
        ("{{workflow.name}}-windy", "windy"),
        ("{{workflow.name}}-again", "again"),
    ]


def test_the_objects_of_a_scaled_step_are_deleted_however_it_ends() -> None:
    for name in ("windy", "again"):
        hook = TASKS[name]["hooks"]["exit"]
        assert hook["templateRef"] == {"name": contract.SCALER, "template": "clear", "clusterScope": True}
        assert hook["arguments"]["parameters"] == [{"name": "step", "value": name}]
        assert "expression" not in hook, "with a condition the hook would not always run"
    assert "hooks" not in TASKS["report"], "a container creates no objects"


def test_only_a_result_that_is_used_is_requested() -> None:
    assert arguments_of("windy")["result-file"] == scaler.RESULT_FILE
    assert arguments_of("again")["result-file"] == ""


TEXTS = [
    *("100", 'a "quote"', "two\nlines", "back\\slash", "{{x}} }}", "{{=1+1}}", "{", "{{{", "ünï", "", "<&>"),
    *("$", "$$", "$(LIGHTWORK_RUN)", "$(LIGHTWORK_BRACE)", "lightwork:json:1", 'lightwork:json:"{\\u007b"'),
]


@pytest.mark.parametrize("rows", TEXTS)
def test_values_reach_a_pipeline_unchanged(rows: str) -> None:
    outputs, parameters = {"fetch-all": {"rows": rows}}, {"unit": rows, "day": "x"}
    value = evaluated(arguments_of("windy")["arguments"], parameters, outputs)
    assert "$" not in value, "kubelet would fill it in"
    assert json.loads(value) == {"max_timestamps": rows, "unit": rows}
    value = evaluated(arguments_of("again")["arguments"], parameters, outputs)
    assert json.loads(value) == {"max_timestamps": "7", "unit": f'a "quoted" {{text}}}} of {rows}}}'}


def test_a_long_value_is_named_where_a_pipeline_takes_it_as_a_whole() -> None:
    steps = '{one: {pipeline: windy-city, parameters: {unit: "%s"}}}'
    text = f"pipelines: {{many: {{parameters: {{a: 1}}, steps: {steps}}}}}"
    for value, long in (("${a}", "a"), ("of ${a}", "")):
        template = workflows.workflow_template(objects.tenant(text % value), "many", objects.TARGET, None)
        assert template["metadata"]["annotations"][contract.ANNOTATION_LONG] == long
        (task,) = template["spec"]["templates"][-2]["dag"]["tasks"]
        (arguments,) = [i["value"] for i in task["arguments"]["parameters"] if i["name"] == "arguments"]
        assert ('"lightwork:file:") ? "@unit" : "unit"): ' in arguments) == bool(long)
    assert TEMPLATE["metadata"]["annotations"][contract.ANNOTATION_LONG] == "", "texts and containers use all"


@pytest.mark.parametrize("value", TEXTS)
def test_values_reach_a_container_unchanged(value: str) -> None:
    container = TEMPLATES["step-report"]["container"]
    variables = {item["name"]: item["value"] for item in container["env"]}
    argument = evaluated(arguments_of("report")["arg-0"], {"unit": value}, {"windy": {"result": value}})
    assert by_kubelet(argument, variables) == f"{value} in {value}"
    assert by_kubelet(texts.as_argument(value), variables) == value
    assert "{{" not in texts.as_argument(value)


def test_values_reach_a_container_as_arguments() -> None:
    (argument,) = TEMPLATES["step-report"]["container"]["args"]
    assert argument == "{{=inputs.parameters['arg-0']}}", "Argo quotes a plain placeholder's value as Go does"
    assert TEMPLATES["step-report"]["inputs"]["parameters"] == [{"name": "arg-0"}]
    result = '{"JFK": 3, "of": ["a \\"b\\""]}'
    value = evaluated(arguments_of("report")["arg-0"], {"unit": "mph"}, {"windy": {"result": result}})
    assert value == f"{result} in mph"


def test_strings_without_references_are_passed_unchanged() -> None:
    container = TEMPLATES["step-fetch-all"]["container"]
    assert container["command"] == ["fetch", "$${HOME}"], (
        "the command has no references; kubelet makes $ of $$"
    )
    assert container["args"] == ["--day", "{{=inputs.parameters['arg-1']}}", "$${as it is}"]
    assert list(arguments_of("fetch-all")) == ["arg-1"]


def test_outputs_are_files_in_a_folder_that_is_mounted_into_any_image() -> None:
    template = TEMPLATES["step-fetch-all"]
    assert template["outputs"]["parameters"] == [
        {"name": "rows", "valueFrom": {"path": "/tmp/outputs/rows"}}
    ], "there is no default: a step that does not write an output has failed"
    (mount,) = template["container"]["volumeMounts"]
    assert mount == {"mountPath": "/tmp/outputs", "name": "outputs"}
    assert template["volumes"] == [{"name": "outputs", "emptyDir": {}}]
    assert "outputs" not in TEMPLATES["step-report"]


def test_a_container_has_the_account_with_the_fewest_rights_and_the_tenants_settings() -> None:
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
            "LIGHTWORK_ROLE": "step",
            "LIGHTWORK_BRACE": "{",
        }
    assert TEMPLATES["step-fetch-all"]["container"]["image"] == "registry.example/fetch:1.2"
    assert TEMPLATES["step-report"]["container"]["image"] == objects.TARGET.image
    assert TEMPLATES["step-fetch-all"]["container"]["resources"] == base.resources("250m", "300Mi", "1Gi")


def test_a_container_mounts_no_secret_and_has_no_certificate() -> None:
    for name in ("step-fetch-all", "step-report"):
        text = json.dumps(TEMPLATES[name])
        assert [list(volume) for volume in TEMPLATES[name]["volumes"] or [] if "secret" in volume] == []
        for hidden in (contract.TLS, contract.TLS_AUTHORITY, contract.TLS_FOLDER, "DASK_", "8786"):
            assert hidden not in text, f"{name}: {hidden}"


def test_only_a_container_that_allows_spot_tolerates_it() -> None:
    assert TEMPLATES["step-report"]["affinity"] == base.never_spot()
    assert "tolerations" not in TEMPLATES["step-report"]
    (toleration,) = TEMPLATES["step-fetch-all"]["tolerations"]
    assert (toleration["key"], toleration["value"]) == (contract.LABEL_SPOT, "true")
    assert '"NotIn", "values": ["false"]' in json.dumps(TEMPLATES["step-fetch-all"]["affinity"]), (
        "and no other"
    )


def test_a_lost_container_is_retried_and_a_failed_one_is_not() -> None:
    expression = TEMPLATES["step-report"]["retryStrategy"]["expression"]
    expression = objects.as_python(expression)

    def retries(status: str, code: str, message: str = "") -> bool:
        attempt = type("Attempt", (), {"status": status, "exitCode": code, "message": message})
        return bool(eval(expression, {"lastRetry": attempt, "asInt": int}))

    assert retries("Error", "-1", "pod deleted")
    assert retries("Failed", "137", "main: Error (exit code 137)")
    assert "maxDuration" not in TEMPLATES["step-report"]["retryStrategy"]["backoff"]
    assert not retries("Failed", "1")
    assert retries("Failed", "143", "main: Error (exit code 143): OOMKilled? wait: Error"), "its own log"
    assert not retries("Failed", "137", "main: OOMKilled (exit code 137): all was well")
    missing = "wait: Error (exit code 64): open /mainctrfs/tmp/outputs/rows: no such file or directory"
    assert not retries("Error", "-1", missing), "a retry would not write the output either"
    denied = "wait: Error (exit code 1): failed to put file: Access Denied."
    assert not retries("Error", "0", denied), "the container has done its work"


def test_a_run_with_steps_ends_as_any_other() -> None:
    spec = TEMPLATE["spec"]
    assert (spec["entrypoint"], spec["onExit"]) == ("main", "exit")
    assert spec["activeDeadlineSeconds"] == 30 * 3600, "the deadline, and a day to wait for its turn"
    assert TEMPLATES["step-report"]["activeDeadlineSeconds"] == 6 * 3600
    items = manifests.tenant_objects(TENANT, objects.TARGET, discovery.pipelines())
    assert [item["kind"] for item in items if item["metadata"]["name"] == "nightly"] == [
        "WorkflowTemplate",
        "CronWorkflow",
    ]
    assert shapes.unknown_fields(TEMPLATE) == []


def argo() -> Path | None:
    """Return Argo's command line, if the cluster's programs were built on this machine."""
    programs = sorted((Path.home() / ".cache" / "lightwork" / "cluster").glob("argo-*/bin/argo"))
    return programs[-1] if programs else None


def lint(folder: Path, template: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    path = folder / "all.yaml"
    path.write_text(manifests.to_yaml([objects.scaler(), template]))
    command = [str(argo()), "lint", "--offline", "--kinds=workflowtemplates,clusterworkflowtemplates"]
    return subprocess.run(
        [*command, str(path)], capture_output=True, text=True, check=False, timeout=patience(120)
    )


@pytest.mark.skipif(argo() is None, reason="Argo's command line is not built here; run make cluster-up")
def test_argos_lint_accepts_the_templates_and_refuses_a_wrong_reference(tmp_path: Path) -> None:
    templates = [
        TEMPLATE,
        *(objects.one("acme", "WorkflowTemplate", n) for n in ("windy-city", "battery-health")),
    ]
    for template in (*templates, objects.one("globex", "WorkflowTemplate", "whole-days")):
        result = lint(tmp_path, template)
        assert result.returncode == 0, result.stdout + result.stderr
    wrong = yaml.safe_load(yaml.safe_dump(TEMPLATE).replace("workflow.name}}-windy", "workflow.nome}}-windy"))
    result = lint(tmp_path, wrong)
    assert result.returncode != 0
    assert "workflow.nome" in result.stdout + result.stderr


OF_A_DAY = """
quota: {cpu: 16, memory: 64Gi}
pipelines:
  nightly:
    schedule: 30 6 * * *
    timezone: Europe/Berlin
    interval: [start, end]
    steps:
      windy: {pipeline: windy-city, parameters: {data: "${start}", unit: "${end}"}}
      text: {pipeline: windy-city, parameters: {data: "$${start}"}}
"""


def test_the_steps_of_a_scheduled_run_get_its_interval_from_the_firing() -> None:
    tenant = objects.tenant(OF_A_DAY)
    template = workflows.workflow_template(tenant, "nightly", objects.TARGET, None)
    assert template["metadata"]["annotations"][contract.ANNOTATION_INTERVAL] == "start,end", "for `backfill`"
    given = template["spec"]["arguments"]["parameters"]
    assert given == [{"name": "start"}, {"name": "end"}], "whoever submits a run gives both"
    templates = {item["name"]: item for item in template["spec"]["templates"]}
    texts_of = {
        task["name"]: next(
            item["value"] for item in task["arguments"]["parameters"] if item["name"] == "arguments"
        )
        for task in templates["work"]["dag"]["tasks"]
    }
    for name in ("start", "end"):
        assert f'workflow.parameters["{name}"] + workflow.scheduledTime' in texts_of["windy"]
    assert "scheduledTime" not in texts_of["text"], "a literal"
    cron = workflows.cron_workflow(tenant, "nightly")
    assert cron is not None
    start, end = cron["spec"]["workflowSpec"]["arguments"]["parameters"]
    assert (start["name"], end["name"]) == ("start", "end")
    moment = dt.datetime(2026, 11, 28, 5, 30, tzinfo=dt.UTC).isoformat()
    assert firing.text(start["value"] + moment) == "2026-11-27T06:30:00+01:00"
    assert firing.text(end["value"] + moment) == "2026-11-28T06:30:00+01:00"

"""The scaler's template: the objects of a run, their deletion, and its parameters."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.manifests import dask, scaler
from tests.unit.lightwork.manifests import objects

NAMES = [item["name"] for item in objects.scaler()["spec"]["templates"]]
CREATED = ["service", "scheduler", "workers"]


def declared(template: dict[str, Any]) -> set[str]:
    return {item["name"] for item in template.get("inputs", {}).get("parameters", [])}


def used(template: dict[str, Any]) -> set[str]:
    plain = re.findall(r"\{\{inputs\.parameters\.([\w-]+)\}\}", repr(template))
    return {*plain, *re.findall(r"\{\{=inputs\.parameters\['([\w-]+)'\]\}\}", json.dumps(template))}


def container(role: str) -> dict[str, Any]:
    deployment = {"scheduler": dask.scheduler, "worker": dask.workers}[role]()
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_template_declares_exactly_the_parameters_that_it_uses(name: str) -> None:
    assert used(objects.template(name)) == declared(objects.template(name))


def test_each_step_passes_exactly_what_its_template_declares() -> None:
    steps = [step for group in objects.template("run")["steps"] for step in group]
    assert [step["name"] for step in steps] == ["service", "scheduler", "workers", "driver"]
    for step in steps:
        arguments = {item["name"]: item["value"] for item in step["arguments"]["parameters"]}
        assert set(arguments) == declared(objects.template(step["template"]))
        for name, value in arguments.items():
            assert value in (dask.placeholder(name), dask.placeholder_of_any(name)), "each under its own name"
            assert (value == dask.placeholder(name)) == (name != "arguments"), (
                "texts of users are expressions"
            )


@pytest.mark.parametrize("entry", ["windy-city", "battery-health"])
def test_a_pipelines_template_passes_exactly_what_the_scaler_declares(entry: str) -> None:
    *_, work, end = objects.one("acme", "WorkflowTemplate", entry)["spec"]["templates"]
    ((step,),) = work["steps"]
    assert step["templateRef"] == {"name": contract.SCALER, "template": "run", "clusterScope": True}
    arguments = {item["name"]: item["value"] for item in step["arguments"]["parameters"]}
    assert set(arguments) == declared(objects.template("run")) == set(scaler.PARAMETERS)
    empty = {name for name, value in arguments.items() if not value}
    assert empty == {"step", "result-file", "worker-devices", "worker-offers", "limits"}, (
        "there is one pipeline, no step uses its result, and its tasks ask for nothing"
    )
    assert arguments["name"] == "{{workflow.name}}"
    ((step,),) = end["steps"]
    assert step["templateRef"]["template"] == "delete"


@pytest.mark.parametrize("name", CREATED)
def test_each_object_is_created_by_its_own_step_and_owned_by_the_workflow(name: str) -> None:
    resource = objects.template(name)["resource"]
    assert (resource["action"], resource["setOwnerReference"]) == ("apply", True)
    (manifest,) = yaml.safe_load_all(objects.filled_in(resource["manifest"]))
    assert manifest["kind"] != "List", "the items of a list get no owner"
    assert manifest["metadata"]["labels"][contract.LABEL_RUN] == "{{workflow.name}}", (
        "the exit handler selects this label"
    )


def test_the_exit_handler_deletes_every_kind_that_a_run_creates_without_waiting() -> None:
    resource = objects.template("delete")["resource"]
    texts = [objects.filled_in(objects.template(name)["resource"]["manifest"]) for name in CREATED]
    kinds = {yaml.safe_load(text)["kind"] for text in texts}
    assert {f"{kind.lower()}s" for kind in kinds} == set(resource["flags"][0].split(","))
    assert resource["flags"][1:] == ["--selector", "lightwork/run={{workflow.name}}", "--wait=false"]


def test_the_cleanup_of_one_step_deletes_the_same_kinds_of_that_step_only() -> None:
    flags, delete_flags = (objects.template(name)["resource"]["flags"] for name in ("clear", "delete"))
    selector = "lightwork/run={{workflow.name}},lightwork/step={{inputs.parameters.step}}"
    assert flags == [delete_flags[0], "--selector", selector, "--wait=false"]


def test_steps_of_one_run_share_no_names_and_do_not_select_each_others_pods() -> None:
    for manifest in objects.of_run():
        assert manifest["metadata"]["name"].startswith("{{inputs.parameters.name}}-")
        assert manifest["metadata"]["labels"][contract.LABEL_STEP] == "{{inputs.parameters.step}}"
        selector = manifest["spec"]["selector"]
        assert selector.get("matchLabels", selector)[contract.LABEL_STEP] == "{{inputs.parameters.step}}"
    assert (
        variables(objects.template("driver")["container"])["LIGHTWORK_WORKERS_DEPLOYMENT"]
        == (dask.workers()["metadata"]["name"])
    )


def test_a_result_is_passed_on_and_a_missing_one_is_not_a_failure() -> None:
    (output,) = objects.template("driver")["outputs"]["parameters"]
    assert output == {"name": "result", "valueFrom": {"path": scaler.RESULT_FILE, "default": ""}}
    (passed,) = objects.template("run")["outputs"]["parameters"]
    assert passed["valueFrom"] == {"parameter": "{{steps.driver.outputs.parameters.result}}"}
    values = variables(objects.template("driver")["container"])
    assert values["LIGHTWORK_RESULT_FILE"] == "{{inputs.parameters.result-file}}"


def test_workers_start_at_zero_and_the_scheduler_never_runs_twice() -> None:
    assert dask.workers()["spec"]["replicas"] == 0, "the driver sets the number by the work there is"
    assert dask.scheduler()["spec"]["replicas"] == 1
    assert dask.scheduler()["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("deployment", [dask.scheduler(), dask.workers()], ids=["scheduler", "workers"])
def test_a_deployment_selects_only_pods_of_its_run_and_role(deployment: dict[str, Any]) -> None:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert selector[contract.LABEL_RUN] == "{{workflow.name}}"


def test_the_service_selects_the_scheduler_at_the_ports_it_listens_on() -> None:
    spec, pod = dask.service()["spec"], dask.scheduler()["spec"]["template"]
    assert spec["selector"].items() <= pod["metadata"]["labels"].items()
    listening = {item["name"]: item["containerPort"] for item in container("scheduler")["ports"]}
    for port in spec["ports"]:
        assert listening[port["targetPort"]] == port["port"]
    assert dask.ADDRESS == "tls://{{inputs.parameters.name}}-scheduler.{{workflow.namespace}}.svc:8786"
    assert container("worker")["args"][0] == dask.ADDRESS, (
        "a name that stays the same when the scheduler's pod is replaced"
    )


def test_all_of_dask_requires_tls() -> None:
    driver = objects.template("driver")["container"]
    for role in (container("scheduler"), container("worker"), driver):
        values = variables(role)
        assert values["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        assert values["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] == "/etc/lightwork/tls/ca.crt"
        assert values["DASK_SCHEDULER_ADDRESS"].startswith("tls://")
        mounts = {item["name"]: item["mountPath"] for item in role["volumeMounts"]}
        assert mounts["tls"] == "/etc/lightwork/tls"
    args = container("scheduler")["args"]
    assert args[args.index("--protocol") + 1] == "tls"


def test_dask_knows_a_workers_memory_and_its_spill_is_limited() -> None:
    worker = container("worker")
    assert variables(worker)["LIGHTWORK_MEMORY"] == {"resourceFieldRef": {"resource": "limits.memory"}}
    args = worker["args"]
    assert args[args.index("--memory-limit") + 1] == "$(LIGHTWORK_MEMORY)"
    spill = {item["name"]: item["mountPath"] for item in worker["volumeMounts"]}["spill"]
    assert args[args.index("--local-directory") + 1] == spill
    volumes = {item["name"]: item for item in dask.workers()["spec"]["template"]["spec"]["volumes"]}
    assert volumes["spill"]["emptyDir"]["sizeLimit"] == dask.placeholder("worker-storage")
    arguments = {
        item["name"]: item["value"]
        for item in objects.one("acme", "WorkflowTemplate", "battery-health")["spec"]["templates"][-2][
            "steps"
        ][0][0]["arguments"]["parameters"]
    }
    assert arguments["worker-storage"] == "10Gi"
    assert int(arguments["worker-spill"]) == 8 * 1024**3, "logs and temporary files need the rest"


def test_the_image_has_the_package_that_dask_needs_for_metrics() -> None:
    packages = (objects.REPOSITORY / "requirements" / "run.in").read_text(encoding="utf-8").split()
    assert "prometheus-client" in packages, "without it, /metrics only says that it is missing"


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_dasks_command_line_accepts_its_arguments(role: str) -> None:
    from distributed.cli import dask_scheduler, dask_worker

    command = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[role]
    pod_container = container(role)
    assert pod_container["command"] == ["dask", role]
    args = [item.replace("{{inputs.parameters.worker-threads}}", "2") for item in pod_container["args"]]
    options = command.make_context(role, list(args)).params  # refuses unknown options
    assert options["protocol" if role == "scheduler" else "nthreads"] in ("tls", 2)


def test_a_worker_retires_well_within_its_grace_period() -> None:
    command = container("worker")["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:3] == ["python", "-m", "lightwork.pods.retire"]
    grace = dask.workers()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert int(command[command.index("--seconds") + 1]) + 10 <= grace


def test_workers_tolerate_the_spot_taint_only_if_spot_is_allowed() -> None:
    (toleration,) = dask.workers()["spec"]["template"]["spec"]["tolerations"]
    assert toleration == {
        "key": "lightwork/spot",
        "operator": "Equal",
        "value": "{{inputs.parameters.spot}}",
        "effect": "NoSchedule",
    }


def test_a_lost_driver_pod_is_retried_and_a_failed_pipeline_is_not() -> None:
    strategy = objects.template("driver")["retryStrategy"]
    assert int(strategy["limit"]) == 3
    expression = objects.as_python(strategy["expression"])

    def retries(status: str, code: str, message: str = "") -> bool:
        attempt = type("Attempt", (), {"status": status, "exitCode": code, "message": message})
        return bool(eval(expression, {"lastRetry": attempt, "asInt": int}))

    assert retries("Error", "-1", "pod deleted")
    assert retries("Failed", "143", "main: Error (exit code 143)"), "terminated by a node that went away"
    assert retries("Failed", "137", "main: Error (exit code 137)"), "killed"
    assert retries("Failed", "75", "main: Error (exit code 75)"), "the lake stayed away"
    assert not retries("Failed", "1"), "the pipeline raised"
    assert not retries("Failed", "2"), "a wrong parameter"
    assert not retries("Failed", "137", "main: OOMKilled (exit code 137)"), "a retry has no more memory"
    late = "Pod was active on the node longer than the specified deadline"
    assert not retries("Failed", "143", late), "a retry would have all the time again"


def test_the_deadline_of_a_driver_begins_when_it_starts() -> None:
    assert objects.template("driver")["activeDeadlineSeconds"] == dask.placeholder("deadline")


def test_the_autoscaler_may_move_workers_but_not_the_scheduler() -> None:
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    evictable = {
        manifest["spec"]["template"]["metadata"]["labels"]["lightwork/role"]: manifest["spec"]["template"][
            "metadata"
        ]["annotations"][key]
        for manifest in (dask.scheduler(), dask.workers())
    }
    assert evictable == {"scheduler": "false", "worker": "true"}, "a moved scheduler loses the run's state"


def test_a_driver_that_is_lost_after_hours_is_retried() -> None:
    # Argo counts `maxDuration` from the start of the first pod, however long it ran before it was lost.
    assert "maxDuration" not in objects.template("driver")["retryStrategy"]["backoff"]


@pytest.mark.parametrize(
    ("devices", "further"),
    [("", {}), ("nvidia.com/gpu: 1, example.com/fpga: 2", {"nvidia.com/gpu": 1, "example.com/fpga": 2})],
    ids=["none", "two"],
)
def test_workers_request_the_devices_that_argo_fills_in(devices: str, further: dict[str, int]) -> None:
    text = objects.filled_in(objects.template("workers")["resource"]["manifest"], devices)
    (worker,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    own = {
        name: f"{{{{inputs.parameters.worker-{part}}}}}"
        for name, part in (("cpu", "cpu"), ("memory", "memory"), ("ephemeral-storage", "storage"))
    }
    assert worker["resources"] == {"requests": own | further, "limits": own | further}
    options = worker["args"]
    assert options[options.index("--resources") + 1] == "{{inputs.parameters.worker-offers}}"

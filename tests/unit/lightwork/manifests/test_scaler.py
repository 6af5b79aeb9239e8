"""The scaler's template: what a run makes, that it all goes, and that every parameter arrives."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.manifests import dask, scaler
from tests.unit.lightwork.manifests import objects

NAMES = [item["name"] for item in objects.scaler()["spec"]["templates"]]
MADE = ["service", "scheduler", "workers"]


def declared(template: dict[str, Any]) -> set[str]:
    return {item["name"] for item in template.get("inputs", {}).get("parameters", [])}


def used(template: dict[str, Any]) -> set[str]:
    return set(re.findall(r"\{\{inputs\.parameters\.([\w-]+)\}\}", repr(template)))


def container(role: str) -> dict[str, Any]:
    made = {"scheduler": dask.scheduler, "worker": dask.workers}[role]()
    (found,) = made["spec"]["template"]["spec"]["containers"]
    return found


def variables(found: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in found["env"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_template_declares_exactly_the_parameters_that_it_uses(name: str) -> None:
    assert used(objects.template(name)) == declared(objects.template(name))


def test_each_step_is_given_exactly_what_its_template_declares() -> None:
    steps = [step for group in objects.template("run")["steps"] for step in group]
    assert [step["name"] for step in steps] == ["service", "scheduler", "workers", "driver"]
    for step in steps:
        given = {item["name"]: item["value"] for item in step["arguments"]["parameters"]}
        assert set(given) == declared(objects.template(step["template"]))
        assert all(value == dask.placeholder(name) for name, value in given.items()), "each under its own name"


@pytest.mark.parametrize("entry", ["windy-city", "battery-health"])
def test_a_pipelines_template_gives_the_scaler_exactly_what_it_declares(entry: str) -> None:
    main, end = objects.one("acme", "WorkflowTemplate", entry)["spec"]["templates"]
    ((step,),) = main["steps"]
    assert step["templateRef"] == {"name": contract.SCALER, "template": "run", "clusterScope": True}
    given = {item["name"]: item["value"] for item in step["arguments"]["parameters"]}
    assert set(given) == declared(objects.template("run")) == set(scaler.PARAMETERS)
    empty = {name for name, value in given.items() if not value}
    assert empty == {"step", "result-file"}, "there is one pipeline, and nobody to use what it returns"
    assert given["name"] == "{{workflow.name}}"
    ((step,),) = end["steps"]
    assert step["templateRef"]["template"] == "delete"


@pytest.mark.parametrize("name", MADE)
def test_each_object_is_made_by_a_step_of_its_own_and_belongs_to_the_workflow(name: str) -> None:
    resource = objects.template(name)["resource"]
    assert (resource["action"], resource["setOwnerReference"]) == ("apply", True)
    (made,) = yaml.safe_load_all(resource["manifest"])
    assert made["kind"] != "List", "the items of a list get no owner"
    assert made["metadata"]["labels"][contract.LABEL_RUN] == "{{workflow.name}}", (
        "the exit handler goes by it"
    )


def test_the_exit_handler_deletes_every_kind_that_a_run_makes_and_waits_for_none() -> None:
    resource = objects.template("delete")["resource"]
    kinds = {yaml.safe_load(objects.template(name)["resource"]["manifest"])["kind"] for name in MADE}
    assert {f"{kind.lower()}s" for kind in kinds} == set(resource["flags"][0].split(","))
    assert resource["flags"][1:] == ["--selector", "lightwork/run={{workflow.name}}", "--wait=false"]


def test_what_clears_up_after_one_step_deletes_the_same_of_that_step_alone() -> None:
    flags, of_all = (objects.template(name)["resource"]["flags"] for name in ("clear", "delete"))
    selector = "lightwork/run={{workflow.name}},lightwork/step={{inputs.parameters.step}}"
    assert flags == [of_all[0], "--selector", selector, "--wait=false"]


def test_two_steps_of_one_run_share_no_name_and_select_none_of_each_others_pods() -> None:
    for made in objects.of_run():
        assert made["metadata"]["name"].startswith("{{inputs.parameters.name}}-")
        assert made["metadata"]["labels"][contract.LABEL_STEP] == "{{inputs.parameters.step}}"
        selector = made["spec"]["selector"]
        assert selector.get("matchLabels", selector)[contract.LABEL_STEP] == "{{inputs.parameters.step}}"
    assert (
        variables(objects.template("driver")["container"])["LIGHTWORK_WORKERS_DEPLOYMENT"]
        == (dask.workers()["metadata"]["name"])
    )


def test_a_result_is_passed_on_and_its_lack_fails_nobody() -> None:
    (made,) = objects.template("driver")["outputs"]["parameters"]
    assert made == {"name": "result", "valueFrom": {"path": scaler.RESULT_FILE, "default": ""}}
    (passed,) = objects.template("run")["outputs"]["parameters"]
    assert passed["valueFrom"] == {"parameter": "{{steps.driver.outputs.parameters.result}}"}
    values = variables(objects.template("driver")["container"])
    assert values["LIGHTWORK_RESULT_FILE"] == "{{inputs.parameters.result-file}}"


def test_workers_start_at_none_and_the_scheduler_is_never_there_twice() -> None:
    assert dask.workers()["spec"]["replicas"] == 0, "the driver knows how many there is work for"
    assert dask.scheduler()["spec"]["replicas"] == 1
    assert dask.scheduler()["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("made", [dask.scheduler(), dask.workers()], ids=["scheduler", "workers"])
def test_a_deployment_selects_its_own_runs_pods_of_its_own_role(made: dict[str, Any]) -> None:
    labels = made["spec"]["template"]["metadata"]["labels"]
    selector = made["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert selector[contract.LABEL_RUN] == "{{workflow.name}}"


def test_the_service_finds_the_scheduler_at_the_ports_that_it_listens_on() -> None:
    spec, pod = dask.service()["spec"], dask.scheduler()["spec"]["template"]
    assert spec["selector"].items() <= pod["metadata"]["labels"].items()
    listening = {item["name"]: item["containerPort"] for item in container("scheduler")["ports"]}
    for port in spec["ports"]:
        assert listening[port["targetPort"]] == port["port"]
    assert dask.ADDRESS == "tls://{{inputs.parameters.name}}-scheduler.{{workflow.namespace}}.svc:8786"
    assert container("worker")["args"][0] == dask.ADDRESS, (
        "a name that stays when the scheduler's pod does not"
    )


def test_nothing_of_dask_speaks_without_tls() -> None:
    driver = objects.template("driver")["container"]
    for found in (container("scheduler"), container("worker"), driver):
        values = variables(found)
        assert values["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        assert values["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] == "/etc/lightwork/tls/ca.crt"
        assert values["DASK_SCHEDULER_ADDRESS"].startswith("tls://")
        mounts = {item["name"]: item["mountPath"] for item in found["volumeMounts"]}
        assert mounts["tls"] == "/etc/lightwork/tls"
    args = container("scheduler")["args"]
    assert args[args.index("--protocol") + 1] == "tls"


def test_a_workers_memory_is_known_to_dask_as_the_pods_and_its_spill_is_bounded() -> None:
    found = container("worker")
    assert variables(found)["LIGHTWORK_MEMORY"] == {"resourceFieldRef": {"resource": "limits.memory"}}
    args = found["args"]
    assert args[args.index("--memory-limit") + 1] == "$(LIGHTWORK_MEMORY)"
    spill = {item["name"]: item["mountPath"] for item in found["volumeMounts"]}["spill"]
    assert args[args.index("--local-directory") + 1] == spill
    volumes = {item["name"]: item for item in dask.workers()["spec"]["template"]["spec"]["volumes"]}
    assert volumes["spill"]["emptyDir"]["sizeLimit"] == dask.placeholder("worker-storage")
    given = {
        item["name"]: item["value"]
        for item in objects.one("acme", "WorkflowTemplate", "battery-health")["spec"]["templates"][0][
            "steps"
        ][0][0]["arguments"]["parameters"]
    }
    assert given["worker-storage"] == "10Gi"
    assert int(given["worker-spill"]) == 8 * 1024**3, (
        "logs and temporary files need room beside what is spilled"
    )


def test_the_image_has_what_dask_needs_for_its_metrics() -> None:
    wanted = (objects.REPOSITORY / "requirements" / "run.in").read_text(encoding="utf-8").split()
    assert "prometheus-client" in wanted, "without it /metrics is a sentence that says so"


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_dasks_command_line_takes_its_arguments(role: str) -> None:
    from distributed.cli import dask_scheduler, dask_worker

    command = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[role]
    found = container(role)
    assert found["command"] == ["dask", role]
    args = [item.replace("{{inputs.parameters.worker-threads}}", "2") for item in found["args"]]
    given = command.make_context(role, list(args)).params  # refuses an option that it does not know
    assert given["protocol" if role == "scheduler" else "nthreads"] in ("tls", 2)


def test_a_worker_is_retired_in_less_time_than_it_has_to_end() -> None:
    command = container("worker")["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:3] == ["python", "-m", "lightwork.pods.retire"]
    grace = dask.workers()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert int(command[command.index("--seconds") + 1]) + 10 <= grace


def test_workers_tolerate_the_taint_of_spot_nodes_only_if_they_may_be_there() -> None:
    (toleration,) = dask.workers()["spec"]["template"]["spec"]["tolerations"]
    assert toleration == {
        "key": "lightwork/spot",
        "operator": "Equal",
        "value": "{{inputs.parameters.spot}}",
        "effect": "NoSchedule",
    }


def test_a_lost_pod_of_the_driver_is_tried_again_and_a_failed_pipeline_is_not() -> None:
    strategy = objects.template("driver")["retryStrategy"]
    assert int(strategy["limit"]) == 3
    # Argo's expression, read as Python's, where the words are the same.
    expression = re.sub(r"(lastRetry\.message) contains ('\w+')", r"(\2 in \1)", strategy["expression"])

    def again(status: str, code: str, message: str = "") -> bool:
        attempt = type("Attempt", (), {"status": status, "exitCode": code, "message": message})
        return bool(eval(expression, {"lastRetry": attempt, "asInt": int}))

    assert again("Error", "-1", "pod deleted")
    assert again("Failed", "143", "main: Error (exit code 143)"), "told to end, by a node that went"
    assert again("Failed", "137", "main: Error (exit code 137)"), "ended by force"
    assert not again("Failed", "1"), "the pipeline raised"
    assert not again("Failed", "2"), "a wrong parameter"
    assert not again("Failed", "137", "OOMKilled (exit code 137)"), "there will be no more memory next time"


def test_the_autoscaler_may_move_a_worker_and_never_the_scheduler() -> None:
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    found = {
        made["spec"]["template"]["metadata"]["labels"]["lightwork/role"]: made["spec"]["template"][
            "metadata"
        ]["annotations"][key]
        for made in (dask.scheduler(), dask.workers())
    }
    assert found == {"scheduler": "false", "worker": "true"}, "a moved scheduler takes the run's state along"

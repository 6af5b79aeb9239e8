"""Every pod: admitted by Pod Security `restricted`, with sizes and a command on each container."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.manifests import argo_config
from tests.unit.lightwork.manifests import objects

CONFIG = argo_config.settings(objects.ARGO)


def pods() -> dict[str, dict[str, Any]]:
    """Return every pod that a tenant's namespace can have, by title; Argo's as its controller makes them."""
    specs = {}
    for item in [*objects.of_tenant("acme"), *objects.of_run()]:
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if item["kind"] in ("Deployment", "Job", "CronJob"):
            specs[objects.title(item)] = spec["template"]["spec"]
    workflow = objects.one("acme", "WorkflowTemplate", "windy-city")["spec"]
    several = objects.one("globex", "WorkflowTemplate", "whole-days")["spec"]["templates"]
    containers = [template for template in several if "container" in template]
    for template in [*objects.scaler()["spec"]["templates"], *containers]:
        if "steps" in template:
            continue
        argo = {"name": "argo", "command": ["argoexec"], **CONFIG["executor"]}
        main = template.get("container", argo)
        for patched in yaml.safe_load(template.get("podSpecPatch", "{}")).get("containers", []):
            main = {**CONFIG["mainContainer"], **main, **patched}
        specs[f"step {template['name']}"] = {
            "containers": [main] if "resource" in template else [main, {**argo, "name": "wait"}],
            "initContainers": [{**argo, "name": "init"}],
            "securityContext": workflow["securityContext"],
            "affinity": template.get("affinity", workflow["affinity"]),
            "tolerations": template.get("tolerations", workflow.get("tolerations", [])),
            "serviceAccountName": template["serviceAccountName"],
            "volumes": template.get("volumes", []),
        }
    return specs


def against_restricted(pod: dict[str, Any]) -> list[str]:
    """Return the violations of Pod Security `restricted` (v1.33)."""
    violations = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    allowed = {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "csi", "persistentVolumeClaim"}
    violations += [
        f"volume {v['name']}" for v in pod.get("volumes", []) if not (set(v) - {"name"}) <= allowed
    ]
    pod_context = pod.get("securityContext", {})
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        container_context = container.get("securityContext", {})
        context = {**pod_context, **container_context}
        if container_context.get("allowPrivilegeEscalation") is not False:
            violations.append(f"{container['name']}: may gain rights")
        if container_context.get("capabilities", {}).get("drop") != ["ALL"] or container_context[
            "capabilities"
        ].get("add"):
            violations.append(f"{container['name']}: has capabilities")
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            violations.append(f"{container['name']}: may be root")
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            violations.append(f"{container['name']}: has no seccomp profile")
        violations += [
            f"{container['name']}: host port" for port in container.get("ports", []) if port.get("hostPort")
        ]
    return violations


@pytest.mark.parametrize("name", pods())
def test_every_pod_is_admitted_by_pod_security_restricted(name: str) -> None:
    assert against_restricted(pods()[name]) == []


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"hostNetwork": True}, "hostNetwork is set"),
        ({"securityContext": {}}, "worker: may be root"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "volume x"),
        ({"containers": [{"name": "worker"}]}, "worker: may gain rights"),
    ],
)
def test_a_pod_that_restricted_would_refuse_is_reported(change: dict[str, Any], violation: str) -> None:
    pod = pods()["Deployment /{{inputs.parameters.name}}-workers"]
    assert violation in against_restricted(pod | change)


@pytest.mark.parametrize("name", pods())
def test_every_container_has_sizes_and_a_command(name: str) -> None:
    pod = pods()[name]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        for size in ("cpu", "memory", "ephemeral-storage"):
            assert requests[size], f"{container['name']}: no request"
            assert limits[size], f"{container['name']}: no limit"
        assert requests["memory"] == limits["memory"], (
            "a pod above its request is killed when memory runs short"
        )
        assert container["command"], "without a command, Argo asks the image's registry for it"


@pytest.mark.parametrize(
    "name", [name for name in pods() if "workers" not in name or name.startswith("step")]
)
def test_a_pod_that_must_not_be_reclaimed_is_never_on_a_spot_node(name: str) -> None:
    pod = pods()[name]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert {"key": contract.LABEL_SPOT, "operator": "NotIn", "values": ["true"]} in terms[0][
        "matchExpressions"
    ]
    assert not pod.get("tolerations"), "the taint keeps away pods that do not tolerate it"


@pytest.mark.parametrize("name", pods())
def test_pods_that_do_not_use_the_api_have_no_token(name: str) -> None:
    pod = pods()[name]
    if pod["serviceAccountName"] in (contract.ACCOUNT_WORKER, contract.ACCOUNT_SCHEDULER):
        assert pod["automountServiceAccountToken"] is False
    else:
        assert pod["serviceAccountName"] in (
            contract.ACCOUNT_DRIVER,
            contract.ACCOUNT_SCALER,
            contract.ACCOUNT_CERTIFICATES,
            contract.ACCOUNT_CONTROLLER,
            contract.ACCOUNT_STEP,
        )

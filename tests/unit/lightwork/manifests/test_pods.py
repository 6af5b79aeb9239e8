"""Every pod: admitted by Pod Security `restricted`, with sizes on all containers and a command of its own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.manifests import argo_config
from tests.unit.lightwork.manifests import objects

CONFIG = argo_config.settings(objects.ARGO)


def pods() -> dict[str, dict[str, Any]]:
    """Every pod that a tenant's namespace can have, by a name; Argo's as its controller makes them."""
    found = {}
    for item in [*objects.of_tenant("acme"), *objects.of_run()]:
        spec = item.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if item["kind"] in ("Deployment", "Job", "CronJob"):
            found[objects.title(item)] = spec["template"]["spec"]
    workflow = objects.one("acme", "WorkflowTemplate", "windy-city")["spec"]
    several = objects.one("globex", "WorkflowTemplate", "whole-days")["spec"]["templates"]
    containers = [template for template in several if "container" in template]
    for template in [*objects.scaler()["spec"]["templates"], *containers]:
        if "steps" in template:
            continue
        argos = {"name": "argo", "command": ["argoexec"], **CONFIG["executor"]}
        main = template.get("container", argos)
        for patched in yaml.safe_load(template.get("podSpecPatch", "{}")).get("containers", []):
            main = {**CONFIG["mainContainer"], **main, **patched}
        found[f"step {template['name']}"] = {
            "containers": [main] if "resource" in template else [main, {**argos, "name": "wait"}],
            "initContainers": [{**argos, "name": "init"}],
            "securityContext": workflow["securityContext"],
            "affinity": template.get("affinity", workflow["affinity"]),
            "tolerations": template.get("tolerations", workflow.get("tolerations", [])),
            "serviceAccountName": template["serviceAccountName"],
            "volumes": template.get("volumes", []),
        }
    return found


def against_restricted(pod: dict[str, Any]) -> list[str]:
    """What Pod Security `restricted` (v1.33) would not admit."""
    found = [f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    allowed = {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "csi", "persistentVolumeClaim"}
    found += [f"volume {v['name']}" for v in pod.get("volumes", []) if not (set(v) - {"name"}) <= allowed]
    whole = pod.get("securityContext", {})
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own = container.get("securityContext", {})
        context = {**whole, **own}
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{container['name']}: may gain rights")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            found.append(f"{container['name']}: has capabilities")
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            found.append(f"{container['name']}: may be root")
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{container['name']}: has no seccomp profile")
        found += [
            f"{container['name']}: host port" for port in container.get("ports", []) if port.get("hostPort")
        ]
    return found


@pytest.mark.parametrize("name", pods())
def test_every_pod_is_admitted_by_pod_security_restricted(name: str) -> None:
    assert against_restricted(pods()[name]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hostNetwork": True}, "hostNetwork is set"),
        ({"securityContext": {}}, "worker: may be root"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "volume x"),
        ({"containers": [{"name": "worker"}]}, "worker: may gain rights"),
    ],
)
def test_a_pod_that_restricted_refuses_is_seen(change: dict[str, Any], said: str) -> None:
    pod = pods()["Deployment /{{inputs.parameters.name}}-workers"]
    assert said in against_restricted(pod | change)


@pytest.mark.parametrize("name", pods())
def test_every_container_has_sizes_and_a_command_of_its_own(name: str) -> None:
    pod = pods()[name]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        for size in ("cpu", "memory", "ephemeral-storage"):
            assert requests[size], f"{container['name']}: nothing is promised"
            assert limits[size], f"{container['name']}: nothing ends it"
        assert requests["memory"] == limits["memory"], "memory that is only lent is taken back by force"
        assert container["command"], "for arguments alone Argo asks the image's registry for the command"


@pytest.mark.parametrize(
    "name", [name for name in pods() if "workers" not in name or name.startswith("step")]
)
def test_what_must_not_be_taken_away_is_never_on_a_spot_node(name: str) -> None:
    pod = pods()[name]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert {"key": contract.LABEL_SPOT, "operator": "NotIn", "values": ["true"]} in terms[0][
        "matchExpressions"
    ]
    assert not pod.get("tolerations"), "the taint keeps away what does not tolerate it"


@pytest.mark.parametrize("name", pods())
def test_only_accounts_with_something_to_do_at_the_api_have_a_token(name: str) -> None:
    pod = pods()[name]
    if pod["serviceAccountName"] in (contract.ACCOUNT_WORKER, contract.ACCOUNT_SCHEDULER):
        assert pod["automountServiceAccountToken"] is False
    else:
        assert pod["serviceAccountName"] in (
            contract.ACCOUNT_DRIVER,
            contract.ACCOUNT_SCALER,
            contract.ACCOUNT_CERTIFICATES,
            contract.ACCOUNT_STEP,
        )

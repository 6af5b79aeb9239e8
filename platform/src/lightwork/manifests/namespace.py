"""A tenant's namespace, its quota and limits, and its ConfigMaps: settings, semaphores, archived logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from lightwork.kube import contract
from lightwork.manifests import base
from lightwork.manifests.base import Target, labels, manifest, resources_for
from lightwork.tenants import fit

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant


def namespace(tenant: Tenant) -> Manifest:
    """Return the namespace, which enforces the Pod Security level `restricted` on every pod."""
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": tenant.namespace, "labels": {**labels(tenant), **level}},
    }


def quota(tenant: Tenant) -> Manifest:
    """Return the ResourceQuota, without load balancers, node ports or volumes.

    It is the quota of the tenant's file, and room for the pods that are not the tenant's: the controller, and
    the one that packs the history.
    """
    size = fit.limit(tenant.quota) + fit.CONTROLLER + fit.HISTORY
    hard = {
        "requests.cpu": size.text("cpu"),
        "requests.memory": size.text("memory"),
        "limits.memory": size.text("memory"),
        "requests.ephemeral-storage": size.text("storage"),
        "limits.ephemeral-storage": size.text("storage"),
        "pods": size.text("pods"),
        **{f"requests.{name}": size.text(name) for name in size.devices},
        "persistentvolumeclaims": "0",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return manifest("v1", "ResourceQuota", "quota", tenant, spec={"hard": hard})


def limits(tenant: Tenant) -> Manifest:
    """Return the LimitRange: default sizes of containers, and the whole quota as their maximum."""
    size = tenant.quota
    default = resources_for(fit.ARGO)["limits"]
    container = {
        "type": "Container",
        "default": default,
        "defaultRequest": default,
        "max": {"cpu": size.cpu, "memory": size.memory, "ephemeral-storage": size.storage},
    }
    return manifest("v1", "LimitRange", "limits", tenant, spec={"limits": [container]})


def settings(tenant: Tenant, target: Target) -> Manifest:
    """Return the environment variables of the tenant's pods: the names of secrets, but not their values."""
    data = {
        contract.ENV_ENVIRONMENT: target.environment,
        contract.ENV_TENANT: tenant.name,
        contract.ENV_LAKE: target.lake,
        contract.ENV_LOG: "json",
        contract.ENV_HISTORY_DAYS: str(tenant.history.runs_days),
        **_most(contract.ENV_HISTORY_RUNS, tenant.history.runs_kept),
        **_most(contract.ENV_HISTORY_ARTIFACTS, tenant.history.artifacts_kept),
        contract.ENV_SECRETS_PREFIX: f"lightwork/{target.environment}/{tenant.name}/",
        contract.ENV_SECRETS: ",".join(tenant.secrets),
        **target.variables,
    }
    return manifest("v1", "ConfigMap", contract.SETTINGS, tenant, data=data)


def _most(variable: str, number: int | None) -> dict[str, str]:
    return {} if number is None else {variable: str(number)}


def semaphores(tenant: Tenant) -> Manifest:
    """Return the semaphores: the most runs of each pipeline, and of the tenant if not all fit at once."""
    data = {name: str(entry.max_parallel_runs) for name, entry in tenant.pipelines.items()}
    if (count := fit.concurrent(tenant)) is not None:
        # No entry has this name: the model refuses it.
        data[contract.TENANT_SEMAPHORE] = str(count)
    return manifest("v1", "ConfigMap", contract.SEMAPHORES, tenant, data=data)


def artifacts(tenant: Tenant, target: Target) -> Manifest | None:
    """Return where Argo archives logs: in the tenant's lake; None if the lake is not a bucket."""
    scheme, _, address = target.lake.partition("://")
    if scheme != "s3":
        return None
    bucket, _, prefix = address.strip("/").partition("/")
    folder = "/".join(part for part in (prefix, tenant.name, "argo") if part)
    s3: dict[str, Any] = {
        "bucket": bucket,
        "keyFormat": f"{folder}/{{{{workflow.name}}}}/{{{{pod.name}}}}",
        **_access(target),
    }
    if region := target.variables.get("AWS_REGION"):
        s3["region"] = region
    if endpoint := target.variables.get("AWS_ENDPOINT_URL"):
        s3["endpoint"] = endpoint.partition("://")[2]
        s3["insecure"] = endpoint.startswith("http://")
    repositories = manifest(
        "v1",
        "ConfigMap",
        "artifact-repositories",
        tenant,
        # The templates enable it for single pods; they could not disable it if it were enabled here.
        data={"lake": yaml.safe_dump({"archiveLogs": False, "s3": s3}, sort_keys=True)},
    )
    repositories["metadata"]["annotations"] = {"workflows.argoproj.io/default-artifact-repository": "lake"}
    return repositories


def _access(target: Target) -> dict[str, Any]:
    """Return how Argo's containers open the lake. By the pod's identity, they do as all AWS libraries do."""
    if target.lake_keys is None:
        return {"useSDKCreds": True}
    return {field: {"name": target.lake_keys, "key": variable} for field, variable in base.KEYS.items()}

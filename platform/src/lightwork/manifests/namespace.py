"""A tenant's namespace, what bounds the pods in it, and its ConfigMaps: variables, semaphores, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from lightwork.kube import contract
from lightwork.manifests.base import Target, labels, manifest, of_need
from lightwork.tenants import fit

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant


def namespace(tenant: Tenant) -> Manifest:
    """The namespace: every pod in it must meet the Pod Security level `restricted`."""
    level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": tenant.namespace, "labels": {**labels(tenant), **level}},
    }


def quota(tenant: Tenant) -> Manifest:
    """The ResourceQuota: what the tenant's file says, and nothing that reaches out of the namespace."""
    size = tenant.quota
    hard = {
        "requests.cpu": size.cpu,
        "requests.memory": size.memory,
        "limits.memory": size.memory,
        "requests.ephemeral-storage": size.storage,
        "limits.ephemeral-storage": size.storage,
        "pods": str(size.pods),
        "persistentvolumeclaims": "0",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return manifest("v1", "ResourceQuota", "quota", tenant, spec={"hard": hard})


def limits(tenant: Tenant) -> Manifest:
    """The LimitRange: what a container gets that asks for nothing, and that none asks for more than all."""
    size = tenant.quota
    default = of_need(fit.ARGO)["limits"]
    container = {
        "type": "Container",
        "default": default,
        "defaultRequest": default,
        "max": {"cpu": size.cpu, "memory": size.memory, "ephemeral-storage": size.storage},
    }
    return manifest("v1", "LimitRange", "limits", tenant, spec={"limits": [container]})


def settings(tenant: Tenant, target: Target) -> Manifest:
    """What the tenant's pods find in their environment. No secret is among it, only their names."""
    data = {
        contract.ENV_ENVIRONMENT: target.environment,
        contract.ENV_TENANT: tenant.name,
        contract.ENV_LAKE: target.lake,
        contract.ENV_LOG: "json",
        contract.ENV_SECRETS_PREFIX: f"lightwork/{target.environment}/{tenant.name}/",
        contract.ENV_SECRETS: ",".join(tenant.secrets),
        **target.variables,
    }
    return manifest("v1", "ConfigMap", contract.SETTINGS, tenant, data=data)


def semaphores(tenant: Tenant) -> Manifest:
    """How many runs may go on: of each pipeline, and, where they do not all fit at once, of the tenant."""
    data = {name: str(entry.max_parallel_runs) for name, entry in tenant.pipelines.items()}
    if (count := fit.concurrent(tenant)) is not None:
        # No pipeline's entry has this name: it is refused by the model.
        data[contract.TENANT_SEMAPHORE] = str(count)
    return manifest("v1", "ConfigMap", contract.SEMAPHORES, tenant, data=data)


def artifacts(tenant: Tenant, target: Target) -> Manifest | None:
    """Where Argo puts the logs of the tenant's pods: the tenant's own lake; None if it is no bucket."""
    scheme, _, rest = target.lake.partition("://")
    if scheme != "s3":
        return None
    bucket, _, prefix = rest.strip("/").partition("/")
    folder = "/".join(part for part in (prefix, tenant.name, "argo") if part)
    s3: dict[str, Any] = {
        "bucket": bucket,
        "keyFormat": f"{folder}/{{{{workflow.name}}}}/{{{{pod.name}}}}",
        "useSDKCreds": True,
    }
    if region := target.variables.get("AWS_REGION"):
        s3["region"] = region
    if endpoint := target.variables.get("AWS_ENDPOINT_URL"):
        s3["endpoint"] = endpoint.partition("://")[2]
        s3["insecure"] = endpoint.startswith("http://")
    made = manifest(
        "v1",
        "ConfigMap",
        "artifact-repositories",
        tenant,
        # The templates say whose logs are kept: they cannot refuse what is true here.
        data={"lake": yaml.safe_dump({"archiveLogs": False, "s3": s3}, sort_keys=True)},
    )
    made["metadata"]["annotations"] = {"workflows.argoproj.io/default-artifact-repository": "lake"}
    return made

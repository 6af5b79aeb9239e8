"""The Jobs that set OpenSearch up for a tenant's logs, and erase them.

The domain is private: neither laptops nor runners reach it, so a Pulumi provider cannot configure it. Instead
the stack makes a ConfigMap of idempotent requests and a Job that sends them as the domain's master user, by
its pod's identity. A role that is removed here stays in the domain until the tenant's logs are erased.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from infra.config import accounts
from infra.services.charts.common import size
from infra.services.objects import LABELS
from infra.tenant.streams import Request, domain_requests, erase_requests, tenant_requests
from lightwork.manifests import base

if TYPE_CHECKING:
    from infra.config.sizes import Sizes
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant


FILE = "requests.json"
FOLDER = "/etc/lightwork/search"
VOLUME = "requests"
HOUR = 3600


def objects(
    tenant: Tenant,
    *,
    endpoint: str,
    region: str,
    image: str,
    shipper_role_arn: str,
    people_role_arn: str | None,
    sizes: Sizes,
) -> list[Manifest]:
    """Build the ConfigMap and the Job that set up the domain and a tenant's access to it.

    The shared setup is sent with each tenant: the estate is deployed before the first image is pushed, so it
    cannot run the Job. Until the first tenant is deployed, log lines wait on their nodes.

    Args:
        tenant: the tenant.
        endpoint: the domain's host name.
        region: the domain's region.
        image: the platform's image.
        shipper_role_arn: the ARN of the log shipper's role.
        people_role_arn: the ARN of the role of the tenant's people; None if it has none.
        sizes: the environment's sizes.
    """
    requests = [
        *domain_requests(shipper_role_arn=shipper_role_arn, sizes=sizes),
        *tenant_requests(tenant.name, sizes, people_role_arn),
    ]
    return setup(tenant, requests, endpoint=endpoint, region=region, image=image)


def setup(
    tenant: Tenant, requests: list[Request], *, endpoint: str, region: str, image: str
) -> list[Manifest]:
    """A ConfigMap of requests and a Job that sends them.

    Args:
        tenant: whose they are; they are beside the account that sends them, not in its namespace.
        requests: in the order to send them.
        endpoint: the domain's host name.
        region: where it is.
        image: the platform's image.
    """
    name = f"search-{tenant.name}"
    text = json.dumps(requests, indent=1)
    metadata = {
        "name": name,
        "namespace": accounts.SEARCH_ADMIN.namespace,
        "labels": base.labels(tenant),
    }
    pod = _pod(["--requests", f"{FOLDER}/{FILE}"], endpoint=endpoint, region=region, image=image)
    (container,) = pod["containers"]
    container["volumeMounts"] = [{"name": VOLUME, "mountPath": FOLDER, "readOnly": True}]
    pod["volumes"] = [{"name": VOLUME, "configMap": {"name": name}}]
    # Changed requests must start a new Job: changing the ConfigMap alone starts nothing.
    annotations = {"lightwork/requests": hashlib.sha256(text.encode()).hexdigest()[:16]}
    template = {"metadata": {"labels": metadata["labels"], "annotations": annotations}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {FILE: text}},
        _job(metadata, template, seconds=HOUR // 4),
    ]


def erasing(name: str, *, endpoint: str, region: str, image: str) -> Manifest:
    """Build a Job that deletes a tenant's stream and its role. Kubernetes deletes the Job after a day.

    Args:
        name: the tenant's name; its file may be gone.
        endpoint: the domain's host name.
        region: the domain's region.
        image: the platform's image.
    """
    words = ["--text", json.dumps(erase_requests(name))]
    labels = {**LABELS, "lightwork/tenant": name}
    metadata = {
        "name": f"erase-logs-{name}",
        "namespace": accounts.SEARCH_ADMIN.namespace,
        "labels": labels,
    }
    pod = _pod(words, endpoint=endpoint, region=region, image=image)
    job = _job(metadata, {"metadata": {"labels": labels}, "spec": pod}, seconds=24 * HOUR)
    job["spec"]["ttlSecondsAfterFinished"] = 24 * HOUR
    return job


def _pod(words: list[str], *, endpoint: str, region: str, image: str) -> dict[str, Any]:
    container = {
        "name": "search",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lightwork.pods.search"],
        "args": ["--endpoint", f"https://{endpoint}", *words],
        "env": [{"name": "AWS_REGION", "value": region}],
        "resources": size("50m", "192Mi", cpu_limit="500m"),
        "securityContext": base.container_security(),
    }
    return {
        "serviceAccountName": accounts.SEARCH_ADMIN.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "OnFailure",
        "securityContext": base.pod_security(),
        "affinity": base.never_spot(),
        "containers": [container],
    }


def _job(metadata: dict[str, Any], template: dict[str, Any], *, seconds: int) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"backoffLimit": 6, "activeDeadlineSeconds": seconds, "template": template},
    }

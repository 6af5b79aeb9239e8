"""A tenant's access in OpenSearch: who may read its indexes.

The domain is private: neither laptops nor runners reach it, so a Pulumi provider cannot configure it. Instead
the stack makes a ConfigMap of idempotent requests and a Job that sends them as the domain's master user, by
its pod's identity. A role that is removed here stays in the domain until somebody deletes it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from infra.config import accounts
from infra.services.charts.common import size
from infra.services.charts.shipper import INDEX, index_pattern
from lightwork.manifests import base

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Tenant


SECURITY = "_plugins/_security/api"
FILE = "requests.json"
FOLDER = "/etc/lightwork/search"


def request(method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Build a request in the form that `lightwork.pods.search` reads."""
    return {"method": method, "path": path, "body": body}


def tenant_requests(tenant: Tenant) -> list[dict[str, Any]]:
    """Build the requests for a role that only reads the tenant's indexes, and for its mapping."""
    name = f"tenant-{tenant.name}"
    role = {
        "description": f"Reads the logs of the tenant {tenant.name}",
        "cluster_permissions": [],
        "index_permissions": [
            {"index_patterns": [index_pattern(tenant.name)], "allowed_actions": ["read", "get"]}
        ],
    }
    return [
        request("PUT", f"{SECURITY}/roles/{name}", role),
        request("PUT", f"{SECURITY}/rolesmapping/{name}", {"backend_roles": [name]}),
    ]


def domain_requests(*, shipper_role_arn: str, kept_days: int) -> list[dict[str, Any]]:
    """Build the requests for what all tenants share: the shipper's role, the index template, the retention.

    Args:
        shipper_role_arn: the ARN of the log shipper's role.
        kept_days: the days after which an index is deleted.
    """
    shipper = {
        "description": "Adds lines, makes the day's index, reads nothing",
        "cluster_permissions": ["cluster:monitor/main", "indices:data/write/bulk"],
        "index_permissions": [
            {
                "index_patterns": [f"{INDEX}-*"],
                "allowed_actions": ["indices:admin/create", "indices:admin/mapping/put", "write"],
            }
        ],
    }
    template = {
        "index_patterns": [f"{INDEX}-*"],
        "template": {
            "settings": {"number_of_shards": 1, "index.mapping.total_fields.limit": 1000},
            "mappings": {
                # The whole line is stored and searchable; only these become fields.
                "dynamic": False,
                "properties": {
                    "@timestamp": {"type": "date"},
                    "log": {"type": "text"},
                    "tenant": {"type": "keyword"},
                    "line": {
                        "properties": {
                            **{
                                name: {"type": "keyword"}
                                for name in ("level", "tenant", "pipeline", "run", "task", "host", "event")
                            },
                            "message": {"type": "text"},
                        }
                    },
                    "kubernetes": {
                        "properties": {
                            name: {"type": "keyword"}
                            for name in ("namespace_name", "pod_name", "container_name")
                        }
                    },
                },
            },
        },
    }
    policy = {
        "policy": {
            "description": f"Deletes an index after {kept_days} days",
            "default_state": "kept",
            "states": [
                {
                    "name": "kept",
                    "actions": [],
                    "transitions": [{"state_name": "gone", "conditions": {"min_index_age": f"{kept_days}d"}}],
                },
                {"name": "gone", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": [f"{INDEX}-*"], "priority": 100}],
        }
    }
    return [
        request("PUT", f"{SECURITY}/roles/log-shipper", shipper),
        request("PUT", f"{SECURITY}/rolesmapping/log-shipper", {"backend_roles": [shipper_role_arn]}),
        request("PUT", "_index_template/lightwork", template),
        # Changing an existing policy requires its version, so it is created once and then left alone.
        {**request("PUT", "_plugins/_ism/policies/lightwork-retention", policy), "once": True},
    ]


def objects(
    tenant: Tenant,
    *,
    endpoint: str,
    region: str,
    image: str,
    shipper_role_arn: str,
    kept_days: int,
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
        kept_days: the days after which an index is deleted.
    """
    requests = [
        *domain_requests(shipper_role_arn=shipper_role_arn, kept_days=kept_days),
        *tenant_requests(tenant),
    ]
    return setup(tenant, requests, endpoint=endpoint, region=region, image=image)


def setup(
    tenant: Tenant, requests: list[dict[str, Any]], *, endpoint: str, region: str, image: str
) -> list[Manifest]:
    """A ConfigMap of requests and a Job that sends them.

    Args:
        tenant: whose they are; they are beside the account that sends them, not in its namespace.
        requests: in the order to send them.
        endpoint: the domain's host name.
        region: where it is.
        image: the platform's image.
    """
    account, name = accounts.SEARCH_ADMIN, f"search-{tenant.name}"
    text = json.dumps(requests, indent=1)
    metadata = {
        "name": name,
        "namespace": account.namespace,
        "labels": base.labels(tenant),
    }
    container = {
        "name": "search",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lightwork.pods.search"],
        "args": ["--endpoint", f"https://{endpoint}", "--requests", f"{FOLDER}/{FILE}"],
        "env": [{"name": "AWS_REGION", "value": region}],
        "resources": size("50m", "192Mi", cpu_limit="500m"),
        "securityContext": base.container_security(),
        "volumeMounts": [{"name": "requests", "mountPath": FOLDER, "readOnly": True}],
    }
    pod = {
        "serviceAccountName": account.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "OnFailure",
        "securityContext": base.pod_security(),
        "affinity": base.never_spot(),
        "containers": [container],
        "volumes": [{"name": "requests", "configMap": {"name": name}}],
    }
    # Changed requests must start a new Job: changing the ConfigMap alone starts nothing.
    annotations = {"lightwork/requests": hashlib.sha256(text.encode()).hexdigest()[:16]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {FILE: text}},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "backoffLimit": 6,
                "activeDeadlineSeconds": 900,
                "template": {
                    "metadata": {"labels": metadata["labels"], "annotations": annotations},
                    "spec": pod,
                },
            },
        },
    ]

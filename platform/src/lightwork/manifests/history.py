"""The job that packs the history of a tenant's runs, and prunes: one CronJob in the tenant's namespace.

docs/decisions/history-of-runs.md has the reasons. Its pods run `lightwork.pods.history` in the platform's
image.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.manifests import base
from lightwork.manifests.base import Target, labels, manifest, resources_for
from lightwork.tenants import fit

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

NAME = "history"
MOST_SECONDS = 3000
"""Time after which a job is ended; the next one goes on with its work."""


def cron_job(tenant: Tenant, target: Target) -> Manifest:
    """Return the CronJob. Its pods have the tenant's role on AWS, but none at the Kubernetes API.

    They have it by the account of workers: an account of their own would take one more of the associations
    that a cluster may have.
    """
    job = {
        "backoffLimit": 1,
        "activeDeadlineSeconds": MOST_SECONDS,
        "ttlSecondsAfterFinished": 600,
        "template": {"metadata": {"labels": labels(tenant, role=NAME)}, "spec": _pod(target)},
    }
    spec = {
        "schedule": hourly(tenant.name),
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 1800,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"spec": job},
    }
    return manifest("batch/v1", "CronJob", NAME, tenant, spec=spec)


def hourly(tenant: str) -> str:
    """Return the schedule of a tenant: every hour, at a minute that its name decides, so not all at once."""
    digest = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big")
    return f"{digest % 60} * * * *"


def _pod(target: Target) -> Manifest:
    keys: dict[str, Any] = base.lake_keys(target)
    prices = [{"name": contract.ENV_PRICES, "value": target.prices}] if target.prices else []
    role = {"name": contract.ENV_ROLE, "value": NAME}
    container = {
        "name": NAME,
        "image": target.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lightwork.pods.history"],
        "envFrom": [{"configMapRef": {"name": contract.SETTINGS}}],
        "env": [role, *keys.get("env", ()), *prices],
        "resources": resources_for(fit.HISTORY, cpu_limit="1"),
        "securityContext": base.container_security(),
    }
    return {
        "serviceAccountName": contract.ACCOUNT_WORKER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": base.pod_security(),
        "affinity": base.never_spot(),
        "containers": [container],
    }

"""The jobs that create and renew a tenant's certificates in the cluster, and the token for Argo's page.

docs/decisions/tls-certificates.md has the reasons. The jobs run `lightwork.pods.certificates` in the
platform's image.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lightwork.kube import contract
from lightwork.manifests import base, page
from lightwork.manifests.base import Target, labels, manifest, resources_for
from lightwork.tenants import fit

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest
    from lightwork.tenants.model import Tenant

NAME = "certificates"
NIGHT = 60, 300
"""The minutes after midnight, UTC, between which certificates are checked.

They are renewed when less than half of their lifetime is left.
"""


def objects(tenant: Tenant, target: Target) -> list[Manifest]:
    """Return a Job that creates the certificates now, and a CronJob that renews them."""
    job = {
        "backoffLimit": 6,
        "activeDeadlineSeconds": 600,
        # A Job is immutable: it must be deleted before one with another image can be applied.
        "ttlSecondsAfterFinished": 600,
        "template": {"metadata": {"labels": labels(tenant, role=NAME)}, "spec": _pod(tenant, target)},
    }
    first = manifest("batch/v1", "Job", NAME, tenant, spec=job)
    schedule = {
        "schedule": renewal(tenant.name),
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"spec": job},
    }
    return [first, manifest("batch/v1", "CronJob", NAME, tenant, spec=schedule)]


def renewal(tenant: str) -> str:
    """Return the schedule of a tenant's check: every night, at a minute that its name decides.

    All tenants at once would need as many pods at once, and as many of the API server's answers.
    """
    first, end = NIGHT
    digest = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big")
    hour, minute = divmod(first + digest % (end - first), 60)
    return f"{minute} {hour} * * *"


def _pod(tenant: Tenant, target: Target) -> Manifest:
    container = {
        "name": NAME,
        "image": target.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "lightwork.pods.certificates"],
        "args": [
            *("--authority", contract.TLS_AUTHORITY, "--secret", contract.TLS),
            *(("--page-account", contract.PEOPLE) if page.group(tenant) else ()),
        ],
        "resources": resources_for(fit.RENEWAL, cpu_limit="500m"),
        "securityContext": base.container_security(),
    }
    return {
        "serviceAccountName": contract.ACCOUNT_CERTIFICATES,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "restartPolicy": "OnFailure",
        "securityContext": base.pod_security(),
        "affinity": base.never_spot(),
        "containers": [container],
    }

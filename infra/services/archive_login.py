"""Argo's own login to the archive: a Job that makes it, and a CronJob that replaces it every week.

Both run `lightwork.pods.archive` on a public Python image: the estate is deployed before the platform's own
image is in the registry. The program comes from a ConfigMap. docs/decisions/archive-login.md has the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightwork
from infra.config.accounts import ARCHIVE
from infra.services.charts.common import Placement, container, pod, size
from infra.services.program import ENVIRONMENT, FOLDER, USER, digest, mount, texts, volume
from lightwork import errors, kube, pods, version
from lightwork.kube import api
from lightwork.manifests.identity import RBAC
from lightwork.pods import archive, signing
from lightwork.pods.archive import __main__ as main
from lightwork.pods.archive import cluster, database, master, postgres, rotation, scram

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

NAME = ARCHIVE.name
"""The Job, the CronJob, the ConfigMap and the Role, as the service account."""
SECRET = "argo-archive-login"  # noqa: S105  (its name)
"""The Secret with Argo's `username` and `password`. Only the Job writes it: it is in no state."""
SCHEDULE = "23 3 * * *"
"""Every night, UTC: a rotation that failed goes on the next night."""
DAYS = 7

PROGRAM = (
    *(lightwork, version, errors, kube, api, pods, signing, archive),
    *(main, cluster, database, master, postgres, rotation, scram),
)
"""The modules that the Job runs; with Python's own, they are all that it needs."""
MASTER_FOLDER = "/master"
JOB_SECONDS, CRON_JOB_SECONDS = 1140, 3600
"""The deadlines: the first is below what Pulumi waits for a Job. What they cut off goes on the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What differs between clusters.

    Attributes:
        image: an image with `python3`, 3.11 or newer.
        host: the host of PostgreSQL.
        database: the archive's database.
        pods: the label selector of the pods that read the Secret when they start.
        placement: the nodes that the Job runs on.
        port: the port of PostgreSQL.
        master_arn: the secret of AWS with the master's login; the Job's role reads it.
        region: the region of that secret.
        master_secret: where there is no AWS, the Secret in this namespace with the master's login.
    """

    image: str
    host: str
    database: str
    pods: str
    placement: Placement
    port: int = 5432
    master_arn: str | None = None
    region: str | None = None
    master_secret: str | None = None


def objects(login: Login) -> list[Manifest]:
    """Build the account with its rights, the program, the Job and the CronJob."""
    data = program()
    return [
        _object("v1", "ServiceAccount", automountServiceAccountToken=False),
        *_rights(),
        _object("v1", "ConfigMap", data=data),
        _object("batch/v1", "Job", spec=_job(login, data, JOB_SECONDS)),
        _object(
            "batch/v1",
            "CronJob",
            spec={
                "schedule": SCHEDULE,
                "timeZone": "Etc/UTC",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 3600,
                # Jobs started by hand belong to the CronJob too: with 1, one of two loses its log.
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"spec": _job(login, data, CRON_JOB_SECONDS)},
            },
        ),
    ]


def program() -> dict[str, str]:
    """Return the source of PROGRAM, by the names of the files, with dots for slashes."""
    return texts(PROGRAM)


def _rights() -> list[Manifest]:
    """Return the Role and its binding. `create` cannot be limited to names; `get` and `patch` are.

    Pods are evicted rather than their Deployments changed: that would let the Job run any program with the
    rights of Argo's controller.
    """
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    ]
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": ARCHIVE.namespace}
    return [
        _object(RBAC, "Role", rules=rules),
        _object(
            RBAC,
            "RoleBinding",
            roleRef={"apiGroup": RBAC.partition("/")[0], "kind": "Role", "name": NAME},
            subjects=[subject],
        ),
    ]


def _job(login: Login, data: dict[str, str], seconds: int) -> dict[str, Any]:
    template = {
        "metadata": {
            "labels": {**_metadata()["labels"], "app.kubernetes.io/name": NAME},
            "annotations": {"lightwork/program": digest(data)},
        },
        "spec": _pod(login, data),
    }
    return {"backoffLimit": 3, "activeDeadlineSeconds": seconds, "template": template}


def _pod(login: Login, data: dict[str, str]) -> dict[str, Any]:
    volumes, mounts = [volume(NAME, data)], [mount("program", FOLDER)]
    if login.master_secret:
        volumes.append({"name": "master", "secret": {"secretName": login.master_secret}})
        mounts.append(mount("master", MASTER_FOLDER))
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        # Another pod for each attempt: one that was started before its role was associated never gets it.
        "restartPolicy": "Never",
        "securityContext": pod(USER),
        **login.placement.values(),
        "containers": [
            {
                "name": "login",
                "image": login.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-m", "lightwork.pods.archive"],
                "args": _arguments(login),
                "env": [dict(variable) for variable in ENVIRONMENT],
                "resources": size("50m", "128Mi", cpu_limit="500m"),
                "securityContext": container(),
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _arguments(login: Login) -> list[str]:
    if login.master_secret:
        master_words = ["--master-folder", MASTER_FOLDER]
    else:
        master_words = ["--master-arn", str(login.master_arn), "--region", str(login.region)]
    return [
        *("--host", login.host, "--port", str(login.port), "--database", login.database),
        *("--secret", SECRET, "--pods", login.pods, "--days", str(DAYS)),
        *master_words,
    ]


def _metadata() -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "lightwork"}
    return {"name": NAME, "namespace": ARCHIVE.namespace, "labels": labels}


def _object(api_version: str, kind: str, **fields: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": _metadata(), **fields}

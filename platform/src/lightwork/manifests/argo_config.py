"""Argo's configuration: the ConfigMap that its controller reads, the same in tests and in production.

It has only fields that both Argo 3.7 and 4 know. `Argo` holds what differs between clusters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import yaml

from lightwork.kube import contract
from lightwork.manifests import base
from lightwork.manifests.base import resources_for
from lightwork.manifests.workflows import KEPT_SECONDS, POD_DELAY
from lightwork.tenants import fit, quantities
from lightwork.tenants.model import LONGEST_RUN

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

NAME = "workflow-controller-configmap"
DATABASE = "argo"
"""The archive's database."""
LIMITS_KEPT_SECONDS = 10
"""How long Argo may use an old number of parallel runs after the tenant's file has changed."""
KEEP_ATTEMPTS = 10
"""How often Argo tries to keep a pod's log while the lake is away, in two to three minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The PostgreSQL database of the archive.

    Attributes:
        host: the server's name or address.
        database: the name of the database.
        secret: the Secret in Argo's namespace with the keys `username` and `password`.
        port: the server's port.
        ssl_mode: `verify-full` wherever the server has a certificate; `disable` for tests on one machine.
    """

    host: str
    database: str = DATABASE
    secret: str = "argo-archive"  # noqa: S105  (its name)
    port: int = 5432
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class SSO:
    """The identity provider that users log in with.

    Attributes:
        issuer: the provider's URL.
        redirect: the URL it sends users back to: Argo's own address and `/oauth2/callback`.
        group: the group with access: itself and the groups below it. A user's other groups are ignored.
        secret: the Secret in Argo's namespace with the keys `client-id` and `client-secret`.
        claim: the claim of the provider's tokens that lists the groups of a user.
    """

    issuer: str
    redirect: str
    group: str
    secret: str = "argo-server-sso"  # noqa: S105  (its name)
    claim: str = "groups"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argo:
    """The settings that differ between clusters.

    Attributes:
        database: the archive of ended workflows; None, for experiments, archives nothing.
        cluster: this cluster's name in the archive, which several clusters may share.
        namespace: the namespace of the controller.
        archive_days: how many days an ended workflow stays in the archive.
        parallel: the most workflows in the whole cluster; 0 for any number.
        parallel_in_namespace: the most workflows in one namespace, against floods. Argo counts those that
            wait for a semaphore as well, so a low number would let one pipeline's backlog hold up the others.
        executor_pull: whether the executor's image is pulled; `Never` where it is loaded by hand.
        links: the links that Argo's pages show, in Argo's own form.
        sso: the identity provider; without one, users bring tokens of their own.
    """

    database: Database | None
    cluster: str
    namespace: str = "argo"
    archive_days: int = 365
    parallel: int = 0
    parallel_in_namespace: int = 500
    executor_pull: Literal["IfNotPresent", "Never"] = "IfNotPresent"
    links: tuple[dict[str, str], ...] = field(default=())
    sso: SSO | None = None


def config_map(argo: Argo) -> Manifest:
    """Return the controller's ConfigMap, whose only key holds the settings as YAML."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": argo.namespace,
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
        },
        "data": {"config": yaml.safe_dump(settings(argo), sort_keys=False)},
    }


def settings(argo: Argo) -> dict[str, Any]:
    """Return the controller's settings, under Argo's names."""
    config: dict[str, Any] = {
        "parallelism": argo.parallel,
        "namespaceParallelism": argo.parallel_in_namespace,
        "resourceRateLimit": {"limit": 20, "burst": 40},
        # Without this, Argo reads a semaphore's ConfigMap at each look at each waiting run.
        "synchronization": {"semaphoreLimitCacheSeconds": LIMITS_KEPT_SECONDS},
        # Only WorkflowTemplates may run: nobody can submit pods of their own.
        "workflowRestrictions": {"templateReferencing": "Strict"},
        "workflowDefaults": workflow_defaults(),
        "executor": {
            "imagePullPolicy": argo.executor_pull,
            "resources": resources_for(fit.ARGO, cpu_limit="500m"),
            "securityContext": base.container_security(),
            "env": [{"name": "EXECUTOR_RETRY_BACKOFF_STEPS", "value": str(KEEP_ATTEMPTS)}],
        },
        "mainContainer": {
            "resources": resources_for(fit.ARGO, cpu_limit="500m"),
            "securityContext": base.container_security(),
        },
        **({"persistence": _persistence(argo, argo.database)} if argo.database else {}),
        "metricsConfig": {"enabled": True, "path": "/metrics", "port": 9090, "secure": False},
        "podSpecLogStrategy": {"failedPod": True},
    }
    if argo.sso is not None:
        config["sso"] = _sso(argo.sso)
    if argo.links:
        config["links"] = list(argo.links)
    return config


def workflow_defaults() -> dict[str, Any]:
    """Return defaults for every workflow: a deadline, a TTL, an unprivileged user, few rights.

    The templates of tenants' pipelines set all of them; the defaults are for any other workflow.
    """
    return {
        "spec": {
            "serviceAccountName": contract.ACCOUNT_SCALER,
            "securityContext": base.pod_security(),
            "activeDeadlineSeconds": quantities.seconds(LONGEST_RUN),
            "ttlStrategy": {"secondsAfterCompletion": KEPT_SECONDS},
            "podGC": {"strategy": "OnPodCompletion", "deleteDelayDuration": POD_DELAY},
        }
    }


def _sso(sso: SSO) -> dict[str, Any]:
    return {
        "issuer": sso.issuer,
        "clientId": {"name": sso.secret, "key": "client-id"},
        "clientSecret": {"name": sso.secret, "key": "client-secret"},
        "redirectUrl": sso.redirect,
        "scopes": ["openid", "profile", "email"],
        "sessionExpiry": "10h",
        # Users have the rights of their group's service account, and none without one.
        "rbac": {"enabled": True},
        "customGroupClaimName": sso.claim,
        # Anybody may make a group elsewhere, and with all of them the cookie could be too long for a browser.
        "filterGroupsRegex": [f"^{re.escape(sso.group)}(/|$)"],
    }


def _persistence(argo: Argo, database: Database) -> dict[str, Any]:
    return {
        "archive": True,
        "archiveTTL": f"{argo.archive_days}d",
        "nodeStatusOffLoad": True,
        "clusterName": argo.cluster,
        "connectionPool": {"maxIdleConns": 10, "maxOpenConns": 20, "connMaxLifetime": "300s"},
        "postgresql": {
            "host": database.host,
            "port": database.port,
            "database": database.database,
            "tableName": "argo_workflows",
            "userNameSecret": {"name": database.secret, "key": "username"},
            "passwordSecret": {"name": database.secret, "key": "password"},
            "ssl": database.ssl_mode != "disable",
            "sslMode": database.ssl_mode,
        },
    }

"""Argo's own configuration: the ConfigMap that its controller reads. The same one in tests and in production.

Only fields that Argo 3.7 and 4 both have. What differs between clusters is in `Argo`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import yaml

from lightwork.kube import contract
from lightwork.manifests import base
from lightwork.manifests.base import of_need
from lightwork.manifests.workflows import KEPT_SECONDS, POD_DELAY
from lightwork.tenants import fit, quantities
from lightwork.tenants.model import LONGEST_RUN

if TYPE_CHECKING:
    from lightwork.kube.contract import Manifest

NAME = "workflow-controller-configmap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The PostgreSQL database of the archive.

    Attributes:
        host: its name or address.
        database: the name of the database in it.
        secret: the Secret in Argo's namespace with the keys `username` and `password`.
        port: its port.
        ssl_mode: `verify-full` wherever the server has a certificate; `disable` is for tests on one machine.
    """

    host: str
    database: str = "argo"
    secret: str = "argo-archive"  # noqa: S105  (its name)
    port: int = 5432
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class SSO:
    """Who knows the people that log in.

    Attributes:
        issuer: the identity provider's address.
        redirect: where it sends people back to: Argo's own address and `/oauth2/callback`.
        groups: the groups of which one has to be somebody's, else nobody is let in.
        secret: the Secret in Argo's namespace with the keys `client-id` and `client-secret`.
        user_info: the path below the issuer where the groups are, if they are not in the token.
    """

    issuer: str
    redirect: str
    groups: tuple[str, ...]
    secret: str = "argo-server-sso"  # noqa: S105  (its name)
    user_info: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Argo:
    """What differs between clusters.

    Attributes:
        database: where ended workflows are archived; None if nowhere, which is for trying things out.
        cluster: this cluster's name in the archive, which several clusters may share.
        namespace: where the controller runs.
        archive_days: how long an ended workflow stays in the archive.
        parallel: how many workflows may go on in the whole cluster.
        parallel_in_namespace: how many of one tenant.
        executor_pull: whether the executor's image is pulled; `Never` where it was brought by hand.
        sso: who knows the people; without it everybody brings a token of their own.
    """

    database: Database | None
    cluster: str
    namespace: str = "argo"
    archive_days: int = 365
    parallel: int = 200
    parallel_in_namespace: int = 20
    executor_pull: Literal["IfNotPresent", "Never"] = "IfNotPresent"
    links: tuple[dict[str, str], ...] = field(default=())
    sso: SSO | None = None


def config_map(argo: Argo) -> Manifest:
    """The controller's ConfigMap, whose one key is a YAML text."""
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
    """The controller's settings, by the names that Argo gives them."""
    found: dict[str, Any] = {
        "parallelism": argo.parallel,
        "namespaceParallelism": argo.parallel_in_namespace,
        "resourceRateLimit": {"limit": 20, "burst": 40},
        # Only what is in a WorkflowTemplate runs: nobody brings a pod of their own.
        "workflowRestrictions": {"templateReferencing": "Strict"},
        "workflowDefaults": workflow_defaults(),
        "executor": {
            "imagePullPolicy": argo.executor_pull,
            "resources": of_need(fit.ARGO, cpu_limit="500m"),
            "securityContext": base.container_security(),
        },
        "mainContainer": {
            "resources": of_need(fit.ARGO, cpu_limit="500m"),
            "securityContext": base.container_security(),
        },
        **({"persistence": _persistence(argo, argo.database)} if argo.database else {}),
        "metricsConfig": {"enabled": True, "path": "/metrics", "port": 9090, "secure": False},
        "podSpecLogStrategy": {"failedPod": True},
    }
    if argo.sso is not None:
        found["sso"] = _sso(argo.sso)
    if argo.links:
        found["links"] = list(argo.links)
    return found


def workflow_defaults() -> dict[str, Any]:
    """What every workflow has that does not say otherwise: an end, a TTL, a safe user, few rights.

    The templates of the tenants' pipelines say all of it themselves; this is for whatever else is submitted.
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
    found: dict[str, Any] = {
        "issuer": sso.issuer,
        "clientId": {"name": sso.secret, "key": "client-id"},
        "clientSecret": {"name": sso.secret, "key": "client-secret"},
        "redirectUrl": sso.redirect,
        "scopes": ["openid", "profile", "email"],
        "sessionExpiry": "10h",
        # What somebody may do is what the account of their group may do, and nothing without one.
        "rbac": {"enabled": True},
        # The rest of somebody's groups would make the cookie too long for a browser.
        "filterGroupsRegex": [f"^{re.escape(group)}$" for group in sso.groups],
    }
    if sso.user_info:
        found["userInfoPath"] = sso.user_info
    return found


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

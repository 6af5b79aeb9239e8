"""The cluster of the local stacks: whether it answers, and whether it has the Argo that the settings claim.

It is asked before the engine starts. The engine would ask only when something changes, wait for minutes, and
not name the cluster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from infra.config import local, versions
from infra.services.charts import argo
from lightwork.errors import InputError, LightworkError, near, one_line
from lightwork.kube.api import RefusedError, of_context
from lightwork.manifests import argo_config

if TYPE_CHECKING:
    from pathlib import Path

    from lightwork.kube.api import KubeApi

SETTINGS = "Pulumi.local.yaml"
NEEDED = (
    ("executor", "securityContext"),
    ("mainContainer", "securityContext"),
    ("workflowDefaults", "spec", "securityContext"),
)
"""Argo's settings without which a tenant's namespace refuses every pod of a run."""


def check(root: Path) -> tuple[KubeApi, str]:
    """Check the cluster; return its API and the line to show.

    Raises:
        InputError: the kubeconfig has no such context, or the cluster's Argo does not fit.
        LightworkError: the cluster does not answer, or refuses.
    """
    settings = local.load(root)
    api = _api(settings.kube_context)
    try:
        version = api.get("/version")["gitVersion"]
        text = f"the context {settings.kube_context}, Kubernetes {version}"
        return api, text if settings.argo == "make" else f"{text}, Argo {_argo(api)}"
    except RefusedError as error:
        hint = "; log in again" if error.status == 401 else ""
        raise LightworkError(
            f"the cluster of the context {settings.kube_context!r} refuses: {error}{hint}"
        ) from None
    except OSError as error:
        raise LightworkError(
            f"the cluster of the context {settings.kube_context!r} cannot be reached: {one_line(error)}"
        ) from None


def _api(context: str) -> KubeApi:
    from kubernetes import config

    try:
        contexts = [item["name"] for item in config.list_kube_config_contexts()[0]]  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise InputError(
            f"cannot use the kubeconfig ({one_line(error)}); set KUBECONFIG to the right file"
        ) from None
    if context not in contexts:
        raise InputError(
            f"{SETTINGS}: lightwork:kube_context: the kubeconfig has no context {context!r}"
            f"{near(context, contexts)}"
        )
    return of_context(context)


def _argo(api: KubeApi) -> str:
    """Return the version of the Argo in the cluster, after checking that tenants' runs fit it."""
    deployments = api.get(f"/apis/apps/v1/namespaces/{argo.NAMESPACE}/deployments")["items"]
    controllers = [item for item in deployments if item["metadata"]["name"].endswith(argo.CONTROLLER)]
    if not controllers:
        raise InputError(
            f"{SETTINGS}: lightwork:argo: is exists, but the namespace {argo.NAMESPACE} has no Deployment"
            f" {argo.CONTROLLER}; `make` installs Argo"
        )
    found = version_of(controllers[0])
    pinned = versions.CHARTS["argo-workflows"].image_tag or ""
    if not _fits(found, pinned):
        raise InputError(
            f"{SETTINGS}: lightwork:argo: the cluster's Argo is {found or 'of an unknown version'}; expected"
            f" {pinned} or a newer patch of it, by the image's tag or the label app.kubernetes.io/version of"
            f" the Deployment {controllers[0]['metadata']['name']}"
        )
    path = f"/api/v1/namespaces/{argo.NAMESPACE}/configmaps/{argo_config.NAME}"
    if lacking := lacking_settings(api.get(path).get("data") or {}):
        raise InputError(
            f"{SETTINGS}: lightwork:argo: the cluster's Argo lacks {', '.join(lacking)} in its ConfigMap"
            f" {argo_config.NAME}; without them no pod of a run is admitted"
        )
    return found


def version_of(deployment: dict[str, Any]) -> str:
    """Return the version of a Deployment: by its image's tag, else by its label; empty if neither tells."""
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].partition("@")[0]
    label = (deployment["metadata"].get("labels") or {}).get("app.kubernetes.io/version", "")
    tags = (text for text in (image.rpartition("/")[2].partition(":")[2], label) if _numbers(text))
    return next(tags, "")


def lacking_settings(data: dict[str, str]) -> list[str]:
    """Return which of the needed settings are not in Argo's ConfigMap, in either of its two forms."""
    settings = {key: yaml.safe_load(text) for key, text in data.items() if key != "config"}
    settings |= yaml.safe_load(data.get("config", "")) or {}
    return [".".join(path) for path in NEEDED if not _value(settings, path)]


def _value(settings: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def _fits(found: str, pinned: str) -> bool:
    ours, theirs = _numbers(pinned), _numbers(found)
    return bool(theirs) and theirs[:2] == ours[:2] and theirs[2] >= ours[2]


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)(?!\d)", version)
    return tuple(map(int, match.groups())) if match else ()

"""The admission webhook of EKS Pod Identity, which patches pods whose service account has an association."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.cluster.settings import CREDENTIALS_IP

AUDIENCE = "pods.eks.amazonaws.com"
"""The injected token's audience; a token for another audience gets no credentials."""
URL = f"http://{CREDENTIALS_IP}/v1/credentials"

_VOLUME = "eks-pod-identity-token"
_FOLDER = f"/var/run/secrets/{AUDIENCE}/serviceaccount"
TOKEN_FILE = f"{_FOLDER}/{_VOLUME}"
_SECONDS = 86400


def environment(region: str) -> dict[str, str]:
    """Return the variables that a container gets unless it sets them itself."""
    return {
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": URL,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": TOKEN_FILE,
    }


def review(
    admission_review: dict[str, Any], *, associated: Callable[[str, str], bool], region: str
) -> dict[str, Any]:
    """Respond to the AdmissionReview of a new pod: allow it, and patch it if its account has a role.

    Args:
        admission_review: the API server's request.
        associated: whether a namespace's service account has an association.
        region: the region for the containers' variables.
    """
    request = admission_review["request"]
    pod = request["object"]
    account = pod["spec"].get("serviceAccountName") or "default"
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if associated(request["namespace"], account):
        patch = json.dumps(injection(pod["spec"], region)).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def injection(spec: dict[str, Any], region: str) -> list[dict[str, Any]]:
    """Return the JSON patch of a pod's specification: the variables, the token's volume and its mounts.

    The patch is idempotent, because the API server may call again after other webhooks.
    """
    source = {"audience": AUDIENCE, "expirationSeconds": _SECONDS, "path": _VOLUME}
    volume = {"name": _VOLUME, "projected": {"sources": [{"serviceAccountToken": source}]}}
    others = [item for item in spec.get("volumes", []) if item["name"] != _VOLUME]
    patch: list[dict[str, Any]] = [{"op": "add", "path": "/spec/volumes", "value": [*others, volume]}]
    for kind in ("containers", "initContainers"):
        if kind in spec:
            injected = [_injected(container, region) for container in spec[kind]]
            patch.append({"op": "add", "path": f"/spec/{kind}", "value": injected})
    return patch


def _injected(container: dict[str, Any], region: str) -> dict[str, Any]:
    env = container.get("env", [])
    present = {item["name"] for item in env}
    missing = [
        {"name": name, "value": value} for name, value in environment(region).items() if name not in present
    ]
    mount = {"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True}
    others = [item for item in container.get("volumeMounts", []) if item["name"] != _VOLUME]
    return {**container, "env": [*env, *missing], "volumeMounts": [*others, mount]}

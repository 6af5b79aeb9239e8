"""EKS Pod Identity for this cluster: a role's credentials for the pods of a service account.

As on EKS, a webhook gives each pod the endpoint's address and a token for this purpose alone. The endpoint
has the API server check the token, and looks up the association of its namespace and account. On EKS the
add-on does all this, so `platform/` has no code for it.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightwork.kube import contract
from tests.cluster import processes
from tests.cluster.certificates import folder
from tests.cluster.kube import apply, kubectl
from tests.cluster.pod_identity_webhook import URL
from tests.cluster.progress import wait_for
from tests.cluster.settings import ROOT, WEBHOOK_PORT, host, run_folder

SERVER = "pod-identity"
"""The server's name, also in the logs."""
ACCOUNT = "pod-identity"
"""The service account that the server uses for the API server."""
NAMESPACE = "lightwork-tests"
_TOKEN_DURATION = "168h"
ACCOUNTS = contract.LAKE_ACCOUNTS
"""The service accounts of a tenant that have its own role; steps have another one."""


def start() -> None:
    """Start the server, grant it token reviews, and register its webhook for tenants' pods."""
    apply(_rights())
    token_file().touch(mode=0o600)
    token_file().write_text(
        kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, f"--duration={_TOKEN_DURATION}").strip()
    )
    processes.start(SERVER, [sys.executable, "-m", "tests.cluster.pod_identity_server"], cwd=ROOT)
    wait_for("pod identity", _ready, seconds=30)
    apply([webhook()])


def token_file() -> Path:
    """Return the file with the server's token for the API server."""
    return run_folder() / "pod-identity-token"


@contextmanager
def failing(status: int) -> Iterator[None]:
    """Have the endpoint answer every request with an HTTP status inside the block."""
    _fault_file().write_text(str(status))
    try:
        yield
    finally:
        _fault_file().unlink()


def fault() -> int | None:
    """Return the status that the endpoint is told to answer with; None if it is not."""
    try:
        return int(_fault_file().read_text())
    except (FileNotFoundError, ValueError):
        return None


def _fault_file() -> Path:
    return run_folder() / "pod-identity-fault"


def associate(namespace: str, account: str, role: str) -> None:
    """Give the pods of a service account the credentials of an account of the S3 server."""
    note = run_folder() / "pod-identity.json"
    associations = _associations()
    associations[f"{namespace}/{account}"] = role
    part = note.with_suffix(".part")
    part.write_text(json.dumps(associations, indent=1))
    part.replace(note)


def association(namespace: str, account: str) -> str | None:
    """Return the S3 server's account for a service account; None if there is none."""
    return _associations().get(f"{namespace}/{account}")


def _associations() -> dict[str, str]:
    try:
        associations: dict[str, str] = json.loads((run_folder() / "pod-identity.json").read_text())
    except FileNotFoundError:
        return {}
    return associations


def ask(token: str) -> tuple[int, dict[str, Any]]:
    """Send a token to the endpoint; return the response's status and document."""
    request = urllib.request.Request(URL, headers={"Authorization": token} if token else {})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=15) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _ready() -> bool:
    processes.check(SERVER)
    return ask("")[0] == 400


def _rights() -> list[dict[str, Any]]:
    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    name = {"name": f"{NAMESPACE}:{ACCOUNT}"}
    reference = {"apiGroup": rbac, "kind": "ClusterRole", **name}
    account = {"name": ACCOUNT, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": name, "rules": [rule]},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": name,
            "roleRef": reference,
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


def webhook_name() -> str:
    """Return the name of the webhook's configuration."""
    return "pod-identity-webhook"


def webhook() -> dict[str, Any]:
    """Build the webhook's configuration: it applies to tenants' pods, which wait while it is down."""
    authority = base64.b64encode((folder() / "ca.crt").read_bytes()).decode()
    tenants = {"matchExpressions": [{"key": contract.LABEL_TENANT, "operator": "Exists"}]}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": webhook_name()},
        "webhooks": [
            {
                "name": "pod-identity-webhook.amazonaws.com",
                "clientConfig": {"url": f"https://{host()}:{WEBHOOK_PORT}/mutate", "caBundle": authority},
                "rules": [{**pods, "scope": "Namespaced"}],
                "namespaceSelector": tenants,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "timeoutSeconds": 10,
            }
        ],
    }

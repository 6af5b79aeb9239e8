"""Argo's server as the estate runs it for people who log in, beside the tests' own, on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from typing import Any

import yaml

from infra.config.settings import GitLab
from infra.services import archive_login, services
from infra.services.charts import argo as chart
from infra.services.charts.common import Placement
from lightwork.manifests import argo_config
from tests.cluster import argo, processes
from tests.cluster.binaries import program
from tests.cluster.identity_provider import CLIENT, SECRET, Browser, Provider
from tests.cluster.kube import apply, cluster, kubectl
from tests.cluster.progress import wait_for
from tests.cluster.settings import run_folder

GITLAB = GitLab(project="example/lightwork")
DOMAIN = "argo.dev.example.com"
SSO = services.sso(GITLAB, DOMAIN)
ACCOUNT = "argo-page-tests"
"""The account of the server, with the rights of the chart's."""
NAME = "argo-page"
RBAC = "rbac.authorization.k8s.io"
VALUES = chart.values(
    chart.ArgoValues(
        image_tag="v3.7.14",
        archive_secret=archive_login.SECRET,
        placement=Placement(),
        people=GITLAB.group,
        operators=GITLAB.operators,
    )
)


def chart_rules() -> list[dict[str, Any]]:
    """Return the rights that chart 0.47.5 gives to Argo's server, with our values.

    From its `templates/server/server-cluster-roles.yaml`: a ClusterRole, so that the names of Secrets count
    in every namespace.
    """
    see = ["get", "list", "watch"]
    own = (
        "eventsources",
        "sensors",
        "workflows",
        "workfloweventbindings",
        "workflowtemplates",
        "cronworkflows",
    )
    named = VALUES["server"]["sso"]["rbac"]["secretWhitelist"]
    return [
        {"apiGroups": [""], "resources": ["configmaps", "events"], "verbs": see},
        {"apiGroups": [""], "resources": ["pods"], "verbs": [*see, "delete"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["sso", *named], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": see},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["watch", "create", "patch"]},
        {
            "apiGroups": ["argoproj.io"],
            "resources": list(own),
            "verbs": [*see, "create", "update", "patch", "delete"],
        },
        {"apiGroups": ["argoproj.io"], "resources": ["clusterworkflowtemplates"], "verbs": see},
    ]


def objects(provider: Provider) -> list[dict[str, Any]]:
    """Return what the server needs: account, settings, the client's Secret, and what the chart makes."""
    metadata = {"name": ACCOUNT, "namespace": argo.NAMESPACE}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": ACCOUNT}
    subjects = [{"kind": "ServiceAccount", **metadata}]
    config = argo.configuration()
    settings = yaml.safe_load(config["data"]["config"])
    sso = dataclasses.replace(SSO, issuer=provider.issuer)
    settings["sso"] = argo_config.settings(argo_config.Argo(database=None, cluster="x", sso=sso))["sso"]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": ACCOUNT},
            "rules": chart_rules(),
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": role,
            "subjects": subjects,
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": chart.SSO_SECRET, "namespace": argo.NAMESPACE},
            "stringData": {"client-id": CLIENT, "client-secret": SECRET},
        },
        {
            **config,
            "metadata": {**config["metadata"], "name": NAME},
            "data": {"config": yaml.safe_dump(settings)},
        },
        *VALUES["extraObjects"],
    ]


@contextlib.contextmanager
def serving(provider: Provider) -> Iterator[int]:
    """Run the server during the block; yields its port on this machine."""
    made = objects(provider)
    apply(made)
    token = kubectl("-n", argo.NAMESPACE, "create", "token", ACCOUNT, "--duration=1h").strip()
    names = {"cluster": "c", "user": "u", "namespace": argo.NAMESPACE}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster()}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": names}],
        "current-context": "c",
    }
    kubeconfig = run_folder() / f"{NAME}.kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(document))
    port = _free_port()
    server = VALUES["server"]
    modes = [word for mode in server["authModes"] for word in ("--auth-mode", mode)]
    words = ["server", *modes, f"--secure={str(server['secure']).lower()}", "--configmap", NAME]
    processes.start(
        NAME,
        [program("argo"), *words, "--port", str(port), "-n", argo.NAMESPACE, "--log-format", "json"],
        env={"KUBECONFIG": str(kubeconfig), **{item["name"]: item["value"] for item in server["extraEnv"]}},
    )
    try:
        wait_for("Argo's server for people", lambda: _answers(port), seconds=60)
        yield port
    finally:
        processes.stop(NAME)
        kubeconfig.unlink()
        for item in [*made, {"kind": "Secret", "metadata": {"name": "sso", "namespace": argo.NAMESPACE}}]:
            where = ["-n", item["metadata"]["namespace"]] if "namespace" in item["metadata"] else []
            kubectl(*where, "delete", item["kind"], item["metadata"]["name"], "--ignore-not-found")


def _answers(port: int) -> bool:
    processes.check(NAME)
    return Browser(DOMAIN, port).ask("/").status == 200


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port

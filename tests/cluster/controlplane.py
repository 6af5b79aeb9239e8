"""etcd, the API server, the controller manager and the scheduler."""

from __future__ import annotations

import json
import urllib.request

from tests.cluster import processes
from tests.cluster.binaries import program
from tests.cluster.certificates import folder
from tests.cluster.kube import kubectl
from tests.cluster.progress import wait_for
from tests.cluster.settings import (
    API_PORT,
    ETCD_PORT,
    NODE_IP,
    POD_CIDR,
    SERVICE_CIDR,
    run_folder,
)

_ETCD = f"http://127.0.0.1:{ETCD_PORT}"


def start_all() -> None:
    """Start them all, and wait until the API server is ready."""
    _start_etcd()
    _start_api_server()
    for name in ("controller-manager", "scheduler"):
        _start_controller(name)


def _start_etcd() -> None:
    peers = f"http://127.0.0.1:{ETCD_PORT + 1}"
    processes.start(
        "etcd",
        [
            "/usr/bin/etcd",
            *("--name", "node", "--data-dir", run_folder() / "etcd"),
            *("--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"node={peers}"),
        ],
    )
    wait_for("etcd", _etcd_ready, seconds=60)


def _etcd_ready() -> bool:
    processes.check("etcd")
    with urllib.request.urlopen(f"{_ETCD}/health", timeout=2) as response:
        return bool(json.load(response).get("health") == "true")


def _start_api_server() -> None:
    certificates = folder()
    processes.start(
        "apiserver",
        [
            program("kube-apiserver"),
            f"--etcd-servers={_ETCD}",
            f"--bind-address={NODE_IP}",
            f"--advertise-address={NODE_IP}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=false",
            f"--client-ca-file={certificates / 'ca.crt'}",
            f"--tls-cert-file={certificates / 'apiserver.crt'}",
            f"--tls-private-key-file={certificates / 'apiserver.key'}",
            f"--kubelet-certificate-authority={certificates / 'ca.crt'}",
            f"--kubelet-client-certificate={certificates / 'api-to-kubelet.crt'}",
            f"--kubelet-client-key={certificates / 'api-to-kubelet.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certificates / 'tokens.pub'}",
            f"--service-account-signing-key-file={certificates / 'tokens.key'}",
            # Debian's etcd is too old for WatchList.
            "--feature-gates=WatchList=false",
        ],
    )
    wait_for("kube-apiserver", _api_ready, seconds=120, every=0.5)


def _api_ready() -> bool:
    processes.check("apiserver")
    return kubectl("get", "--raw", "/readyz", timeout=10).strip() == "ok"


def _start_controller(name: str) -> None:
    certificates = folder()
    config = certificates / f"{name}.kubeconfig"
    more = {
        "controller-manager": [
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={certificates / 'tokens.key'}",
            f"--root-ca-file={certificates / 'ca.crt'}",
            f"--cluster-cidr={POD_CIDR}",
            "--allocate-node-cidrs=false",
        ],
        "scheduler": [],
    }[name]
    processes.start(
        name,
        [
            program(f"kube-{name}"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            *more,
        ],
    )

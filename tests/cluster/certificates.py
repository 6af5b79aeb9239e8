"""The cluster's certificates and kubeconfigs, created anew for each cluster."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster.settings import (
    API_PORT,
    API_SERVICE_IP,
    DOMAIN,
    NODE,
    NODE_IP,
    host,
    kubeconfig,
    run_folder,
)

_DAYS = 7
_WEBHOOK = "pod-identity-webhook"
_NOBODY = "lightwork-nobody"
"""The organisation of those without a group; Kubernetes takes it for one, which is granted nothing."""

CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "proxy": ("system:kube-proxy", None),
    "network-policies": ("lightwork:network-policies", None),
    "api-to-kubelet": ("api-to-kubelet", "system:masters"),
}


def folder() -> Path:
    """Return the folder that holds them while the cluster is up."""
    return run_folder() / "certificates"


def make_all() -> None:
    """Create the authority, the servers' certificates, the clients' kubeconfigs, and the token key."""
    authority = _new_authority()
    names = [
        *("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
        f"kubernetes.default.svc.{DOMAIN}",
        *(API_SERVICE_IP, NODE_IP, "127.0.0.1"),
    ]
    _sign(authority, "apiserver", "kube-apiserver", None, names)
    _sign(authority, "kubelet-server", f"system:node:{NODE}", "system:nodes", [NODE, NODE_IP, "127.0.0.1"])
    _sign(authority, _WEBHOOK, _WEBHOOK, None, [host()])
    for name, (user, group) in CLIENTS.items():
        _sign(authority, name, user, group, [f"{name}.invalid"])
        target = kubeconfig() if name == "admin" else folder() / f"{name}.kubeconfig"
        write_kubeconfig(target, name)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write("tokens.key", private)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write("tokens.pub", public)


def make_webhook() -> None:
    """Make an authority and the webhook's certificate alone, where the cluster has its own."""
    _sign(_new_authority(), _WEBHOOK, _WEBHOOK, None, [host()])


def _new_authority() -> trustme.CA:
    """An authority whose key stays in this process."""
    folder().mkdir(parents=True, exist_ok=True)
    folder().chmod(0o700)
    authority = trustme.CA(organization_name=_NOBODY, organization_unit_name="lightwork-cluster")
    _write("ca.crt", authority.cert_pem.bytes())
    return authority


def _sign(authority: trustme.CA, file: str, user: str, group: str | None, names: Sequence[str]) -> None:
    """Make a key and its certificate, for clients and servers alike.

    Args:
        authority: who signs it.
        file: the name of its files, without their ends.
        user: who a client is.
        group: the group that a client is in.
        names: a server's names. Go refuses certificates without any, so a client has one that is nobody's.
    """
    certificate = authority.issue_cert(
        *names,
        common_name=user,
        organization_name=group or _NOBODY,
        not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=_DAYS),
    )
    _write(f"{file}.crt", certificate.cert_chain_pems[0].bytes())
    _write(f"{file}.key", certificate.private_key_pem.bytes())


def write_kubeconfig(target: Path, name: str) -> None:
    """Write a self-contained kubeconfig for one of the clients."""

    def text(file: str) -> str:
        return base64.b64encode((folder() / file).read_bytes()).decode()

    server = f"https://{NODE_IP}:{API_PORT}"
    user = {"client-certificate-data": text(f"{name}.crt"), "client-key-data": text(f"{name}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "lightwork", "cluster": {"server": server, "certificate-authority-data": text("ca.crt")}}
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "lightwork-dev", "context": {"cluster": "lightwork", "user": name}}],
        "current-context": "lightwork-dev",
    }
    target.write_text(yaml.safe_dump(document))
    target.chmod(0o600)


def _write(file: str, data: bytes) -> None:
    path = folder() / file
    path.write_bytes(data)
    path.chmod(0o600)

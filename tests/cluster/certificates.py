"""The cluster's certificates and kubeconfigs, created anew for each cluster."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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

CLIENTS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "proxy": ("system:kube-proxy", None),
    "dns": ("lightwork:dns", None),
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
    authority.sign("apiserver", "kube-apiserver", None, names)
    authority.sign("kubelet-server", f"system:node:{NODE}", "system:nodes", [NODE, NODE_IP, "127.0.0.1"])
    authority.sign(_WEBHOOK, _WEBHOOK, None, [host()])
    for name, (user, group) in CLIENTS.items():
        authority.sign(name, user, group, [])
        target = kubeconfig() if name == "admin" else folder() / f"{name}.kubeconfig"
        write_kubeconfig(target, name)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write("tokens.key", _key_text(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write("tokens.pub", public)


def make_webhook() -> None:
    """Create only an authority and the webhook's certificate, for a cluster with its own certificates."""
    _new_authority().sign(_WEBHOOK, _WEBHOOK, None, [host()])


def _new_authority() -> _Authority:
    folder().mkdir(parents=True, exist_ok=True)
    folder().chmod(0o700)
    authority = _Authority()
    _write("ca.crt", authority.text)
    return authority


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


class _Authority:
    """A certificate authority whose key exists only in this process."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("lightwork-cluster", None)
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(constraint, critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.text = certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, file: str, user: str, group: str | None, names: Sequence[str]) -> None:
        """Create a key and its certificate; with names, the certificate is also valid for a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])]
        builder = _builder(_name(user, group), self._name, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        _write(f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _write(f"{file}.key", _key_text(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=_DAYS))
    )


def _name(user: str, group: str | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_text(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: str, data: bytes) -> None:
    path = folder() / file
    path.write_bytes(data)
    path.chmod(0o600)

"""Create and renew a tenant's certificates: `python -m lightwork.pods.certificates`.

Each tenant has one authority, in a Secret that no pod mounts, and one certificate signed by it. All of the
tenant's pods use that certificate, as server and as client. A renewal replaces the certificate and keeps the
authority, so that pods with the old certificate and pods with the new one still trust each other.

The token with which Argo's page acts for the tenant's people is another Secret. It is made here as well, as
no deployment may read it.
"""

from __future__ import annotations

import base64
import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

import click

from lightwork.errors import one_line
from lightwork.kube import contract
from lightwork.kube.api import InCluster, RefusedError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_LIFETIME = dt.timedelta(days=3650)
LIFETIME = dt.timedelta(days=60)
"""How long a certificate is valid: far longer than a run, which keeps the one it started with."""
RENEW_BELOW = 0.5
"""The share of the lifetime left below which a certificate is renewed."""

Data = dict[str, bytes]
"""The content of a Secret, by key."""


def authority(name: str, now: dt.datetime) -> Data:
    """Create an authority: `tls.crt` and `tls.key`, as PEM.

    Args:
        name: its owner, named in the certificate's subject.
        now: the start of its validity (five minutes earlier in fact, as clocks differ).
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"{name} authority")
    certificate = (
        _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate, key)


def certificate(name: str, signer: Data, now: dt.datetime) -> Data:
    """Create a certificate for all of a tenant's pods: `tls.crt`, `tls.key`, and the authority's as `ca.crt`.

    Args:
        name: its owner.
        signer: the authority, as `authority` returns it.
        now: the start of its validity.

    Raises:
        ValueError: the authority cannot be read.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca, ca_key = _read(signer)[0], load_pem_private_key(signer["tls.key"], None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic-curve key")  # noqa: TRY004 - as documented
    key = ec.generate_private_key(ec.SECP256R1())
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signed = (
        _builder(_subject(name), ca.subject, key.public_key(), now, LIFETIME)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return {**_pem(signed, key), "ca.crt": signer["tls.crt"]}


def due(current: Data, signer: Data, now: dt.datetime) -> bool:
    """Return whether a certificate must be replaced: missing, unreadable, old, or of another authority."""
    try:
        (certificate,) = _read(current)
    except ValueError:
        return True
    left = certificate.not_valid_after_utc - now
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    is_old = left < RENEW_BELOW * lifetime
    return is_old or not current.get("tls.key") or current.get("ca.crt") != signer["tls.crt"]


def _read(data: Data) -> list[x509.Certificate]:
    from cryptography import x509

    return x509.load_pem_x509_certificates(data.get("tls.crt", b""))


def _subject(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names = [(NameOID.ORGANIZATION_NAME, "lightwork"), (NameOID.COMMON_NAME, text)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names])


def _usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Data:
    from cryptography.hazmat.primitives import serialization

    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"tls.crt": certificate.public_bytes(pem), "tls.key": secret}


class Secrets:
    """Access to the Secrets of this pod's namespace."""

    def __init__(self, api: InCluster) -> None:
        self.namespace = api.namespace
        self._api = api
        self._path = f"/api/v1/namespaces/{api.namespace}/secrets"

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a Secret; None if it does not exist."""
        try:
            return self._api.get(f"{self._path}/{name}")
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def put(self, name: str, data: Data, version: str | None) -> None:
        """Create a Secret if `version` is None; else update it, unless it has changed since that version."""
        metadata: dict[str, Any] = {"name": name, "labels": {"app.kubernetes.io/part-of": "lightwork"}}
        body = {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
        if version is None:
            head = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
            self._api.create(self._path, {**head, "metadata": metadata, **body})
        else:
            update = {"metadata": {**metadata, "resourceVersion": version}, **body}
            self._api.patch(f"{self._path}/{name}", update)

    def tell_end(self, name: str) -> None:
        """Leave the time at which a certificate ends beside the figures that the platform's metrics show."""
        (found,) = _read(_data(self.get(name)))
        data = {contract.FIGURES_CERTIFICATE: f"{found.not_valid_after_utc.timestamp():.0f}"}
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{contract.FIGURES}"
        self._api.patch(path, {"data": data})

    def add_token(self, account: str) -> bool:
        """Create the Secret for an account's token, which Kubernetes writes; tell whether it was missing."""
        annotation = {"kubernetes.io/service-account.name": account}
        metadata = {
            "name": contract.token_secret(account),
            "labels": {"app.kubernetes.io/part-of": "lightwork"},
            "annotations": annotation,
        }
        kind = "kubernetes.io/service-account-token"
        try:
            self._api.create(
                self._path, {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}
            )
        except RefusedError as error:
            if error.status == 409:  # it exists
                return False
            raise
        return True


def renew(secrets: Secrets, authority_name: str, name: str, now: dt.datetime) -> str:
    """Create the authority and the certificate if they are missing; renew the certificate if it is due.

    Args:
        secrets: the namespace's Secrets.
        authority_name: the Secret of the authority.
        name: the Secret of the certificate, which pods mount.
        now: the current time.

    Returns:
        `created`, `renewed` or `still valid`.
    """
    secret = secrets.get(authority_name)
    signer = _data(secret)
    if secret is None:
        signer = authority(secrets.namespace, now)
        secrets.put(authority_name, signer, None)
    secret = secrets.get(name)
    if not due(_data(secret), signer, now):
        return "still valid"
    version = None if secret is None else str(secret["metadata"]["resourceVersion"])
    secrets.put(name, certificate(secrets.namespace, signer, now), version)
    return "created" if version is None else "renewed"


def _data(secret: dict[str, Any] | None) -> Data:
    return {key: base64.b64decode(value) for key, value in ((secret or {}).get("data") or {}).items()}


@click.command()
@click.option("--authority", required=True, help="The Secret of the authority.")
@click.option("--secret", required=True, help="The Secret of the certificate, which pods mount.")
@click.option("--page-account", help="The service account of people on Argo's page; without it, nobody's.")
def main(authority: str, secret: str, page_account: str | None) -> None:
    """Create or renew this namespace's certificates; exit with 1 on failure, so that the job retries."""
    try:
        secrets = Secrets(InCluster())
        outcome = renew(secrets, authority, secret, dt.datetime.now(dt.UTC))
        try:
            secrets.tell_end(secret)
        except RefusedError as error:  # else somebody would have to mend this before any run starts
            print(f"certificates: {contract.FIGURES}: not updated: {one_line(error)}", file=sys.stderr)
        if page_account is not None and secrets.add_token(page_account):
            print(f"certificates: {contract.token_secret(page_account)}: created", file=sys.stderr)
    except (RefusedError, OSError, ValueError) as error:
        sys.exit(f"certificates: {secret}: {one_line(error)}")
    print(f"certificates: {secret}: {outcome}", file=sys.stderr)


if __name__ == "__main__":
    main(prog_name="python -m lightwork.pods.certificates")

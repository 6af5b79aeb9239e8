"""SCRAM-SHA-256, against the example of RFC 7677, and channel binding against real certificates."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from lightwork.pods.archive import scram

NONCE = "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
PROOF = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
SIGNATURE = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
BINDING = hashlib.sha256(b"certificate").digest()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> scram.Login:
    """The login of the RFC's example: its nonce, and a user's name, which PostgreSQL does not need."""
    monkeypatch.setattr(scram.secrets, "token_urlsafe", lambda size: NONCE)
    monkeypatch.setattr(scram.Login, "_bare", lambda self: b"n=user,r=" + NONCE.encode())
    return scram.Login("pencil", [scram.PLAIN], None)


def test_the_proof_is_the_one_of_the_rfc(login: scram.Login) -> None:
    assert login.first() == b"n,,n=user,r=" + NONCE.encode()
    assert login.final(CHALLENGE).endswith(PROOF)
    login.check(SIGNATURE)


@pytest.mark.parametrize("signature", [b"v=AAAA", b"", b"e=invalid-proof"])
def test_a_server_that_does_not_know_the_password_is_refused(login: scram.Login, signature: bytes) -> None:
    login.final(CHALLENGE)
    with pytest.raises(scram.ScramError, match="does not know the password"):
        login.check(signature)


def test_a_signature_before_the_challenge_is_refused(login: scram.Login) -> None:
    with pytest.raises(scram.ScramError):
        login.check(b"v=")


@pytest.mark.parametrize("challenge", [CHALLENGE.replace(b"r=r", b"r=x"), b"r=" + NONCE.encode(), b""])
def test_a_challenge_for_somebody_else_is_refused(login: scram.Login, challenge: bytes) -> None:
    with pytest.raises(scram.ScramError, match="does not belong"):
        login.final(challenge)


@pytest.mark.parametrize(
    ("mechanisms", "binding", "mechanism", "header"),
    [
        ([scram.PLAIN, scram.PLUS], BINDING, scram.PLUS, b"p=tls-server-end-point,,"),
        ([scram.PLAIN], BINDING, scram.PLAIN, b"y,,"),
        ([scram.PLAIN], None, scram.PLAIN, b"n,,"),
        ([scram.PLAIN, scram.PLUS], None, scram.PLAIN, b"n,,"),
    ],
)
def test_the_login_is_bound_to_the_certificate_where_the_server_can(
    mechanisms: list[str], binding: bytes | None, mechanism: str, header: bytes
) -> None:
    login = scram.Login("x", mechanisms, binding)
    assert login.mechanism == mechanism
    assert login.first().startswith(header)


def test_another_mechanism_is_refused() -> None:
    with pytest.raises(scram.ScramError, match="offers MD5; expected SCRAM-SHA-256"):
        scram.Login("x", ["MD5"], None)


def test_what_is_stored_of_a_password_is_not_the_password() -> None:
    stored = scram.verifier("pencil")
    assert stored.startswith("SCRAM-SHA-256$4096:")
    assert "pencil" not in stored
    assert stored != scram.verifier("pencil"), "the salt is new each time"


def certificate(key: object, algorithm: hashes.HashAlgorithm | None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rds")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))  # type: ignore[attr-defined]
    signed = builder.sign(key, algorithm)  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_the_binding_is_the_hash_of_the_certificates_own_kind(kind: str, name: str) -> None:
    key = rsa.generate_private_key(65537, 1024) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    der = certificate(key, getattr(hashes, name.upper())())
    assert scram.channel_binding(der) == hashlib.new(name, der).digest()


def test_a_certificate_without_such_a_hash_binds_nothing() -> None:
    assert scram.channel_binding(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None

"""SCRAM-SHA-256 (RFC 5802, RFC 7677): what PostgreSQL stores of a password, and a client's login."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
"""The mechanisms: without and with channel binding."""
ITERATIONS = 4096
"""PostgreSQL's own number for new passwords."""

_RSA, _ECDSA = bytes.fromhex("2a864886f70d0101"), bytes.fromhex("2a8648ce3d0403")
_HASHES = {
    **dict.fromkeys((_RSA + b"\x04", _RSA + b"\x05", _RSA + b"\x0b"), "sha256"),
    _RSA + b"\x0c": "sha384",
    _RSA + b"\x0d": "sha512",
    _ECDSA + b"\x02": "sha256",
    _ECDSA + b"\x03": "sha384",
    _ECDSA + b"\x04": "sha512",
}
"""The hash to take of a certificate, by the object identifier of its signature's algorithm (RFC 5929).

SHA-256 stands in for MD5 and SHA-1.
"""


class ScramError(Exception):
    """The server does not know the password, or does not keep to the protocol."""


def verifier(password: str) -> str:
    """Return what PostgreSQL stores for a password; `ALTER ROLE ... PASSWORD` takes it in its place.

    With it, the password itself is in no statement, so in no log of the server.
    """
    salt = secrets.token_bytes(16)
    client, server = _keys(password, salt, ITERATIONS)
    stored = hashlib.sha256(client).digest()
    return f"{PLAIN}${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def channel_binding(certificate: bytes) -> bytes | None:
    """Return the hash of a server's certificate that proves who is at the other end (RFC 5929).

    Args:
        certificate: the certificate, in DER.

    Returns:
        None if its signature has an algorithm without such a hash.
    """
    signed, _ = _content(certificate, 0)
    _, after = _content(certificate, signed)
    algorithm, _ = _content(certificate, after)
    start, end = _content(certificate, algorithm)
    name = _HASHES.get(certificate[start:end])
    return hashlib.new(name, certificate).digest() if name else None


class Login:
    """The client's half of one login.

    Args:
        password: the password.
        mechanisms: those that the server offers.
        binding: the hash of the server's certificate; None if there is none.

    With the hash, nobody can relay the login: the server refuses one that names another certificate. A server
    that offers no binding is believed, but told that this client could have: one that does offer it refuses
    then, so that nobody in between can take the offer away.

    Attributes:
        mechanism: the mechanism to name to the server.

    Raises:
        ScramError: the server offers neither mechanism.
    """

    def __init__(self, password: str, mechanisms: Collection[str], binding: bytes | None) -> None:
        if not {PLAIN, PLUS} & set(mechanisms):
            raise ScramError(f"the server offers {', '.join(sorted(mechanisms))}; expected {PLAIN}")
        bound = binding is not None and PLUS in mechanisms
        self.mechanism = PLUS if bound else PLAIN
        self._header = b"p=tls-server-end-point,," if bound else b"n,," if binding is None else b"y,,"
        self._binding = binding if bound and binding else b""
        self._password = password
        self._nonce = secrets.token_urlsafe(18)
        self._signature = b""

    def first(self) -> bytes:
        """Return the first message. The user's name is empty: PostgreSQL takes it from the connection."""
        return self._header + self._bare()

    def final(self, challenge: bytes) -> bytes:
        """Return the answer to the server's first message.

        Raises:
            ScramError: the message is not an answer to ours.
        """
        fields = _fields(challenge)
        nonce, salt, iterations = fields.get("r", ""), fields.get("s", ""), fields.get("i", "")
        if not nonce.startswith(self._nonce) or not iterations.isdigit():
            raise ScramError("the server's challenge does not belong to this login")
        client, server = _keys(self._password, base64.b64decode(salt), int(iterations))
        answer = b"c=" + base64.b64encode(self._header + self._binding) + b",r=" + nonce.encode()
        exchange = b",".join((self._bare(), challenge, answer))
        self._signature = _hmac(server, exchange)
        signature = _hmac(hashlib.sha256(client).digest(), exchange)
        proof = bytes(left ^ right for left, right in zip(client, signature, strict=True))
        return answer + b",p=" + base64.b64encode(proof)

    def check(self, message: bytes) -> None:
        """Check the server's last message: it must know the password's verifier.

        Raises:
            ScramError: it does not.
        """
        given = base64.b64decode(_fields(message).get("v", ""))
        if not self._signature or not hmac.compare_digest(given, self._signature):
            raise ScramError("the server does not know the password: it is not the one it should be")

    def _bare(self) -> bytes:
        return b"n=,r=" + self._nonce.encode()


def _keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Return the client's and the server's key."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return _hmac(salted, b"Client Key"), _hmac(salted, b"Server Key")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _fields(message: bytes) -> dict[str, str]:
    parts = (part.partition("=") for part in message.decode(errors="replace").split(","))
    return {key: value for key, _, value in parts}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of a DER element begins and ends."""
    length = der[at + 1]
    start = at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return start, start + length

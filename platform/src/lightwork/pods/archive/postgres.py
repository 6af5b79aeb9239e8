"""A connection to PostgreSQL: TLS, a login by SCRAM, and simple queries (protocol 3.0)."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lightwork.pods.archive import scram

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SECONDS = 30.0
"""Timeout of a connection and of an answer."""
REFUSED = frozenset({"28000", "28P01"})
"""The codes of a refused login: no such user or none that may log in, a wrong password."""

_PROTOCOL, _TLS = 196_608, 80_877_103
_OPTIONS = {
    "application_name": "lightwork",
    "client_encoding": "UTF8",
    # So that the server ends the session, and with it its locks, soon after a node is lost.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

Row = tuple[str | None, ...]


class ServerError(Exception):
    """An error that the server reports.

    Attributes:
        code: PostgreSQL's code, such as 28P01.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{message} ({code})")


@dataclass(frozen=True, slots=True)
class Server:
    """The host and the port of a server, and the database."""

    host: str
    port: int
    database: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the password, which is not shown."""

    user: str
    password: str = field(repr=False)


class Connection:
    """A session of one user. Leaving its block ends it.

    The server's certificate is not verified, as no public list has RDS's authority. The login is bound to it
    instead where the server can do that, so that nobody in between can use the session.

    Raises:
        ServerError: the server refuses the login, or TLS.
        scram.ScramError: the server is not the one that knows the password.
        OSError: the server cannot be reached, or does not answer in time.
    """

    def __init__(self, server: Server, credentials: Credentials) -> None:
        self._socket = _encrypted(socket.create_connection((server.host, server.port), SECONDS), server)
        self._stream = self._socket.makefile("rb")
        try:
            self._start(server.database, credentials)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session."""
        self._stream.close()
        self._socket.close()

    def query(self, statement: str, *, seconds: float = SECONDS) -> list[Row]:
        """Run a statement; return its rows, each value as text.

        Args:
            statement: the statement.
            seconds: the timeout of each part of the answer.
        """
        self._socket.settimeout(seconds)
        self._send(b"Q", statement.encode() + b"\0")
        rows, error = [], None
        while (received := self._receive())[0] != b"Z":
            kind, body = received
            if kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                error = error or _error(body)
        if error:
            raise error
        return rows

    def _start(self, database: str, credentials: Credentials) -> None:
        options = {"user": credentials.user, "database": database, **_OPTIONS}
        texts = [part.encode() for pair in options.items() for part in pair]
        body = struct.pack("!i", _PROTOCOL) + b"\0".join(texts) + b"\0\0"
        self._socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self._log_in(credentials.password)
        while (received := self._receive())[0] != b"Z":
            _refuse_error(*received)

    def _log_in(self, password: str) -> None:
        mechanisms = [name.decode() for name in self._authentication(10).split(b"\0") if name]
        certificate = self._socket.getpeercert(binary_form=True)
        login = scram.Login(password, mechanisms, scram.channel_binding(certificate) if certificate else None)
        first = login.first()
        self._send(b"p", login.mechanism.encode() + b"\0" + struct.pack("!i", len(first)) + first)
        self._send(b"p", login.final(self._authentication(11)))
        login.check(self._authentication(12))
        self._authentication(0)

    def _authentication(self, expected: int) -> bytes:
        """Return the content of the next message about the login, which must be of this kind."""
        kind, body = self._receive()
        _refuse_error(kind, body)
        number = struct.unpack_from("!i", body)[0] if kind == b"R" else None
        if number != expected:
            raise scram.ScramError("the server does not ask for a login by SCRAM-SHA-256")
        return body[4:]

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _receive(self) -> tuple[bytes, bytes]:
        head = self._read(5)
        return head[:1], self._read(struct.unpack("!i", head[1:])[0] - 4)

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ConnectionError("PostgreSQL has closed the connection")
        return data


def literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _encrypted(plain: socket.socket, server: Server) -> ssl.SSLSocket:
    """Begin TLS, or close the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        plain.sendall(struct.pack("!ii", 8, _TLS))
        if plain.recv(1) == b"S":
            return context.wrap_socket(plain, server_hostname=server.host)
    except BaseException:
        plain.close()
        raise
    plain.close()
    raise ServerError("08P01", f"{server.host} does not offer TLS")


def _row(body: bytes) -> Row:
    count, at, values = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        size, at = struct.unpack_from("!i", body, at)[0], at + 4
        values.append(None if size < 0 else body[at : at + size].decode())
        at += max(size, 0)
    return tuple(values)


def _error(body: bytes) -> ServerError:
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return ServerError(fields.get(b"C", "XX000"), fields.get(b"M", "unknown error"))


def _refuse_error(kind: bytes, body: bytes) -> None:
    if kind == b"E":
        raise _error(body)

"""A PostgreSQL server for one test module, from Debian's package: TLS only, passwords by SCRAM, on loopback.

It needs root, to start it as its own user.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from lightwork.pods.archive.postgres import Credentials, Server
from tests.waiting import patience

HOST, DATABASE = "127.0.0.1", "argo"
MASTER = Credentials("argo", "the master's, rotated by RDS")
"""Like the master of RDS: owns the database and may make users, but is not a superuser."""
USER = "postgres"


def programs() -> Path | None:
    """Return the folder of the server's programs; None if it is not installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@dataclass(frozen=True)
class PostgreSQL:
    """A running server.

    Attributes:
        folder: its data, with the socket and the log.
        port: its port.
        certificate: its certificate, as PEM.
    """

    folder: Path
    port: int
    certificate: bytes

    @property
    def server(self) -> Server:
        """What clients connect to."""
        return Server(HOST, self.port, DATABASE)

    def sql(self, statement: str, database: str = DATABASE) -> str:
        """Run a statement as the superuser, who need not log in."""
        words = ["psql", "-h", str(self.folder), "-p", str(self.port), "-d", database, "-qAtX"]
        return _run(*words, "-v", "ON_ERROR_STOP=1", "-c", statement).strip()

    def log(self) -> str:
        """Return the server's log."""
        return (self.folder / "log").read_text()


@contextlib.contextmanager
def running() -> Iterator[PostgreSQL]:
    """Run a server during the block, with an empty database of MASTER's."""
    folder = Path(tempfile.mkdtemp(prefix="lightwork-postgresql-"))
    shutil.chown(folder, USER, USER)
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    data = folder / "data"
    _run("initdb", "--pgdata", str(data), "--auth", "peer", "--no-sync", "--encoding", "UTF8")
    issued = trustme.CA().issue_cert("localhost")
    certificate = issued.cert_chain_pems[0].bytes()
    for name, text in (
        ("server.crt", certificate),
        ("server.key", issued.private_key_pem.bytes()),
        ("pg_hba.conf", f"local all {USER} peer\nhostssl all all all scram-sha-256\n".encode()),
    ):
        (data / name).write_bytes(text)
        (data / name).chmod(0o600)
        shutil.chown(data / name, USER, USER)
    words = ["-h", HOST, "-p", str(port), "-k", str(folder), "-c", "fsync=off", "-c", "ssl=on"]
    words += ["-c", "log_statement=all", "-c", "log_connections=on"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_as_user("postgres", "-D", str(data), *words), stderr=log, cwd="/")
    try:
        server = PostgreSQL(folder, port, certificate)
        _wait(server)
        server.sql(f"create role {MASTER.user} login createrole password '{quoted(MASTER)}'", "postgres")
        server.sql(f"create database {DATABASE} owner {MASTER.user}", "postgres")
        yield server
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def quoted(credentials: Credentials) -> str:
    """Return a password for a literal of SQL."""
    return credentials.password.replace("'", "''")


def _wait(server: PostgreSQL) -> None:
    end = time.monotonic() + patience(20)
    while True:
        try:
            server.sql("select 1", "postgres")
            return
        except subprocess.CalledProcessError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _run(name: str, *arguments: str) -> str:
    words = _as_user(name, *arguments)
    return subprocess.run(words, capture_output=True, check=True, text=True, cwd="/").stdout


def _as_user(name: str, *arguments: str) -> list[str]:
    """Return a command line of the server's own user: as root, PostgreSQL refuses to start."""
    words = [str((programs() or Path()) / name), *arguments]
    return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *words]

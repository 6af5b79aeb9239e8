"""The S3 server of the cluster tests, which decides by accounts and policies, on a port of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster.binaries import program
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REGION = "us-east-1"
SECRET = "a-secret-of-the-test"


def is_built() -> bool:
    """Return whether the server is there; `make cluster-up` builds it."""
    return program("versitygw").exists()


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: its address.
        environment: the variables for its command of an administrator.
    """

    url: str
    environment: Mapping[str, str]

    def add_account(self, name: str) -> None:
        """Create an account, whose name is its access key."""
        self._admin("create-user", "--access", name, "--secret", SECRET, "--role", "user")

    def add_bucket(self, name: str, owner: str) -> None:
        """Create a bucket that belongs to an account."""
        self.client("root").create_bucket(Bucket=name)
        self._admin("change-bucket-owner", "--bucket", name, "--owner", owner)

    def client(self, account: str) -> Any:
        """Return a boto3 client with the credentials of an account."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=account,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
        )

    def _admin(self, *arguments: str) -> None:
        command = [program("versitygw"), "admin", "--endpoint-url", self.url, *arguments]
        subprocess.run(command, env={**os.environ, **self.environment}, check=True, capture_output=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server with its files below a folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("data", "accounts"):
        (folder / name).mkdir()
    root = {"ROOT_ACCESS_KEY": "root", "ROOT_SECRET_KEY": SECRET}
    command = [
        str(program("versitygw")),
        *(
            "--port",
            f"127.0.0.1:{port}",
            "--region",
            REGION,
            "--iam-dir",
            str(folder / "accounts"),
            "--quiet",
        ),
        *("posix", str(folder / "data")),
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **root}, stdout=log, stderr=log)
    try:
        _wait(process, port)
        admin = {"ADMIN_ACCESS_KEY": "root", "ADMIN_SECRET_KEY": SECRET, "ADMIN_REGION": REGION}
        yield Server(f"http://127.0.0.1:{port}", admin)
    finally:
        process.terminate()
        process.wait(patience(20))


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + patience(30)
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("the S3 server has not started; server.log has the reason")

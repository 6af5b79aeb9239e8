"""A real S3 server on this machine that tests stop, freeze and start again at the same port."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.cluster.binaries import program
from tests.cluster.progress import HarnessError
from tests.waiting import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "us-east-1"
BUCKET = "lake"
_ROOT = ("root", "a-password-of-the-tests")
USER = ("tenant", "another-password-of-the-tests")


class Gateway:
    """The server, with the bucket `lake`, which belongs to an account without other rights.

    Args:
        folder: where its data are.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._program = program("versitygw")
        except HarnessError as error:
            pytest.skip(str(error))
        if not self._program.exists():
            pytest.skip(f"{self._program.name} is not built: `make cluster-build` builds it")
        self._folder = folder
        for name in ("data", "accounts"):
            (folder / name).mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self._admin("create-user", "--access", USER[0], "--secret", USER[1], "--role", "user")
        self._client().create_bucket(Bucket=BUCKET)
        self._admin("change-bucket-owner", "--bucket", BUCKET, "--owner", USER[0])

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that uses the lake `s3://lake`."""
        others = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        own = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": USER[0],
            "AWS_SECRET_ACCESS_KEY": USER[1],
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**others, **own}

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        words = ["--port", f"127.0.0.1:{self._port}", "--region", REGION, "--quiet"]
        words += ["--iam-dir", str(self._folder / "accounts"), "posix", str(self._folder / "data")]
        self._process = subprocess.Popen(
            [self._program, *words],
            env={"ROOT_ACCESS_KEY": _ROOT[0], "ROOT_SECRET_KEY": _ROOT[1]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + patience(30)
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("the S3 server does not listen")

    def stop(self) -> None:
        """Kill the server; connections to it are refused from now on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop the server without ending it: it accepts connections, and never responds."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        server = psutil.Process(self._process.pid)
        wait_until(lambda: server.status() == psutil.STATUS_STOPPED, "all threads of the server stand still")

    def thaw(self) -> None:
        """Let the server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def deny(self, *actions: str, under: str = "*") -> None:
        """Deny actions, such as `s3:PutObject`, to everyone but root, on keys that match a pattern."""
        statements = [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{BUCKET}/{under}"],
            },
            {
                "Effect": "Allow",
                "Principal": {"AWS": [USER[0]]},
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
            },
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self._client().put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))

    def allow(self) -> None:
        """Deny nothing any more."""
        self._client().delete_bucket_policy(Bucket=BUCKET)

    def keys(self) -> list[str]:
        """Return the keys in the bucket."""
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=_ROOT[0],
            aws_secret_access_key=_ROOT[1],
        )

    def _admin(self, *words: str) -> None:
        environment = {"ADMIN_ACCESS_KEY": _ROOT[0], "ADMIN_SECRET_KEY": _ROOT[1], "ADMIN_REGION": REGION}
        subprocess.run(
            [self._program, "admin", "--endpoint-url", self.url, *words],
            env=environment,
            check=True,
            capture_output=True,
            timeout=patience(30),
        )


@contextlib.contextmanager
def gateway_in(folder: Path) -> Iterator[Gateway]:
    """Run a server until the end of the block."""
    server = Gateway(folder)
    try:
        yield server
    finally:
        server.stop()

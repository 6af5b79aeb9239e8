"""The S3 server of the cluster tests, on a folder, for tests of what only a real server shows."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cluster.settings import cache_folder
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCESS, SECRET = "root", "a-secret-of-the-test"


@dataclass(frozen=True)
class Gateway:
    """A running server.

    Attributes:
        url: its address.
        data: the folder with a subfolder for each bucket; the times of its files are those of the objects.
    """

    url: str
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 uses it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def program() -> Path | None:
    """Return the server's program if the cluster tests have built it on this machine."""
    built = [folder / "bin" / "versitygw" for folder in cache_folder().glob("versitygw-*")]
    return next((file for file in built if os.access(file, os.X_OK)), None)


@contextlib.contextmanager
def running(server: Path, folder: Path) -> Iterator[Gateway]:
    """Run the server on a folder."""
    data = folder / "data"
    data.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [server, "--port", f"127.0.0.1:{port}", "--region", "eu-central-1", "--quiet", "posix", data],
        env={**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + patience(30)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the S3 server does not start: {process.returncode}")
            time.sleep(0.05)
        yield Gateway(f"http://127.0.0.1:{port}", data)
    finally:
        process.terminate()
        process.wait()

"""Prefect's server, which its tasks report to, on this machine alone."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.measure import wait_for
from bench.staleness.tools import QUIET

HOST = "127.0.0.1"
SECONDS = 120
"""How long the server may take to answer."""


def loopback(address: str) -> str:
    """Return an address, if it is one of this machine alone.

    Raises:
        ValueError: its host is not an IP address of the loopback interface.
    """
    host = urllib.parse.urlsplit(address).hostname or ""
    try:
        if ipaddress.ip_address(host).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(f"{address}: not an address of the loopback interface, such as 127.0.0.1")


@contextlib.contextmanager
def prefect(python: Path, folder: Path) -> Iterator[str]:
    """Run the server until the block ends; yields the address of its API.

    Args:
        python: the Python that has Prefect.
        folder: the folder of its database and log.

    Raises:
        TimeoutError: it does not answer in time.
        RuntimeError: it ended before it answered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    address = loopback(f"http://{HOST}:{port}/api")
    command = [
        str(python),
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        HOST,
        "--port",
        str(port),
        "--no-services",
    ]
    environment = {**os.environ, **QUIET, "PREFECT_HOME": str(folder)}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(
                f"Prefect's server ended with {process.returncode}: see {folder / 'server.log'}"
            )
        return _answers(f"{address}/health")

    try:
        wait_for("Prefect's server", ready, SECONDS)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])

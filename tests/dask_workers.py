"""Dask workers on this machine that any session may connect to by an address, as to a cluster elsewhere."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def dask_workers(count: int, resources: dict[str, float] | None = None) -> Iterator[str]:
    """Start worker processes of one thread each, like those of `local` but without credentials.

    Their scheduler is in a process of its own, so that this one's settings stay as they are.

    Yields:
        The scheduler's address.
    """
    command = [sys.executable, "-m", __name__, str(count), json.dumps(resources or {})]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the workers have not started"
        yield address
        process.stdin.close()


def _serve(count: int, resources: dict[str, float]) -> None:
    """Run the workers until standard input ends; print the scheduler's address."""
    from lightwork.cluster import local

    with local._changed:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            preload=["lightwork.cluster.preload"],
            resources=resources,
        ) as cluster:
            print(cluster.scheduler_address, flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), json.loads(sys.argv[2]))

"""Retire a worker before its pod ends: `python -m lightwork.pods.retire --seconds 45`, a preStop hook.

A Dask worker that is told to end does not hand over its results. Retiring it moves them, but restarts its
running tasks on another worker. So the worker first stops starting tasks and finishes the running ones; then
it is retired. The hook always ends in time and with exit code 0: Kubernetes ends the pod anyway, and lost
results are computed again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

from lightwork.errors import one_line
from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from distributed import Worker

CONNECT_SECONDS = 5.0
"""Timeout for connecting. A scheduler connects at once if it is still there; at a run's end it is gone."""
HAND_OVER_SECONDS = 15.0
"""The time reserved for moving results if a running task does not finish."""


def addresses(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the addresses of the scheduler and of this pod's worker."""
    host = environment["POD_IP"]
    host = f"[{host}]" if ":" in host else host
    return environment["DASK_SCHEDULER_ADDRESS"], f"tls://{host}:{environment[contract.ENV_WORKER_PORT]}"


async def retire(scheduler: str, worker: str, seconds: float) -> bool:
    """Retire a worker.

    Args:
        scheduler: the scheduler's address.
        worker: the worker's address, as the scheduler knows it.
        seconds: the time limit, connecting included.

    Returns:
        Whether the scheduler retired the worker; False if it does not know the worker.
    """
    from distributed import Client

    handing_over = min(HAND_OVER_SECONDS, seconds / 3)
    async with asyncio.timeout(seconds):
        client = Client(
            scheduler, asynchronous=True, timeout=min(CONNECT_SECONDS, seconds), set_as_default=False
        )
        try:
            await client
            if worker not in await client.nthreads():
                return False
            await client.run(finish, seconds - CONNECT_SECONDS - handing_over, workers=[worker])
            return bool(await client.retire_workers(workers=[worker]))
        finally:
            await client.close(timeout=2)


async def finish(seconds: float, dask_worker: Worker | None = None) -> bool:
    """On the worker, stop starting tasks and wait for the running ones.

    Args:
        seconds: the longest wait.
        dask_worker: the worker; Dask passes it.

    Returns:
        Whether all running tasks have finished.
    """
    from distributed.core import Status

    assert dask_worker is not None  # noqa: S101 - Dask passes it
    dask_worker.status = Status.closing_gracefully
    clock = asyncio.get_running_loop()
    until = clock.time() + seconds
    while dask_worker.state.executing and clock.time() < until:
        await asyncio.sleep(0.05)
    return not dask_worker.state.executing


def main(argv: Sequence[str] | None = None) -> int:
    """Retire this pod's worker, and print the outcome on stderr."""
    # argparse, not Click: in the pod's last seconds every import counts.
    parser = argparse.ArgumentParser(prog="python -m lightwork.pods.retire")
    parser.add_argument("--seconds", type=float, default=45.0, help="the time limit")
    seconds = parser.parse_args(argv).seconds
    try:
        scheduler, worker = addresses(os.environ)
        retired = asyncio.run(retire(scheduler, worker, seconds))
        text = "retired" if retired else "not retired: the scheduler does not know this worker"
    except Exception as error:  # noqa: BLE001 - a hook must not keep the pod
        text = one_line(f"not retired: {type(error).__name__}: {error}")
    print(f"retire: {text}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    # Not sys.exit: a hanging thread of the client must not keep the pod.
    code = main()
    sys.stderr.flush()
    os._exit(code)

"""What a worker's pod does before it ends: `python -m lightwork.pods.retire --seconds 45`.

Dask's worker hands nothing over when it is told to end, and its scheduler gives what a retired worker
still computes to another one. So no new task begins here first, those that run may end, and then the
worker is retired: its results move to others. Whatever happens, this ends in time, with exit code 0:
Kubernetes ends the pod all the same, and what was lost is computed again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from distributed import Worker

CONNECT_SECONDS = 5.0
"""A scheduler that is reached at all is reached at once; at the end of a run there is none."""
HAND_OVER_SECONDS = 15.0
"""What is kept of the time for moving results, when a task that runs does not end."""


def addresses(environment: Mapping[str, str]) -> tuple[str, str]:
    """The scheduler's address and this worker's own."""
    host = environment["POD_IP"]
    host = f"[{host}]" if ":" in host else host
    return environment["DASK_SCHEDULER_ADDRESS"], f"tls://{host}:{environment[contract.ENV_WORKER_PORT]}"


async def retire(scheduler: str, worker: str, seconds: float) -> bool:
    """Retire one worker of a scheduler.

    Args:
        scheduler: the scheduler's address.
        worker: the worker's, as the scheduler knows it.
        seconds: how long it may take, connecting included.

    Returns:
        Whether the scheduler said that the worker has nothing left that only it has.
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
    """On the worker: begin no new task, and wait for those that run.

    Args:
        seconds: how long at most.
        dask_worker: the worker, as Dask passes it.

    Returns:
        Whether none runs any more.
    """
    from distributed.core import Status

    assert dask_worker is not None  # noqa: S101 - Dask fills it in
    dask_worker.status = Status.closing_gracefully
    clock = asyncio.get_running_loop()
    until = clock.time() + seconds
    while dask_worker.state.executing and clock.time() < until:
        await asyncio.sleep(0.05)
    return not dask_worker.state.executing


def main(argv: Sequence[str] | None = None) -> int:
    """Retire this pod's worker; says on standard error what came of it."""
    # argparse, not Click: the pod's last seconds count, and so does each import.
    parser = argparse.ArgumentParser(prog="python -m lightwork.pods.retire")
    parser.add_argument("--seconds", type=float, default=45.0, help="how long it may take")
    seconds = parser.parse_args(argv).seconds
    try:
        scheduler, worker = addresses(os.environ)
        done = asyncio.run(retire(scheduler, worker, seconds))
        text = "retired" if done else "the scheduler does not know this worker"
    except Exception as error:  # noqa: BLE001  (a hook must not keep the pod)
        text = f"not retired: {type(error).__name__}: {error}"
    print(f"retire: {text}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    # Not sys.exit: threads of the client that hang must not keep the pod.
    code = main()
    sys.stderr.flush()
    os._exit(code)

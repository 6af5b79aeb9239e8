"""What a worker's pod does before it ends: `python -m lightwork.pods.retire --seconds 45`.

Dask's worker hands nothing over when it is told to end. Retiring it first moves its results to the other
workers, and no new task is sent to it. Whatever happens, this ends in time, with exit code 0: Kubernetes
ends the pod all the same, and what was lost is computed again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONNECT_SECONDS = 5.0
"""A scheduler that is reached at all is reached at once; at the end of a run there is none."""


def addresses(environment: Mapping[str, str]) -> tuple[str, str]:
    """The scheduler's address and this worker's own."""
    host = environment["POD_IP"]
    host = f"[{host}]" if ":" in host else host
    return environment["DASK_SCHEDULER_ADDRESS"], f"tls://{host}:{environment['LIGHTWORK_WORKER_PORT']}"


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

    async with asyncio.timeout(seconds):
        client = Client(
            scheduler, asynchronous=True, timeout=min(CONNECT_SECONDS, seconds), set_as_default=False
        )
        try:
            await client
            return bool(await client.retire_workers(workers=[worker]))
        finally:
            await client.close(timeout=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Retire this pod's worker; says on standard error what came of it."""
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

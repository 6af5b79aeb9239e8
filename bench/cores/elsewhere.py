"""A Dask cluster in processes of its own, so that a driver's processor time is its own.

python -m bench.cores.elsewhere WORKERS    prints its address, and ends with its standard input
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """Start a cluster; yields its scheduler's address."""
    command = [sys.executable, "-m", "bench.cores.elsewhere", str(workers)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def main(workers: int) -> None:
    """Run the cluster until the standard input ends."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, protocol="tcp", dashboard_address=None
    ) as running:
        print(running.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Start workers on this machine, get one result, and print the processor seconds that it took.

python -m bench.cores.probe lightwork|LocalCluster WORKERS
"""

from __future__ import annotations

import sys
import tempfile


def increment(x: int) -> int:
    return x + 1


def spent() -> float:
    """Return the processor time of this process and all that it has started."""
    import psutil

    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(item.user + item.system + item.children_user + item.children_system for item in times)


def ours(workers: int) -> float:
    """Get the result with lightwork."""
    from lightwork import connect, task

    with (
        tempfile.TemporaryDirectory(prefix="lightwork-bench-", ignore_cleanup_errors=True) as lake,
        connect("local", workers=workers, lake=lake, progress="off"),
    ):
        assert list(task(increment).map([1])) == [2]
        return spent()


def bare(workers: int) -> float:
    """Get the result with Dask alone, as little of it as possible: no dashboard."""
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            security=Security.temporary(),
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(increment, 1).result() == 2
        return spent()


if __name__ == "__main__":
    print({"lightwork": ours, "LocalCluster": bare}[sys.argv[1]](int(sys.argv[2])), flush=True)

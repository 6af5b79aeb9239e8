"""Many workers on one scheduler, many committers to one lake: the cost of each further one."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.measure import Row, folder
from lightwork import connect, task
from lightwork.lake import open_lake
from lightwork.store import segments
from lightwork.store.results import MISSING, CodeResults

FLEETS = (2, 20, 200)
SECONDS = 8.0
COMMITTERS = (10, 100, 1000)


@task
def nap(x: int) -> int:
    time.sleep(0.1)
    return x


def run() -> list[Row]:
    """Measure processor time per batch with 2 to 200 workers, and per commit with 10 to 1,000 committers."""
    return [_workers(), _committers()]


def _workers() -> Row:
    """Run all in one process, whose processor time is that of the driver, scheduler and workers together."""
    cost: dict[int, float] = {}
    for count in FLEETS:
        elements = int(count * SECONDS / 0.1)
        with _in_process(count) as address, folder() as lake, connect(on=address, lake=lake, progress="off"):
            nap.map(range(-count, 0)).wait()
            results = nap.map(range(elements))
            begin = time.process_time()
            values = list(results)
            cost[count] = (time.process_time() - begin) / results.stats.batches
            assert values == list(range(elements)), "results were lost"
            assert results.stats.computed == elements
    ratio = cost[FLEETS[-1]] / cost[FLEETS[0]]
    detail = ", ".join(f"{count} workers {1000 * seconds:.1f} ms" for count, seconds in cost.items())
    return Row("processor time per batch, 200 workers / 2", "flat", f"{ratio:.2f}", ratio < 1.5, detail)


class _in_process:  # noqa: N801 - used like a function
    def __init__(self, count: int) -> None:
        self.count = count
        self.cluster: Any = None

    def __enter__(self) -> str:
        import dask
        from distributed import LocalCluster

        # Otherwise two hundred workers in one process would each monitor and profile that same process.
        dask.config.set(
            {"distributed.admin.system-monitor.interval": "1h", "distributed.worker.profile.enabled": False}
        )
        self.cluster = LocalCluster(
            n_workers=self.count,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=None,
            silence_logs=50,
        )
        return str(self.cluster.scheduler_address)

    def __exit__(self, *_: object) -> None:
        self.cluster.close()


def _committers() -> Row:
    cost: dict[int, float] = {}
    commits = 10_000
    for count in COMMITTERS:
        with folder() as root:
            each = commits // count
            keys = [[uuid.uuid4().bytes for _ in range(each)] for _ in range(count)]
            barrier = threading.Barrier(count)

            def commit(batch: list[bytes], barrier: threading.Barrier = barrier, root: Any = root) -> None:
                results = CodeResults(open_lake(root, tenant="acme"), "bench.commit", "c0de")
                barrier.wait()
                for key in batch:
                    results.commit(key, segments.to_blocks([key.hex()]))

            with ThreadPoolExecutor(count) as pool:
                # Processor time, because a thousand threads of one interpreter wait for one another anyway.
                begin = time.process_time()
                list(pool.map(commit, keys))
                cost[count] = (time.process_time() - begin) / commits
            wanted = [key for batch in keys for key in batch]
            results = CodeResults(open_lake(root, tenant="acme"), "bench.commit", "c0de").refresh()
            assert results.lookup(wanted) == [key.hex() for key in wanted], "results were lost"
            results.compact()
            compacted = CodeResults(open_lake(root, tenant="acme"), "bench.commit", "c0de").refresh()
            assert MISSING not in compacted.lookup(wanted), "compaction lost results"
    ratio = cost[COMMITTERS[-1]] / cost[COMMITTERS[0]]
    detail = ", ".join(f"{count} committers {1e6 * seconds:.0f} µs" for count, seconds in cost.items())
    return Row(
        "processor time per commit, 1,000 committers / 10",
        "flat, nothing lost",
        f"{ratio:.2f}",
        ratio < 1.5,
        detail,
    )

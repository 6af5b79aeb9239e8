"""100,000 calls of x + 1: the overhead of a map."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from bench.measure import WORKERS, Row, folder, timed, times, workers
from lightwork import connect, task

CALLS = 100_000
DASK_CALLS = 20_000
RAY_CALLS = 20_000


def increment(x: int) -> int:
    return x + 1


uncached = task(cache=False)(increment)
cached = task(increment)


def run() -> list[Row]:
    """Compare lightwork with Dask's client.map, joblib, Ray, and the floor, `multiprocessing.Pool.map`."""
    expected = sum(range(1, CALLS + 1))
    with workers() as address, folder() as lake, connect(on=address, lake=lake, progress="off") as session:

        def ours() -> None:
            assert sum(uncached.map(range(CALLS))) == expected

        ours()
        plain = timed(ours, repeat=5)
        rounds = iter(range(1, 10))

        def ours_cached() -> None:
            first = next(rounds) * CALLS
            assert sum(cached.map(range(first, first + CALLS))) == expected + first * CALLS

        ours_cached()
        with_cache = timed(ours_cached, repeat=5)
        client: Any = session.client

        def dask_map() -> None:
            client.gather(client.map(increment, range(DASK_CALLS), pure=False))

        client.gather(client.map(increment, range(100), pure=False))
        dask = timed(dask_map) * CALLS / DASK_CALLS
    joblib = _joblib()
    pool = _pool()
    ray = _ray()
    scaled = f"client.map {dask:.1f} s, scaled from {DASK_CALLS:,}"
    return [
        times(f"{CALLS:,} calls, cache off / client.map", 1000, plain, dask, f"{plain:.3f} s; {scaled}"),
        times(
            f"{CALLS:,} calls, cache on / client.map", 250, with_cache, dask, f"{with_cache:.3f} s; {scaled}"
        ),
        times("the same / joblib, warm", 2, plain, joblib, f"{plain:.3f} s; joblib {joblib:.3f} s"),
        times("the same / Ray", 20, plain, ray, f"{plain:.3f} s; Ray {ray:.2f} s, scaled from {RAY_CALLS:,}"),
        Row(
            "the same / Pool.map, the floor",
            "",
            f"{plain / pool:.1f} times its time",
            None,
            f"{plain:.3f} s; Pool.map {pool:.3f} s",
        ),
    ]


def _joblib() -> float:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=WORKERS) as parallel:
        parallel(delayed(increment)(x) for x in range(1000))
        return timed(lambda: parallel(delayed(increment)(x) for x in range(CALLS)), repeat=3)


def _pool() -> float:
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(increment, range(1000))
        return timed(lambda: pool.map(increment, range(CALLS)), repeat=5)


def _ray() -> float:
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    import ray

    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        logging_level="ERROR",
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )
    try:
        remote = ray.remote(increment)
        ray.get([remote.remote(x) for x in range(100)])
        return timed(lambda: ray.get([remote.remote(x) for x in range(RAY_CALLS)])) * CALLS / RAY_CALLS
    finally:
        ray.shutdown()

"""Dask workers on this machine that any session may connect to by an address, as to a cluster elsewhere."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from lightwork.cluster import local

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def dask_workers(count: int) -> Iterator[str]:
    """Start worker processes of one thread each, like those of `local` but without credentials.

    Yields:
        The scheduler's address.
    """
    with local._changed:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            preload=["lightwork.cluster.preload"],
        ) as cluster:
            yield cluster.scheduler_address

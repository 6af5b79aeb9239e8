"""Clusters that a session starts itself: processes on this machine, or virtual machines from Coiled."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from lightwork.errors import InputError, RunFailed, one_line

LOCAL_ALLOWED_FAILURES = 1
"""Workers that a batch may kill before it becomes a suspect, which then runs alone before it is blamed."""


def start_local(workers: int) -> Any:
    """Start workers as processes of one thread each, so that Python code runs on all cores.

    Raises:
        InputError: the script that runs has no `if __name__ == "__main__":`.
        RunFailed: the processes could not be started.
    """
    import logging

    import dask
    from distributed import LocalCluster, SpecCluster

    settings = {
        "distributed.scheduler.allowed-failures": LOCAL_ALLOWED_FAILURES,
        # Batches wait at the scheduler, where any worker can take them.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.comm.timeouts.connect": "30s",
        # With the default of 15 s, a process that restarts slowly on a busy machine is given up for good.
        "distributed.deploy.lost-worker-timeout": "1h",
        "distributed.admin.large-graph-warning-threshold": "1GB",
    }
    dask.config.set(settings)
    # Lightwork reports lost workers itself.
    for name in ("distributed", "distributed.client", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _check_main()
    before = set(SpecCluster._instances)  # noqa: SLF001
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
    except BaseException as error:
        # Interrupted while starting: its processes end with this one, and Dask must not close it at exit.
        for cluster in set(SpecCluster._instances) - before:  # noqa: SLF001
            cluster.shutdown_on_close = False
        if isinstance(error, Exception):
            raise RunFailed(f"the worker processes could not be started: {one_line(error)}") from error
        raise


def _check_main() -> None:
    """Refuse to start workers from a script that each of them would run again from the top.

    Raises:
        InputError: the script that runs has no `if __name__ == "__main__":`.
    """
    import multiprocessing

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # this process is such a worker; its parent reports the error
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None or not Path(path).is_file():
        return
    if "__main__" not in Path(path).read_text(encoding="utf-8", errors="replace"):
        raise InputError(
            f"{Path(path).name} starts worker processes, and each would run the script again; "
            'put its main code under `if __name__ == "__main__":`'
        )


def start_coiled(workers: int) -> Any:
    """Start a cluster of virtual machines with Coiled.

    Raises:
        InputError: the package is not installed.
    """
    try:
        import coiled
    except ImportError as error:
        raise InputError("--on coiled needs the package coiled: pip install 'lightwork[coiled]'") from error
    return coiled.Cluster(
        n_workers=workers, name=os.environ.get("LIGHTWORK_COILED_NAME"), shutdown_on_close=True
    )

"""Clusters that a session starts itself: processes on this machine, or virtual machines from Coiled."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from lightwork.cluster.scripts import check_main
from lightwork.errors import InputError, RunFailed, one_line
from lightwork.logs import Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL_ALLOWED_FAILURES = 1
"""Workers that a batch may kill before it becomes a suspect, which then runs alone before it is blamed."""

_LOGGERS = ("distributed", "distributed.client", "distributed.scheduler", "distributed.nanny", "bokeh")
"""The loggers that are changed; the first three are silenced."""
_PROFILES = "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"
"""Dask's own variable, by which a user turns its profiler on."""
_JOIN = 0.1
"""Seconds between two looks at whether the cluster has started."""


def start_local(workers: int, *, dashboard: bool = False, threads: int | None = None) -> Any:
    """Start workers as processes of one thread each, so that Python code runs on all cores.

    Other users of this machine cannot connect to any of them.

    Args:
        workers: their number.
        dashboard: whether Dask's dashboard is served; the cluster's `dashboard_link` is its address.
        threads: the threads of numerical libraries in each worker; None as the environment says, else one.

    Raises:
        InputError: the script that runs has no `if __name__ == "__main__":`.
        RunFailed: the processes could not be started.
    """
    check_main()
    start = _Start(workers, dashboard=dashboard, threads=threads)
    start.start()
    try:
        while start.is_alive():
            start.join(_JOIN)
    except BaseException:
        start.abandon()
        raise
    if isinstance(start.error, Exception):
        raise RunFailed(
            f"the worker processes could not be started: {one_line(start.error)}"
        ) from start.error
    if start.error is not None:
        raise start.error
    return start.cluster


def _change_process() -> Callable[[], None]:
    """Set what a cluster on this machine needs, and return a function that undoes it.

    That includes what Dask changes itself: levels of loggers and handlers, and variables of the environment
    that it sets for each process that it starts.
    """
    import logging

    import dask
    import distributed  # noqa: F401 - it defines its settings and loggers

    from lightwork.cluster import private
    from lightwork.cluster.servers import ROUTES

    folder, give_up = private.folder(dask.config.get("temporary-directory", None))
    settings = {
        # Dask imports modules from there, and unpickles what it has spilled.
        "temporary-directory": str(folder),
        "distributed.scheduler.http.routes": ROUTES,
        "distributed.worker.http.routes": [],
        "distributed.scheduler.allowed-failures": LOCAL_ALLOWED_FAILURES,
        # Batches wait at the scheduler, where any worker can take them.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.comm.timeouts.connect": "30s",
        # With the default of 15 s, a process that restarts slowly on a busy machine is given up for good.
        "distributed.deploy.lost-worker-timeout": "1h",
        "distributed.admin.large-graph-warning-threshold": "1GB",
        # Each server measures the delay of its event loop that often: at 20 ms, 1 % of a core for each.
        "distributed.admin.tick.interval": "500ms",
        # The same for its memory, which both the worker and its nanny in this process look at.
        "distributed.worker.memory.monitor-interval": "250ms",
        # Figures of the machine for Dask's dashboard.
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.admin.system-monitor.disk": False,
    }
    if _PROFILES not in os.environ:
        # It takes time from the workers; Dask's dashboard says on its page that it is off.
        settings["distributed.worker.profile.enabled"] = False
    loggers = [logging.getLogger(name) for name in ("", *_LOGGERS)]
    handlers = [(logger, list(logger.handlers)) for logger in loggers]
    parts: list[logging.Logger | logging.Handler] = [*loggers, *(h for _, own in handlers for h in own)]
    levels = [(part, part.level) for part in parts]
    names = ("PYTHONHASHSEED", "__DASK_PARENT_PID", *dask.config.get("distributed.nanny.pre-spawn-environ"))
    environment = {name: os.environ.get(name) for name in names}
    settings_before = dask.config.set(settings)
    # Lightwork reports lost workers itself.
    for name in _LOGGERS[:3]:
        logging.getLogger(name).setLevel(logging.CRITICAL)

    def undo() -> None:
        settings_before.__exit__(None, None, None)
        give_up()
        for part, level in levels:
            part.setLevel(level)
        for logger, before in handlers:
            for handler in list(logger.handlers):
                if handler not in before and type(handler).__module__.startswith("distributed"):
                    logger.removeHandler(handler)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return undo


_changed = Shared(_change_process)
"""What the process changes while any cluster runs on this machine."""


class _Start(threading.Thread):
    """Starts a cluster whose processes take no SIGINT: Ctrl-C and a notebook's stop button spare them.

    Threads and processes have the signals blocked that are blocked in the thread that starts them. The main
    thread must not block SIGINT itself: an interrupt ends the wait at once.

    Attributes:
        cluster: the cluster; None until it has started.
        error: why it could not be started; None otherwise.
    """

    def __init__(self, workers: int, *, dashboard: bool, threads: int | None) -> None:
        super().__init__(name="lightwork-start", daemon=True)
        self._threads = threads
        self.cluster: Any = None
        self.error: BaseException | None = None
        self._workers = workers
        self._dashboard = dashboard
        self._lock = threading.Lock()
        self._abandoned = False

    def run(self) -> None:
        """Start the cluster; close it if it has been abandoned meanwhile."""
        from multiprocessing import resource_tracker

        try:
            _changed.__enter__()
        except Exception as error:  # noqa: BLE001 - the thread that waits raises it
            self.error = error
            return
        if hasattr(signal, "pthread_sigmask"):
            # It is started with the first process otherwise, and that unblocks SIGINT in the starting thread.
            with _silent_at_the_end():
                resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            cluster = self._make()
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self.error = error
            _changed.__exit__()
            return
        _undo_after(cluster)
        with self._lock:
            self.cluster = cluster
            abandoned = self._abandoned
        if abandoned:
            self._close()

    def _make(self) -> Any:
        import logging

        from lightwork.cluster.servers import LocalCluster

        return LocalCluster(
            self._workers,
            dashboard=self._dashboard,
            threads=self._threads,
            preload=["lightwork.cluster.preload"],
            silence_logs=logging.CRITICAL,
        )

    def abandon(self) -> None:
        """Close the cluster once it has started; do not wait for that."""
        with self._lock:
            self._abandoned = True
            started = self.cluster is not None
        if started:
            threading.Thread(target=self._close, daemon=True).start()

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self.cluster.close()


@contextlib.contextmanager
def _silent_at_the_end() -> Iterator[None]:
    """Let Python's process that removes leaked semaphores, if it starts in the block, print no warning.

    A second Ctrl-C leaves some, and the terminal has its prompt by then.
    """
    option = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(option)
    try:
        yield
    finally:
        sys.warnoptions.remove(option)


def kill_workers(cluster: Any) -> None:
    """End the worker processes of a cluster on this machine at once; they are not replaced."""
    import logging

    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)  # their connections are lost
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        if nanny.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


def _undo_after(cluster: Any) -> None:
    """Undo what the process has changed for a cluster once that is closed."""
    close, once = cluster._close, threading.Lock()  # noqa: SLF001

    async def close_and_undo() -> None:
        try:
            await close()
        finally:
            if once.acquire(blocking=False):
                _changed.__exit__()

    cluster._close = close_and_undo  # noqa: SLF001


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

"""What the maps and calls of one session share: the cluster, the results in the lake, the totals."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from lightwork import logs
from lightwork.engine.job import MARK, Job, Parcel, pack
from lightwork.engine.shared import Places, Shared
from lightwork.errors import InputError
from lightwork.store.results import CodeResults, ResultStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import structlog

    from lightwork.cluster.cluster import Cluster
    from lightwork.engine.progress import Progress, Stats
    from lightwork.functions.decorated import TaskFunction
    from lightwork.keys import CodeKey
    from lightwork.lake import Lake

_REFRESH_EVERY = 1.0
"""Seconds after which a call looks again for new results in the lake."""


class Runner:
    """The running half of a session: it starts the cluster, makes jobs, opens results and counts elements.

    Args:
        on: `serial`, `local`, `coiled` or a scheduler's address.
        workers: the number of workers to start, for `local` and `coiled`.
        lake: the tenant's lake.
        folder: the run's folder in the lake.
        context: fields that every log line of the run carries: tenant, pipeline, run.
        refresh: compute everything again.
        cache: look results up, and keep them.
        progress: the progress display of the session's maps.

    Attributes:
        elements: totals over all maps and calls so far: total, cached, computed, failed.
        places: where large inputs are stored for workers.
    """

    def __init__(
        self,
        *,
        on: str,
        workers: int,
        lake: Lake,
        folder: str,
        context: Mapping[str, str],
        refresh: bool,
        cache: bool,
        progress: Progress,
    ) -> None:
        self.on = on
        self._workers = workers
        self.lake = lake
        self.folder = folder
        self._jobs_folder = f"{folder}/jobs"
        self.context = context
        self.refresh = refresh
        self.cache = cache
        self.progress = progress
        self.elements = {"total": 0, "cached": 0, "computed": 0, "failed": 0}
        self._cluster: Cluster | None = None
        self._cluster_lock = threading.RLock()
        self._results: dict[tuple[str, str], tuple[CodeResults, float]] = {}
        # By the task itself, not its id: the task of a bound method lives for one call, and ids are reused.
        self._parcels: WeakKeyDictionary[TaskFunction[..., Any], dict[str | None, Parcel]] = (
            WeakKeyDictionary()
        )
        self._closed = False
        self.places = Places(on, lake)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines carry the run's context."""
        return logs.get_logger("lightwork.run")

    @property
    def cluster(self) -> Cluster:
        """The Dask cluster, started or connected to on first use.

        Raises:
            InputError: the session is serial, or closed.
            RunFailed: the scheduler does not respond.
        """
        return self.cluster_for(0)

    def cluster_for(self, batches: int) -> Cluster:
        """Return the Dask cluster, as `cluster`; if it has yet to start, request workers for a map first.

        Args:
            batches: the number of batches that the map has at least.
        """
        with self._cluster_lock:
            if self._closed:
                raise InputError("the session is closed; open one: with lightwork.connect() as session: ...")
            if self._cluster is None:
                self._cluster = self._start_cluster(batches)
            return self._cluster

    @property
    def cluster_if_any(self) -> Cluster | None:
        """The Dask cluster; None before anything has needed one, and once the session is closed."""
        return None if self._closed else self._cluster

    def _start_cluster(self, batches: int) -> Cluster:
        from lightwork.cluster.cluster import Cluster

        if self.on == "serial":
            raise InputError("a serial session has no cluster; give on='local' or a scheduler's address")
        cluster = Cluster(self.on, self._workers, batches)
        if cluster.local:
            cluster.client.subscribe_topic(logs.TOPIC, lambda event: logs.show(event[1]))
        where = f"{self._workers} workers" if cluster.local else self.on
        dashboard = f", dashboard {cluster.dashboard}" if cluster.dashboard else ""
        self.log.info(f"running on {where}{dashboard}")
        return cluster

    def parcel(self, task: TaskFunction[..., Any], code: CodeKey | None) -> Parcel:
        """Return the job of a task's single calls, packed once."""
        self.cluster.hold_packages()
        parcels = self._parcels.setdefault(task, {})
        digest = None if code is None else code.digest
        if digest not in parcels:
            parcels[digest] = self.pack(self.job(task, code))
        return parcels[digest]

    def pack(self, job: Job) -> Parcel:
        """Make a job ready to send; a large one goes to the run's folder in the lake.

        Raises:
            InputError: the function or its shared arguments cannot be sent to another process.
        """
        return pack(job, self._jobs_folder)

    def job(
        self,
        task: TaskFunction[..., Any],
        code: CodeKey | None,
        *,
        shared: Shared | None = None,
        wide: bool = False,
    ) -> Job:
        """Return the job that tells a worker how to run a task."""
        if self.on != "serial":
            self.cluster.hold_packages()
        return Job(
            fn=task.fn,
            task=task.name,
            options=task.options,
            shared=shared or Shared({}),
            wide=wide,
            lake=self.lake,
            lake_mark=self._lake_mark,
            code=None if code is None else code.digest,
            context=self.context,
            forward=self.on == "local",
        )

    @functools.cached_property
    def _lake_mark(self) -> str:
        if not self.lake.exists(MARK):
            self.lake.create(MARK, uuid.uuid4().hex.encode())
        return self.lake.read(MARK).decode()

    def count(self, stats: Stats) -> None:
        """Add a finished map to the totals."""
        for name in self.elements:
            self.elements[name] += getattr(stats, name)

    def code_of(self, task: TaskFunction[..., Any]) -> CodeKey | None:
        """Return a task's code key; None if its results are not cached, with a warning if it has no key."""
        if not (self.cache and task.options.cache):
            return None
        from lightwork.keys import Unkeyable, code_key

        try:
            return code_key(task.fn, version=task.options.version)
        except Unkeyable as error:
            self.log.warning(f"{task.name} is not cached: {error}")
            return None

    def results_of(self, task: TaskFunction[..., Any], code: CodeKey, *, newest: bool = False) -> CodeResults:
        """Return a task's results in the lake, at most a second old; up to date if `newest`."""
        opened = self._results.get((task.name, code.digest))
        if opened is None:
            results = ResultStore(self.lake, task.name).open(code)
            results.describe(code)
        else:
            results, refreshed = opened
            if not newest and time.monotonic() - refreshed < _REFRESH_EVERY:
                return results
        results.refresh()
        self._results[task.name, code.digest] = (results, time.monotonic())
        return results

    def close(self) -> None:
        """Disconnect from the cluster; stop it if this session started it."""
        self._closed = True
        try:
            if self._cluster is not None:
                self._cluster.close()
        finally:
            self.places.close()

    def remove_jobs(self) -> None:
        """Delete the jobs that were put in the lake for this run's workers; ignore errors."""
        with contextlib.suppress(Exception):
            self.lake.delete([entry.path for entry in self.lake.entries(self._jobs_folder)])

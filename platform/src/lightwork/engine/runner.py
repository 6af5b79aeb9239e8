"""What the maps and calls of one session share: where they run, what the lake has, what they add up to."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from lightwork import logs
from lightwork.engine.job import MARK, Job, Parcel, pack
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

_LOOK_EVERY = 1.0


class Runner:
    """The running half of a session: starts the cluster, makes jobs, looks results up, counts.

    Args:
        on: `serial`, `local`, `coiled` or a scheduler's address.
        workers: how many workers to start, where they are started here.
        lake: the tenant's lake.
        folder: the run's folder in the lake.
        context: the run's fields for each log line: tenant, pipeline, run.
        refresh: whether everything is computed again.
        cache: whether results are looked up and kept.
        progress: shows how far maps are.

    Attributes:
        elements: totals of all maps and calls so far: total, cached, computed, failed.
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
        self.workers = workers
        self.lake = lake
        self.folder = folder
        self.context = context
        self.refresh = refresh
        self.cache = cache
        self.progress = progress
        self.elements = {"total": 0, "cached": 0, "computed": 0, "failed": 0}
        self._cluster: Cluster | None = None
        self._cluster_lock = threading.RLock()
        self._mark = ""
        self._results: dict[tuple[str, str], tuple[CodeResults, float]] = {}
        self._parcels: dict[Any, Parcel] = {}
        self._closed = False

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines carry the run's context."""
        return logs.get_logger("lightwork.run")

    # The cluster, started when first needed

    @property
    def cluster(self) -> Cluster:
        """The Dask cluster; started, or connected to, when first needed.

        Raises:
            InputError: the session is serial.
            RunFailed: no scheduler answers.
        """
        return self.cluster_for(0)

    def cluster_for(self, batches: int) -> Cluster:
        """The Dask cluster, as `cluster`; if it is not there yet, with workers on their way for a map.

        Args:
            batches: how many the map has for certain.
        """
        with self._cluster_lock:
            if self._closed:
                raise InputError("the session is closed; open one: with lightwork.connect() as session: ...")
            if self._cluster is None:
                self._cluster = self._start_cluster(batches)
            return self._cluster

    @property
    def cluster_if_any(self) -> Cluster | None:
        """The Dask cluster; None if nothing has needed one so far, or no longer does."""
        return None if self._closed else self._cluster

    def _start_cluster(self, batches: int) -> Cluster:
        from lightwork.cluster.cluster import Cluster

        if self.on == "serial":
            raise InputError("a serial session has no cluster; give on='local' or a scheduler's address")
        cluster = Cluster(self.on, self.workers, batches)
        if cluster.local:
            cluster.client.subscribe_topic(logs.TOPIC, lambda event: logs.show(event[1]))
        where = f"{self.workers} workers" if cluster.local else self.on
        dashboard = f", dashboard {cluster.dashboard}" if cluster.dashboard else ""
        self.log.info(f"running on {where}{dashboard}")
        return cluster

    # Jobs and totals

    def parcel(self, task: TaskFunction[..., Any], code: CodeKey | None) -> Parcel:
        """The job of single calls of a task, packed once."""
        self.cluster.hold_packages()
        name = (id(task), None if code is None else code.digest)
        if name not in self._parcels:
            self._parcels[name] = pack(self.job(task, code), f"{self.folder}/jobs")
        return self._parcels[name]

    def job(
        self,
        task: TaskFunction[..., Any],
        code: CodeKey | None,
        *,
        shared: Mapping[str, Any] | None = None,
        wide: bool = False,
    ) -> Job:
        """What a worker must know to run a task."""
        if self.on != "serial":
            self.cluster.hold_packages()
        return Job(
            fn=task.fn,
            task=task.name,
            options=task.options,
            shared=shared or {},
            wide=wide,
            lake=self.lake,
            lake_mark=self._lake_mark(),
            code=None if code is None else code.digest,
            context=self.context,
            forward=self.on == "local",
        )

    def _lake_mark(self) -> str:
        if not self._mark:
            if not self.lake.exists(MARK):
                self.lake.create(MARK, uuid.uuid4().hex.encode())
            self._mark = self.lake.read(MARK).decode()
        return self._mark

    def count(self, stats: Stats) -> None:
        """Add a finished map to the totals."""
        for name in self.elements:
            self.elements[name] += getattr(stats, name)

    # Keys and results

    def code_of(self, task: TaskFunction[..., Any]) -> CodeKey | None:
        """The code key of a task; None, with a warning where one is due, if nothing of it is cached."""
        if not (self.cache and task.options.cache):
            return None
        from lightwork.keys import Unkeyable, code_key

        try:
            return code_key(task.fn, version=task.options.version)
        except Unkeyable as error:
            self.log.warning(f"{task.name} is not cached: {error}")
            return None

    def results_of(self, task: TaskFunction[..., Any], code: CodeKey, *, newest: bool = False) -> CodeResults:
        """What the lake has of a task's results, as of the last second, or as of now."""
        held = self._results.get((task.name, code.digest))
        if held is None:
            results = ResultStore(self.lake, task.name).open(code)
            results.describe(code)
        else:
            results, looked = held
            if not newest and time.monotonic() - looked < _LOOK_EVERY:
                return results
        results.refresh()
        self._results[task.name, code.digest] = (results, time.monotonic())
        return results

    def close(self) -> None:
        """Stop the workers that were started here."""
        self._closed = True
        if self._cluster is not None:
            self._cluster.close()

    def remove_jobs(self) -> None:
        """Delete what only this run's workers needed from the lake; what cannot be deleted stays."""
        with contextlib.suppress(Exception):
            self.lake.delete([entry.path for entry in self.lake.entries(f"{self.folder}/jobs")])

"""A session: one place to run, one lake, one tenant."""

from __future__ import annotations

import atexit
import contextlib
import secrets
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lightwork import logs, settings
from lightwork.engine.collections import collections_on
from lightwork.engine.job import CURRENT, Job, Parcel, pack
from lightwork.engine.mapping import Stats, check_map
from lightwork.engine.worker import MARK
from lightwork.errors import InputError
from lightwork.progress import Mode, Progress
from lightwork.results import Results
from lightwork.store import CodeResults, ResultStore

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    import structlog
    from distributed import Client

    from lightwork.artifacts import Artifacts
    from lightwork.engine.cluster import Cluster
    from lightwork.futures import Future
    from lightwork.keys import CodeKey
    from lightwork.report import Report
    from lightwork.tasks import Task

_LOOK_EVERY = 1.0

_stack: list[Session] = []
_default: Session | None = None


def connect(
    on: str | None = None,
    workers: int | None = None,
    lake: str | os.PathLike[str] | None = None,
    tenant: str | None = None,
    *,
    refresh: bool = False,
    cache: bool = True,
    run_id: str | None = None,
    pipeline: str = "",
    parameters: Mapping[str, object] | None = None,
    progress: Mode | None = None,
) -> Session:
    """Open a session; use it in a `with` statement, inside which tasks run there.

    Args:
        on: `serial`, `local`, a scheduler's address (`tcp://host:port`, `tls://host:port`) or `coiled`; by
            default LIGHTWORK_ON, then DASK_SCHEDULER_ADDRESS, else `serial`.
        workers: how many worker processes, for `local` and `coiled`; by default one a core.
        lake: a folder, `file:///folder` or `s3://bucket/prefix`; by default LIGHTWORK_LAKE, else
            `.lightwork/lake`.
        tenant: whose data it is; by default LIGHTWORK_TENANT, else `local`.
        refresh: compute everything again, and keep the new results.
        cache: whether results are looked up and kept at all.
        run_id: the run's name; by default made of the time and a random part.
        pipeline: the pipeline's name, for logs and records.
        parameters: the run's parameters, for records.
        progress: `bar`, `lines` or `off`; by default what suits standard error.

    Raises:
        InputError: an argument or an environment variable that cannot be; nothing was started then.
    """
    settings.load_env()
    return Session(
        on=settings.resolve_on(on, default="serial"),
        workers=settings.resolve_workers(workers),
        lake=settings.resolve_lake(lake),
        tenant=settings.resolve_tenant(tenant),
        refresh=refresh,
        cache=cache,
        run_id=run_id or new_run_id(),
        pipeline=pipeline,
        parameters=dict(parameters or {}),
        progress=Progress(progress),
    )


def new_run_id() -> str:
    """A name for a run: the time in UTC and a random part, so that names sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def current_session() -> Session:
    """The session that tasks run in here.

    Raises:
        InputError: there is none.
    """
    if _stack and CURRENT.get() is None:
        return _stack[-1]
    raise InputError("there is no session here; open one: with lightwork.connect() as session: ...")


def active_session() -> Session:
    """The current session; outside of one, the process's own, as `connect()` makes it.

    Inside a task it is a serial one, so that a task which maps does not wait for its own worker.
    """
    global _default
    job = CURRENT.get()
    if job is not None:
        return _inner(job)
    if _stack:
        return _stack[-1]
    if _default is None:
        _default = connect()
        atexit.register(_default.close)
    return _default


def _inner(job: Job) -> Session:
    session = connect(on="serial", lake=job.lake.url, tenant=job.lake.tenant, progress="off")
    session.cache = job.code is not None
    return session


class Session:
    """Where tasks run, and where their results are kept; made by `connect`.

    Attributes:
        on: `serial`, `local`, `coiled` or a scheduler's address.
        workers: how many workers were asked for.
        tenant: whose data it is.
        run_id: the run's name.
        pipeline: the pipeline's name; empty outside one.
        parameters: the run's parameters.
        refresh: whether everything is computed again.
        cache: whether results are looked up and kept.
        elements: totals of all maps and calls so far: total, cached, computed, failed.
        progress: shows how far maps are.
        lake: the tenant's lake.
        artifacts: the tenant's named tables and files.
        report: what the run's report will show.
        log: a logger whose lines carry the run's context.
        folder: this run's folder in the lake.
    """

    def __init__(
        self,
        *,
        on: str,
        workers: int,
        lake: str,
        tenant: str,
        refresh: bool,
        cache: bool,
        run_id: str,
        pipeline: str,
        parameters: dict[str, object],
        progress: Progress,
    ) -> None:
        from lightwork.lake import open_lake

        self.on = on
        self.workers = workers
        self.tenant = tenant
        self.run_id = run_id
        self.pipeline = pipeline
        self.parameters = parameters
        self.refresh = refresh
        self.cache = cache
        self.progress = progress
        self.lake = open_lake(lake, tenant=tenant)
        self.folder = f"runs/{run_id}"
        self.elements = {"total": 0, "cached": 0, "computed": 0, "failed": 0}
        self._cluster: Cluster | None = None
        self._cluster_lock = threading.RLock()
        self._mark = ""
        self._results: dict[tuple[str, str], tuple[CodeResults, float]] = {}
        self._parcels: dict[Any, Parcel] = {}
        self._exits = contextlib.ExitStack()
        self._artifacts: Artifacts | None = None
        self._report: Report | None = None
        self._closed = False

    # Its parts, made when first used

    @property
    def artifacts(self) -> Artifacts:
        """The tenant's named tables and files."""
        if self._artifacts is None:
            from lightwork.artifacts import Artifacts

            provenance = {"pipeline": self.pipeline, "parameters": self.parameters, "tenant": self.tenant}
            self._artifacts = Artifacts(self.lake, run_id=self.run_id, provenance=provenance)
        return self._artifacts

    @property
    def report(self) -> Report:
        """What the run's report will show."""
        if self._report is None:
            from lightwork.report import Report

            self._report = Report()
        return self._report

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines carry the run's context."""
        return logs.get_logger("lightwork.run")

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
        from lightwork.engine.cluster import Cluster

        if self.on == "serial":
            raise InputError("a serial session has no cluster; give on='local' or a scheduler's address")
        cluster = Cluster(self.on, self.workers, batches)
        if cluster.local:
            cluster.client.subscribe_topic(logs.TOPIC, lambda event: logs.show(event[1]))
        where = f"{self.workers} workers" if cluster.local else self.on
        dashboard = f", dashboard {cluster.dashboard}" if cluster.dashboard else ""
        self.log.info(f"running on {where}{dashboard}")
        return cluster

    @property
    def client(self) -> Client | None:
        """The session's Dask client; None if it is serial."""
        return None if self.on == "serial" else self.cluster.client

    # Running

    def map(
        self, task: Task[..., Any], iterables: Sequence[Iterable[Any]], shared: Mapping[str, Any]
    ) -> Results[Any]:
        """What `Task.map` does, in this session."""
        call = check_map(self, task, iterables, shared)
        if self.on == "serial":
            from lightwork.engine import serial as engine
        else:
            from lightwork.engine import scatter as engine  # type: ignore[no-redef]
        return Results(call, engine.iterate)

    def submit(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """What `Task.submit` does, in this session."""
        from lightwork.engine.calls import start_call

        return start_call(self, task, args, kwargs)

    def parcel(self, task: Task[..., Any], code: CodeKey | None) -> Parcel:
        """The job of single calls of a task, packed once."""
        self.cluster.hold_packages()
        name = (id(task), None if code is None else code.digest)
        if name not in self._parcels:
            self._parcels[name] = pack(self.job(task, code), f"{self.folder}/jobs")
        return self._parcels[name]

    def count(self, stats: Stats) -> None:
        """Add a finished map to the totals."""
        for name in self.elements:
            self.elements[name] += getattr(stats, name)

    # Keys and results

    def code_of(self, task: Task[..., Any]) -> CodeKey | None:
        """The code key of a task; None, with a warning where one is due, if nothing of it is cached."""
        if not (self.cache and task.options.cache):
            return None
        from lightwork.keys import Unkeyable, code_key

        try:
            return code_key(task.fn, version=task.options.version)
        except Unkeyable as error:
            self.log.warning(f"{task.name} is not cached: {error}")
            return None

    def results_of(self, task: Task[..., Any], code: CodeKey, *, newest: bool = False) -> CodeResults:
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

    def job(
        self,
        task: Task[..., Any],
        code: CodeKey | None,
        *,
        shared: Mapping[str, Any] | None = None,
        wide: bool = False,
    ) -> Job:
        """What a worker must know to run a task."""
        if self.on != "serial":
            self.cluster.hold_packages()
        context = {"tenant": self.tenant, "pipeline": self.pipeline, "run": self.run_id}
        return Job(
            fn=task.fn,
            task=task.name,
            options=task.options,
            shared=shared or {},
            wide=wide,
            lake=self.lake,
            lake_mark=self._lake_mark(),
            code=None if code is None else code.digest,
            context={name: value for name, value in context.items() if value},
            forward=self.on == "local",
        )

    def _lake_mark(self) -> str:
        if not self._mark:
            if not self.lake.exists(MARK):
                self.lake.create(MARK, uuid.uuid4().hex.encode())
            self._mark = self.lake.read(MARK).decode()
        return self._mark

    # Opening and closing

    def __enter__(self) -> Session:
        logs.configure()
        context = {"tenant": self.tenant, "pipeline": self.pipeline, "run": self.run_id}
        self._exits.enter_context(logs.context(**{k: v for k, v in context.items() if v}))
        self._exits.enter_context(collections_on(self))
        _stack.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers that were started here, and remove what only this session needed."""
        if self._closed:
            return
        self._closed = True
        if self in _stack:
            _stack.remove(self)
        try:
            if self._cluster is not None:
                self._cluster.close()  # first: Dask's settings are put back in the reverse order
        finally:
            self._exits.close()
        with contextlib.suppress(Exception):
            self.lake.delete([entry.path for entry in self.lake.entries(f"{self.folder}/jobs")])

    def __repr__(self) -> str:
        return f"<session on {self.on}, lake {self.lake.root}, run {self.run_id}>"

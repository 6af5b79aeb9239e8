"""A session: where tasks run, with one lake and one tenant."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from typing import TYPE_CHECKING, Any, cast, get_args

from lightwork import logs, run_names, settings
from lightwork.cluster.scripts import check_main
from lightwork.engine import collections
from lightwork.engine.job import CURRENT, Job
from lightwork.engine.mapping import Results, check_map, check_starmap
from lightwork.engine.progress import Mode, Progress
from lightwork.engine.runner import Runner, closed
from lightwork.errors import InputError, LakeAway, public
from lightwork.functions.checks import (
    BY_NAME,
    FLAG,
    FROM_ONE,
    PATH,
    TASKS,
    TEXT,
    check,
    either,
    maybe,
    one_of,
)
from lightwork.functions.raised import is_quit
from lightwork.lake import open_lake
from lightwork.lake.patience import RUN_SECONDS, hurried
from lightwork.runs import current, openings, stopping
from lightwork.runs.upkeep import Upkeep

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    import structlog
    from distributed import Client

    from lightwork.engine.calls import Future
    from lightwork.engine.mapping import Request
    from lightwork.functions.decorated import TaskFunction
    from lightwork.functions.limits import Limit
    from lightwork.runs.report import Report
    from lightwork.store.artifacts import Artifacts

_default: Session | None = None
_default_lock = threading.Lock()


_KINDS = {
    "on": maybe(TEXT),
    "lake": maybe(PATH),
    "tenant": maybe(TEXT),
    "refresh": either(FLAG, TASKS),
    "cache": FLAG,
    "run_id": maybe(TEXT),
    "pipeline": TEXT,
    "parameters": maybe(BY_NAME),
    "progress": maybe(one_of(*get_args(Mode))),
    "dashboard": FLAG,
    "threads": maybe(FROM_ONE),
}


@public
def connect(
    on: str | None = None,
    workers: int | None = None,
    lake: str | os.PathLike[str] | None = None,
    tenant: str | None = None,
    *,
    refresh: bool | Collection[str] = False,
    cache: bool = True,
    run_id: str | None = None,
    pipeline: str = "",
    parameters: Mapping[str, object] | None = None,
    progress: Mode | None = None,
    dashboard: bool = False,
    limits: Mapping[str, int | str] | None = None,
    threads: int | None = None,
) -> Session:
    """Open a session: until it is closed, tasks run there. A `with` statement closes it at its end.

    >>> from lightwork import connect, task
    >>> @task
    ... def square(number: int) -> int:
    ...     return number * number
    >>> with connect("serial", lake="results") as session:
    ...     sum(square.map([1, 2, 3]))
    14
    >>> session.elements
    {'total': 3, 'cached': 0, 'computed': 3, 'failed': 0}

    Args:
        on: `serial`, `local`, a scheduler's address (`tcp://host:port`, `tls://host:port`) or `coiled`; by
            default LIGHTWORK_ON, then DASK_SCHEDULER_ADDRESS, else `serial`.
        workers: number of worker processes, for `local` and `coiled`; by default one per core.
        lake: a folder, `file:///folder` or `s3://bucket/prefix`; by default LIGHTWORK_LAKE, else
            `.lightwork/lake` of the current folder, or the nearest one above it in the repository.
        tenant: the tenant whose data it is; by default LIGHTWORK_TENANT, else `local`.
        refresh: compute everything again, and keep the new results; or only the tasks of these names, such as
            `["speed"]` or `["pipelines.windy_city.speed"]`.
        cache: whether to look up and keep results at all.
        run_id: the run's name; by default the pipeline's, the time and a random part.
        pipeline: the pipeline's name, for logs and records.
        parameters: the run's parameters, for records.
        progress: `bar`, `lines` or `off`; by default what suits standard error.
        dashboard: serve Dask's dashboard for `local`, at an address that the log names and nobody can guess;
            it has no effect elsewhere, as a cluster has one or not.
        limits: for tasks with the option `limit`, by name: how many calls run at once, such as 4, or how many
            start within a time, such as `10/s`, `100/min` or `1000/h`; by default LIGHTWORK_LIMITS, such as
            `gpu-api=4,weather=10/s`.
        threads: the threads of numerical libraries (OpenMP, MKL, OpenBLAS) in each worker of `local`; by
            default OMP_NUM_THREADS and its like, else one.

    Raises:
        InputError: an argument or an environment variable is invalid; nothing has been started.
    """
    check("connect", locals(), _KINDS)
    if refresh and not cache:
        raise InputError(
            "connect: refresh=True keeps new results and cache=False keeps none; expected one of the two"
        )
    session = _session(
        *(on, workers, lake, tenant, refresh, cache, run_id, pipeline, parameters, progress, dashboard),
        limits=settings.resolve_limits(limits) if limits is not None else None,
        threads=threads,
    )
    if session.on == "local":
        check_main()
    openings.settle()
    return session._open()  # noqa: SLF001


def _session(
    on: str | None = None,
    workers: int | None = None,
    lake: str | os.PathLike[str] | None = None,
    tenant: str | None = None,
    refresh: bool | Collection[str] = False,
    cache: bool = True,
    run_id: str | None = None,
    pipeline: str = "",
    parameters: Mapping[str, object] | None = None,
    progress: Mode | None = None,
    dashboard: bool = False,
    *,
    limits: Mapping[str, Limit] | None = None,
    threads: int | None = None,
    patience: float | None = None,
) -> Session:
    """Make a session as `connect` does, which is not the current one."""
    settings.load_env()
    place = settings.resolve_on(on, default="serial")
    return Session(
        on=place,
        limits=settings.resolve_limits(None) if limits is None else limits,
        threads=settings.resolve_threads(threads, place),
        workers=settings.resolve_workers(workers),
        lake=settings.resolve_lake(lake),
        tenant=settings.resolve_tenant(tenant),
        patience=settings.resolve_patience(RUN_SECONDS) if patience is None else patience,
        refresh=refresh,
        cache=cache,
        run_id=run_id or run_names.new(pipeline or "session"),
        pipeline=pipeline,
        parameters=dict(parameters or {}),
        progress=Progress(progress),
        dashboard=dashboard,
    )


@public
def current_session() -> Session:
    """Return the current session.

    >>> from lightwork import connect, current_session
    >>> with connect("serial", tenant="acme"):
    ...     current_session().tenant
    'acme'

    A thread or a notebook cell that has not opened one takes the session that is open in the process.

    Raises:
        InputError: no session is open; or several are, none of them in this thread or coroutine.
    """
    session = None if CURRENT.get() is not None else current.current()
    if session is None:
        raise InputError("no session is open; open one: with lightwork.connect() as session: ...")
    return cast("Session", session)


def active_session() -> Session:
    """Return the current session; outside of one, the default session of the process, from `connect()`.

    Inside a task, return a serial session, so that a task that maps does not wait for its own worker.

    Raises:
        InputError: several sessions are open in the process, none of them in this thread or coroutine.
    """
    job = CURRENT.get()
    if job is not None:
        return _inner(job)
    session = current.current()
    return _default_session() if session is None else cast("Session", session)


def _default_session() -> Session:
    global _default
    with _default_lock:
        if _default is None:
            _default = _session()
            stopping.watch(_default)
        return _default


def _runner_here() -> Runner:
    """Return the runner of the current session, for Dask's collections."""
    session = current_session()
    session._begin()  # noqa: SLF001
    return session.runner


def _inner(job: Job) -> Session:
    cache = job.code is not None
    lake = job.lake
    return _session(
        *("serial", None, lake.url, lake.tenant),
        cache=cache,
        progress="off",
        patience=lake.patience,
        limits=job.limits,
    )


@public
class Session:
    """Where tasks run, and where their results are kept; opened by `connect`.

    Attributes:
        on: `serial`, `local`, `coiled` or a scheduler's address.
        workers: number of workers requested.
        tenant: the tenant whose data it is.
        run_id: the run's name.
        pipeline: the pipeline's name; empty outside one.
        parameters: the run's parameters.
        runner: the part that runs maps and calls.
        elements: totals over all maps and calls so far: total, cached, computed, failed.
        lake: the tenant's lake.
        artifacts: the tenant's named tables and files.
        report: the content of the run's report.
        log: a logger whose lines carry the run's context.
        folder: this run's folder in the lake.
        origin: what is recorded with each artifact of a pipeline's run besides: its Git commit, versions of
            libraries.
        code_key: returns the key of the pipeline's code, which is recorded with each artifact too.
        upkeep: deletes now and then what nobody needs in the lake.
    """

    def __init__(
        self,
        *,
        on: str,
        workers: int,
        lake: str,
        tenant: str,
        patience: float,
        refresh: bool | Collection[str],
        cache: bool,
        run_id: str,
        pipeline: str,
        parameters: dict[str, object],
        progress: Progress,
        dashboard: bool,
        limits: Mapping[str, Limit],
        threads: int | None,
    ) -> None:
        self.tenant = tenant
        self.run_id = run_id
        self.pipeline = pipeline
        self.parameters = parameters
        context = {"tenant": tenant, "pipeline": pipeline, "run": run_id}
        self.runner = Runner(
            on=on,
            workers=workers,
            lake=open_lake(lake, tenant=tenant, patience=patience),
            folder=f"runs/{run_id}",
            context={name: value for name, value in context.items() if value},
            refresh=refresh,
            cache=cache,
            progress=progress,
            dashboard=dashboard,
            limits=limits,
            threads=threads,
        )
        self.on = on
        self.workers = workers
        self.lake = self.runner.lake
        self.folder = self.runner.folder
        self.elements = self.runner.tally.elements
        self.progress = progress
        self.upkeep = Upkeep(self.lake)
        self.origin: dict[str, object] = {}
        self.code_key: Callable[[], str | None] = lambda: None
        chosen = refresh if isinstance(refresh, bool) else frozenset(refresh)
        self.arguments = (on, workers, self.lake.root, tenant, chosen, cache, pipeline, parameters)
        self._closed = False
        self._gone = False
        self._logging = False
        self._begun = False
        self._opening: openings.Opening | None = None

    @property
    def closed(self) -> bool:
        """Whether the session has been closed."""
        return self._closed or self._gone

    @property
    def refresh(self) -> bool:
        """Whether to compute everything again."""
        return self.runner.refresh

    @property
    def cache(self) -> bool:
        """Whether to look up and keep results."""
        return self.runner.cache

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines carry the run's context."""
        return self.runner.log

    # Parts that are created when first used

    @functools.cached_property
    def artifacts(self) -> Artifacts:
        """The tenant's named tables and files."""
        from lightwork.store.artifacts import Artifacts

        this = weakref.ref(self)  # the session should end as soon as nobody refers to it

        def provenance() -> dict[str, object]:
            session = this()
            return {} if session is None else session._provenance()  # noqa: SLF001

        def inside() -> AbstractContextManager[None]:
            session = this()
            return contextlib.nullcontext() if session is None else current.inside(session)

        recorded = bool(self.origin)
        return Artifacts(
            self.lake, run_id=self.run_id, provenance=provenance, recorded=recorded, inside=inside
        )

    def _provenance(self) -> dict[str, object]:
        """Return what is recorded with each artifact that is written now."""
        of_run = {"pipeline": self.pipeline, "parameters": self.parameters, "tenant": self.tenant}
        keys = {"code_key": self.code_key(), "code_keys": dict(self.runner.tally.code_keys)}
        return {**of_run, **self.origin, **keys}

    @functools.cached_property
    def report(self) -> Report:
        """The content of the run's report."""
        from lightwork.runs.report import Report

        return Report()

    @property
    def client(self) -> Client | None:
        """The session's Dask client; None if it is serial."""
        self._begin()
        return None if self.on == "serial" else self.runner.cluster.client

    # Running

    def map(
        self,
        task: TaskFunction[..., Any],
        iterables: Sequence[Iterable[Any]],
        shared: Mapping[str, Any],
        keywords: Mapping[str, Iterable[Any]] | None = None,
    ) -> Results[Any]:
        """Run `Task.map` in this session."""
        self._begin()
        return self._results(check_map(self.runner, task, iterables, shared, keywords))

    def starmap(
        self, task: TaskFunction[..., Any], tuples: Iterable[Any], shared: Mapping[str, Any]
    ) -> Results[Any]:
        """Run `Task.starmap` in this session."""
        self._begin()
        return self._results(check_starmap(self.runner, task, tuples, shared))

    def _results(self, request: Request) -> Results[Any]:
        if self.on == "serial":
            from lightwork.engine import serial as engine
        else:
            from lightwork.engine import scatter as engine  # type: ignore[no-redef]
        return Results(request, engine.iterate, current.Inside(self))

    def submit(
        self, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Run `Task.submit` in this session."""
        from lightwork.engine.calls import start_call

        self._begin()
        with current.inside(self):
            return start_call(self.runner, task, args, kwargs)

    def is_cached(self, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Run `Task.is_cached` in this session."""
        from lightwork.engine.kept import is_cached

        self._begin()
        return is_cached(self.runner, task, args, kwargs)

    def forget(self, task: TaskFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Run `Task.forget` in this session."""
        from lightwork.engine.kept import forget

        self._begin()
        return forget(self.runner, task, args, kwargs)

    def forget_all(self, task: TaskFunction[..., Any]) -> int:
        """Run `Task.forget_all` in this session."""
        from lightwork.engine.kept import forget_all

        self._begin()
        return forget_all(self.runner, task)

    # Opening and closing

    def __enter__(self) -> Session:
        if self._closed:
            raise InputError(closed(self.runner))
        if not current.is_innermost(self):
            self._open()
        if self._opening is not None:
            self._opening.in_with = True
        return self

    def _begin(self) -> None:
        """Take the place of an earlier session that nobody can close, before anything starts here."""
        if not self._begun:
            self._begun = True
            openings.settle()

    def _open(self) -> Session:
        """Make it the current session of this context."""
        if not self._logging:
            self._logging = True
            logs.session_logging.__enter__()
        self._opening = current.enter(self)
        stopping.watch(self)
        collections.open_on(self.runner, _runner_here)
        self.upkeep.start_if_long()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if is_quit(error):
            stopping.note(error)
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            self.close()
            return
        self.runner.tender.cancel()
        if (cluster := self.runner.cluster_if_any) is not None:
            cluster.interrupted()
        stopping.note(error)
        with stopping.at_once(cluster.kill if cluster is not None else None), hurried():
            try:
                self.close()
            except LakeAway as away:  # the interrupt says why the run ends
                logs.get_logger("lightwork.run").warning(
                    f"results of calls were computed but not kept in the lake: {away}"
                )

    def close(self, replaced: bool = False) -> None:
        """Stop the workers that this session started, and delete what only this session needed.

        Args:
            replaced: whether `connect` was called again with the same arguments; the errors of what is still
                asked of this session say so.
        """
        if self._closed:
            return
        self._closed = True
        self.runner.replaced = replaced
        current.leave(self)
        stopping.forget(self)
        try:
            self.progress.close()
            self.runner.close()
        finally:
            self.upkeep.end()
            collections.close_on(self.runner)
            if self._logging:
                logs.session_logging.__exit__()
        self.runner.remove_jobs()

    def __del__(self) -> None:
        if not getattr(self, "_logging", False) or self._closed:
            return
        self._gone = True
        # The garbage collector runs in any thread, also in one that closing waits for.
        with contextlib.suppress(RuntimeError):  # the interpreter ends, and all processes with it
            threading.Thread(target=self.close, name="lightwork-close", daemon=True).start()

    def __repr__(self) -> str:
        return f"<session on {self.on}, lake {self.lake.root}, run {self.run_id}>"

"""Running a pipeline in a session: its record in the lake, its result as JSON, its report."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightwork import run_names
from lightwork.engine.calls import Future
from lightwork.engine.mapping import Results
from lightwork.errors import LakeAway, LightworkError
from lightwork.functions.raised import is_quit
from lightwork.kube import contract
from lightwork.lake.base import shown
from lightwork.lake.patience import hurried
from lightwork.runs.jsonable import is_table, jsonable, table_head, to_frame
from lightwork.runs.kept_log import KeptLog
from lightwork.runs.outcome import Run
from lightwork.runs.provenance import git_commit, versions
from lightwork.runs.record import Record, now
from lightwork.runs.reporting import write_report
from lightwork.runs.telling import telling
from lightwork.store import presence
from lightwork.store.endings import link

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lightwork.engine.progress import Mode
    from lightwork.functions.decorated import Pipeline
    from lightwork.runs.session import Session


@dataclass(frozen=True, slots=True)
class Identity:
    """Which run it is: the one that Argo has started this driver for, or a new one.

    Attributes:
        run: the run's name.
        pipeline: the pipeline's name: in a cluster that of its entry in the tenant's file.
        retry_of: the run that it tries again; empty if it is not a retry.
    """

    run: str
    pipeline: str
    retry_of: str = ""

    @classmethod
    def of_driver(cls, environment: Mapping[str, str], pipeline: str) -> Identity | None:
        """Return that of the run that a driver in a cluster works on; None outside of one."""
        run = environment.get(contract.ENV_RUN)
        return cls(run, environment.get(contract.ENV_PIPELINE) or pipeline) if run else None


def run_pipeline(
    pipeline: Pipeline[..., Any],
    parameters: Mapping[str, Any],
    *,
    on: str | None = None,
    workers: int | None = None,
    lake: str | None = None,
    tenant: str | None = None,
    refresh: bool | Collection[str] = False,
    cache: bool = True,
    progress: Mode | None = None,
    dashboard: bool = False,
    identity: Identity | None = None,
    tell: Callable[[Run], None] = lambda _: None,
) -> Run:
    """Run a pipeline with checked parameters (see `functions.parameters`) in a session of its own.

    The run's record is in the lake from its start on, with a report at its end, also if it fails.

    Args:
        pipeline: the pipeline.
        parameters: its parameters.
        on: see `connect`, as for what follows.
        workers: the number of worker processes.
        lake: the lake.
        tenant: the tenant.
        refresh: compute everything again, or the tasks of these names.
        cache: look results up, and keep them.
        progress: the progress display.
        dashboard: serve Dask's dashboard.
        identity: which run it is; by default a new one.
        tell: is called with the run when it has ended, before the error of a failed one is raised.

    Raises:
        InputError: the session or the pipeline refuses an input.
        RunFailed: an element failed after all its attempts.
        LakeAway: the lake stayed away.
        Exception: any other error of the pipeline, which is also recorded.
    """
    from lightwork.runs.session import connect

    begin = now()
    identity = identity or Identity(run_names.new(pipeline.name), pipeline.name)
    plain = {name: jsonable(value) for name, value in parameters.items()}
    with connect(
        on=on,
        workers=workers,
        lake=lake,
        tenant=tenant,
        refresh=refresh,
        cache=cache,
        run_id=identity.run,
        pipeline=identity.pipeline,
        parameters=plain,
        progress=progress,
        dashboard=dashboard,
    ) as session:
        log = None if contract.ENV_RUN in os.environ else KeptLog(session.lake, session.run_id)
        commit = git_commit(pipeline)
        session.origin |= {"git_commit": commit, "versions": versions()}
        session.code_key = functools.cache(lambda: _code_key(pipeline))
        record = Record(session, plain, git_commit=commit, retry_of=identity.retry_of, begin=begin, log=log)
        if pipeline.interval is not None:
            record.values["interval"] = [str(plain[name]) for name in pipeline.interval]
        with (
            contextlib.nullcontext() if log is None else log.keeping(),
            presence.present(session.lake, session.run_id, record.beat),
            telling(session),
            record.looking(),
        ):
            return _run(pipeline, parameters, record, tell)


def _code_key(pipeline: Pipeline[..., Any]) -> str | None:
    """Return the key of all the code that a pipeline reaches; None if it has none."""
    from lightwork.keys import Unkeyable, code_key

    try:
        return code_key(pipeline).digest
    except Unkeyable:
        return None


def _run(
    pipeline: Pipeline[..., Any], parameters: Mapping[str, Any], record: Record, tell: Callable[[Run], None]
) -> Run:
    session = record.session
    session.upkeep.start()
    record.write()
    if record.values["retry_of"]:
        link(session.lake, record.values["retry_of"], session.run_id)
    session.log.info(f"{session.pipeline} runs as {session.run_id}, lake {shown(session.lake)}")
    try:
        returned = pipeline.fn(**parameters)
        result = result_json(returned, session, session.pipeline)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt) or is_quit(error)
        with hurried(stopped):
            quick = stopped or isinstance(error, LakeAway)
            report = None if quick else write_report(record, "failed", error=error)
            record.finish("stopped" if stopped else "failed", error=error, report=report)
        tell(_outcome(record))
        raise
    report = write_report(record, "succeeded", result=result)
    unrecorded = ""
    try:
        record.finish("succeeded", result=result, report=report)
        session.artifacts.renew_latest()  # as the run counts from now on
    except LakeAway:
        raise
    except LightworkError as error:
        unrecorded = str(error)  # what was computed is shown all the same
    outcome = _outcome(record, unrecorded)
    tell(outcome)
    return outcome


def _outcome(record: Record, unrecorded: str = "") -> Run:
    """Return the run, as its record in the lake has it."""
    session = record.session
    failed = session.runner.tally.failures
    rows = [{**row, "attempt": record.id} for row in failed.rows]
    values = {**record.values, "name": session.run_id}
    bars = dict(session.report.charts())
    return Run(values, session.lake, bars, unrecorded, (rows, failed.omitted))


def result_json(value: Any, session: Session, name: str) -> Any:
    """Convert a pipeline's result to plain JSON values; write each table as an artifact."""

    def keep(table_name: str, table: Any) -> dict[str, Any]:
        # A Dask frame is written partition by partition, and only its first rows are collected here.
        kind = type(table)
        series = not hasattr(kind, "columns") and hasattr(kind, "to_frame")
        frame = table.to_frame(name=table.name or "value") if series else table
        artifact = session.artifacts.write(_artifact_name(table_name), frame)
        head = table_head(
            frame.head(20, npartitions=-1) if hasattr(type(frame), "npartitions") else to_frame(frame)
        )
        return {"artifact": artifact.name, **head, "rows": artifact.rows}

    return jsonable(_collected(value), name=name, tables=keep)


def _collected(value: Any) -> Any:
    """Compute what is lazy in a result: wait for map results and futures, compute Dask collections."""
    if is_table(value):
        return value
    if isinstance(value, Results):
        return list(value)
    if isinstance(value, Future):
        return _collected(value.result())
    if hasattr(value, "__dask_graph__") and hasattr(value, "compute"):
        return value.compute()
    if type(value) in (list, tuple):
        return [_collected(item) for item in value]
    if type(value) is dict:
        return {key: _collected(item) for key, item in value.items()}
    return value


def _artifact_name(name: str) -> str:
    """Turn a name into one that an artifact may have: a-z, 0-9, `-` and `_`."""
    valid = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-_")[:100]
    return valid or "result"

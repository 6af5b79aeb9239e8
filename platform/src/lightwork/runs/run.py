"""Running a pipeline in a session: its record in the lake, its result as JSON, its report."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.engine.calls import Future
from lightwork.engine.mapping import Results
from lightwork.errors import LakeAway, LightworkError, one_line
from lightwork.functions.raised import describe, is_quit
from lightwork.kube import contract
from lightwork.lake.base import shown
from lightwork.lake.patience import hurried
from lightwork.runs.jsonable import is_table, jsonable, table_head, to_frame
from lightwork.runs.telling import telling
from lightwork.store import presence, records
from lightwork.store.documents import seal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.engine.progress import Mode
    from lightwork.functions.decorated import Pipeline
    from lightwork.runs.session import Session

_SHOWN = 300
"""Characters of a parameter's value that a report shows."""
ELEMENTS = ("total", "cached", "computed", "failed")


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of a run that succeeded.

    Attributes:
        run_id: the run's id; ids sort by time of start.
        pipeline: the pipeline's name.
        tenant: the tenant whose lake was used.
        parameters: plain JSON values, defaults included.
        elements: numbers of elements over all maps: total, cached, computed, failed.
        seconds: duration of the run.
        result: the pipeline's result as plain JSON values; each table is replaced by its artifact.
        artifacts: the artifacts written, oldest first.
        report: the location of the report, a path if the lake is a folder; None if it could not be written.
        bars: the report's bar charts: title to (unit, values).
        unrecorded: why the lake refused the run's record; empty if it has it.
    """

    run_id: str
    pipeline: str
    tenant: str
    parameters: Mapping[str, Any]
    elements: Mapping[str, int]
    seconds: float
    result: Any
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    report: str | None = None
    bars: Mapping[str, tuple[str, Mapping[str, float]]] = field(default_factory=dict)
    unrecorded: str = ""

    def __setstate__(self, state: list[Any]) -> None:
        """Load what an earlier version has pickled: it lacks the newest fields, which get their defaults."""
        object.__setattr__(self, "unrecorded", "")
        for item, value in zip(dataclasses.fields(self), state, strict=False):
            object.__setattr__(self, item.name, value)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> RunResult:
        """Return the outcome that a run's record in the lake describes."""
        names = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in names})

    def to_json(self) -> dict[str, Any]:
        """Return the object that `lightwork run --json` prints."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        del values["bars"], values["unrecorded"]
        return values


def run_pipeline(
    pipeline: Pipeline[..., Any],
    parameters: Mapping[str, Any],
    *,
    on: str | None = None,
    workers: int | None = None,
    lake: str | None = None,
    tenant: str | None = None,
    refresh: bool = False,
    cache: bool = True,
    progress: Mode | None = None,
    dashboard: bool = False,
) -> RunResult:
    """Run a pipeline with checked parameters (see `functions.parameters`) in a session of its own.

    Write `runs/<run id>/run.json` to the lake at the start and at the end, and `report.html` next to it.

    Raises:
        InputError: the session or the pipeline refuses an input.
        RunFailed: an element failed after all its attempts.
        LakeAway: the lake stayed away.
        Exception: any other error of the pipeline, which is also recorded.
    """
    from lightwork.runs.session import connect

    start = time.perf_counter()
    plain = {name: jsonable(value) for name, value in parameters.items()}
    with (
        connect(
            on=on,
            workers=workers,
            lake=lake,
            tenant=tenant,
            refresh=refresh,
            cache=cache,
            pipeline=pipeline.name,
            parameters=plain,
            progress=progress,
            dashboard=dashboard,
        ) as session,
        presence.present(session.lake, session.run_id),
        telling(session),
    ):
        session.upkeep.start()
        record = Record(session, pipeline.name, plain)
        record.write("running")
        session.log.info(f"{pipeline.name} runs as {session.run_id}, lake {shown(session.lake)}")
        try:
            returned = pipeline.fn(**parameters)
            result = result_json(returned, session, pipeline.name)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt) or is_quit(error)
            with hurried(stopped):
                record.finish("stopped" if stopped else "failed", time.perf_counter() - start, error=error)
            raise
        seconds = time.perf_counter() - start
        report = _report(session, pipeline, plain, result, seconds)
        unrecorded = ""
        try:
            record.finish("succeeded", seconds, result=result, report=report)
        except LakeAway:
            raise
        except LightworkError as error:
            unrecorded = str(error)  # what was computed is shown all the same
        return RunResult(
            run_id=session.run_id,
            pipeline=pipeline.name,
            tenant=session.tenant,
            parameters=plain,
            elements=elements(session),
            seconds=round(seconds, 3),
            result=result,
            artifacts=[item.to_json() for item in session.artifacts.written],
            report=report,
            bars=dict(session.report.charts()),
            unrecorded=unrecorded,
        )


class Record:
    """The run's record in the lake, `runs/<run id>/run.json`."""

    def __init__(self, session: Session, pipeline: str, parameters: Mapping[str, Any]) -> None:
        self.session = session
        self.values: dict[str, Any] = {
            "run_id": session.run_id,
            "pipeline": pipeline,
            "tenant": session.tenant,
            "on": session.on,
            "status": "running",
            "parameters": parameters,
            "started": _now(),
            "finished": None,
            "seconds": None,
            "elements": elements(session),
            "error": None,
            "artifacts": [],
            # In a cluster: the Workflow's name and id, the step, and the name of the driver's pod.
            "workflow": os.environ.get(contract.ENV_RUN),
            "workflow_uid": os.environ.get(contract.ENV_RUN_UID),
            "step": os.environ.get(contract.ENV_STEP),
            "pod": os.environ.get("POD_NAME"),
        }

    def write(self, status: str) -> None:
        """Write the record with a new status, atomically."""
        self.values |= {"status": status, "elements": elements(self.session)}
        self.session.lake.write(f"runs/{self.session.run_id}/run.json", seal(self.values, indent=2))

    def finish(
        self,
        status: str,
        seconds: float,
        *,
        error: BaseException | None = None,
        result: Any = None,
        report: str | None = None,
    ) -> None:
        """Write the record of a finished run; an error of the lake does not replace the run's own error."""
        self.values |= {
            "finished": _now(),
            "seconds": round(seconds, 3),
            "error": None if error is None else describe(error)[:1000],
            "artifacts": [item.to_json() for item in self.session.artifacts.written],
            "result": result,
            "report": report,
        }
        try:
            self.write(status)
        except Exception as write_error:
            if error is None:
                raise
            error.add_note(f"the run's record could not be written either: {write_error}")


def elements(session: Session) -> dict[str, int]:
    """Return the session's totals so far: total, cached, computed, failed."""
    return {name: int(session.elements[name]) for name in ELEMENTS}


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


def _report(
    session: Session, pipeline: Pipeline[..., Any], parameters: Mapping[str, Any], result: Any, seconds: float
) -> str | None:
    """Write the report and return its location; a failure is only a warning, since the run has succeeded."""
    counts = elements(session)
    facts = {
        "run": session.run_id,
        "tenant": session.tenant,
        "on": session.on,
        "parameters": ", ".join(f"{key}={_text(value)}" for key, value in parameters.items()) or "none",
        "elements": ", ".join(f"{counts[key]:,} {key}" for key in ELEMENTS if counts[key] or key == "total"),
        "seconds": f"{seconds:,.1f}",
        "finished": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    path = f"runs/{session.run_id}/report.html"
    try:
        page = session.report.html(heading=pipeline.name, facts=facts, result=result)
        session.lake.write(path, page.encode())
    except Exception as error:  # noqa: BLE001
        reason = one_line(f"{type(error).__name__}: {error}")
        session.log.warning(f"the report could not be written: {reason}")
        return None
    return records.location(session.lake, path)


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


def _text(value: Any) -> str:
    """Return a parameter's value as the report shows it: only the start of a long one."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")

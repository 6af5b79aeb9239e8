"""Where the runs of a backfill are: processes on this machine, or a tenant's namespace in a cluster."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line
from lightwork.kube import firing
from lightwork.kube.queue import pipeline_of
from lightwork.kube.runs import AwayError, UnknownError
from lightwork.kube.states import PATIENCE
from lightwork.store.interval_runs import ACTIVE, Known, best

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lightwork.kube.runs import Remote
    from lightwork.kube.states import Status
    from lightwork.store.interval_runs import Book, Given, Key
    from lightwork.tenants.intervals import Interval

__all__ = ["Here", "InCluster"]

STOP_SECONDS = 60.0
"""How long runs on this machine may take to stop after an interrupt."""
_SETTLES = 120.0
"""Seconds for which the record of a run is waited for whose Workflow is gone."""


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    out: IO[bytes]
    err: IO[bytes]


class Here:
    """Runs on this machine, each in a process of its own, so that one cannot take the others along.

    Args:
        pipeline: the pipeline's name.
        names: the parameters that take the interval.
        given: the other parameters.
        options: options of `lightwork run`, such as `--on` and `--lake`.
        book: the runs in the lake.
    """

    def __init__(
        self,
        pipeline: str,
        names: tuple[str, str],
        given: Mapping[str, Given],
        options: Sequence[str],
        book: Book,
    ) -> None:
        self._command = [sys.executable, "-m", "lightwork", "run", "--json", *options, pipeline, "--"]
        self._names = names
        self._given = given
        self._book = book
        self._children: dict[str, _Child] = {}

    def known(self) -> Mapping[Key, Known]:
        """Return the runs in the lake by interval."""
        return best(self._book.look())

    def start(self, interval: Interval) -> str:
        """Start a process for an interval; return what it is called until its run's name is known.

        If somebody else has meanwhile, it is the name of that run.
        """
        known = self.known().get(interval.key)
        if known is not None and (known.active or known.succeeded):
            return known.run
        given = {name: item.text for name, item in self._given.items()}
        values = {**given, **dict(zip(self._names, interval.texts(), strict=True))}
        items = [f"{name}={'@' if text.startswith('@') else ''}{text}" for name, text in values.items()]
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has ended
        process = subprocess.Popen(  # noqa: S603 - this program itself
            [*self._command, *items],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,  # Ctrl-C reaches it once, from `stop`
        )
        name = f"process {process.pid}"
        self._children[name] = _Child(process, out, err)
        return name

    def look(self, run: str) -> Known:
        """Return how a run is."""
        child = self._children.get(run)
        if child is None:
            return self._book.of_run(run) or Known(run, "lost", "its record is gone")
        code = child.process.poll()
        if code is None:
            return Known(run, "running")
        del self._children[run]
        with child.out, child.err:
            return _ended(run, code, _text(child.out), _text(child.err))

    def stop(self) -> str:
        """Stop the runs that were started here; what they have finished is kept."""
        for child in self._children.values():
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGINT)
        until = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
        return "stopped; finished results are kept, and the same command goes on from there"


def _ended(run: str, code: int, out: str, err: str) -> Known:
    """Return how a process has ended, by its exit code and what it printed."""
    printed: dict[str, Any] = {}
    with contextlib.suppress(ValueError, IndexError):
        last = json.loads(out.splitlines()[-1])
        printed = last if isinstance(last, dict) else {}
    name = str(printed.get("run") or run)
    if code == 0:
        return Known(name, "succeeded")
    said = [line.removeprefix("lightwork: ") for line in err.splitlines() if line.startswith("lightwork: ")]
    error = str(printed.get("error") or (said[-1] if said else f"exit code {code}"))
    return Known(name, "stopped" if code == 130 else "failed", one_line(error))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class InCluster:
    """Runs in a cluster, which take turns with the others of their pipeline.

    Args:
        remote: the tenant's namespace.
        pipeline: the pipeline's name in the tenant's file.
        names: the parameters that take the interval.
        given: the other parameters.
        defaults: what the parameters are of runs that were started without them.
        book: the runs in the tenant's lake.
    """

    def __init__(
        self,
        remote: Remote,
        pipeline: str,
        names: tuple[str, str],
        given: Mapping[str, Given],
        defaults: Mapping[str, str],
        book: Book,
    ) -> None:
        self._remote = remote
        self._pipeline = pipeline
        self._names = names
        self._given = given
        self._defaults = defaults
        self._book = book
        self._away = 0.0
        self._gone: dict[str, float] = {}

    def known(self) -> Mapping[Key, Known]:
        """Return the runs in the lake and in the cluster by interval."""
        return best([*self._book.look(), *self._workflows()])

    def start(self, interval: Interval) -> str:
        """Submit the run of an interval, unless somebody else has meanwhile; return its name."""
        known = self.known().get(interval.key)
        if known is not None and (known.active or known.succeeded):
            return known.run
        given = {name: item.text for name, item in self._given.items()}
        values = {**given, **dict(zip(self._names, interval.texts(), strict=True))}
        return self._remote.submit(self._pipeline, values)

    def look(self, run: str) -> Known:
        """Return how a run is; while the cluster is away, it goes on."""
        try:
            status = self._remote.status(run)
        except UnknownError as error:
            return self._from_lake(run, str(error))
        except AwayError:
            self._away = self._away or time.monotonic()
            if time.monotonic() - self._away > PATIENCE:
                raise
            return Known(run, "running")
        self._away = 0.0
        return _known(status)

    def stop(self) -> str:
        """Leave the runs in the cluster to themselves."""
        return "no longer waiting; what was submitted goes on, and the same command waits for it"

    def _from_lake(self, run: str, why: str) -> Known:
        """Return how a run has ended whose Workflow is gone."""
        known = self._book.of_run(run)
        if known is not None and not known.active:
            return known
        since = self._gone.setdefault(run, time.monotonic())
        if time.monotonic() - since < _SETTLES:
            return Known(run, "running")  # its record may follow
        return Known(run, "lost", why)

    def _workflows(self) -> Iterator[tuple[Key, Known]]:
        try:
            workflows = self._remote.workflows()
        except AwayError:
            raise
        except LightworkError as error:
            raise LightworkError(f"{error}; without that, runs could be doubled") from error
        for workflow in sorted(workflows, key=lambda item: str(item["metadata"].get("creationTimestamp"))):
            if self._counts(workflow) and (interval := firing.of_workflow(workflow, self._names)):
                state = self._remote.status_of(str(workflow["metadata"]["name"]), workflow)
                yield interval.key, _known(state)

    def _counts(self, workflow: Mapping[str, Any]) -> bool:
        """Return whether a Workflow is one of the pipeline, with the same parameters."""
        values = {**self._defaults, **firing.given(workflow)}
        same = all(name in values and item.matches(values[name]) for name, item in self._given.items())
        return same and pipeline_of(workflow) == self._pipeline


def _known(status: Status) -> Known:
    if not status.ended:
        return Known(status.name, ACTIVE[0] if status.phase == "Running" else ACTIVE[1])
    state = {"Succeeded": "succeeded", "Skipped": "skipped"}.get(status.phase, "failed")
    return Known(status.name, state, "" if state == "succeeded" else status.message or status.phase)

"""The state of a run in a cluster, in words, and asking for it again and again."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lightwork.kube import status
from lightwork.kube.access import AwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ENDED = ("Succeeded", "Failed", "Error", "Skipped")
PATIENCE = 3600.0
"""For how many seconds without an answer of the API a run is still followed."""
_ASLEEP = 60.0
"""Seconds by which a pause is longer than meant if this machine was asleep: its network comes back later."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a run.

    Attributes:
        name: the name of the run and of its Workflow.
        phase: Pending (it waits for its turn), Running, Succeeded, Failed, Error or Skipped; empty until Argo
            has seen the run.
        message: why it failed or was skipped, or what it waits for; empty if none of that.
        progress: the finished steps out of all steps, such as `3/4`.
        started: when it started, in ISO 8601; empty if it has not, or if that is not known.
        finished: when it ended; empty as `started`.
        told_by: what tells this: `workflow`, `archive`, `events` or `record`.
        logs: where the logs of its ended pods are kept.
    """

    name: str
    phase: str
    message: str
    progress: str
    started: str = ""
    finished: str = ""
    told_by: str = "workflow"
    logs: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.phase in ENDED

    def end(self, now: dt.datetime | None = None) -> str:
        """Return in words when and how it has ended.

        Args:
            now: the current time, for tests.
        """
        passed = ""
        if self.finished:
            since = (now or dt.datetime.now(dt.UTC)) - dt.datetime.fromisoformat(self.finished)
            passed = f" {_span(since.total_seconds())} ago"
        return f"it ended{passed}: {self.phase}{f': {self.message}' if self.message else ''}"


def status_of(run: str, workflow: Mapping[str, Any], told_by: str = "workflow") -> Status:
    """Return the state of a run as a Workflow shows it."""
    state = workflow.get("status", {})
    return Status(
        run,
        status.phase(workflow),
        status.message(workflow),
        status.steps(workflow),
        str(state.get("startedAt") or ""),
        str(state.get("finishedAt") or ""),
        told_by,
        tuple(status.logs(workflow)),
    )


def _span(seconds: float) -> str:
    """Return a time in the largest unit of which it has two."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def patiently(ask: Callable[[], T], every: float, away: Callable[[str], None] | None = None) -> Iterator[T]:
    """Yield what a question about a run is answered, again and again.

    The run goes on while the API is away, so asking does too, for up to PATIENCE.

    Args:
        ask: asks.
        every: seconds between two questions.
        away: is called with the reason each time the API is away.

    Raises:
        LightworkError: the API was away for too long, or refuses to answer.
    """
    away_since = None
    while True:
        asked = time.monotonic()
        try:
            answer = ask()
        except AwayError as error:
            if away_since is None:
                away_since = asked
            elif time.monotonic() - away_since > PATIENCE:
                raise
            if away:
                away(str(error))
        else:
            away_since = None
            yield answer
        paused = time.monotonic()
        time.sleep(every)
        if away_since is not None and time.monotonic() - paused > every + _ASLEEP:
            away_since = time.monotonic()

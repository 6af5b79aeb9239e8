"""The logs of a run's pods: what they have written so far, and what they go on to write."""

from __future__ import annotations

import contextlib
import datetime as dt
import queue
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from lightwork.errors import InputError, LightworkError
from lightwork.kube.access import AwayError
from lightwork.kube.api import RefusedError
from lightwork.kube.runs import Remote, UnknownError
from lightwork.kube.states import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lightwork.kube.states import Status

__all__ = ["Entry", "NoPodsError", "PodLogs", "Seen", "entries_of", "restarts"]

WINDOW = dt.timedelta(seconds=5)
"""How much a later request repeats: lines of stdout and stderr are not in the order of their times."""
EVERY = 1.0
"""Seconds between two looks for new pods, and between two requests for the same log."""
_ENDING_SECONDS = 90.0
"""Seconds for which the pods of an ended run may go on writing; a worker has 60 to end."""


class NoPodsError(InputError):
    """A run without the pods whose logs are asked for."""


class Entry(NamedTuple):
    """A line of a pod's log.

    Attributes:
        time: when it was written, as Kubernetes gives it: in UTC, with nanoseconds.
        pod: the pod's name.
        text: the line.
    """

    time: str
    pod: str
    text: str


class Seen:
    """The last lines of one container's log, to know them again in a response that repeats them.

    Times and texts are compared, and how often each comes, so that nothing is doubled or lost if a request
    begins somewhat before the last line.
    """

    def __init__(self) -> None:
        self._lines: Counter[tuple[str, int]] = Counter()
        self._repeated: Counter[tuple[str, int]] = Counter()
        self._newest = ""

    def since(self) -> dict[str, str]:
        """Return the option of a request that goes on where the last one ended."""
        if not self._newest:
            return {}
        start = dt.datetime.fromisoformat(self._newest).astimezone(dt.UTC) - WINDOW
        return {"sinceTime": start.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def new(self, pod: str, lines: Iterable[str]) -> Iterator[Entry]:
        """Yield the new lines of a response, each of which begins with its time."""
        if self._newest:
            # A request names whole seconds, so it may repeat one second more.
            newest = dt.datetime.fromisoformat(self._newest)  # the times of a log are all of one zone
            start = (newest - WINDOW - dt.timedelta(seconds=1)).isoformat()
            self._lines = Counter({key: n for key, n in self._lines.items() if key[0] >= start})
        self._repeated = Counter(self._lines)
        for line in lines:
            stamp, space, text = line.partition(" ")
            if not space or stamp[:2] != "20":
                continue  # not a line of the log: kubelet says why there is none
            key = stamp, hash(text)
            if self._repeated[key]:
                self._repeated[key] -= 1
                continue
            self._lines[key] += 1
            self._newest = max(self._newest, stamp)
            yield Entry(stamp, pod, text)


def entries_of(pod: str, text: str, seen: Seen) -> list[Entry]:
    """Return the new lines of a log that was read with times."""
    # Not `splitlines`, which also splits at characters that a line may contain.
    return list(seen.new(pod, text.split("\n")))


def restarts(pod: Mapping[str, Any]) -> int:
    """Return how often a pod's containers were started again."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return sum(item.get("restartCount", 0) for item in statuses)


class PodLogs(Remote):
    """The logs of a tenant's runs, as far as their pods are in the cluster."""

    def entries(self, run: str, role: str | None = None) -> list[Entry]:
        """Return what a run's pods have written so far, in the order of time.

        What a container said before it was restarted comes first; Kubernetes keeps that of the last restart.

        Args:
            run: the run's name.
            role: one of ROLES; all by default.

        Raises:
            NoPodsError: the run has no such pod in the cluster.
        """
        pods = self.pods(run, role)
        if not pods:
            raise self._no_pods(run, role)
        return sorted(entry for pod in pods for entry in self._written(pod, Seen()))

    def _written(self, pod: Mapping[str, Any], seen: Seen) -> list[Entry]:
        """Return what a pod has written; nothing if it has not started, or is gone by now."""
        if pod["status"].get("phase") == "Pending":
            return []
        before = self._before_restart(pod, seen) if restarts(pod) else []
        with contextlib.suppress(InputError):
            return before + self._read(pod, seen)
        return before

    def _read(self, pod: Mapping[str, Any], seen: Seen, **options: str) -> list[Entry]:
        name = str(pod["metadata"]["name"])
        return entries_of(name, self.log(pod, timestamps="true", **seen.since(), **options), seen)

    def _before_restart(self, pod: Mapping[str, Any], seen: Seen) -> list[Entry]:
        """Return what a pod's container said before it was restarted; nothing if kubelet has deleted it."""
        try:
            return self._read(pod, seen, previous="true")
        except AwayError:
            raise
        except LightworkError:
            return []

    def following(
        self, run: str, role: str | None = None, away: Callable[[str], None] | None = None
    ) -> Iterator[list[Entry]]:
        """Yield what a run's pods have written and go on to write, until the run and its pods have ended.

        Each line comes once, also over a restart of a container, a pod that takes another's place, and an API
        that is away for a while.

        Args:
            run: the run's name.
            role: one of ROLES; all by default.
            away: is called with the reason each time the API is away.

        Yields:
            New lines, in the order of time.

        Raises:
            LightworkError: the API was away for too long, or refuses to answer.
        """
        lines: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        tails: dict[str, _Tail] = {}
        ended_at = None
        for pods, state in patiently(lambda: (self.pods(run, role), self._state(run)), EVERY, away):
            for pod in pods:
                uid = str(pod["metadata"]["uid"])
                if uid not in tails and pod["status"].get("phase") != "Pending":
                    tails[uid] = _Tail(self, pod, lines.put)
                    tails[uid].start()
            # Whoever has ended by now has put its last line before.
            reading = any(tail.is_alive() for tail in tails.values())
            if batch := [lines.get() for _ in range(lines.qsize())]:
                yield sorted(batch)
            if state is None or state.ended:
                ended_at = ended_at or time.monotonic()
                if not reading or time.monotonic() - ended_at > _ENDING_SECONDS:
                    return

    def _state(self, run: str) -> Status | None:
        try:
            return self.status(run)
        except UnknownError:
            return None

    def follow_log(self, pod: Mapping[str, Any], seen: Seen) -> Iterator[Entry]:
        """Yield the new lines of a pod's log as they come, until its container ends.

        Raises:
            RefusedError: the API refuses it; for example, the pod is gone.
            OSError: the connection is lost, or silent for a while.
        """
        path = f"{self._core}/pods/{pod['metadata']['name']}/log"
        options = {"container": self.container(pod), "timestamps": "true", "follow": "true", **seen.since()}
        yield from seen.new(str(pod["metadata"]["name"]), self._api.stream(path, **options))

    def current(self, pod: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a pod as it is now; None if it is gone."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        try:
            now: dict[str, Any] = self._request(
                f"read {name}", lambda: self._api.get(f"{self._core}/pods/{name}"), missing="it is gone"
            )
        except InputError:
            return None
        return now if now["metadata"]["uid"] == uid else None

    def _no_pods(self, run: str, role: str | None) -> NoPodsError:
        """Return why a run has no pod with a log, and where its logs are."""
        what = f"{run} has no {role or 'started'} pod in the cluster"
        try:
            state = self.status(run)
        except UnknownError as error:
            return NoPodsError(
                f"{error}; the logs of ended runs are in the tenant's lake, in runs/{run}/logs/ and"
                f" argo/{run}/"
            )
        if not state.ended:
            return NoPodsError(f"{what} yet: {state.message or state.phase or 'not yet scheduled'}")
        kept = [place for place in state.logs if role is None or (role == "driver") == ("-driver-" in place)]
        if role in ("scheduler", "worker") or not kept:
            kept = [f"the lake, in runs/{run}/logs/ and argo/{run}/"]
        return NoPodsError(f"{what}: {state.end()}; its log is kept in {', '.join(kept)}")


class _Tail(threading.Thread):
    """Follows the log of one pod until the pod has ended.

    Args:
        logs: reads it.
        pod: the pod.
        put: gets each line.
    """

    def __init__(self, logs: PodLogs, pod: Mapping[str, Any], put: Callable[[Entry], None]) -> None:
        super().__init__(name=f"lightwork-log-{pod['metadata']['name']}", daemon=True)
        self._logs, self._pod, self._put = logs, pod, put
        self._seen, self._restarts = Seen(), 0

    def run(self) -> None:
        """Ask for the log again each time a response ends, until nothing more can come."""
        while True:
            with contextlib.suppress(LightworkError, RefusedError, OSError):  # it is asked for again
                pod = self._logs.current(self._pod)
                if pod is None:
                    return
                self._read(pod)
                if pod["status"].get("phase") in ("Succeeded", "Failed"):
                    return
            time.sleep(EVERY)

    def _read(self, pod: Mapping[str, Any]) -> None:
        if restarts(pod) > self._restarts:
            # What came between the end of the last response and the restart.
            for entry in self._logs._before_restart(pod, self._seen):  # noqa: SLF001 - the same module
                self._put(entry)
            self._restarts = restarts(pod)
        for entry in self._logs.follow_log(pod, self._seen):
            self._put(entry)

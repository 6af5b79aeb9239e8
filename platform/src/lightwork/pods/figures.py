"""Figures of a tenant's pipelines, left in a ConfigMap for the platform's metrics.

The process that watches the tenant's runs sees each of them start, wait and end. It takes what it left there
up again when it starts, and an end that was seen twice counts once, so a restart loses nothing. What needs
the history comes from the lake, where another job leaves it (`history.figures`).
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line, visible
from lightwork.history import figures as history
from lightwork.kube import contract, schedules, status
from lightwork.logs import get_logger
from lightwork.tenants import firings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lightwork.kube.api import KubeApi
    from lightwork.lake import Lake

SELDOM = 60.0
"""Seconds between two looks at the schedules."""
BEAT = 300.0
"""Seconds after which the figures are written even if none has changed, to say that somebody still looks."""
HOURLY = 900.0
"""Seconds between two looks at what the history's job has left, which is made once an hour."""
ERROR_LENGTH = 200
"""The most characters of a run's error."""
_SEEN = 16
"""The number of ends of a pipeline that are remembered, so that none counts twice."""
STATUSES = ("succeeded", "failed", "lost", "stopped", "skipped")
_LAST = {"run", "status", "finished", "error"}
"""The fields of an outcome."""

Figures = dict[str, Any]
"""The figures of one pipeline."""


@dataclass(frozen=True, slots=True)
class Going:
    """A run that has not ended.

    Attributes:
        run: its name.
        pipeline: its pipeline.
        waits: whether it waits for its turn, or for its first pod.
        since: since when it waits or runs (Unix seconds).
    """

    run: str
    pipeline: str
    waits: bool
    since: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended.

    Attributes:
        run: its name.
        uid: its Workflow's id.
        pipeline: its pipeline.
        status: one of STATUSES.
        error: why it failed.
        finished: when it ended (Unix seconds).
        seconds: how long it took once it was its turn; None if that is not known.
    """

    run: str
    uid: str
    pipeline: str
    status: str
    error: str
    finished: float
    seconds: float | None


def begun(workflow: Mapping[str, Any]) -> float | None:
    """Return when the first pod of a run was started (Unix seconds); None if none was, or nobody knows."""
    starts = [
        node["startedAt"]
        for node in status.nodes(workflow).values()
        if node.get("type") == "Pod" and node.get("startedAt")
    ]
    return _seconds(min(starts)) if starts else None


def going(workflow: Mapping[str, Any], pipeline: str) -> Going:
    """Return how a run is that has not ended."""
    metadata = workflow["metadata"]
    start = begun(workflow)
    unknown = status.are_elsewhere(workflow) and not status.queue(workflow)
    created = _seconds(metadata["creationTimestamp"])
    waits = start is None and not unknown
    return Going(str(metadata["name"]), pipeline, waits, created if start is None else start)


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


class Board:
    """The figures of one tenant.

    Args:
        api: the Kubernetes API.
        namespace: the tenant's namespace.
        lake: the tenant's lake.
    """

    def __init__(self, api: KubeApi, namespace: str, lake: Lake) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/configmaps/{contract.FIGURES}"
        self._schedules = f"/apis/{contract.ARGO}/namespaces/{namespace}/cronworkflows"
        self._lake = lake
        self._figures: dict[str, Figures] | None = None
        self._written: dict[str, str] = {}
        self._ends: list[Ended] = []
        self._due: dict[str, float] = {}
        self._log = get_logger("lightwork.controller")

    def end(self, ended: Ended) -> None:
        """Take note of a run's end; the same one may come again."""
        self._ends.append(ended)

    def publish(self, runs: Iterable[Going], now: float) -> None:
        """Write what has changed.

        Args:
            runs: the runs that have not ended.
            now: the time (Unix seconds).

        Raises:
            RefusedError: the API refused a request; the next call tries again.
            OSError: the API cannot be reached.
        """
        if self._figures is None or self._is_due("again", now, HOURLY):
            self._take_up()
        figures = self._figures or {}
        going = list(runs)
        ends, self._ends = self._ends, []
        # A pipeline may have been deployed since the list of them was read.
        for name in {*(run.pipeline for run in going), *(ended.pipeline for ended in ends)}:
            if name:
                figures.setdefault(name, _empty())
        for ended in sorted(ends, key=lambda item: item.finished):
            if ended.pipeline:
                _count(figures[ended.pipeline], ended)
        _place(figures, going)
        if self._is_due("schedules", now, SELDOM):
            self._see_schedules(figures, now)
        if self._is_due("history", now, HOURLY):
            self._see_history(figures)
        self._write(figures, now)

    def _is_due(self, what: str, now: float, every: float) -> bool:
        """Return whether something that is done seldom is to be done now."""
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    def _take_up(self) -> None:
        """Read what was left here, and which pipelines there are; one that is gone leaves no figures."""
        config_map = self._api.get(self._path)
        annotations = config_map["metadata"].get("annotations") or {}
        names = [
            name for name in str(annotations.get(contract.ANNOTATION_PIPELINES) or "").split(",") if name
        ]
        data = config_map.get("data") or {}
        self._written = {key: text for key, text in data.items() if key.startswith(contract.FIGURES_OF)}
        figures = self._figures
        if figures is None:
            figures = {}
            for key, text in self._written.items():
                figures[key.removeprefix(contract.FIGURES_OF)] = _restored(text)
        self._figures = {name: _empty() | figures.get(name, {}) for name in names}

    def _see_schedules(self, figures: dict[str, Figures], now: float) -> None:
        moment = dt.datetime.fromtimestamp(now, dt.UTC)
        found = {}
        for item in self._api.get(self._schedules)["items"]:
            found[str(item["metadata"]["name"])] = _schedule(item, moment)
        for name, own in figures.items():
            own["schedule"] = found.get(name)

    def _see_history(self, figures: dict[str, Figures]) -> None:
        try:
            left = history.read(self._lake)
        except LightworkError as error:
            self._log.warning("the history's figures could not be read yet", reason=str(error))
            return
        for name, own in figures.items():
            _merge(own, left.get(name) or {})

    def _write(self, figures: dict[str, Figures], now: float) -> None:
        texts = {
            contract.FIGURES_OF + name: json.dumps(own, ensure_ascii=False, separators=(",", ":"))
            for name, own in figures.items()
        }
        changed: dict[str, str | None] = {
            key: text for key, text in texts.items() if self._written.get(key) != text
        }
        changed |= {key: None for key in self._written if key not in texts}
        if not changed and not self._is_due("beat", now, BEAT):
            return
        self._api.patch(self._path, {"data": {**changed, contract.FIGURES_UPDATED: f"{now:.0f}"}})
        self._due["beat"] = now + BEAT
        self._written = texts


def _empty() -> Figures:
    return {
        "ended": dict.fromkeys(STATUSES, 0),
        "seen": [],
        "succeeded": None,
        "seconds": None,
        "last": None,
        "running": None,
        "waiting": None,
        "schedule": None,
        "usual": None,
        "month": None,
        "spend": None,
    }


def _restored(text: str) -> Figures:
    """Return figures as they were written; fields that are not what they should be begin anew."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    ended, last = found.get("ended"), found.get("last")
    counts = ended if isinstance(ended, dict) else {}
    return {
        "ended": {name: counts[name] if isinstance(counts.get(name), int) else 0 for name in STATUSES},
        "seen": [str(mark) for mark in found["seen"]] if isinstance(found.get("seen"), list) else [],
        "last": last if isinstance(last, dict) and last.keys() == _LAST else None,
        **{name: found[name] for name in ("succeeded", "seconds") if isinstance(found.get(name), float)},
    }


def _count(figures: Figures, ended: Ended) -> None:
    """Count an end, unless it was counted before."""
    mark = ended.uid[:8]
    if mark in figures["seen"]:
        return
    figures["seen"] = [*figures["seen"], mark][-_SEEN:]
    if ended.status in figures["ended"]:
        figures["ended"][ended.status] += 1
    if ended.status == "succeeded":
        figures["succeeded"] = max(figures["succeeded"] or 0.0, ended.finished)
        figures["seconds"] = ended.seconds
    if ended.status in history.DECIDED:
        _decide(figures, ended.run, ended.status, ended.error, ended.finished)


def _decide(figures: Figures, run: str, outcome: str, error: str, finished: float) -> None:
    """Take over the outcome of a run, unless that of a later one is known."""
    last = figures["last"]
    if last is not None and (finished < last["finished"] or run == last["run"]):
        return
    line = visible(one_line(error))
    short = line if len(line) <= ERROR_LENGTH else f"{line[: ERROR_LENGTH - 1]}…"
    figures["last"] = {"run": run, "status": outcome, "finished": finished, "error": short}


def _place(figures: dict[str, Figures], runs: list[Going]) -> None:
    """Say how many runs of each pipeline run and wait, and for how long the oldest one does."""
    for name, own in figures.items():
        for key, waits in (("running", False), ("waiting", True)):
            mine = [run for run in runs if run.pipeline == name and run.waits == waits]
            oldest = min(mine, key=lambda run: run.since, default=None)
            own[key] = (
                None
                if oldest is None
                else {"runs": len(mine), "run": oldest.run, "since": round(oldest.since)}
            )


def _schedule(cron_workflow: Mapping[str, Any], now: dt.datetime) -> Figures:
    try:
        found = schedules.read(cron_workflow, now)
        first, second = islice(firings.after(found.cron, found.zone, now), 2)
    except Exception as error:  # noqa: BLE001 - such as a time zone that this image does not know
        return {"state": "unreadable", "why": one_line(error)[:ERROR_LENGTH], "suspended": False}
    return {
        "state": found.state,
        "why": visible(found.why)[:ERROR_LENGTH],
        "suspended": found.state == "suspended",
        "next": _unix(found.next),
        "last": _unix(found.last),
        "interval": round((second - first).total_seconds()),
    }


def _unix(moment: dt.datetime | None) -> float | None:
    return None if moment is None else round(moment.timestamp())


def _merge(figures: Figures, left: Mapping[str, Any]) -> None:
    """Take over what the history knows, and an outcome that this process has missed."""
    for name in ("usual", "month", "spend"):
        figures[name] = left.get(name)
    if left.get("succeeded"):
        figures["succeeded"] = max(figures["succeeded"] or 0.0, float(left["succeeded"]))
    if last := left.get("last"):
        _decide(figures, str(last["run"]), str(last["status"]), str(last["error"]), float(last["finished"]))

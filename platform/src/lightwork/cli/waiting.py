"""`lightwork submit --wait`: what goes on in a run, on a terminal in one line, else in a line a change."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import counted, echo, json_text
from lightwork.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lightwork.kube.runs import Remote
    from lightwork.kube.states import Status
    from lightwork.kube.watching import Picture, Pod
    from lightwork.lake import Lake

EVERY = 2.0
"""Seconds between two looks at a run."""
AT_LEAST_EVERY = 30.0
"""Seconds after which a line says what goes on even if nothing has changed."""
ARCHIVE_PATIENCE = 60.0
"""Seconds for which Argo's archive is waited for if only that can tell how a run has ended."""
_RECORDED = {
    "succeeded": "Succeeded",
    "failed": "Failed",
    "stopped": "Failed",
    "lost": "Failed",
    "skipped": "Skipped",
}
"""The phase of a run by the status of its record."""
_TOLD_BY = {
    "archive": "the archive says",
    "events": "the events say",
    "record": "the record in the lake says",
}
_AWAY = "away"
_ERASE = "\r\x1b[K"


def follow(remote: Remote, run: str, lake: Lake | None, shown: Shown) -> Picture:
    """Show what goes on in a run until it has ended; return that.

    Args:
        remote: the tenant's namespace.
        run: the run's name.
        lake: the tenant's lake, whose record tells how a run ended that is gone from the cluster.
        shown: shows it.

    Raises:
        LightworkError: how it ends cannot be known.
    """
    from lightwork.kube.runs import AwayError, UnknownError
    from lightwork.kube.states import patiently
    from lightwork.kube.watching import Picture, Watcher
    from lightwork.store import records

    watcher = Watcher(remote, run)
    gone: list[float] = []

    def recorded() -> Mapping[str, Any] | None:
        return None if lake is None else records.run(lake, run)

    def look() -> Picture:
        try:
            return watcher.look()
        except UnknownError as error:
            gone.append(time.monotonic())
            if (state := _recorded(recorded(), run)) is not None:
                return Picture(state, ends=shown.last.ends if shown.last else {})
            if error.may_pass and time.monotonic() - gone[0] < ARCHIVE_PATIENCE:
                raise AwayError(str(error)) from error
            asked = (
                "the lake's record does not tell either"
                if lake
                else "--lake names a lake to be asked as well"
            )
            raise UnknownError(f"{error}; {asked}") from error

    for picture in patiently(look, EVERY, shown.away):
        shown.show(picture)
        if picture.status.ended:
            if picture.status.phase == "Succeeded" and not picture.ends and (record := recorded()):
                shown.last = replace(picture, ends={"": dict(record)})
            return shown.last or picture
    raise AssertionError  # unreachable: it goes on until the run ends


def _recorded(record: Mapping[str, Any] | None, run: str) -> Status | None:
    """Return how a run has ended as its record in the lake tells; None if it does not."""
    from lightwork.kube.states import Status

    if record is None or (phase := _RECORDED.get(record["status"])) is None:
        return None
    if record.get("watched") and not record["final"]:
        return None  # only its driver has ended
    times = [str(record.get(name) or "") for name in ("started", "finished")]
    return Status(run, phase, str(record.get("error") or ""), "", times[0], times[1], "record")


class Shown:
    """Shows on stderr what goes on in a run.

    Args:
        run: the run's name.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._is_terminal = sys.stderr.isatty()
        self._begin = self._printed_at = time.monotonic()
        self._change: object = None
        self._open = False
        self._unseen = ""
        self.history: list[dict[str, str]] = []
        self.last: Picture | None = None
        self.workers = 0

    def show(self, picture: Picture) -> None:
        """Show what goes on now."""
        self.last, self.workers = picture, max(self.workers, picture.workers)
        if picture.unseen and picture.unseen != self._unseen:
            self._unseen = picture.unseen
            self.say(f"{self._run}: not all of it is shown: {picture.unseen}")
        if picture.status.ended:
            return
        text = words(picture)
        self._show(text, changes(picture))

    def away(self, why: str) -> None:
        """Show that the API is away."""
        self._show(f"goes on; waiting for the cluster; {why}", _AWAY)

    def _show(self, text: str, change: object) -> None:
        """Show a text, as news if that changes which is worth a line."""
        if change != self._change:
            self._change = change
            self._note(text)
        elif self._is_terminal:
            self._update(text)
        elif time.monotonic() - self._printed_at >= AT_LEAST_EVERY:
            self._print(text)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.close()
        echo(text, err=True)

    def close(self) -> None:
        """Erase the line that is updated."""
        if self._open:
            self._open = False
            click.echo(_ERASE, err=True, nl=False)

    def _note(self, text: str) -> None:
        if self.history and self.history[-1]["text"] == text:
            return  # pods have changed, but nothing that is shown
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self.history.append({"at": now, "text": text})
        if self._is_terminal:
            self._update(text)
        else:
            self._print(text)

    def _print(self, text: str) -> None:
        self._printed_at = time.monotonic()
        echo(f"{self._run}: {text}", err=True)

    def _update(self, text: str) -> None:
        clock = f"  {_clock(time.monotonic() - self._begin)}"
        room = shutil.get_terminal_size().columns - 1 - len(clock)
        line = cut(visible(f"{self._run}: {text}"), room)
        self._open = True
        click.echo(f"{_ERASE}{line}{clock}", err=True, nl=False)


def words(picture: Picture) -> str:
    """Return in one line what goes on in a run that has not ended."""
    state = picture.status
    if state.phase in ("", "Pending"):
        return "; ".join(filter(None, [state.message or "not yet scheduled", place(picture.before)]))
    active = {pod.step for pod in picture.pods if (pod.role, pod.phase) == ("driver", "Running")}
    parts = [*waits(picture.pods), *(_told(step, picture) for step in picture.told if step in active)]
    if not parts and (starting := _roles(pod for pod in picture.pods if pod.phase in _BEFORE)):
        parts = [f"starting: {', '.join(starting)}"]
    if not parts and picture.workers:
        parts = [counted(picture.workers, "worker")]
    if state.message and not waits(picture.pods):
        parts.insert(0, state.message)
    if any(pod.step for pod in picture.pods) or not parts:
        parts.insert(0, f"{state.progress} steps done" if state.progress else "running")
    return "; ".join(parts)


_BEFORE = ("Pending", "Starting")


def changes(picture: Picture) -> object:
    """Return what is worth a new line if it changes: not how far the elements are."""
    state = picture.status
    pods = frozenset(Counter((pod.role, pod.step, pod.phase, pod.reason) for pod in picture.pods).items())
    return state.phase, state.message, picture.before, pods, frozenset(picture.told)


def place(before: tuple[int, int] | None) -> str:
    """Return a run's place in its queue in words; empty if it waits in none."""
    if before is None:
        return ""
    least, most = before
    if not most:
        return "it is next"
    return f"{counted(most, 'run')} before it" if least == most else f"{least} to {most} runs before it"


def waits(pods: Iterable[Pod]) -> list[str]:
    """Return why pods do not start, once for each role and reason."""
    counts = Counter((pod.role, pod.step, pod.reason) for pod in pods if pod.phase in _BEFORE and pod.reason)
    texts = []
    for (role, step, reason), count in counts.items():
        of_step = f"{step}: " if step and role != "step" else ""
        one = step if role == "step" else role
        texts.append(f"{of_step}{f'{count} {role}s wait' if count > 1 else f'{one} waits'}: {reason}")
    return texts


def cut(text: str, room: int) -> str:
    """Return a text cut to so many columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= room else f"{set_cell_size(text, max(0, room - 1))}…"


def _told(step: str, picture: Picture) -> str:
    """Return how far a driver is, as it told last."""
    told = picture.told[step]
    done, total = int(told.get("done", 0)), int(told.get("total", 0))
    workers = sum(
        pod.role == "worker" and pod.step == step and pod.phase == "Running" for pod in picture.pods
    )
    all_known = told.get("complete", True)  # else the input is still read
    parts = [
        f"{done:,} of {total:,}{'' if all_known else ' or more'} elements" if total else "no elements yet"
    ]
    if rate := told.get("per_second"):
        parts.append(f"{rate:,.1f}/s" if rate < 10 else f"{rate:,.0f}/s")
    if "seconds_left" in told:
        parts.append(f"{_clock(told['seconds_left'])} left")
    parts.append(counted(workers, "worker"))
    parts += _troubled(told)
    return (f"{step}: " if step else "") + ", ".join(parts)


def _troubled(counts: Mapping[str, float]) -> list[str]:
    """Return how many elements failed, exceeded their time or were tried again, if there are any."""
    from lightwork.store.attempts import FURTHER

    return [
        f"{int(counts[name]):,} {name.replace('_', ' ')}" for name in ("failed", *FURTHER) if counts.get(name)
    ]


def _roles(pods: Iterable[Pod]) -> list[str]:
    counts = Counter((pod.step, pod.role) for pod in pods)
    return [
        step
        if role == "step"
        else f"{f'{step} ' if step else ''}{counted(count, role) if count > 1 else role}"
        for (step, role), count in counts.items()
    ]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# The end of a run

LONGEST_RESULT = 2_000
"""Characters of a result that are shown on a terminal."""


def elements(picture: Picture) -> dict[str, int]:
    """Return the elements of all of a run's drivers: total, cached, computed, failed."""
    totals: Counter[str] = Counter()
    for end in picture.ends.values():
        totals.update((end or {}).get("elements") or {})
    return dict(totals)


def _had_driver(state: Status) -> bool:
    """Return whether a run that is gone had a driver, and so a result; True if that is not known."""
    return state.told_by != "archive" or any("-driver-" in place for place in state.logs)


def result(picture: Picture) -> tuple[Any, str]:
    """Return a run's result, of each step by its name if there are several, and why there is none."""
    ends, note = picture.ends, ""
    if missing := [
        f"the result of step {step}" if step else "the result" for step in ends if ends[step] is None
    ]:
        note = f"{', '.join(missing)} is not at the end of the driver's log, or larger than 1 MB"
    elif not ends and picture.status.told_by != "workflow" and _had_driver(picture.status):
        note = "the result is not shown, as the logs are gone"
    if set(ends) <= {""}:
        return (ends.get("") or {}).get("result"), note
    return {step: end["result"] for step, end in ends.items() if end is not None}, note


def seconds(picture: Picture) -> float | None:
    """Return how long a run took; None if that is not known."""
    state = picture.status
    if not (state.started and state.finished):
        return None
    begin, end = (dt.datetime.fromisoformat(text) for text in (state.started, state.finished))
    return (end - begin).total_seconds()


def say_end(picture: Picture, *, with_result: bool) -> None:
    """Say on stderr how a run that succeeded went, and print its result on stdout."""
    state, took, counts = picture.status, seconds(picture), elements(picture)
    facts = [f"in {took:,.0f} s"] if took is not None else []
    if counts:
        facts.append(f"{counted(counts['total'], 'element')}, {counts['cached']:,} of them cached")
        facts += _troubled(counts)
    if state.told_by != "workflow":
        facts.append(f"as {_TOLD_BY[state.told_by]}")
    echo(f"{state.name}: {', '.join(['Succeeded', *facts])}", err=True)
    if not with_result:
        return
    value, note = result(picture)
    text = json_text(value, indent=2)
    if note:
        echo(f"{state.name}: {note}; it is in the run's record in the tenant's lake", err=True)
    if len(text) > LONGEST_RESULT:
        echo(f"{state.name}: the result has {len(text):,} characters: --json shows it", err=True)
    elif value is not None:
        click.echo(text)


def to_json(shown: Shown, namespace: str, run: str) -> Mapping[str, Any]:
    """Return all that is known of a run that was waited for, for `--json`."""
    picture = shown.last
    if picture is None:
        return {"run": run, "namespace": namespace, "phase": ""}
    state = picture.status
    value, note = result(picture) if state.phase == "Succeeded" else (None, "")
    return {
        "run": run,
        "namespace": namespace,
        "phase": state.phase,
        "message": state.message,
        "told_by": state.told_by,
        "started": state.started or None,
        "finished": state.finished or None,
        "seconds": seconds(picture),
        "elements": elements(picture) or None,
        "workers": shown.workers,
        "progress": {step: dict(told) for step, told in picture.told.items()},
        "pods": [
            {name: getattr(pod, name) for name in ("name", "role", "step", "phase", "reason")}
            for pod in picture.pods
        ],
        "history": shown.history,
        "result": value,
        "result_note": note,
        "artifacts": [item for end in picture.ends.values() for item in (end or {}).get("artifacts") or []],
        "reports": [end["report"] for end in picture.ends.values() if end and end.get("report")],
    }

"""The progress of maps: bars on a terminal, log lines now and then elsewhere."""

from __future__ import annotations

import contextlib
import contextvars
import html
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lightwork.logs import default_style, get_logger, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

Mode = Literal["bar", "lines", "off"]
LINE_EVERY = 10.0
"""Seconds between two log lines about a map."""
QUIET = 1.5
"""Seconds after which a log line says what else takes long."""


@dataclass(slots=True)
class Stats:
    """Counts of a map's elements.

    Attributes:
        total: elements read from the input so far.
        cached: elements whose results came from the lake.
        computed: elements computed by this map.
        failed: elements that failed for good.
        batches: batches computed.
        seconds: the time since the first result was asked for, or until the map ended.
        resubmitted: elements sent to a worker again because a worker or the scheduler was lost.
        retried: elements that were tried more than once.
        timed_out: elements that failed as they exceeded the task's time limit.
        waited: the seconds that elements have waited for the task's `limit`, added up.
    """

    total: int = 0
    cached: int = 0
    computed: int = 0
    failed: int = 0
    batches: int = 0
    seconds: float = 0.0
    resubmitted: int = 0
    retried: int = 0
    timed_out: int = 0
    waited: float = 0.0

    def wait(self, seconds: float) -> None:
        """Add a wait for a limit."""
        self.waited += seconds


class Bar(Protocol):
    """The progress display of one map."""

    def update(self, stats: Stats) -> None:
        """Show the progress so far."""

    def close(self, stats: Stats) -> None:
        """Show the final state."""


class Progress:
    """The progress display of all maps of a session.

    Args:
        mode: `bar`, `lines` or `off`; by default `bar` in a notebook or on a terminal, else
            `lines`.
    """

    def __init__(self, mode: Mode | None = None) -> None:
        self._in_notebook = in_notebook()
        has_bar = self._in_notebook or (sys.stderr.isatty() and default_style() == "text")
        self.mode: Mode = mode or ("bar" if has_bar else "lines")
        self._display: Any = None
        self._open = 0

    def start(self, name: str, total: int | None) -> Bar | None:
        """Start the display of a map; return None if progress is off."""
        if self.mode == "off":
            return None
        if self.mode == "lines":
            return _Lines(name, total)
        return self._row(name.rsplit(".", 1)[-1], total)

    def _row(self, title: str, total: int | None) -> _Row | NotebookRow:
        if self._in_notebook:
            return NotebookRow(title, total)
        if self._display is None:
            self._display = _display()
        self._open += 1
        if self._open == 1:
            self._display.start()
        return _Row(self, self._display, title, total)

    @contextlib.contextmanager
    def doing(self, text: str) -> Iterator[None]:
        """Say what takes long meanwhile: beside the bars, or in a line after QUIET seconds.

        Args:
            text: such as `starting 4 workers`.
        """
        if self.mode == "off":
            yield
        elif self.mode == "lines":
            context = contextvars.copy_context()
            timer = threading.Timer(QUIET, context.run, (get_logger("lightwork.run").info, text))
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
        elif self._display is not None:
            from rich.markup import escape

            rows = [task.id for task in self._display.tasks if not task.finished]
            for row in rows:
                self._display.update(row, detail=escape(text))
            try:
                yield
            finally:
                if self._display is not None:
                    for row in rows:
                        self._display.update(row, detail="")
        else:
            alone = self._row(text, None)
            try:
                yield
            finally:
                alone.remove()

    def close(self) -> None:
        """Release the terminal, whatever is open."""
        display, self._display, self._open = self._display, None, 0
        if display is not None:
            display.stop()

    def row_closed(self) -> None:
        """Note that a map has ended; release the terminal after the last one."""
        self._open -= 1
        if self._open == 0:
            self.close()


class _Lines:
    def __init__(self, name: str, total: int | None) -> None:
        self._name, self._total = name, total
        self._last = time.monotonic()
        self._logged = False

    def update(self, stats: Stats) -> None:
        if time.monotonic() - self._last >= LINE_EVERY:
            self._last = time.monotonic()
            self._logged = True
            self._log(stats, "progress")

    def close(self, stats: Stats) -> None:
        if self._logged or default_style() == "json":
            self._log(stats, "map ended")

    def _log(self, stats: Stats, event: str) -> None:
        done = stats.cached + stats.computed + stats.failed
        rate = round(done / stats.seconds, 1) if stats.seconds else 0.0
        left = (self._total - done) / rate if self._total is not None and rate else None
        get_logger("lightwork").info(
            event,
            task=self._name,
            done=done,
            total=self._total,
            cached=stats.cached,
            failed=stats.failed,
            per_second=rate,
            seconds_left=None if left is None else round(left),
            **_further(stats),
        )


def _further(stats: Stats) -> dict[str, int]:
    """Return the numbers that are rarely there, by their names in log lines."""
    numbers = {"retried": stats.retried, "timed_out": stats.timed_out, "waited": round(stats.waited)}
    return {name: number for name, number in numbers.items() if number}


def details(stats: Stats) -> list[str]:
    """Return in words what a bar shows besides the numbers of elements."""
    done = stats.cached + stats.computed + stats.failed
    words = [f"{100 * stats.cached // max(1, done)}% cached"] if stats.cached else []
    words += [f"{stats.failed:,} failed"] if stats.failed else []
    return words + [f"{name.replace('_', ' ')} {number:,}" for name, number in _further(stats).items()]


class _Row:
    def __init__(self, progress: Progress, display: Any, title: str, total: int | None) -> None:
        self._progress, self._display, self._total = progress, display, total
        from rich.markup import escape

        self._id = display.add_task(escape(title), total=total, rate="", detail="")

    def update(self, stats: Stats) -> None:
        done = stats.cached + stats.computed + stats.failed
        rate = f"{done / stats.seconds:,.0f}/s" if stats.seconds > 0 else ""
        detail = [f"[red]{item}[/]" if item.endswith(" failed") else item for item in details(stats)]
        self._display.update(self._id, completed=done, rate=rate, detail=" ".join(detail))

    def close(self, stats: Stats) -> None:
        self.update(stats)
        self._display.stop_task(self._id)
        self._progress.row_closed()

    def remove(self) -> None:
        """Erase the row: what it said is over."""
        self._display.remove_task(self._id)
        self._progress.row_closed()


def _display() -> Any:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Display

    return Display(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=terminal(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # prints what a task prints above the bars
    )


def in_notebook() -> bool:
    """Return whether a notebook's kernel runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookRow:
    """The bar of one map, or a line that says what takes long.

    Args:
        title: what it is about.
        total: the number of elements; None if unknown.
    """

    def __init__(self, title: str, total: int | None) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found, unused-ignore]

        self._html: Any = HTML
        self._title = title
        self._total = total
        self._shown: Any = display(HTML(self._row("")), display_id=True)

    def update(self, stats: Stats) -> None:
        """Show the progress so far."""
        done = stats.cached + stats.computed + stats.failed
        share = "" if self._total is None else f" of {self._total:,}"
        most = f' max="{self._total}"' if self._total else ""
        bar = f'<progress value="{done}"{most} style="width:20em"></progress> ' if most else ""
        rate = f", {done / stats.seconds:,.0f}/s" if stats.seconds > 0 else ""
        text = html.escape("".join(f", {item}" for item in details(stats)))
        self._show(f"{bar}{done:,}{share}{rate}{text}")

    def close(self, stats: Stats) -> None:
        """Show the final state."""
        self.update(stats)

    def remove(self) -> None:
        """Erase the row: what it said is over."""
        self._shown.update(self._html(""))

    def _row(self, text: str) -> str:
        return f"<div><b>{html.escape(self._title)}</b> {text}</div>"

    def _show(self, text: str) -> None:
        self._shown.update(self._html(self._row(text)))

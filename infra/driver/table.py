"""The progress display on stderr: a table on a terminal, a line for each event elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.driver.outcome import GOOD, Result
from lightwork.errors import visible
from lightwork.logs import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from infra.driver.outcome import Outcome
    from infra.driver.precious import Step
    from infra.driver.work import View

ROWS = 20
"""The maximum number of rows, because a table longer than the screen cannot be redrawn."""

COLOURS = {Result.DONE: "green", Result.SKIPPED: "yellow", Result.LEFT: "yellow", Result.STOPPED: "yellow"}


@contextmanager
def view(stacks: Sequence[str]) -> Iterator[View]:
    """Return the display that fits stderr."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.live import Live

    console = terminal(stderr=True)
    board = Board(stacks=stacks)
    with Live(get_renderable=board.table, console=console, refresh_per_second=4) as live:
        board.live = live
        yield board


class Lines:
    """Prints a line when a stack enters a phase, and when it is finished."""

    def begin(self, stack: str, phase: str) -> None:
        """Print the phase that a stack enters."""
        self.say(f"{stack}: {phase}")

    def step(self, stack: str, step: Step) -> None:
        """Print nothing: a line for each resource would be too much."""

    def end(self, outcome: Outcome) -> None:
        """Print the outcome for a stack."""
        self.say(ending(outcome))

    def say(self, text: str) -> None:
        """Print a message about the whole run."""
        # A single call, so that lines of several threads do not mix.
        sys.stderr.write(f"lightwork-estate: {visible(text)}\n")
        sys.stderr.flush()


def ending(outcome: Outcome) -> str:
    """Return a line about a finished stack."""
    after = f" after {outcome.seconds:.0f} s" if outcome.seconds else ""
    text = f"{outcome.stack}: {outcome.result}{after}"
    if outcome.result is Result.DONE:
        return f"{text}: {outcome.counts}"
    return f"{text}: {'; '.join(outcome.error)}"


@dataclass
class _Row:
    phase: str = "waiting"
    begun: float | None = None
    steps: int = 0
    outcome: Outcome | None = None


@dataclass
class Board:
    """A table with a row for each stack.

    Attributes:
        stacks: the stacks' names, in the order of the rows.
        live: the `rich.live.Live` that draws the table.
    """

    stacks: Sequence[str]
    live: Any = None
    _rows: dict[str, _Row] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._rows = {stack: _Row() for stack in self.stacks}

    def begin(self, stack: str, phase: str) -> None:
        """Show the phase that a stack enters."""
        with self._lock:
            row = self._rows[stack]
            row.phase, row.steps, row.begun = phase, 0, row.begun or time.monotonic()

    def step(self, stack: str, step: Step) -> None:  # noqa: ARG002
        """Count a resource that the engine has started on."""
        with self._lock:
            self._rows[stack].steps += 1

    def end(self, outcome: Outcome) -> None:
        """Show the outcome for a stack; a problem is also printed above the table."""
        with self._lock:
            self._rows[outcome.stack].outcome = outcome
        if outcome.result not in GOOD:
            self.say(ending(outcome))

    def say(self, text: str) -> None:
        """Print a message above the table."""
        self.live.console.print(text, markup=False, highlight=False)

    def table(self) -> Table:
        """Return the current table. If it is too long, running stacks take precedence, then finished ones."""
        from rich.table import Table

        with self._lock:
            rows = list(self._rows.items())
        running = [entry for entry in rows if entry[1].begun and not entry[1].outcome]
        finished = [entry for entry in rows if entry[1].outcome]
        waiting = [entry for entry in rows if not entry[1].begun and not entry[1].outcome]
        table = Table(
            title=f"{len(finished)} of {len(rows)} stacks finished",
            title_justify="left",
            box=None,
            pad_edge=False,
            expand=True,
        )
        for name, side in (("stack", "left"), ("", "left"), ("resources", "right"), ("seconds", "right")):
            table.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
        # The ratio limits a long error to the width that the other columns leave.
        table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
        shown = [*running, *finished[::-1], *waiting][:ROWS]
        for stack, row in sorted(shown, key=lambda entry: list(self._rows).index(entry[0])):
            table.add_row(*_cells(stack, row))
        if len(rows) > len(shown):
            table.add_row(f"and {len(rows) - len(shown)} more")
        return table


def _cells(stack: str, row: _Row) -> list[str]:
    from rich.markup import escape

    if outcome := row.outcome:
        colour = COLOURS.get(outcome.result, "red")
        detail = str(outcome.counts) if outcome.result is Result.DONE else "; ".join(outcome.error)
        resources = outcome.counts.changed + outcome.counts.same
        return [
            stack,
            f"[{colour}]{outcome.result}[/]",
            str(resources or ""),
            f"{outcome.seconds:.0f}",
            escape(detail),
        ]
    seconds = f"{time.monotonic() - row.begun:.0f}" if row.begun else ""
    return [stack, row.phase, str(row.steps or ""), seconds, ""]

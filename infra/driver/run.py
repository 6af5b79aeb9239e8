"""From an order to its end: the work, what one sees of it, the summary, the exit code."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import click

from infra.driver import table
from infra.driver.outcome import GOOD, Command, Outcome, Result
from infra.driver.summary import Summary, changes
from infra.driver.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.driver.engine import Engine
    from infra.driver.plan import Order
    from infra.driver.selection import Choice

UNFINISHED = frozenset({Result.STOPPED, Result.LEFT})


def run(
    command: Command,
    choice: Choice,
    order: Order,
    *,
    engine: Callable[[], Engine],
    commit: str = "",
    parallel: int = 4,
    summary_dir: Path | None = None,
    as_json: bool = False,
) -> int:
    """Do what was ordered.

    Args:
        command: what is done.
        choice: the stacks that are meant, and the warnings.
        order: the same as tasks.
        engine: makes the engine; not called if there is nothing to do.
        commit: of which commit.
        parallel: how many tenants at once.
        summary_dir: where to write the summary; nowhere if None.
        as_json: print the summary as JSON instead of as text.

    Returns:
        The exit code: 0, 1 if a stack failed or was refused, 130 if it was stopped.
    """
    outcomes: list[Outcome] = []
    interrupted = False
    if order.estate or order.tenants:
        tasks = [*([order.estate] if order.estate else []), *order.tenants]
        with table.view([task.stack for task in tasks]) as view:
            work = Work(
                command=command,
                environment=choice.environment,
                engine=engine(),
                view=view,
                parallel=parallel,
            )
            outcomes = work.run(order.estate, order.tenants)
            interrupted = work.interrupted
    summary = Summary(
        command=command,
        environment=choice.environment,
        commit=commit,
        outcomes=outcomes,
        warnings=choice.warnings,
    )
    if summary_dir:
        summary.write(summary_dir)
    click.echo(json.dumps(summary.as_json(), indent=2) if as_json else text(summary))
    if interrupted:
        click.echo(f"lightwork-estate: {_left(outcomes)}", err=True)
        return 130
    return 0 if summary.good else 1


def text(summary: Summary) -> str:
    """The summary for a terminal: what changes, stack by stack, then a line for each, and one for all."""
    lines = []
    for outcome in summary.outcomes:
        if listed := changes(outcome.steps):
            lines += [f"{outcome.stack}", *(f"  {line}" for line in listed), ""]
    width = max((len(outcome.stack) for outcome in summary.outcomes), default=0)
    for outcome in summary.outcomes:
        words = str(outcome.counts) if outcome.result is Result.DONE else ""
        lines.append(
            f"{outcome.stack:<{width}}  {outcome.result:<8} {outcome.seconds:>4.0f} s  {words}".rstrip()
        )
        lines += [f"{'':<{width}}    {line}" for line in outcome.error]
    return "\n".join([*lines, f"{summary.command} {summary.environment}: {summary.verdict()}"])


def _left(outcomes: Sequence[Outcome]) -> str:
    """What an interrupted run has not done."""
    left = [outcome.stack for outcome in outcomes if outcome.result in UNFINISHED]
    done = sum(outcome.result in GOOD for outcome in outcomes)
    more = f" and {len(left) - 10} more" if len(left) > 10 else ""
    return f"stopped: {done} done; left: {', '.join(left[:10])}{more}" if left else f"stopped: {done} done"


def commit(root: Path) -> str:
    """The commit that is checked out; empty if nobody knows."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def message(root: Path, command: Command) -> str:
    """What a stack's history says of a deployment."""
    of = commit(root)
    return f"lightwork-estate {command}" + (f", commit {of}" if of else "")

"""One run of the driver: the work, the progress display, the summary and the exit code."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING

from infra.driver import table
from infra.driver.outcome import GOOD, Command, Outcome, Result
from infra.driver.summary import LONGEST, Summary, changes
from infra.driver.work import Work
from lightwork.cli.output import echo, json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.driver.engine import Engine
    from infra.driver.plan import Order
    from infra.driver.selection import Choice
    from lightwork.kube.api import KubeApi

UNFINISHED = frozenset({Result.STOPPED, Result.LEFT})


def run(
    command: Command,
    choice: Choice,
    order: Order,
    *,
    engine: Callable[[], Engine],
    api: Callable[[Engine], KubeApi] | None = None,
    commit: str = "",
    parallel: int = 4,
    summary_dir: Path | None = None,
    as_json: bool = False,
    diff: bool = False,
) -> int:
    """Work on the chosen stacks, and print the summary.

    Args:
        command: the operation.
        choice: the chosen stacks, and the warnings.
        order: the tasks for the chosen stacks.
        engine: creates the engine; not called if there is nothing to do.
        api: returns the cluster's API, given the engine, to tell why pods do not start; None if none.
        commit: the commit that is deployed; empty if unknown.
        parallel: the number of tenants to work on at once.
        summary_dir: the folder to write the summary to; None to write no files.
        as_json: print the summary as JSON instead of text.
        diff: print old and new values in the text.

    Returns:
        The exit code: 0; 1 if a stack failed or was refused; 130 if the run was interrupted.
    """
    outcomes: list[Outcome] = []
    interrupted = False
    if order.estate or order.tenants:
        tasks = [*([order.estate] if order.estate else []), *order.tenants]
        running = engine()
        with table.view([task.stack for task in tasks]) as view:
            work = Work(
                command=command,
                environment=choice.environment,
                engine=running,
                api=functools.partial(api, running) if api else None,
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
    echo(json_text(summary.as_json(), indent=2) if as_json else text(summary, diff=diff))
    if interrupted:
        echo(f"lightwork-estate: {_unfinished(outcomes)}", err=True)
        return 130
    return 0 if summary.good else 1


def text(summary: Summary, *, diff: bool = False) -> str:
    """Format the summary for a terminal: each stack's changes, then a line for each stack, then the total."""
    lines = []
    for outcome in summary.outcomes:
        if changed := changes(outcome.steps, longest=sys.maxsize if diff else LONGEST, values=diff):
            lines += [f"{outcome.stack}", *(f"  {line}" for line in changed), ""]
    width = max((len(outcome.stack) for outcome in summary.outcomes), default=0)
    for outcome in summary.outcomes:
        counts = str(outcome.counts) if outcome.result is Result.DONE else ""
        lines.append(
            f"{outcome.stack:<{width}}  {outcome.result:<8} {outcome.seconds:>4.0f} s  {counts}".rstrip()
        )
        lines += [f"{'':<{width}}    {line}" for line in outcome.error]
    return "\n".join([*lines, f"{summary.command} {summary.environment}: {summary.verdict()}"])


def _unfinished(outcomes: Sequence[Outcome]) -> str:
    """Return a line about an interrupted run, with the stacks that it did not finish."""
    unfinished = [outcome.stack for outcome in outcomes if outcome.result in UNFINISHED]
    text = f"interrupted: {sum(outcome.result in GOOD for outcome in outcomes)} done"
    if not unfinished:
        return text
    more = f" and {len(unfinished) - 10} more" if len(unfinished) > 10 else ""
    return f"{text}; not finished: {', '.join(unfinished[:10])}{more}"


def commit(root: Path) -> str:
    """Return the checked-out commit; empty if it is unknown."""
    try:
        process = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""


def message(root: Path, command: Command) -> str:
    """Return the message for a stack's history."""
    revision = commit(root)
    return f"lightwork-estate {command}" + (f", commit {revision}" if revision else "")

"""`lightwork cache`: the space that a lake takes, and what can be deleted."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import (
    console,
    counted,
    echo,
    json_option,
    lake_option,
    show_json,
    show_table,
    size,
    tenant_option,
    when,
)
from lightwork.cli.running import Group
from lightwork.errors import InputError
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lightwork.lake import Lake
    from lightwork.store.collector import Collected, Policy
    from lightwork.store.usage import Space, Usage

_SHOWN_AFTER = 1.0
"""Seconds after which a command shows that it is still at work."""
_LEAST_SILENCE = 300.0
"""Seconds without a sign of life that tell at least that a process has ended; it gives one every minute."""


@click.group("cache", cls=Group, invoke_without_command=True)
@click.pass_context
def cache_command(ctx: click.Context) -> None:
    """Show the space that a lake takes (`size`, the default), or delete what nobody needs (`prune`)."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(size_command)


@cache_command.command("size")
@lake_option
@tenant_option
@json_option
def size_command(lake: str | None = None, tenant: str | None = None, as_json: bool = False) -> None:
    """Show the cached results of each task, and the space of all that the lake holds, by kind."""
    from lightwork.store import usage

    opened = lakes.shown(lake, tenant)
    with _working("looking through the lake"):
        tasks, spaces = usage.measure(opened)
    total, disk = sum(space.bytes for space in spaces), sum(space.disk for space in spaces)
    if as_json:
        show_json(
            {
                "tasks": [asdict(item) for item in tasks],
                "kinds": [asdict(space) for space in spaces],
                "bytes": total,
                "disk": disk,
            }
        )
        return
    if tasks:
        _show_tasks(tasks)
    else:
        echo(f"No cached results in {shown(opened)}.")
    if spaces:
        echo()
        _show_spaces(spaces)


def _show_tasks(tasks: list[Usage]) -> None:
    rows = [
        [i.task, f"{i.results:,}", f"{i.versions:,}", f"{i.files:,}", size(i.bytes), when(i.newest)]
        for i in tasks
    ]
    columns = ["task", "results", "code versions", "files", "size", "newest"]
    show_table(columns, rows, right=columns[1:5], drop=("code versions", "files", "newest", "results"))


def _show_spaces(spaces: list[Space]) -> None:
    total = [sum(column) for column in zip(*((s.files, s.bytes, s.disk) for s in spaces), strict=True)]
    lines = [*((s.kind, s.files, s.bytes, s.disk) for s in spaces), ("all", *total)]
    rows = [[kind, f"{files:,}", size(count), size(disk)] for kind, files, count, disk in lines]
    show_table(
        ["what", "files", "size", "on disk"], rows, right=("files", "size", "on disk"), drop=("files",)
    )


@cache_command.command("prune")
@click.option("--older-than", metavar="AGE", help="Only results, those older than this, such as 30d or 12h.")
@click.option(
    "--task",
    metavar="NAME",
    help="Only results, those of this task.",
    shell_complete=candidates.cached_tasks,
)
@click.option(
    "--keep-for",
    metavar="AGE",
    help="Delete runs, reports and replaced versions of artifacts after this time"
    " [LIGHTWORK_HISTORY_DAYS, else 365d].",
)
@click.option(
    "--keep-last",
    type=click.IntRange(1),
    metavar="N",
    help="Keep at most the newest N runs of each pipeline and versions of each artifact"
    " [LIGHTWORK_HISTORY_RUNS and LIGHTWORK_HISTORY_ARTIFACTS, else any number].",
)
@click.option(
    "--silent-for",
    metavar="AGE",
    help="A process without a lock has ended if it gave no sign of life for this time [1d].",
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@lake_option
@tenant_option
@json_option
def prune(
    older_than: str | None,
    task: str | None,
    keep_for: str | None,
    keep_last: int | None,
    silent_for: str | None,
    dry_run: bool,
    lake: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Delete what nobody needs; or cached results, which runs that need them compute again.

    Without --older-than and --task, that is what killed processes left (temporary files, jobs, large inputs,
    parts of artifacts without a commit, unfinished uploads), and runs, reports, logs of steps and replaced
    versions of artifacts that are old enough. What a living process uses, the newest version of an artifact
    and all results stay.
    """
    policy = _policy(keep_for, keep_last, silent_for)
    selects_results = older_than is not None or task is not None
    if selects_results and (keep_for, keep_last, silent_for) != (None, None, None):
        raise InputError(
            "cache prune: --older-than and --task select results, and the --keep- and --silent- options all "
            "else; expected one of the two"
        )
    from lightwork.store import latest, usage
    from lightwork.store.collector import collect

    age = None if older_than is None else usage.seconds(older_than)
    opened = lakes.shown(lake, tenant)
    with _working("looking through the lake") as say:
        if selects_results:
            collected = _prune_results(opened, age, task, dry_run=dry_run)
        else:

            def watch(collected: Collected) -> bool:
                verb = "found" if dry_run else "deleted"
                say(f"{verb} {counted(collected.files, 'file')} ({size(collected.bytes)})")
                return True

            if not dry_run:
                _pack_history(opened)
            collected = collect(opened, policy, dry_run=dry_run, watch=watch)
            if not dry_run:
                latest.renew_every(opened)
    _show_collected(collected, opened, dry_run=dry_run, as_json=as_json)


def _pack_history(lake: Lake) -> None:
    """Pack the runs that have ended, so that the history has them when they are deleted."""
    from lightwork import settings
    from lightwork.history.collect import collect

    collect(lake, settings.resolve_history().seconds, look=True)


def _policy(keep_for: str | None, keep_last: int | None, silent_for: str | None) -> Policy:
    from lightwork import settings
    from lightwork.store import usage
    from lightwork.store.collector import Policy

    kept = settings.resolve_history()
    seconds = kept.seconds if keep_for is None else usage.seconds(keep_for)
    policy = Policy(seconds, keep_last or kept.runs, keep_last or kept.artifacts)
    if silent_for is None:
        return policy
    silent = usage.seconds(silent_for)
    if silent < _LEAST_SILENCE:
        raise InputError(
            f"--silent-for: expected 5m or more, got {silent_for}: a sign of life is given every minute"
        )
    return replace(policy, silent=silent)


def _prune_results(lake: Lake, age: float | None, task: str | None, *, dry_run: bool) -> Collected:
    from lightwork.store import kinds, usage
    from lightwork.store.collector import Collected

    entries = usage.prunable(lake, older_than=age, task=task)
    if not dry_run:
        lake.delete(entry.path for entry in entries)
    collected = Collected()
    if entries:
        collected.kinds[kinds.RESULTS].add(len(entries), sum(entry.size for entry in entries))
    return collected


def _show_collected(collected: Collected, lake: Lake, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        kinds: list[dict[str, Any]] = [
            {"kind": kind, **asdict(amount)} for kind, amount in collected.kinds.items()
        ]
        total = {"files": collected.files, "bytes": collected.bytes, "removed": not dry_run}
        show_json({**total, "kinds": kinds, "spared": asdict(collected.spared)})
        return
    if len(collected.kinds) > 1:
        rows = [[kind, f"{amount.files:,}", size(amount.bytes)] for kind, amount in collected.kinds.items()]
        show_table(["what", "files", "size"], rows, right=("files", "size"))
        echo()
    what = f" of {next(iter(collected.kinds))}" if len(collected.kinds) == 1 else ""
    verb = "Would delete" if dry_run else "Deleted"
    echo(f"{verb} {counted(collected.files, 'file')}{what} ({size(collected.bytes)}) in {shown(lake)}.")
    if collected.spared.files:
        amount = f"{counted(collected.spared.files, 'file')} ({size(collected.spared.bytes)})"
        echo(f"Spared {amount} that a process may still use.")


@contextlib.contextmanager
def _working(text: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that a command is at work, if that takes long; the body may change the text."""
    out = console(stderr=True)
    status = out.status(text)
    timer = threading.Timer(_SHOWN_AFTER, status.start)
    timer.daemon = True
    if not out.is_terminal:
        yield lambda _: None
        return
    timer.start()
    try:
        yield lambda more: status.update(f"{text}: {more}")
    finally:
        timer.cancel()
        timer.join()
        status.stop()

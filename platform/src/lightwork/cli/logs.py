"""`lightwork logs`: what a run has logged, on this machine or in a cluster, also while it goes on."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates
from lightwork.cli.output import echo, show_json
from lightwork.cli.remote import lake_option, place_options
from lightwork.errors import InputError, LightworkError, one_line
from lightwork.runs.log_lines import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lightwork.kube.pod_logs import PodLogs
    from lightwork.lake import Lake

    Entries = Iterable[tuple[str, str, str]]
    """Lines, each with its time, its pod, and its text."""

ROLES = ("driver", "scheduler", "worker", "step")
_EVERY = 1.0
"""Seconds between two looks at the log of a run on one machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines are wanted; what is not given makes no difference.

    Attributes:
        task: the name of a task.
        errors: only errors.
        since: the earliest moment, in ISO 8601 and UTC.
        worker: a part of a worker's name: its pod's, or its process's on one machine.
        role: one of ROLES.
    """

    task: str | None = None
    errors: bool = False
    since: dt.datetime | None = None
    worker: str | None = None
    role: str | None = None

    def has(self, line: Line) -> bool:
        """Return whether a line is wanted."""
        return (
            (self.task is None or self.task == line.event.get("task"))
            and (not self.errors or line.is_error)
            and (self.role is None or self.role == line.role)
            and (self.worker is None or self._is_of_worker(line, self.worker))
            and (self.since is None or self._is_since(line, self.since))
        )

    @staticmethod
    def _is_of_worker(line: Line, worker: str) -> bool:
        return line.role == "worker" and (worker in line.pod or worker == str(line.event.get("worker")))

    @staticmethod
    def _is_since(line: Line, since: dt.datetime) -> bool:
        try:
            return dt.datetime.fromisoformat(line.time) >= since
        except (ValueError, TypeError):
            return True  # nothing says when it was written


@click.command("logs")
@click.argument("run", metavar="RUN", shell_complete=candidates.runs_anywhere)
@click.option("--task", metavar="NAME", help="Only lines of this task.")
@click.option("--errors", is_flag=True, help="Only errors.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines that match.")
@click.option("--since", metavar="TIME", help="Since when: 2h or 7d ago, or 2026-11-27T20:00.")
@click.option("--worker", metavar="NAME", help="Only lines of the workers with this in their names.")
@click.option("--role", type=click.Choice(ROLES), help="Only lines of this role.")
@place_options
@lake_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and nothing else.")
def logs_command(
    run: str,
    task: str | None,
    errors: bool,
    follow: bool,
    tail: int | None,
    since: str | None,
    worker: str | None,
    role: str | None,
    environment: str | None,
    tenant: str | None,
    context: str | None,
    lake: str | None,
    as_json: bool,
) -> None:
    """Print what a run has logged: a run on this machine, or with --env one in a cluster.

    In a cluster the lines come from the run's pods while they are there, with what restarted containers said
    before. Those of pods that are gone come from OpenSearch if you may search it, else from the lake.
    """
    from lightwork.cli.search import moment

    wanted = Wanted(
        task=task,
        errors=errors,
        since=dt.datetime.fromisoformat(moment("since", since)) if since else None,
        worker=worker,
        role=role,
    )
    show = _as_json if as_json else _as_text
    if environment is None:
        if context is not None:
            raise InputError("logs: --context names a cluster; expected --env ENV as well")
        _of_lake(run, lake, tenant, wanted, tail, show, follow=follow)
    else:
        _of_cluster(run, environment, tenant, context, lake, wanted, tail, show, follow=follow)


def _as_text(line: Line) -> None:
    echo(line.shown())


def _as_json(line: Line) -> None:
    show_json(line.to_json())


def _print(entries: Entries, wanted: Wanted, show: Callable[[Line], None], tail: int | None = None) -> None:
    lines = [line for line in (Line.of(*entry) for entry in entries) if wanted.has(line)]
    for line in lines[-tail:] if tail else lines if tail is None else []:
        show(line)


def _of_lake(
    run: str,
    url: str | None,
    tenant: str | None,
    wanted: Wanted,
    tail: int | None,
    show: Callable[[Line], None],
    *,
    follow: bool,
) -> None:
    """Print the log of a run on this machine, or what the lake keeps of one in a cluster."""
    from lightwork.cli import lakes
    from lightwork.store import run_logs

    lake = lakes.shown(url, tenant)
    if follow and _goes_on(lake, run):
        _follow_machine(lake, run, wanted, tail, show)
        return
    entries = run_logs.kept(lake, run)
    if not entries and not _goes_on(lake, run):
        raise _nothing(lake, run)
    _print(entries, wanted, show, tail)


def _follow_machine(
    lake: Lake, run: str, wanted: Wanted, tail: int | None, show: Callable[[Line], None]
) -> None:
    """Print the log of a run on one machine, and what it adds to it until it has ended."""
    from lightwork.store import run_logs

    printed, goes_on = 0, True
    while goes_on:
        goes_on = _goes_on(lake, run)  # asked first: what it has written until then is read after it
        entries = run_logs.of_machine(lake, run)
        _print(entries[printed:], wanted, show, None if printed else tail)
        printed = len(entries)
        if goes_on:
            time.sleep(_EVERY)


def _goes_on(lake: Lake, run: str) -> bool:
    from lightwork.store import records

    record = records.run(lake, run)
    return record is not None and record["status"] in ("running", records.SUBMITTED)


def _nothing(lake: Lake, run: str) -> InputError:
    """Return why a lake has no log of a run that it knows.

    Raises:
        InputError: it knows no such run.
    """
    from lightwork.cli.show import find
    from lightwork.lake.base import shown

    try:
        find(lake, run)
    except InputError as error:
        raise InputError(f"logs: {error}; with --env it is looked for in a cluster") from None
    return InputError(f"logs: {shown(lake)} keeps no log of {run}")


def _of_cluster(
    run: str,
    environment: str,
    tenant: str | None,
    context: str | None,
    url: str | None,
    wanted: Wanted,
    tail: int | None,
    show: Callable[[Line], None],
    *,
    follow: bool,
) -> None:
    """Print the log of a run in a cluster."""
    from lightwork.cli.remote import lake_of, tenant_of
    from lightwork.kube.pod_logs import NoPodsError, PodLogs

    logs = PodLogs(environment, tenant_of(tenant), context)
    lake = lake_of(url, logs)
    if follow:
        _follow(logs, run, context, lake, wanted, tail, show)
        return
    try:
        entries = _with_gone(logs.entries(run, wanted.role), lake, run)
    except NoPodsError:
        entries = _archived(logs, run, context, lake, wanted, tail)
        if not entries:
            raise
    _print(entries, wanted, show, tail)


def _with_gone(entries: Entries, lake: Lake | None, run: str) -> Entries:
    """Return the lines of pods with those that the lake keeps of pods that are gone."""
    from lightwork.store import run_logs

    if lake is None:
        return entries
    there = {pod for _, pod, _ in entries}
    gone = [line for line in run_logs.kept(lake, run) if line.pod not in there]
    return sorted([*entries, *gone])


def _archived(
    logs: PodLogs, run: str, context: str | None, lake: Lake | None, wanted: Wanted, tail: int | None
) -> Entries:
    """Return the lines of a run without pods, from OpenSearch, else from the lake; none if it has none."""
    from lightwork.store import run_logs

    try:
        if found := _searched(logs, run, context, wanted, tail):
            return found
    except LightworkError as error:
        instead = "" if lake is None else "; these lines are those that the lake keeps"
        echo(f"lightwork: OpenSearch is not searched: {one_line(error)}{instead}", err=True)
    return run_logs.kept(lake, run) if lake else []


def _searched(logs: PodLogs, run: str, context: str | None, wanted: Wanted, tail: int | None) -> Entries:
    """Return the lines of a run that OpenSearch has, the newest ones if there are very many.

    Raises:
        LightworkError: the user may not search them, or OpenSearch is away.
    """
    from lightwork.cli.search import MOST, opened
    from lightwork.search.lines import Query

    since = wanted.since.isoformat() if wanted.since else None
    query = Query(run=run, own=True, task=wanted.task, errors=wanted.errors, since=since)
    # What only the lines themselves tell is looked for in all of them.
    is_told = not (wanted.errors or wanted.worker or wanted.role)
    limit = min(MOST, max(1, tail)) if tail is not None and is_told else MOST
    with opened(logs.environment, logs.tenant, context) as stream:
        found = stream.newest(query, limit)
    if limit == MOST and (more := found.total - len(found.lines)) > 0:
        echo(f"lightwork: {more:,} older lines are left out; narrow them down with --since", err=True)
    return [(line.time, line.pod, line.text) for line in found.lines]


def _follow(
    logs: PodLogs,
    run: str,
    context: str | None,
    lake: Lake | None,
    wanted: Wanted,
    tail: int | None,
    show: Callable[[Line], None],
) -> None:
    """Print what a run's pods write until it has ended."""

    def away(why: str) -> None:
        echo(f"lightwork: waiting for the cluster: {why}", err=True)

    first = True
    for entries in logs.following(run, wanted.role, away):
        batch = _with_gone(entries, lake, run) if first else entries
        _print(batch, wanted, show, tail if first else None)
        first = False
    if first:
        _print(_archived(logs, run, context, lake, wanted, tail), wanted, show, tail)

"""`lightwork backfill`: a pipeline for many intervals of time, each once."""

from __future__ import annotations

import datetime as dt
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import cell, counted, echo, json_option, show_json, show_table
from lightwork.cli.remote import lake_of, lake_option, place_options, tenant_of
from lightwork.cli.running import STOPPED_CODE
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lightwork.functions.parameters import Parameter
    from lightwork.lake import Lake
    from lightwork.runs.backfill import Outcome, Place
    from lightwork.store.interval_runs import Book, Given
    from lightwork.tenants.intervals import Interval, Rhythm

_STYLES = {"done": "dim", "succeeded": "green", "failed": "red", "running": "cyan", "left": "yellow"}


@dataclass(frozen=True, slots=True)
class _Target:
    """What is filled.

    Attributes:
        pipeline: the pipeline's name.
        names: the parameters that take the interval.
        given: the other parameters.
        rhythm: what cuts the intervals.
        lake: the lake with the records of the runs.
        place: returns where the runs are, given the book of those in the lake.
    """

    pipeline: str
    names: tuple[str, str]
    given: Mapping[str, Given]
    rhythm: Rhythm
    lake: Lake
    place: Callable[[Book], Place]

    def of(self, intervals: list[Interval]) -> Place:
        """Return where the runs of some intervals are."""
        from lightwork.store.interval_runs import Book

        since = intervals[0].key[0]
        return self.place(Book(self.lake, self.pipeline, self.names, self.given, since))


@click.command("backfill")
@click.argument("pipeline", metavar="PIPELINE", shell_complete=candidates.pipelines)
@click.argument("items", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=candidates.parameters)
@click.option(
    "--from", "begin", required=True, metavar="TIME", help="Where it begins: 2026-11-24, or with a time."
)
@click.option(
    "--to", "end", metavar="TIME", help="Where it ends; this moment is not included. Now by default."
)
@click.option("--every", metavar="STEP", help="What cuts the intervals instead of the schedule: 1d, 6h, 1w.")
@click.option("--timezone", metavar="ZONE", help="The time zone of --every; the schedule's, else UTC.")
@click.option(
    "--parallel", type=click.IntRange(1, 50), default=1, show_default=True, metavar="N", help="Runs at once."
)
@click.option(
    "--max-failures", type=click.IntRange(1), metavar="N", help="Start no more runs after N have failed."
)
@click.option("--dry-run", is_flag=True, help="Show the intervals and what is to run, and start nothing.")
@click.option(
    "--on", metavar="WHERE", help="Where runs on this machine compute.", shell_complete=candidates.places
)
@place_options
@lake_option
@json_option
def backfill_command(
    pipeline: str,
    items: tuple[str, ...],
    begin: str,
    end: str | None,
    every: str | None,
    timezone: str | None,
    parallel: int,
    max_failures: int | None,
    dry_run: bool,
    on: str | None,
    environment: str | None,
    tenant: str | None,
    context: str | None,
    lake: str | None,
    as_json: bool,
) -> None:
    """Run a pipeline for each interval that starts between --from and --to; other parameters as NAME=VALUE.

    The intervals are those of the schedule: in the cluster's with --env, else in the tenant's file in this
    folder. An interval that a run has succeeded for is left alone, one that a run works on is waited for. So
    the same command goes on where it was interrupted. The exit code is 1 if a run failed.
    """
    from lightwork.functions import given

    texts = given.texts(pipeline, items)
    if environment is None and context is not None:
        raise InputError("backfill: --context names a cluster; expected --env as well")
    if environment is None:
        target = _here(pipeline, texts, tenant, lake, on, every, timezone)
    elif on is not None:
        raise InputError(
            "backfill: --on is for this machine, and --env for a cluster; expected one of the two"
        )
    else:
        target = _in_cluster(pipeline, texts, environment, tenant, context, lake, every, timezone)
    intervals = _intervals(target.rhythm, begin, end)
    if dry_run:
        from lightwork.runs.backfill import plan

        _show(pipeline, plan(intervals, target.of(intervals).known()), as_json=as_json)
        return
    _fill(pipeline, target.of(intervals), intervals, parallel, max_failures, as_json=as_json)


def _fill(
    pipeline: str,
    place: Place,
    intervals: list[Interval],
    parallel: int,
    max_failures: int | None,
    *,
    as_json: bool,
) -> None:
    """Run the pipeline for the intervals, and tell how that went.

    Raises:
        RunFailed: not each has a run that succeeded.
    """
    from lightwork.runs.backfill import Filling

    filling = Filling(
        intervals,
        place,
        parallel=parallel,
        most_failures=max_failures,
        tell=lambda interval, text: echo(f"{interval}: {text}", err=True),
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        filling.run()
    except KeyboardInterrupt:
        echo(f"lightwork: {place.stop()}", err=True)
        _close(pipeline, filling.outcomes(), as_json=as_json)
        raise click.exceptions.Exit(STOPPED_CODE) from None
    except BaseException:
        echo(f"lightwork: {place.stop()}", err=True)
        raise
    outcomes = filling.outcomes()
    _close(pipeline, outcomes, as_json=as_json)
    if any(item.state not in ("done", "succeeded") for item in outcomes):
        bad = [item for item in outcomes if item.state == "failed"]
        first = f"; the first: {bad[0].interval}: {bad[0].error}" if bad else ""
        raise RunFailed(f"{pipeline}: {_counts(outcomes)}{first}; the same command runs what is missing")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _here(
    pipeline: str,
    texts: Mapping[str, str],
    tenant: str | None,
    lake: str | None,
    on: str | None,
    every: str | None,
    timezone: str | None,
) -> _Target:
    from lightwork import settings
    from lightwork.functions import discovery, parameters
    from lightwork.runs.backfill_places import Here

    target = discovery.find(pipeline)
    names = _with_interval(pipeline, parameters.interval(target), texts)
    parameters.from_texts(target, {**dict.fromkeys(names, parameters.AN_INSTANT), **texts})
    place = settings.resolve_on(on, "local")
    rhythm = _rhythm(pipeline, *_in_file(pipeline, settings.resolve_tenant(tenant)), every, timezone)
    opened = lakes.shown(lake, tenant)
    options = ["--on", place, "--tenant", opened.tenant, "--lake", opened.url]
    given = _given(texts, parameters.of(target))
    return _Target(
        pipeline, names, given, rhythm, opened, lambda book: Here(pipeline, names, given, options, book)
    )


def _given(texts: Mapping[str, str], known: Mapping[str, Parameter]) -> dict[str, Given]:
    from lightwork.store.interval_runs import Given

    return {name: Given(text, known.get(name)) for name, text in texts.items()}


def _in_cluster(
    pipeline: str,
    texts: Mapping[str, str],
    environment: str,
    tenant: str | None,
    context: str | None,
    lake: str | None,
    every: str | None,
    timezone: str | None,
) -> _Target:
    from lightwork.functions import discovery, parameters
    from lightwork.kube import described, firing
    from lightwork.kube.schedules import Schedules, interval_names
    from lightwork.runs.backfill_places import InCluster

    remote = Schedules(environment, tenant_of(tenant), context)
    template = remote.template(pipeline)
    names = _with_interval(pipeline, interval_names(template), texts)
    found = {item.pipeline: item for item in remote.schedules()}.get(pipeline)
    cron, zone = (found.cron, found.zone) if found else (None, None)
    rhythm = _rhythm(pipeline, cron, zone, every, timezone)
    opened: Lake | None = lake_of(lake, remote)
    if opened is None:
        raise InputError(
            "backfill: what is done is known from the tenant's lake: log in with"
            f" `lightwork login --env {environment} --tenant {remote.tenant}`, or name it by --lake"
        )
    installed = discovery.named(pipeline)
    given = _given(texts, parameters.of(installed) if installed else described.parameters_of(template))
    defaults = firing.given(template)
    return _Target(
        *(pipeline, names, given, rhythm, opened),
        lambda book: InCluster(remote, pipeline, names, given, defaults, book),
    )


def _with_interval(pipeline: str, names: tuple[str, str] | None, texts: Mapping[str, str]) -> tuple[str, str]:
    """Return the parameters that take the interval.

    Raises:
        InputError: there are none, or one is given by hand.
    """
    if names is None:
        raise InputError(
            f"{pipeline} takes no interval, so its runs cannot be told apart by time; say which of its"
            ' parameters take it: @pipeline(interval=("start", "end")), or for an entry with steps'
            " `interval: [start, end]` in the tenant's file"
        )
    for name in names:
        if name in texts:
            raise InputError(f"{pipeline}: parameter {name} takes the interval; leave it out")
    return names


def _in_file(pipeline: str, tenant: str) -> tuple[str | None, str | None]:
    """Return a pipeline's schedule and time zone by the tenant's file; None without."""
    from lightwork import tenants

    try:
        path = tenants.find(tenant)
    except InputError:
        return None, None
    entries = tenants.load(path).pipelines
    entry = entries.get(pipeline)
    return (entry.schedule, entry.timezone) if entry else (None, None)


def _rhythm(
    pipeline: str, cron: str | None, zone: str | None, every: str | None, timezone: str | None
) -> Rhythm:
    """Return what cuts the intervals.

    Raises:
        InputError: nothing does, or the time zone is unknown.
    """
    from lightwork.tenants import schedules
    from lightwork.tenants.intervals import Rhythm

    if every is None:
        if timezone is not None:
            raise InputError("backfill: --timezone is that of --every; the schedule has its own")
        if cron is None or zone is None:
            raise InputError(
                f"{pipeline} has no schedule to cut the intervals; give their length, for example --every 1d"
            )
        return Rhythm(zone, cron)
    try:
        return Rhythm(schedules.canonical_zone(timezone or zone or "UTC"), step=every)
    except ValueError as error:
        raise InputError(f"backfill: --timezone {timezone!r}: {error}") from None


def _intervals(rhythm: Rhythm, begin: str, end: str | None) -> list[Interval]:
    """Return the intervals that are over by now; name on stderr how many are not.

    Raises:
        InputError: there are none.
    """
    from lightwork.tenants import intervals

    now = dt.datetime.now(dt.UTC)
    first = intervals.moment("--from", begin, rhythm.zone)
    last = intervals.moment("--to", end, rhythm.zone) if end else now
    if first.astimezone(dt.UTC) >= last.astimezone(dt.UTC):
        raise InputError(f"backfill: --from {begin} is not before --to {end or 'now'}")
    found = intervals.cut(rhythm, first, last)
    over = [item for item in found if item.key[1] <= now]
    if not over:
        raise InputError(f"backfill: no interval is over yet; the first one is {found[0]}")
    if len(over) < len(found):
        left = counted(len(found) - len(over), "interval")
        echo(
            f"lightwork: left out {left} that {'is' if len(found) - len(over) == 1 else 'are'} not over yet",
            err=True,
        )
    return over


def _counts(outcomes: list[Outcome]) -> str:
    """Return in words what became of the intervals."""
    words = {
        "succeeded": "succeeded",
        "done": "done before",
        "running": "at work",
        "to run": "to run",
        "failed": "failed",
        "left": "not run",
    }
    states = [item.state for item in outcomes]
    parts = [f"{states.count(state):,} {word}" for state, word in words.items() if state in states]
    return f"{counted(len(outcomes), 'interval')}: {', '.join(parts)}"


def _close(pipeline: str, outcomes: list[Outcome], *, as_json: bool) -> None:
    echo(f"{pipeline}: {_counts(outcomes)}", err=True)
    if as_json:
        show_json(_object(pipeline, outcomes))


def _show(pipeline: str, planned: list[Outcome], *, as_json: bool) -> None:
    """Show what there is to do."""
    if as_json:
        show_json(_object(pipeline, planned))
        return
    rows = [
        [*item.interval.texts(), cell(item.state, _STYLES.get(item.state, "")), item.run] for item in planned
    ]
    show_table(["start", "end", "state", "run"], rows, drop=("run",))
    echo(_counts(planned))


def _object(pipeline: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return what became of the intervals, for `--json`."""
    return {
        "pipeline": pipeline,
        "status": "failed" if any(item.state in ("failed", "left") for item in outcomes) else "succeeded",
        "intervals": [
            {
                "interval": list(item.interval.texts()),
                "state": item.state,
                "run": item.run or None,
                "error": item.error or None,
            }
            for item in outcomes
        ],
    }

"""`lightwork runs` and `lightwork cost`: the history of a tenant's runs, and what their workers cost."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import (
    counted,
    echo,
    environment_option,
    json_option,
    lake_option,
    show_json,
    show_table,
    show_words,
    styled,
    tenant_option,
    when,
)
from lightwork.cli.show import STYLES
from lightwork.errors import InputError, near, nearest
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from lightwork.history.cost import Bill, Line
    from lightwork.history.query import By, Filter, History
    from lightwork.history.source import Run
    from lightwork.lake import Lake

_LEAST_HOURS = 0.005
"""The worker-hours that a table shows at least."""

pipeline_option = click.option(
    "--pipeline",
    "only_pipeline",
    metavar="NAME",
    help="Only runs of this pipeline.",
    shell_complete=candidates.pipelines_with_runs,
)
since_option = click.option(
    "--since", metavar="WHEN", help="Only runs that started since then: 7d, 12h, 2026-11-01."
)


@click.command("runs")
@click.argument(
    "pipeline", required=False, metavar="[PIPELINE]", shell_complete=candidates.pipelines_with_runs
)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many.")
@pipeline_option
@since_option
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATUS",
    help="Only runs with this status, or one of several: failed,lost.",
    shell_complete=candidates.statuses,
)
@click.option(
    "--where", multiple=True, metavar="NAME=VALUE", help="Only runs with this value of a parameter."
)
@click.option("--slow", is_flag=True, help="Only runs that took more than twice as long as usual.")
@click.option(
    "--before",
    metavar="RUN",
    help="Only runs that come after this one in the list.",
    shell_complete=candidates.runs_in_lake,
)
@lake_option
@environment_option
@tenant_option
@json_option
def runs_command(
    pipeline: str | None,
    last: int,
    only_pipeline: str | None,
    since: str | None,
    statuses: tuple[str, ...],
    where: tuple[str, ...],
    slow: bool,
    before: str | None,
    lake: str | None,
    environment: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Show recent runs, newest first."""
    from lightwork.history.query import Filter
    from lightwork.history.sync import ask

    only = Filter(
        pipeline=_pipeline(pipeline, only_pipeline),
        statuses=_statuses(statuses),
        since=None if since is None else since_of(since),
        where=tuple(_pair(text) for text in where),
        slow=slow,
        before=before,
    )
    opened = lakes.shown(lake, tenant, environment)
    runs = ask(opened, lambda history: _page(history, only, last + 1, opened))
    if as_json:
        shown_runs = [{"run": run["name"], **run} for run in runs[:last]]
        show_json({"runs": shown_runs, "more": len(runs) > last})
        return
    if not runs:
        what = "No such runs" if only != Filter(pipeline=only.pipeline) else "No runs"
        echo(f"{what}{f' of {only.pipeline}' if only.pipeline else ''} in {shown(opened)}.")
        return
    _show(runs[:last])
    if len(runs) > last:
        show_words((f"older runs: the same with --before {runs[last - 1]['name']}", "dim"))


def _page(history: History, only: Filter, last: int, lake: Lake) -> list[Run]:
    """Return a page of runs.

    Raises:
        InputError: there is no such pipeline, parameter or run.
    """
    try:
        runs = history.page(only, last)
    except KeyError:
        raise InputError(f"--before: there is no run {only.before!r} in {shown(lake)}") from None
    if not runs:
        _check_pipeline(only.pipeline, history, lake, "runs")
        names = history.parameters(only.pipeline)
        for name, _ in only.where:
            if name not in names:
                raise InputError(
                    f"--where: no run in {shown(lake)} has a parameter {name!r}{near(name, names)}"
                )
    return runs


def _check_pipeline(name: str | None, history: History, lake: Lake, command: str) -> None:
    """Refuse the name of a pipeline that has no runs in a lake and is not installed.

    Raises:
        InputError: there is no such pipeline.
    """
    if name is None:
        return
    from lightwork.functions import discovery

    names = history.pipelines() | set(discovery.pipelines())
    if name not in names:
        raise InputError(
            f"{command}: there is no pipeline {name!r} here or in {shown(lake)}{near(name, names)}"
        )


def _show(runs: list[Run]) -> None:
    from lightwork.history import source

    rows = []
    for run in runs:
        counts, status, seconds = run.get("elements") or {}, str(run["status"]), run.get("seconds")
        rows.append(
            [
                run["name"],
                run.get("pipeline"),
                styled(status, STYLES.get(status, "")),
                when(run.get("started")),
                "" if seconds is None else f"{seconds:,.1f}",
                f"{counts.get('total', 0):,}",
                f"{counts.get('cached', 0):,}",
                source.short_error(run),
            ]
        )
    columns = ["run", "pipeline", "status", "started", "seconds", "elements", "cached", "error"]
    show_table(
        columns,
        rows,
        right=("seconds", "elements", "cached"),
        cut=("error",),
        # A run's name begins with its pipeline's and has the time of its start.
        drop=("cached", "elements", "pipeline", "started", "seconds", "error"),
    )


def _pipeline(argument: str | None, option: str | None) -> str | None:
    if argument and option and argument != option:
        raise InputError(f"the pipeline is {argument!r} and --pipeline {option!r}; expected one of the two")
    return argument or option


def _statuses(texts: tuple[str, ...]) -> tuple[str, ...]:
    from lightwork.history.query import STATUSES

    statuses = tuple(part.strip() for text in texts for part in text.split(","))
    for status in statuses:
        if status not in STATUSES:
            expected = f"expected some of {', '.join(STATUSES)}{nearest(status, STATUSES)}"
            raise InputError(f"--status: there is no status {status!r}; {expected}")
    return statuses


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise InputError(f"--where: found {text!r}; expected NAME=VALUE, for example max_timestamps=1000")
    return name, value


def since_of(text: str) -> float:
    """Return the moment that a text such as `7d`, `2026-11-01` or `2026-11-01T06:00+01:00` stands for.

    Without a time zone, it is this machine's.

    Raises:
        InputError: it is none of these.
    """
    from lightwork.store import usage

    try:
        return dt.datetime.now(dt.UTC).timestamp() - usage.seconds(text)
    except InputError:
        pass
    try:
        return dt.datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        example = "an age such as 7d or 12h, or a date such as 2026-11-01"
        raise InputError(f"--since: found {text!r}; expected {example}") from None


@click.command("cost")
@click.option(
    "--by",
    type=click.Choice(["tenant", "pipeline", "day"]),
    default="pipeline",
    show_default=True,
    help="How the runs are grouped; days are those of UTC on which they started.",
)
@pipeline_option
@since_option
@lake_option
@environment_option
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="NAME",
    help="The tenant whose runs they are; may be given several times [LIGHTWORK_TENANT, else local].",
    shell_complete=candidates.tenants,
)
@json_option
def cost_command(
    by: Any,
    only_pipeline: str | None,
    since: str | None,
    lake: str | None,
    environment: str | None,
    tenants: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the time of the runs' workers and, where the estate gives prices, what it cost."""
    from lightwork.history.cost import Bill
    from lightwork.history.query import Filter
    from lightwork.history.sync import ask

    only = Filter(pipeline=only_pipeline, since=None if since is None else since_of(since))
    bill = Bill()
    for tenant in tenants or (None,):
        opened = lakes.shown(lake, tenant, environment)
        ask(opened, lambda history: _add(bill, history, only, by, opened))  # noqa: B023 - called at once
    if as_json:
        show_json(_bill_json(bill, by))
        return
    _show_bill(bill, by)


def _add(bill: Bill, history: History, only: Filter, by: By, lake: Lake) -> None:
    _check_pipeline(only.pipeline, history, lake, "cost")
    bill.add(history, only, by)


def _bill_json(bill: Bill, by: By) -> dict[str, Any]:
    from lightwork.history.cost import NOT_IN_IT

    return {
        "by": by,
        "lines": [{by: group, **_line_json(line, bill)} for group, line in sorted(bill.lines.items())],
        "total": _line_json(bill.total(), bill),
        "prices": [{"date": p.date, "region": p.region, "currency": p.currency} for p in bill.prices],
        "not_in_it": list(NOT_IN_IT),
    }


def _line_json(line: Line, bill: Bill) -> dict[str, Any]:
    return {
        "runs": line.runs,
        "runs_without_work": line.unrecorded,
        "worker_hours": round(line.hours, 4),
        "spot_hours": round(line.spot_hours, 4),
        "priced_hours": round(line.priced_hours, 4),
        "cost": round(line.cost, 4) if bill.prices else None,
    }


def _show_bill(bill: Bill, by: By) -> None:
    from lightwork.history.cost import NOT_IN_IT

    total = bill.total()
    if not total.runs:
        echo("No runs.")
        return
    columns = [by, "runs", "worker-hours", "on spot", *(sorted({p.currency for p in bill.prices}))]
    rows = [_cells(group, line, columns) for group, line in sorted(bill.lines.items())]
    show_table(columns, [*rows, _cells("all", total, columns)], right=columns[1:], drop=("on spot", "runs"))
    for prices in bill.prices:
        echo(f"At list prices of {prices.region}, {prices.date}. Not in it: {', '.join(NOT_IN_IT)}.")
    if not bill.prices:
        echo("The lake has no prices, which an estate on AWS gives: worker-hours only.")
    elif (without := total.hours - total.priced_hours) > _LEAST_HOURS:
        echo(f"{without:,.2f} worker-hours have no price: their workers were not in a cluster.")
    if total.unrecorded:
        echo(f"{counted(total.unrecorded, 'run')} had no workers, or left no record of their time.")


def _cells(group: str, line: Line, columns: list[str]) -> list[Any]:
    from lightwork.history.cost import hours

    cells = [group, f"{line.runs:,}", hours(line.hours), hours(line.spot_hours), f"{line.cost:,.2f}"]
    return cells[: len(columns)]

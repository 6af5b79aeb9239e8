"""`lightwork schedule`: what a tenant's schedules do; suspend, resume, and run one now."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates
from lightwork.cli.output import cell, echo, json_option, show_json, show_table, when
from lightwork.cli.remote import cluster_options, lake_of, lake_option, place_options, tenant_of, where
from lightwork.cli.running import Group
from lightwork.errors import InputError, LightworkError, one_line

if TYPE_CHECKING:
    from lightwork.kube.schedules import Schedule, Schedules

_STYLES = {"on time": "green", "suspended": "yellow", "late": "red", "missed": "red", "never started": "red"}
_LONGEST = 500
"""The most characters of a reason."""


def remote(environment: str, tenant: str | None, context: str | None) -> Schedules:
    """Return the schedules of the tenant that options name."""
    from lightwork.kube.schedules import Schedules

    return Schedules(environment, tenant_of(tenant), context)


@click.group("schedule", cls=Group, invoke_without_command=True)
@place_options
@lake_option
@json_option
@click.pass_context
def schedule_command(
    ctx: click.Context,
    environment: str | None,
    tenant: str | None,
    context: str | None,
    lake: str | None,
    as_json: bool,
) -> None:
    """Show the schedules of a tenant: the next and the last firing, and what is late, suspended or skipped.

    Without --env, what the tenant's file in this folder says. `schedule suspend`, `resume` and `now` change
    a schedule or start its run.
    """
    if ctx.invoked_subcommand is not None:
        if any((environment, tenant, context, lake, as_json)):
            raise InputError(f"schedule {ctx.invoked_subcommand}: give its options after its name")
        return
    if environment is None:
        _show_file(tenant_of(tenant), as_json=as_json)
        return
    schedules = remote(environment, tenant, context)
    found = schedules.schedules()
    ends = {item.pipeline: _end_of(schedules, item, lake) for item in found}
    if as_json:
        show_json({"schedules": [_object(item) | {"run_status": ends[item.pipeline]} for item in found]})
        return
    if not found:
        echo(f"{schedules.tenant} has no schedules in {environment}.")
        return
    rows = [
        [
            item.pipeline,
            f"{item.cron} {item.zone}",
            cell(item.state, _STYLES.get(item.state, "red")),
            when(item.next),
            when(item.last),
            ends[item.pipeline],
            item.why,
        ]
        for item in found
    ]
    columns = ["pipeline", "schedule", "state", "next", "last", "its run", "why"]
    show_table(columns, rows, fold=("why",), drop=("schedule", "its run", "last"))


def _end_of(schedules: Schedules, schedule: Schedule, lake: str | None) -> str:
    """Return how the run of the last firing is, or was; empty if there was none or if nothing tells."""
    from lightwork.kube.runs import UnknownError
    from lightwork.store import records

    if not schedule.run:
        return ""
    if (workflow := schedules.workflow(schedule.run)) is not None:
        return _word(schedules.status_of(schedule.run, workflow).phase)
    try:
        opened = lake_of(lake, schedules)
        record = None if opened is None else records.run(opened, schedule.run)
        return str(record["status"]) if record else _word(schedules.status(schedule.run).phase)
    except UnknownError:
        return "not known"
    except LightworkError as error:
        return f"not known: {error}"


def _word(phase: str) -> str:
    """Return a phase of Argo as records say it."""
    return {"": "submitted", "Pending": "waiting", "Error": "failed"}.get(phase, phase.lower())


def _object(schedule: Schedule) -> dict[str, Any]:
    return {
        "pipeline": schedule.pipeline,
        "schedule": schedule.cron,
        "timezone": schedule.zone,
        "state": schedule.state,
        "why": schedule.why or None,
        "next": schedule.next.isoformat() if schedule.next else None,
        "last": schedule.last.isoformat() if schedule.last else None,
        "run": schedule.run or None,
        "note": schedule.note or None,
        "by_file": schedule.by_file or None,
    }


def _show_file(tenant: str, *, as_json: bool) -> None:
    """Show the schedules of a tenant's file."""
    from lightwork import tenants
    from lightwork.tenants import firings

    loaded = tenants.load(tenants.find(tenant))
    now = dt.datetime.now(dt.UTC)
    found = []
    for name, entry in loaded.pipelines.items():
        if entry.schedule is None or entry.timezone is None:
            continue
        fires = loaded.fires(name)
        moment = next(firings.after(entry.schedule, entry.timezone, now), None) if fires else None
        state = "by the file" if fires else "suspended"
        found.append((name, entry.schedule, entry.timezone, state, moment))
    if as_json:
        keys = ("pipeline", "schedule", "timezone", "state")
        show_json(
            {
                "schedules": [
                    {**dict(zip(keys, item, strict=False)), "next": item[4].isoformat() if item[4] else None}
                    for item in found
                ]
            }
        )
    elif not found:
        echo(f"{tenant} has no schedules in its file.")
    else:
        rows = [[name, f"{cron} {zone}", state, when(moment)] for name, cron, zone, state, moment in found]
        show_table(["pipeline", "schedule", "state", "next"], rows, drop=("schedule",))


@schedule_command.command("suspend")
@click.argument("pipeline", metavar="PIPELINE", shell_complete=candidates.pipelines)
@cluster_options
@click.option("--reason", required=True, metavar="TEXT", help="Why; everybody sees it.")
@json_option
def suspend(
    pipeline: str, environment: str, tenant: str | None, context: str | None, reason: str, as_json: bool
) -> None:
    """Suspend a schedule until `schedule resume`; runs that have started go on, deployments leave it so."""
    if not (why := _reason("suspend", reason)):
        raise InputError("schedule suspend: --reason is empty; expected why it is suspended")
    schedules = remote(environment, tenant, context)
    is_new = schedules.suspend(pipeline, why)
    if as_json:
        show_json({"pipeline": pipeline, "state": "suspended", "changed": is_new})
        return
    options = where(environment, schedules.tenant, context)
    text = "is suspended" if is_new else "was suspended already; the reason is noted"
    echo(f"{pipeline} {text}; let it go on: lightwork schedule resume {pipeline} {options}", err=True)


def _reason(command: str, text: str) -> str:
    """Return a reason in one line.

    Raises:
        InputError: it is too long to be shown everywhere.
    """
    line = one_line(text)
    if len(line) > _LONGEST:
        raise InputError(
            f"schedule {command}: --reason has {len(line):,} characters; expected {_LONGEST} or fewer"
        )
    return line


@schedule_command.command("resume")
@click.argument("pipeline", metavar="PIPELINE", shell_complete=candidates.pipelines)
@cluster_options
@click.option("--reason", default="", metavar="TEXT", help="Why; everybody sees it.")
@json_option
def resume(
    pipeline: str, environment: str, tenant: str | None, context: str | None, reason: str, as_json: bool
) -> None:
    """Let a suspended schedule go on; what it missed is not caught up (see `lightwork backfill`)."""
    why = _reason("resume", reason) or "resumed"
    schedules = remote(environment, tenant, context)
    changed = schedules.resume(pipeline, why)
    now = schedules.schedule(pipeline)
    if as_json:
        show_json({**_object(now), "changed": changed})
        return
    text = "goes on" if changed else "was not suspended"
    echo(f"{pipeline} {text}; its next run starts at {when(now.next)}", err=True)


@schedule_command.command("now")
@click.argument("pipeline", metavar="PIPELINE", shell_complete=candidates.pipelines)
@cluster_options
@json_option
def now(pipeline: str, environment: str, tenant: str | None, context: str | None, as_json: bool) -> None:
    """Start the run that the schedule would have started at its last firing, with that one's interval."""
    from lightwork.kube.schedules import interval_names
    from lightwork.tenants import intervals

    schedules = remote(environment, tenant, context)
    schedule = schedules.schedule(pipeline)
    names = interval_names(schedules.template(pipeline))
    values: dict[str, str] = {}
    if names is not None:
        interval = intervals.of_firing(schedule.cron, schedule.zone, dt.datetime.now(dt.UTC))
        values = dict(zip(names, interval.texts(), strict=True))
    run = schedules.submit(pipeline, values)
    if as_json:
        show_json({"run": run, "namespace": schedules.namespace, "interval": list(values.values()) or None})
        return
    of_interval = f" for {' – '.join(values.values())}" if values else ""
    options = where(environment, schedules.tenant, context)
    echo(f"submitted {run} to {schedules.namespace}{of_interval}", err=True)
    echo(f"see its logs: lightwork logs {run} {options}", err=True)

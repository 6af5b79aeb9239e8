"""`lightwork queue`: the runs that are at work and those that wait, and behind whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import lakes
from lightwork.cli.output import echo, json_option, show_json, show_table, when
from lightwork.cli.output import lake_option as local_lake_option
from lightwork.cli.remote import place_options, tenant_of

if TYPE_CHECKING:
    from lightwork.kube.queue import Queued

_NAMED = 3
"""The most runs that are named as those before another one."""


@click.command("queue")
@place_options
@local_lake_option
@json_option
def queue_command(
    environment: str | None, tenant: str | None, context: str | None, lake: str | None, as_json: bool
) -> None:
    """Show the runs of a tenant that have not ended: those at work, and those that wait for their turn.

    Without --env, the runs on this machine that use the lake; they do not wait for each other.
    """
    if environment is None:
        _show_here(lake, tenant, as_json=as_json)
        return
    from lightwork.kube.queue import queue
    from lightwork.kube.runs import Remote

    remote = Remote(environment, tenant_of(tenant), context)
    found = queue(remote.workflows())
    if as_json:
        show_json({"runs": [_object(item) for item in found]})
    elif not found:
        echo(f"No run of {remote.tenant} is at work or waits in {environment}.")
    else:
        rows = [[item.run, item.pipeline, _state(item), when(item.since), _behind(item)] for item in found]
        columns = ["run", "pipeline", "state", "since", "waits for"]
        show_table(columns, rows, fold=("waits for",), drop=("pipeline", "since"))


def _object(item: Queued) -> dict[str, Any]:
    return {
        "run": item.run,
        "pipeline": item.pipeline,
        "by": item.by,
        "phase": item.phase,
        "message": item.message or None,
        "since": item.since,
        "before": list(item.before) if item.before else None,
        "behind": list(item.behind),
        "progress": item.progress or None,
    }


def _state(item: Queued) -> str:
    if item.phase in ("", "Pending"):
        return "waits"
    return f"at work, {item.progress} steps done" if item.progress else "at work"


def _behind(item: Queued) -> str:
    """Return what a run waits for, and the runs before it."""
    if not item.behind:
        return item.message
    more = len(item.behind) - _NAMED
    names = ", ".join(item.behind[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{item.message.removeprefix('waits for its turn: ')}; behind {names}"


def _show_here(lake: str | None, tenant: str | None, *, as_json: bool) -> None:
    from lightwork.store.records import recent

    opened = lakes.shown(lake, tenant)
    found = [record for record in recent(opened) if record["status"] in ("running", "submitted")]
    if as_json:
        keys = ("name", "pipeline", "status", "started", "elements")
        show_json({"runs": [{key: record.get(key) for key in keys} for record in found]})
    elif not found:
        echo("No run is at work here.")
    else:
        rows = [
            [
                record.get("name") or record.get("run_id"),
                record["pipeline"],
                record["status"],
                when(record["started"]),
            ]
            for record in found
        ]
        show_table(["run", "pipeline", "state", "since"], rows, drop=("since",))

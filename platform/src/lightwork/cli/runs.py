"""`lightwork runs`."""

from __future__ import annotations

from typing import Any

import click

from lightwork.cli.output import json_option, lake_option, show_json, show_table, tenant_option, when, where

_STYLES = {"succeeded": "green", "failed": "red", "stopped": "yellow", "running": "cyan", "lost": "red"}


@click.command("runs")
@click.argument("pipeline", required=False, metavar="[PIPELINE]")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@lake_option
@tenant_option
@json_option
def command(pipeline: str | None, last: int, lake: str | None, tenant: str | None, as_json: bool) -> None:
    """Show recent runs, newest first."""
    from rich.text import Text

    from lightwork import settings
    from lightwork.lake import open_lake
    from lightwork.run import recent

    opened = open_lake(settings.resolve_lake(lake), tenant=settings.resolve_tenant(tenant))
    found: list[dict[str, Any]] = []
    for record in recent(opened):
        if pipeline is None or record.get("pipeline") == pipeline:
            found.append(record)
        if len(found) == last:
            break
    if as_json:
        show_json({"runs": found})
        return
    if not found:
        what = f" of {pipeline}" if pipeline else ""
        click.echo(f"No runs{what} in {where(opened)}.")
        return
    rows = []
    for record in found:
        counts, status = record.get("elements") or {}, str(record.get("status"))
        seconds = record.get("seconds")
        rows.append(
            [
                record.get("run_id"),
                record.get("pipeline"),
                Text(status, _STYLES.get(status, "")),
                when(record.get("started")),
                "" if seconds is None else f"{seconds:,.1f}",
                f"{counts.get('total', 0):,}",
                f"{counts.get('cached', 0):,}",
                record.get("error") or "",
            ]
        )
    columns = ["run", "pipeline", "status", "started", "seconds", "elements", "skipped", "error"]
    show_table(columns, rows, right=("seconds", "elements", "skipped"))

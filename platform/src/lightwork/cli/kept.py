"""`lightwork artifacts`, `lightwork cache` and `lightwork runs`: what a lake keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import (
    console,
    json_option,
    lake_option,
    show_json,
    show_table,
    size,
    tenant_option,
    when,
    where,
)
from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from lightwork.lake import Lake
    from lightwork.store.artifacts import Artifact, Artifacts


_HEAD = 5


@click.command("artifacts")
@click.argument("name", required=False, metavar="[NAME]")
@lake_option
@tenant_option
@json_option
def artifacts_command(name: str | None, lake: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the tables and files that runs have written; of one NAME, its versions and its first rows."""
    from lightwork import settings
    from lightwork.errors import InputError, near
    from lightwork.lake import open_lake
    from lightwork.store.artifacts import Artifacts

    opened = open_lake(settings.resolve_lake(lake), tenant=settings.resolve_tenant(tenant))
    artifacts = Artifacts(opened, run_id="", provenance={})
    found = artifacts.list(name)
    if name is not None and not found:
        names = {item.name for item in artifacts.list()}
        raise InputError(f"there is no artifact {name!r} in {where(opened)}{near(name, names)}")
    if as_json:
        show_json({"artifacts": [item.to_json() for item in found]})
    elif not found:
        click.echo(f"No artifacts in {where(opened)}.")
    elif name is None:
        _newest(found)
    else:
        _versions(found, artifacts)


def _newest(found: list[Artifact]) -> None:
    versions: dict[str, list[Artifact]] = {}
    for item in found:
        versions.setdefault(item.name, []).append(item)
    rows = [
        [name, _rows(items[0]), size(items[0].bytes), len(items), when(items[0].created), items[0].run_id]
        for name, items in sorted(versions.items())
    ]
    show_table(
        ["artifact", "rows", "bytes", "versions", "newest", "run"], rows, right=("rows", "bytes", "versions")
    )


def _versions(found: list[Artifact], artifacts: Artifacts) -> None:
    rows = [[when(item.created), item.run_id, _rows(item), size(item.bytes), item.uri] for item in found]
    show_table(["written", "run", "rows", "bytes", "where"], rows, right=("rows", "bytes"))
    newest = found[0]
    if newest.rows is None:
        return
    from lightwork.runs.jsonable import table_head

    head = artifacts.read(newest.name, run=newest.run_id, lazy=True).head(_HEAD, npartitions=-1)
    shown = table_head(head)
    columns = shown["columns"][:12]
    show_table(columns, ([record[column] for column in columns] for record in shown["records"]))
    if newest.rows > _HEAD:
        console().print(f"the first {_HEAD} of {newest.rows:,} rows", style="dim")


def _rows(item: Artifact) -> str:
    return "" if item.rows is None else f"{item.rows:,}"


class _Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, or a line with the nearest."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise InputError(f"cache: there is no command {args[0]!r}{near(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group("cache", cls=_Group, invoke_without_command=True)
@click.pass_context
def cache_command(ctx: click.Context) -> None:
    """Show what the kept results take (`size`), and remove old ones (`prune`)."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(size_command)


@cache_command.command("size")
@lake_option
@tenant_option
@json_option
def size_command(lake: str | None = None, tenant: str | None = None, as_json: bool = False) -> None:
    """Show the results kept of each task."""
    from lightwork.store import usage

    opened = _open(lake, tenant)
    found = usage.usage(opened)
    if as_json:
        show_json({"tasks": [asdict(item) for item in found], "bytes": sum(item.bytes for item in found)})
        return
    if not found:
        click.echo(f"No results kept in {where(opened)}.")
        return
    rows = [
        [i.task, f"{i.results:,}", f"{i.versions:,}", f"{i.files:,}", size(i.bytes), when(i.newest)]
        for i in found
    ]
    columns = ["task", "results", "code versions", "files", "bytes", "newest"]
    show_table(columns, rows, right=columns[1:5])


@cache_command.command("prune")
@click.option("--older-than", metavar="AGE", help="Only results written longer ago, for example 30d or 12h.")
@click.option("--task", metavar="NAME", help="Only this task's results.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@lake_option
@tenant_option
@json_option
def prune(
    older_than: str | None,
    task: str | None,
    dry_run: bool,
    lake: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Remove kept results; runs that need them compute them again."""
    from lightwork.store import usage

    if older_than is None and task is None:
        raise InputError("cache prune: say what to remove: --older-than 30d, --task NAME, or both")
    age = None if older_than is None else usage.seconds(older_than)
    opened = _open(lake, tenant)
    entries = usage.prunable(opened, older_than=age, task=task)
    total = sum(entry.size for entry in entries)
    if not dry_run:
        opened.delete(entry.path for entry in entries)
    if as_json:
        show_json({"files": len(entries), "bytes": total, "removed": not dry_run})
        return
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(entries):,} files, {size(total)} {verb} in {where(opened)}.")


def _open(lake: str | None, tenant: str | None) -> Lake:
    from lightwork import settings
    from lightwork.lake import open_lake

    return open_lake(settings.resolve_lake(lake), tenant=settings.resolve_tenant(tenant))


_STYLES = {"succeeded": "green", "failed": "red", "stopped": "yellow", "running": "cyan", "lost": "red"}


@click.command("runs")
@click.argument("pipeline", required=False, metavar="[PIPELINE]")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@lake_option
@tenant_option
@json_option
def runs_command(
    pipeline: str | None, last: int, lake: str | None, tenant: str | None, as_json: bool
) -> None:
    """Show recent runs, newest first."""
    from rich.text import Text

    from lightwork import settings
    from lightwork.lake import open_lake
    from lightwork.store.records import recent

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

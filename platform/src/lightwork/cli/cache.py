"""`lightwork cache`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lightwork.cli.output import (
    json_option,
    lake_option,
    show_json,
    show_table,
    size,
    tenant_option,
    when,
    where,
)
from lightwork.errors import InputError
from lightwork.suggest import near

if TYPE_CHECKING:
    from lightwork.lake import Lake


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
def command(ctx: click.Context) -> None:
    """Show what the kept results take (`size`), and remove old ones (`prune`)."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(size_command)


@command.command("size")
@lake_option
@tenant_option
@json_option
def size_command(lake: str | None = None, tenant: str | None = None, as_json: bool = False) -> None:
    """Show the results kept of each task."""
    from lightwork import housekeeping

    opened = _open(lake, tenant)
    found = housekeeping.usage(opened)
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


@command.command("prune")
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
    from lightwork import housekeeping

    if older_than is None and task is None:
        raise InputError("cache prune: say what to remove: --older-than 30d, --task NAME, or both")
    age = None if older_than is None else housekeeping.seconds(older_than)
    opened = _open(lake, tenant)
    entries = housekeeping.prunable(opened, older_than=age, task=task)
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

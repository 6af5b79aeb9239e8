"""`lightwork artifacts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from lightwork.artifacts import Artifact, Artifacts

_HEAD = 5


@click.command("artifacts")
@click.argument("name", required=False, metavar="[NAME]")
@lake_option
@tenant_option
@json_option
def command(name: str | None, lake: str | None, tenant: str | None, as_json: bool) -> None:
    """Show the tables and files that runs have written; of one NAME, its versions and its first rows."""
    from lightwork import settings
    from lightwork.artifacts import Artifacts
    from lightwork.errors import InputError
    from lightwork.lake import open_lake
    from lightwork.suggest import near

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
    from lightwork.jsonable import table_head

    head = artifacts.read(newest.name, run=newest.run_id, lazy=True).head(_HEAD, npartitions=-1)
    shown = table_head(head)
    columns = shown["columns"][:12]
    show_table(columns, ([record[column] for column in columns] for record in shown["records"]))
    if newest.rows > _HEAD:
        console().print(f"the first {_HEAD} of {newest.rows:,} rows", style="dim")


def _rows(item: Artifact) -> str:
    return "" if item.rows is None else f"{item.rows:,}"

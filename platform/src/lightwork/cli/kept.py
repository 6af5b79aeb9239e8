"""`lightwork artifacts`: the tables and files that runs have left in a lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import (
    console,
    echo,
    environment_option,
    json_option,
    lake_option,
    show_json,
    show_table,
    size,
    tenant_option,
    when,
)
from lightwork.errors import InputError, near
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from lightwork.store.artifacts import Artifact, Artifacts

_HEAD = 5
"""The number of a table's rows that `lightwork artifacts NAME` shows."""


@click.command("artifacts")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=candidates.artifacts)
@lake_option
@environment_option
@tenant_option
@json_option
def artifacts_command(
    name: str | None, lake: str | None, environment: str | None, tenant: str | None, as_json: bool
) -> None:
    """Show the tables and files that runs have written; with NAME, its versions and its first rows."""
    from lightwork.store.artifacts import Artifacts

    opened = lakes.shown(lake, tenant, environment)
    artifacts = Artifacts(opened, run_id="", provenance={})
    items = artifacts.list(name)
    if name is not None and not items:
        names = {item.name for item in artifacts.list()}
        raise InputError(f"there is no artifact {name!r} in {shown(opened)}{near(name, names)}")
    if as_json:
        show_json({"artifacts": [item.to_json() for item in items]})
    elif not items:
        echo(f"No artifacts in {shown(opened)}.")
    elif name is None:
        _show_newest(items)
    else:
        _show_versions(items, artifacts)


def _show_newest(artifacts: list[Artifact]) -> None:
    versions: dict[str, list[Artifact]] = {}
    for item in artifacts:
        versions.setdefault(item.name, []).append(item)
    rows = [
        [name, _rows(items[0]), size(items[0].bytes), len(items), when(items[0].created), items[0].run_id]
        for name, items in sorted(versions.items())
    ]
    show_table(
        ["artifact", "rows", "size", "versions", "newest", "run"],
        rows,
        right=("rows", "size", "versions"),
        drop=("versions", "size", "rows", "newest"),
    )


def _show_versions(versions: list[Artifact], artifacts: Artifacts) -> None:
    rows = [[when(item.created), item.run_id, _rows(item), size(item.bytes), item.uri] for item in versions]
    show_table(
        ["written", "run", "rows", "size", "address"],
        rows,
        right=("rows", "size"),
        fold=["address"],
        drop=("size", "rows", "written"),
    )
    newest = versions[0]
    if newest.rows is None:
        return
    from lightwork.runs.jsonable import table_head

    frame = artifacts.read(newest.name, run=newest.run_id, lazy=True).head(_HEAD, npartitions=-1)
    head = table_head(frame)
    columns = list(head["columns"])
    echo()
    records = ([record[column] for column in columns] for record in head["records"])
    show_table(columns, records, cut=columns, drop=columns[:0:-1])
    if newest.rows > _HEAD:
        console().print(f"the first {_HEAD} of {newest.rows:,} rows of the newest version", style="dim")


def _rows(item: Artifact) -> str:
    return "" if item.rows is None else f"{item.rows:,}"

"""`lightwork artifacts` and `lightwork runs`: what runs have left in a lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import (
    cell,
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
from lightwork.cli.show import STYLES
from lightwork.errors import InputError, near, one_line
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from lightwork.lake import Lake
    from lightwork.store.artifacts import Artifact, Artifacts

_LOOKED_AT = 200
"""The newest runs whose pipelines are named if there is none of a name."""
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


def _check_pipeline(name: str, lake: Lake) -> None:
    """Refuse the name of a pipeline without runs in a lake, unless it is installed.

    Raises:
        InputError: there is no such pipeline.
    """
    from lightwork.functions import discovery
    from lightwork.store.records import recent

    names = {str(record["pipeline"]) for record in recent(lake, _LOOKED_AT)} | set(discovery.pipelines())
    if name not in names:
        raise InputError(f"runs: there is no pipeline {name!r} here or in {shown(lake)}{near(name, names)}")


@click.command("runs")
@click.argument(
    "pipeline", required=False, metavar="[PIPELINE]", shell_complete=candidates.pipelines_with_runs
)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many.")
@lake_option
@environment_option
@tenant_option
@json_option
def runs_command(
    pipeline: str | None,
    last: int,
    lake: str | None,
    environment: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Show recent runs, newest first."""
    from lightwork.store.records import recent

    opened = lakes.shown(lake, tenant, environment)
    records = recent(opened, last, pipeline)
    if pipeline is not None and not records:
        _check_pipeline(pipeline, opened)
    if as_json:
        show_json({"runs": [{"run": record["name"], **record} for record in records]})
        return
    if not records:
        of_pipeline = f" of {pipeline}" if pipeline else ""
        echo(f"No runs{of_pipeline} in {shown(opened)}.")
        return
    rows = []
    for record in records:
        counts, status = record.get("elements") or {}, str(record.get("status"))
        seconds = record.get("seconds")
        rows.append(
            [
                record["name"],
                record.get("pipeline"),
                cell(status, STYLES.get(status, "")),
                when(record.get("started")),
                "" if seconds is None else f"{seconds:,.1f}",
                f"{counts.get('total', 0):,}",
                f"{counts.get('cached', 0):,}",
                one_line(record.get("error") or ""),
            ]
        )
    columns = ["run", "pipeline", "status", "started", "seconds", "elements", "cached", "error"]
    show_table(
        columns,
        rows,
        right=("seconds", "elements", "cached"),
        cut=("error",),
        drop=("cached", "elements", "started", "seconds", "error"),
    )

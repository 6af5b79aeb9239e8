"""`lightwork artifacts`: the tables and files that runs have left in a lake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, lakes, saving
from lightwork.cli.output import (
    console,
    counted,
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
from lightwork.errors import InputError, LakeAway, LightworkError, near
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from lightwork.lake import Lake
    from lightwork.store.artifacts import Artifact, Artifacts
    from lightwork.store.tables_reading import Stored

_HEAD = 5
"""The number of a table's rows that `lightwork artifacts NAME` shows."""
_ENDINGS = (".csv", ".parquet")


@click.command("artifacts")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=candidates.artifacts)
@click.option("--head", type=click.IntRange(1), metavar="N", help="Print only the first N rows.")
@click.option(
    "--to",
    "file",
    metavar="FILE",
    help="Write the table to FILE.csv or FILE.parquet.",
    shell_complete=candidates.files,
)
@click.option("--overwrite", is_flag=True, help="With --to: replace FILE if it exists.")
@click.option("--path", "path_only", is_flag=True, help="Print only where it lies, as one path.")
@click.option(
    "--run",
    metavar="RUN",
    help="The version of this run, however it ended; by default the newest of a run that succeeded.",
    shell_complete=candidates.runs_in_lake,
)
@lake_option
@environment_option
@tenant_option
@json_option
def artifacts_command(
    name: str | None,
    head: int | None,
    file: str | None,
    overwrite: bool,
    path_only: bool,
    run: str | None,
    lake: str | None,
    environment: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Show the tables and files that runs have written; with NAME, its versions and its first rows.

    --head, --to and --path are about one version of NAME.
    """
    from lightwork.store.artifacts import Artifacts

    wanted = [word for word, given in (("--head", head), ("--to", file), ("--path", path_only)) if given]
    _check(name, wanted, run=run, overwrite=overwrite)
    target = None if file is None else _target(file, overwrite=overwrite)
    opened = lakes.shown(lake, tenant, environment)
    artifacts = Artifacts(opened, run_id="", provenance={})
    if name is None or not wanted:
        _show_all(opened, artifacts, name, as_json=as_json)
        return
    artifact = _find(opened, artifacts, name, run)
    if target is not None:
        _save(opened, artifact, target, overwrite=overwrite, as_json=as_json)
    elif head is not None:
        _show_head(opened, artifact, head, as_json=as_json)
    else:
        _show_path(opened, artifact, as_json=as_json)


def _check(name: str | None, wanted: list[str], *, run: str | None, overwrite: bool) -> None:
    """Refuse options that do not go together."""
    options = [*wanted, *(["--run"] if run is not None else []), *(["--overwrite"] if overwrite else [])]
    if name is None and options:
        raise InputError(f"artifacts: {options[0]} is about one artifact; expected its NAME")
    if len(wanted) > 1:
        raise InputError(f"artifacts: {wanted[0]} and {wanted[1]}: expected one of the two")
    if run is not None and not wanted:
        raise InputError("artifacts: --run goes with --head, --to or --path")
    if overwrite and wanted != ["--to"]:
        raise InputError("artifacts: --overwrite goes with --to")


def _target(file: str, *, overwrite: bool) -> Path:
    """Return the file to write.

    Raises:
        InputError: its ending says neither CSV nor Parquet, or see `saving.check`.
    """
    path = Path(file)
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"artifacts: --to {file}: expected a name that ends in {' or '.join(_ENDINGS)}")
    saving.check(path, overwrite=overwrite)
    return path


def _find(opened: Lake, artifacts: Artifacts, name: str, run: str | None) -> Artifact:
    """Return one version of an artifact.

    Raises:
        InputError: there is no such artifact, or none of this run, or none of a run that succeeded.
    """
    try:
        return artifacts.find(name, run=run)
    except LakeAway:
        raise
    except LightworkError:
        runs = list(dict.fromkeys(item.run_id for item in artifacts.list(name)))
        if not runs:
            raise _unknown(opened, artifacts, name) from None
        if run is None:
            text = f"no run that wrote artifact {name!r} has succeeded; --run {runs[0]} gives its version"
            raise InputError(text) from None
        if run not in runs:
            raise InputError(f"there is no artifact {name!r} of run {run!r}{near(run, runs)}") from None
        raise


def _unknown(opened: Lake, artifacts: Artifacts, name: str) -> InputError:
    names = {item.name for item in artifacts.list()}
    return InputError(f"there is no artifact {name!r} in {shown(opened)}{near(name, names)}")


def _show_all(opened: Lake, artifacts: Artifacts, name: str | None, *, as_json: bool) -> None:
    items = artifacts.list(name)
    if name is not None and not items:
        raise _unknown(opened, artifacts, name)
    if as_json:
        show_json({"artifacts": [item.to_json() for item in items]})
    elif not items:
        echo(f"No artifacts in {shown(opened)}.")
    elif name is None:
        _show_newest(items)
    else:
        _show_versions(items, opened, artifacts)


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


def _show_versions(versions: list[Artifact], opened: Lake, artifacts: Artifacts) -> None:
    rows = [[when(item.created), item.run_id, _rows(item), size(item.bytes), item.uri] for item in versions]
    show_table(
        ["written", "run", "rows", "size", "address"],
        rows,
        right=("rows", "size"),
        fold=["address"],
        drop=("size", "rows", "written"),
    )
    try:
        artifact, whose = artifacts.find(versions[0].name), "the newest version of a run that succeeded"
    except LightworkError:  # no run has succeeded yet
        artifact, whose = versions[0], f"the version of {versions[0].run_id}, which did not succeed"
    if artifact.rows is None:
        return
    echo()
    _show_rows(_head(opened, artifact, _HEAD))
    of_all = f"the first {_HEAD} of {artifact.rows:,} rows" if artifact.rows > _HEAD else "all rows"
    console().print(f"{of_all} of {whose}", style="dim")


def _show_rows(head: dict[str, Any]) -> None:
    columns = list(head["columns"])
    records = ([record[column] for column in columns] for record in head["records"])
    show_table(columns, records, cut=columns, drop=columns[:0:-1])


def _rows(item: Artifact) -> str:
    return "" if item.rows is None else f"{item.rows:,}"


# One version


def _stored(opened: Lake, artifact: Artifact) -> Stored:
    """Return the table of a version.

    Raises:
        InputError: it is a file.
    """
    from lightwork.store import records, versions
    from lightwork.store.tables_reading import stored_as

    if artifact.rows is None:
        where = records.location(opened, artifact.path)
        raise InputError(f"artifact {artifact.name!r} is a file, not a table; it is at {where}")
    return stored_as(opened, versions.read(opened, artifact.name, artifact.version))


def _head(opened: Lake, artifact: Artifact, rows: int) -> dict[str, Any]:
    from lightwork.runs.jsonable import table_head
    from lightwork.store.tables_reading import head

    return table_head(head(_stored(opened, artifact), rows), rows)


def _show_head(opened: Lake, artifact: Artifact, rows: int, *, as_json: bool) -> None:
    head = _head(opened, artifact, rows)
    if as_json:
        show_json({**_facts(artifact), "columns": head["columns"], "records": head["records"]})
        return
    _show_rows(head)


def _save(opened: Lake, artifact: Artifact, target: Path, *, overwrite: bool, as_json: bool) -> None:
    stored = _stored(opened, artifact)
    from lightwork.store import one_file, versions

    formulas = 0
    with saving.saved(target, overwrite=overwrite) as file:
        if target.suffix.lower() == ".csv":
            formulas = one_file.write_csv(stored, file)
        else:
            facts = versions.facts(versions.read(opened, artifact.name, artifact.version))
            one_file.write_parquet(stored, file, facts)
    written = target.stat().st_size
    if as_json:
        show_json({**_facts(artifact), "to": str(target), "bytes": written, "formulas": formulas})
    else:
        echo(f"{counted(artifact.rows or 0, 'row')} of {artifact.run_id} in {target} ({size(written)})")
    if formulas:
        verb = "looks" if formulas == 1 else "look"
        echo(f"{counted(formulas, 'text')} {verb} like a formula to a spreadsheet", err=True)


def _show_path(opened: Lake, artifact: Artifact, *, as_json: bool) -> None:
    from lightwork.store import latest, records, versions

    document = versions.read(opened, artifact.name, artifact.version)
    is_latest = latest.fits(document) and latest.version_in(opened, artifact.name) == artifact.version
    path = latest.path_of(artifact.name) if is_latest else artifact.path
    where = records.location(opened, path)
    if not as_json:
        echo(where)
        return
    folder = artifact.path if artifact.rows is not None else artifact.path.rpartition("/")[0]
    parts = [records.location(opened, f"{folder}/{file[0]}") for file in document["files"]]
    show_json({**_facts(artifact), "path": where, "latest": is_latest, "parts": parts})


def _facts(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "version": artifact.version,
        "run": artifact.run_id,
        "rows": artifact.rows,
    }

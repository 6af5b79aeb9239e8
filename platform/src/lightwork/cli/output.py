"""Tables and JSON on stdout, for people and for programs."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from lightwork.lake import Lake

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
lake_option = click.option("--lake", metavar="URL", help="Folder or s3://bucket/prefix [LIGHTWORK_LAKE].")
tenant_option = click.option("--tenant", metavar="NAME", help="Whose data [LIGHTWORK_TENANT, else local].")


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; a piped one is so wide that no line is cut or wrapped."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = 1000
    return made


def show_json(value: Any) -> None:
    """Print one object on one line."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table; `right` names the columns of numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else Text(str(value)) for value in row))
    console().print(table)


def where(lake: Lake) -> str:
    """The tenant's part of the lake for people: a path, or an address."""
    root = lake.root
    return unquote(root.removeprefix("file://")) if root.startswith("file://") else root


def size(count: float) -> str:
    """Bytes for people: `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def when(moment: float | dt.datetime | str | None) -> str:
    """A moment for people, in this machine's zone: `2026-11-24 06:35:18`."""
    if moment is None or moment == "":
        return ""
    if isinstance(moment, str):
        try:
            moment = dt.datetime.fromisoformat(moment)
        except ValueError:
            return str(moment)
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.fromtimestamp(moment, tz=dt.UTC)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")

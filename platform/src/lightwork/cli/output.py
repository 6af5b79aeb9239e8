"""Output for people and programs: tables, JSON, and readable sizes and times."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
lake_option = click.option(
    "--lake",
    metavar="URL",
    help="Folder or s3://bucket/prefix [LIGHTWORK_LAKE, else the nearest .lightwork/lake].",
)
tenant_option = click.option(
    "--tenant", metavar="NAME", help="The tenant whose data it is [LIGHTWORK_TENANT, else local]."
)


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or wide enough never to wrap if the output is piped."""
    from rich.console import Console

    result = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not result.is_terminal:
        result.width = 1000
    return result


def show_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table, with the columns named in `right` aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else Text(str(value)) for value in row))
    console().print(table)


def size(count: float) -> str:
    """Return a number of bytes in a readable unit, such as `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: `1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def when(moment: float | dt.datetime | str | None) -> str:
    """Return a moment in this machine's time zone, such as `2026-11-24 06:35:18`; empty if there is none.

    Args:
        moment: a Unix time, a datetime or ISO text; other text is returned unchanged.
    """
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

"""Output for people and programs: tables, JSON, and readable sizes and times."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import click

from lightwork.errors import is_hidden, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.text import Text

    from lightwork.lake import Lake

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
lake_option = click.option(
    "--lake", metavar="URL", help="Folder or s3://bucket/prefix [LIGHTWORK_LAKE, else .lightwork/lake]."
)
tenant_option = click.option(
    "--tenant", metavar="NAME", help="The tenant whose data it is [LIGHTWORK_TENANT, else local]."
)


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or wide enough never to wrap if the output is piped."""
    from lightwork.logs import terminal

    result = terminal(stderr=stderr)
    if not result.is_terminal:
        result.width = 1000
    return result


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text on stdout or stderr, with everything escaped that a terminal would obey."""
    click.echo(visible(text), err=err, nl=nl)


def cell(value: object, style: str = "", *, right: bool = False) -> Text:
    """Return a value as the text of a table or a line, with everything escaped that a terminal would obey.

    It is not read as rich's markup.
    """
    from rich.text import Text

    return Text(visible(str(value)), style, justify="right" if right else None)


def show_json(value: Any) -> None:
    """Print a value as JSON on one line; what a terminal would obey is escaped as JSON escapes it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    click.echo(re.sub(r"[^\x20-\x7e]", _json_escape, text))


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\x7f":  # which `json` leaves as it is
        return "\\u007f"
    return json.dumps(character)[1:-1] if is_hidden(character) else character


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print a table, with the columns named in `right` aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(cell(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    console().print(table)


def where(lake: Lake) -> str:
    """Return the address of a tenant's part of a lake; a plain path if it is a folder."""
    root = lake.root
    return unquote(root.removeprefix("file://")) if root.startswith("file://") else root


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

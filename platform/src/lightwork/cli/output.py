"""Output for people and programs: tables, JSON, and readable sizes and times."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates
from lightwork.errors import InputError, is_hidden, visible
from lightwork.ui.words import size as size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
lake_option = click.option(
    "--lake",
    metavar="URL",
    help="Folder or s3://bucket/prefix [LIGHTWORK_LAKE, else the nearest .lightwork/lake].",
    shell_complete=candidates.folders,
)


def one_environment(*, help: str, required: bool = False) -> Callable[[Any], Any]:  # noqa: A002
    """Return the decorator that adds `--env`, which names one of the environments."""
    return click.option(
        "--env",
        "environment",
        required=required,
        metavar="ENV",
        help=help,
        callback=_known_environment,
        shell_complete=candidates.environments,
    )


def _known_environment(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001
    if value is None or value in candidates.ENVIRONMENTS or ctx.resilient_parsing:
        return value
    *others, last = candidates.ENVIRONMENTS
    raise InputError(f"--env: found {value!r}; expected {', '.join(others)} or {last}")


environment_option = one_environment(help="The environment whose lake it is, after `lightwork login`.")
tenant_option = click.option(
    "--tenant",
    metavar="NAME",
    help="The tenant whose data it is [LIGHTWORK_TENANT, else local].",
    shell_complete=candidates.tenants,
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
    click.echo(json_text(value))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON; what a terminal would obey is escaped as JSON escapes it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return re.sub(r"[^\x20-\x7e\n]", _json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\x7f":  # which `json` leaves as it is
        return "\\u007f"
    return json.dumps(character)[1:-1] if is_hidden(character) else character


def is_piped() -> bool:
    """Return whether the output goes to no terminal, so that nothing has to fit it or is styled."""
    return not (sys.stdout.isatty() or os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE"))


def styled(value: object, style: str) -> Text | str:
    """Return a value as the text of a table, in a style if the output goes to a terminal."""
    return visible(str(value)) if is_piped() else cell(value, style)


def show_words(*words: tuple[object, str]) -> None:
    """Print values on one line, each in its style if the output goes to a terminal."""
    if is_piped():
        echo(" ".join(str(value) for value, _ in words))
    else:
        console().print(*(cell(value, style) for value, style in words), soft_wrap=True)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    cut: Sequence[str] = (),
    fold: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> None:
    """Print a table that fits the terminal; a line below it names what is left out.

    Args:
        columns: the columns' titles.
        rows: the cells, as text or Rich text.
        right: columns that are aligned to the right.
        cut: columns that are shortened, with "…", if there is no room.
        fold: columns that go on in the next line if there is no room.
        drop: columns that are left out if there is no room, the first one first. All others stay whole.
    """
    rows = [list(row) for row in rows]
    if is_piped() and (lines := _plain_lines(columns, rows, right)) is not None:
        click.echo("\n".join(lines))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    cells = [[value if isinstance(value, Text) else cell(value) for value in row] for row in rows]
    widths = {
        name: max([cell(name).cell_len, *(_width(row[i]) for row in cells)]) for i, name in enumerate(columns)
    }
    least = {n: min(width, _LEAST) if n in (*cut, *fold) else width for n, width in widths.items()}
    shown, dropped = list(columns), []
    for name in drop:
        if _total(shown, least) <= out.width:
            break
        shown.remove(name)
        dropped.append(name)
    out.width = max(out.width, _total(shown, least))
    # The room that is left goes to the columns that give way, to the narrow ones first.
    flexible = sorted((name for name in shown if name in (*cut, *fold)), key=lambda name: widths[name])
    room = out.width - _total(shown, least)
    for number, name in enumerate(flexible):
        more = min(widths[name] - least[name], room // (len(flexible) - number))
        least[name] += more
        room -= more
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for name in shown:
        table.add_column(
            cell(name),
            justify="right" if name in right else "left",
            overflow="ellipsis" if name in cut else "fold",
            no_wrap=name not in fold,
            width=least[name],
        )
    for row in cells:
        for text in row:
            text.overflow = None  # as the column says
        table.add_row(*(text for text, name in zip(row, columns, strict=True) if name in shown))
    out.print(table)
    if dropped:
        names = ", ".join(dropped)
        echo(f"left out for lack of room: {names}; a wider terminal or --json shows all")


def _plain_lines(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str]
) -> list[str] | None:
    """Return the lines of a table as Rich writes them to no terminal, without importing it.

    None stands for a table that is more than plain text: with a style, several lines or a tab in a cell.
    """
    if not all(isinstance(value, str | int | float) or value is None for row in rows for value in row):
        return None
    cells = [[visible(str(value)) for value in row] for row in [columns, *rows]]
    text = "".join(item for row in cells for item in row)
    if "\n" in text or "\t" in text:
        return None
    length: Callable[[str], int] = len
    if not text.isascii():
        from rich.cells import cell_len as length
    widths = [max(map(length, column)) for column in zip(*cells, strict=True)]

    def line(row: list[str]) -> str:
        # Rich drops the spaces at the end of a cell that is aligned to the right.
        row = [item.rstrip() if name in right else item for name, item in zip(columns, row, strict=True)]
        padding = [" " * (width - length(item)) for item, width in zip(row, widths, strict=True)]
        return (" " * _GAP).join(
            pad + item if name in right else item + pad
            for name, item, pad in zip(columns, row, padding, strict=True)
        )

    rule = "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (sum(widths) + _GAP * (len(widths) - 1))
    return [line(cells[0]), rule, *map(line, cells[1:])]


_LEAST = 12
"""The width of a column that is cut or folded, at least."""
_GAP = 3
"""The spaces between two columns."""


def _total(names: Sequence[str], widths: Mapping[str, int]) -> int:
    return sum(widths[name] for name in names) + _GAP * (len(names) - 1)


def _width(text: Text) -> int:
    """Return the width of a cell's longest line."""
    return max((line.cell_len for line in text.split()), default=0)


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

"""The summary of a finished run on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lightwork.cli.output import cell, console, counted, size
from lightwork.engine.only import written
from lightwork.errors import one_line
from lightwork.runs.report.numbers import number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lightwork.runs.outcome import Run

_INDENT = 2
_BAR = 40
_LEAST_BAR = 12
_ROWS = 12
_FAILURES = 10
_COLUMNS = 8


def summarise(result: Run, *, stderr: bool = False) -> None:
    """Print the summary of a run that has ended, and its result.

    Args:
        result: the run.
        stderr: print on stderr, because stdout belongs to `--json`.
    """
    out = console(stderr=stderr)
    out.print()
    head = Text.assemble(
        cell(result.pipeline, "bold"), "  ", cell(result.name, "dim"), f"  {result.seconds or 0:,.1f} s"
    )
    if result.status != "succeeded":
        head.append_text(cell(f"  {result.status}", "bold red"))
    out.print(head)
    out.print(_elements(result.elements))
    charts = [dict(values) for _, values in result.bars.values()]
    room = out.width - _INDENT
    for block in _result(result.result, charts, room):
        out.print(Padding(block, (1, 0, 0, _INDENT), expand=False))
    for title, (unit, values) in result.bars.items():
        out.print(Padding(_bars(title, unit, values, room), (1, 0, 0, _INDENT), expand=False))
    for block in _failed(result):
        out.print(Padding(block, (1, 0, 0, _INDENT), expand=False))
    facts: list[tuple[str, str]] = []
    for artifact in result.artifacts:
        rows = f"{counted(artifact['rows'], 'row')}, " if artifact.get("rows") is not None else ""
        facts.append(("artifact", f"{artifact['name']}  ({rows}{size(artifact['bytes'])})"))
    if result.report:
        facts.append(("report", result.report))
    if result.status != "succeeded" or result.elements["failed"]:
        facts.append(("details", f"lightwork show {result.name}"))
    if facts:
        out.print()
    width = max((len(label) for label, _ in facts), default=0)
    for label, text in facts:
        # Not a table, which would cut long paths.
        out.print(Text.assemble((f"{label:<{width}}  ", "dim"), cell(text)), soft_wrap=True)


def _elements(counts: Mapping[str, int]) -> Text:
    total, cached, computed, failed = (counts[key] for key in ("total", "cached", "computed", "failed"))
    if not total:
        return Text("no elements mapped", "dim")
    if cached == total:
        return Text(f"{counted(total, 'element')}: all cached, nothing to compute", "green")
    text = Text(f"{counted(total, 'element')}: {computed:,} computed, {cached:,} cached")
    if failed:
        text.append(f", {failed:,} failed", "bold red")
    for name, words in (("timed_out", "timed out"), ("retried", "retried")):
        if counts.get(name):
            text.append(f", {counts[name]:,} {words}", "yellow")
    return text


def _failed(result: Run) -> list[RenderableType]:
    """Return a table of the first elements that failed; nothing if none did."""
    rows = result.failures[:_FAILURES]
    if not rows:
        return []
    table = Table.grid(padding=(0, 3))
    for row in rows:
        index = "" if row["index"] is None else written(row["map"], row["index"])
        where = f"{row['task'].rpartition('.')[2]}{f':{index}' if index else ''}"
        table.add_row(cell(where, "red"), cell(_short(row["input"])), cell(_short(one_line(row["error"]))))
    if (more := result.elements["failed"] - len(rows)) > 0:
        table.add_row(Text("…", "dim"), Text(f"{more:,} more", "dim"))
    return [table]


def _result(value: Any, charts: list[dict[str, float]], room: int) -> list[RenderableType]:
    """Return a result as blocks: one for all single values, one for each table and each mapping.

    A mapping that a bar chart shows already is left out. Tables are at most `room` columns wide.
    """
    if value is None or value in ({}, []):
        return []
    if not isinstance(value, Mapping):
        return [cell(_short(value))]
    if _is_head(value):
        return [_head(value, room)]
    plain = Table.grid(padding=(0, 3))
    blocks: list[RenderableType] = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item and _is_head(item):
            blocks.append(_head(item, room, str(key)))
        elif isinstance(item, Mapping) and item:
            if any(all(bars.get(k) == v for k, v in item.items()) for bars in charts):
                continue
            blocks.append(_pairs(str(key), item))
        else:
            plain.add_row(cell(key, "dim"), cell(_short(item), right=True))
    return [plain, *blocks] if plain.row_count else blocks


def _is_head(value: Mapping[str, Any]) -> bool:
    return {"artifact", "rows", "columns", "records"} <= set(value)


def _pairs(title: str, values: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_row(cell(title, "bold"))
    for key, item in list(values.items())[:_ROWS]:
        table.add_row(cell(key), cell(_short(item), right=True))
    if len(values) > _ROWS:
        table.add_row(Text("…", "dim"), Text(f"{len(values) - _ROWS:,} more", "dim"))
    return table


def _head(value: Mapping[str, Any], room: int, title: str = "") -> Table:
    """Return the first records of a table, and as many of its columns as fit side by side."""
    name = f"{title or value['artifact']}: {counted(value['rows'], 'row')}"
    table = Table(
        title=cell(name), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False
    )
    records = value["records"][:_ROWS]
    columns: list[str] = []
    for column in list(value["columns"])[:_COLUMNS]:
        widths = [cell(column).cell_len, *(cell(_short(record.get(column))).cell_len for record in records)]
        room -= max(widths) + 3
        if columns and room < 0:
            break
        columns.append(column)
    cut = [
        f"{len(part):,} of {counted(number, noun)}"
        for part, number, noun in (
            (records, value["rows"], "row"),
            (columns, len(value["columns"]), "column"),
        )
        if len(part) < number
    ]
    table.caption = f"the first {' and '.join(cut)}" if cut else None
    table.caption_justify = "left"
    for column in columns:
        items = [record.get(column) for record in value["records"]]
        is_numeric = all(isinstance(item, int | float) or item is None for item in items)
        table.add_column(cell(column), justify="right" if is_numeric else "left")
    for record in records:
        table.add_row(*(cell(_short(record.get(column))) for column in columns))
    return table


def _bars(title: str, unit: str, values: Mapping[str, float], room: int) -> RenderableType:
    """Return bars that fit into `room` columns; long names are cut, with "…", before the bars are."""
    shown = [(cell(name), value, number(value)) for name, value in list(values.items())[: 2 * _ROWS]]
    largest = max((abs(value) for _, value, _ in shown), default=0) or 1
    negative = any(value < 0 for _, value, _ in shown)
    both = negative and any(value > 0 for _, value, _ in shown)
    others = max((len(text) for *_, text in shown), default=0) + 2 + negative
    longest = max((name.cell_len for name, *_ in shown), default=0)
    names = min(longest, max(min(room // 2, room - others - _LEAST_BAR), 8))
    width = max(min(_BAR, room - others - names), 2) // (2 if both else 1)
    table = Table.grid(padding=(0, 1))
    for name, value, text in shown:
        name.truncate(names, overflow="ellipsis")
        length = max(abs(value) / largest * width, 0.01 if value else 0.0)
        bar = _bar(length, pointing_left=value < 0)
        if negative:
            bar = bar.rjust(width) + "│" if value < 0 else f"{'':{width}}│{bar}"
        table.add_row(name, Text(bar, "red" if value < 0 else "cyan"), cell(text, right=True))
    if len(values) > len(shown):
        table.add_row(Text("…", "dim"), Text(f"{len(values) - len(shown):,} more", "dim"))
    if not shown:
        table.add_row(Text("no values", "dim"))
    return Group(Text.assemble(cell(title, "bold"), "  " if unit else "", cell(unit, "dim")), table)


def _bar(length: float, *, pointing_left: bool) -> str:
    """Return a bar of a length in columns, to an eighth; to a half if it points to the left.

    Only a length of zero is nothing.
    """
    if pointing_left:
        halves = max(round(2 * length), length > 0)
        return "▐" * (halves % 2) + "█" * (halves // 2)
    eighths = max(round(8 * length), length > 0)
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")


def _short(value: Any) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return number(value)
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"

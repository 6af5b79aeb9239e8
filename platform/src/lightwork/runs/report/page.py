"""The HTML page of a report: the content, arranged for `page.html.jinja`.

The template defines the layout and escapes the content. The page loads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from lightwork.runs.report.sections import Bars, Lines, Section, Table, Text

if TYPE_CHECKING:
    import jinja2

Kind = Literal["value", "note", "heading", "json", "chart", "table", "pairs", "definitions", "figures"]
Block = tuple[Kind, Any]
"""A part of a section: how the template shows it, and its content."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's cells.

    Attributes:
        rows: the values, row by row.
        columns: the column names; empty for a table without a header.
        numeric: whether all values are numbers, for each column.
    """

    rows: list[list[Any]]
    columns: list[str]
    numeric: list[bool]


def page(heading: str, facts: Mapping[str, str], sections: Sequence[Section], result: Any) -> str:
    """Render the page as text."""
    charts = {f"chart{i}": item for i, item in enumerate(sections) if isinstance(item, Bars | Lines)}
    drawable = {key: item for key, item in charts.items() if not isinstance(item, Bars) or item.values}
    bokeh, script, divs = _bokeh(drawable)
    blocks = [("Result", _result(result))] if result not in (None, {}, []) else []
    blocks += [_section(item, divs.get(f"chart{i}", "")) for i, item in enumerate(sections)]
    return _template().render(
        heading=heading,
        run=str(facts.get("run", "")),
        facts=_grouped(facts),
        sections=blocks,
        bokeh=bokeh,
        script=script,
    )


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__name__.rpartition(".")[0], ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shown"] = _shown
    return environment.get_template("page.html.jinja")


def _bokeh(charts: Mapping[str, Bars | Lines]) -> tuple[str, str, dict[str, str]]:
    """Return Bokeh's code, the script that draws the charts, and the charts' divs; empty without charts."""
    if not charts:
        return "", "", {}
    from bokeh.embed import components
    from bokeh.resources import Resources

    from lightwork.runs.report import charts as draw

    figures = {
        key: draw.bars(item) if isinstance(item, Bars) else draw.lines(item) for key, item in charts.items()
    }
    script, divs = components(figures)
    return Resources(mode="inline", components=["bokeh"]).render(), script, dict(divs)


def _section(section: Section, chart: str) -> tuple[str, list[Block]]:
    """Return the title and the blocks of a section."""
    if isinstance(section, Text):
        return "", [("value", part.strip()) for part in section.text.split("\n\n") if part.strip()]
    content: Block
    if isinstance(section, Table):
        frame = section.frame
        content = ("table", _grid(frame.itertuples(index=False, name=None), map(str, frame.columns)))
    else:
        content = ("chart", chart) if chart else ("value", "No values.")
    return section.title, [content, *_note(section.note)]


def _note(text: str) -> list[Block]:
    return [("note", text)] if text else []


def _result(result: Any) -> list[Block]:
    """Return the blocks of the result: plain values as figures, flat mappings as tables, the rest as JSON."""
    if not isinstance(result, Mapping):
        return [_json(result) if isinstance(result, list) else ("value", result)]
    if _is_head(result):
        return _head(result)
    values = {key: value for key, value in result.items() if not isinstance(value, Mapping | list)}
    short = all(len(str(value)) <= 24 for value in values.values())
    blocks: list[Block] = [("figures" if short else "definitions", _grouped(values))] if values else []
    for key, value in result.items():
        if key in values:
            continue
        blocks.append(("heading", str(key)))
        if _is_head(value):
            blocks += _head(value)
        elif isinstance(value, Mapping) and not any(isinstance(v, Mapping | list) for v in value.values()):
            blocks.append(("pairs", _grid(value.items())))
        else:
            blocks.append(_json(value))
    return blocks


def _is_head(value: Any) -> bool:
    return isinstance(value, Mapping) and {"artifact", "records", "rows", "columns"} <= set(value)


def _head(table: Mapping[str, Any]) -> list[Block]:
    """Return the blocks of a table that was written as an artifact: its first records and a note."""
    columns = list(table["columns"])
    rows = [[record.get(column) for column in columns] for record in table["records"]]
    note = f"artifact {table['artifact']}: {table['rows']:,} rows"
    shown = f", first {len(rows)} shown" if len(rows) < table["rows"] else ""
    return [("table", _grid(rows, columns)), *_note(note + shown)]


def _grid(rows: Iterable[Iterable[Any]], columns: Iterable[str] = ()) -> Grid:
    cells, names = [list(row) for row in rows], [str(name) for name in columns]
    count = max([len(names), *map(len, cells)], default=0)
    numeric = [
        all(_is_number(row[i]) or row[i] is None for row in cells) and bool(cells) for i in range(count)
    ]
    return Grid(cells, names, numeric)


def _grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, integers with thousands separators."""
    return {str(key): f"{value:,}" if type(value) is int else value for key, value in values.items()}


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _shown(value: Any) -> str | None:
    """Format one value as text; None for a missing one."""
    if value is None or (value != value):
        return None
    if _is_number(value):
        number = float(value)
        if number == int(number) and abs(number) < 1e15:
            return f"{int(number):,}" if abs(number) >= 10_000 else str(int(number))
        return f"{number:,.2f}" if abs(number) >= 1000 else f"{number:.4g}"
    return str(value)


def _json(value: Any) -> Block:
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return "json", text if len(text) < 20_000 else text[:20_000] + "…"

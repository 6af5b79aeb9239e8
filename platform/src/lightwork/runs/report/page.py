"""The page: plain HTML and CSS around the charts; nothing in it is loaded from anywhere.

`page.html.jinja` says how it looks, and escapes what it shows; here is what it shows.
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
"""A part of a section: how the template shows it, and what."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's cells.

    Attributes:
        rows: the values, row by row.
        columns: the head, empty for none.
        numeric: for each column whether all its values are numbers.
    """

    rows: list[list[Any]]
    columns: list[str]
    numeric: list[bool]


def page(heading: str, facts: Mapping[str, str], sections: Sequence[Section], result: Any) -> str:
    """The whole page as text."""
    charts = {f"chart{i}": item for i, item in enumerate(sections) if isinstance(item, Bars | Lines)}
    drawable = {key: item for key, item in charts.items() if not isinstance(item, Bars) or item.values}
    bokeh, script, places = _bokeh(drawable)
    shown = [("Result", _result(result))] if result not in (None, {}, []) else []
    shown += [_section(item, places.get(f"chart{i}", "")) for i, item in enumerate(sections)]
    return _template().render(
        heading=heading,
        run=str(facts.get("run", "")),
        facts=_grouped(facts),
        sections=shown,
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
    """Bokeh's own code, the script that draws the charts, and each chart's place; all empty for none."""
    if not charts:
        return "", "", {}
    from bokeh.embed import components
    from bokeh.resources import Resources

    from lightwork.runs.report import charts as draw

    figures = {
        key: draw.bars(item) if isinstance(item, Bars) else draw.lines(item) for key, item in charts.items()
    }
    script, places = components(figures)
    return Resources(mode="inline", components=["bokeh"]).render(), script, dict(places)


def _section(section: Section, chart: str) -> tuple[str, list[Block]]:
    """A section's title and parts."""
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
    """Figures large, what is nested as tables, anything else as JSON."""
    if not isinstance(result, Mapping):
        return [_json(result) if isinstance(result, list) else ("value", result)]
    if _is_head(result):
        return _head(result)
    plain = {key: value for key, value in result.items() if not isinstance(value, Mapping | list)}
    short = all(len(str(value)) <= 24 for value in plain.values())
    blocks: list[Block] = [("figures" if short else "definitions", _grouped(plain))] if plain else []
    for key, value in result.items():
        if key in plain:
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
    """The first records of a table that was written as an artifact."""
    columns = list(table["columns"])
    rows = [[record.get(column) for column in columns] for record in table["records"]]
    note = f"artifact {table['artifact']}: {table['rows']:,} rows"
    shown = f", the first {len(rows)} here" if len(rows) < table["rows"] else ""
    return [("table", _grid(rows, columns)), *_note(note + shown)]


def _grid(rows: Iterable[Iterable[Any]], columns: Iterable[str] = ()) -> Grid:
    cells, names = [list(row) for row in rows], [str(name) for name in columns]
    count = max([len(names), *map(len, cells)], default=0)
    numeric = [
        all(_is_number(row[i]) or row[i] is None for row in cells) and bool(cells) for i in range(count)
    ]
    return Grid(cells, names, numeric)


def _grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, all whole numbers in groups of three digits."""
    return {str(key): f"{value:,}" if type(value) is int else value for key, value in values.items()}


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _shown(value: Any) -> str | None:
    """The text of one value; None for a missing one."""
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

"""The HTML page of a report: the content, arranged for `page.html.jinja`.

The template defines the layout and escapes the content. The page loads nothing.
"""

from __future__ import annotations

import base64
import decimal
import hashlib
import json
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from lightwork.runs.report.numbers import number
from lightwork.runs.report.sections import Bars, Lines, Section, Table, Text

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

Kind = Literal[
    "value", "note", "heading", "json", "bars", "dots", "lines", "values", "table", "pairs", "definitions",
    "figures",
]  # fmt: skip
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
    blocks = [("Result", _result(result))] if result not in (None, {}, []) else []
    blocks += [_section(item) for item in sections]
    return _template().render(
        heading=heading,
        run=str(facts.get("run", "")),
        facts=_grouped(facts),
        sections=blocks,
        lively=any(kind == "lines" for _, content in blocks for kind, _ in content),
        style=_own("page.css"),
        script=_own("page.js"),
    )


@cache
def _own(name: str) -> str:
    """Read a file of this package."""
    return (resources.files(__name__.rpartition(".")[0]) / name).read_text("utf-8")


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
    environment.filters |= {"shown": _shown, "json": _embedded, "digest": _digest}
    return environment.get_template("page.html.jinja")


def _digest(text: str) -> str:
    """Return the digest by which a content security policy admits a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(value: Any) -> Markup:
    """Return JSON that may stand in a script element: no text in it can end the element."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _section(section: Section) -> tuple[str, list[Block]]:
    """Return the title and the blocks of a section."""
    if isinstance(section, Text):
        return "", [("value", part.strip()) for part in section.text.split("\n\n") if part.strip()]
    if isinstance(section, Table):
        frame = section.frame
        cells = frame.itertuples(index=False, name=None)
        return section.title, [("table", _grid(cells, map(str, frame.columns))), *_note(section.note)]
    return section.title, [*_chart(section), *_note(section.note)]


def _chart(section: Bars | Lines) -> list[Block]:
    """Return the blocks of a chart, and of its values unless the chart itself is a table of them."""
    from lightwork.runs.report import charts

    chart = charts.bars(section) if isinstance(section, Bars) else charts.lines(section)
    if chart is None:
        return [("value", "No values.")]
    if isinstance(chart, charts.BarChart):
        return [("bars", chart)]
    kind: Kind = "dots" if isinstance(chart, charts.DotChart) else "lines"
    values: list[Block] = [("values", _values(section))] if isinstance(section, Lines) else []
    return [(kind, chart), *values]


def _values(section: Lines) -> tuple[str, Grid]:
    """Return a heading, and the values of a chart; a summary of each line if they are many."""
    from lightwork.runs.report.axis import over

    if section.summary is not None:
        rows = section.summary.itertuples(index=False, name=None)
        return "Summary of each line", _grid(rows, section.summary.columns)
    axis = over(section.frame.index)
    rows = zip(axis.texts(), *(section.frame.iloc[:, i] for i in range(section.frame.shape[1])), strict=True)
    return "Values", _grid(rows, [axis.title, *map(str, section.frame.columns)])


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
    real = isinstance(value, numbers.Real | decimal.Decimal) or type(value).__name__ == "NAType"
    return real and not isinstance(value, bool)


def _shown(value: Any) -> str | None:
    """Format one value as text; None for a missing one."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if not _is_number(value):
        return str(value)
    if isinstance(value, numbers.Integral) and abs(int(value)) < 10_000:
        return str(value)
    try:
        real = float(value)
    except OverflowError:
        return str(value)
    if math.isnan(real):
        return None
    if abs(real) < 10_000 and real == int(real):
        return str(int(real))
    return number(real, decimals=2)


def _json(value: Any) -> Block:
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return "json", text if len(text) < 20_000 else text[:20_000] + "…"

"""The page: plain HTML and CSS around the charts; nothing in it is loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from lightwork.runs.report.sections import Bars, Lines, Section, Table, Text

if TYPE_CHECKING:
    import pandas as pd

# The browser itself refuses any request that the page would make.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data: blob:; font-src data:"
)

_STYLE = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #ffffff; --text: #1c2230; --soft: #667085;
  --line: #e4e7ec; --accent: #3b82f6; --stripe: #f9fafb; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1218; --card: #181c25; --text: #e6e9ef;
  --soft: #98a2b3; --line: #2b3140; --stripe: #1d222d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 48px; }
header { border-left: 4px solid var(--accent); padding-left: 14px; margin-bottom: 22px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
header p { margin: 2px 0 0; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 22px; margin: 0 0 18px; overflow-x: auto; }
h2 { font-size: 17px; margin: 0 0 10px; }
h3 { font-size: 13px; margin: 16px 0 4px; color: var(--soft); font-weight: 600; }
p { margin: 0 0 10px; } p:last-child { margin-bottom: 0; }
.note { color: var(--soft); font-size: 13px; margin: 8px 0 0; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 14px 24px; margin: 0; }
dt { color: var(--soft); font-size: 12.5px; } dd { margin: 0; overflow-wrap: anywhere; }
.figures dd { font-size: 24px; font-weight: 600; letter-spacing: -0.01em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.pairs { max-width: 420px; }
.n { text-align: right; } .none { color: var(--soft); }
pre { margin: 0; font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; }
"""


def page(heading: str, facts: Mapping[str, str], sections: Sequence[Section], result: Any) -> str:
    """The whole page as text."""
    charts = {f"chart{i}": item for i, item in enumerate(sections) if isinstance(item, Bars | Lines)}
    drawable = {key: item for key, item in charts.items() if not isinstance(item, Bars) or item.values}
    head, script, places = _bokeh(drawable)
    body = [
        f"<header><h1>{escape(heading)}</h1><p>{escape(str(facts.get('run', '')))}</p></header>",
        f"<section>{_definitions(facts)}</section>",
    ]
    if result not in (None, {}, []):
        body.append(f"<section><h2>Result</h2>{_result(result)}</section>")
    body += [_section(item, places.get(f"chart{i}", "")) for i, item in enumerate(sections)]
    title = escape(f"{heading} {facts.get('run', '')}".strip())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style>{head}</head>\n<body><main>{''.join(body)}"
        f"<footer>Made by lightwork.</footer></main>{script}</body></html>\n"
    )


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


def _section(section: Section, chart: str) -> str:
    if isinstance(section, Text):
        paragraphs = [part.strip() for part in section.text.split("\n\n") if part.strip()]
        return f"<section>{''.join(f'<p>{escape(part)}</p>' for part in paragraphs)}</section>"
    content = _table(section.frame) if isinstance(section, Table) else chart or "<p>No values.</p>"
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    return f"<section><h2>{escape(section.title)}</h2>{content}{note}</section>"


def _definitions(values: Mapping[str, Any], kind: str = "") -> str:
    shown = {key: f"{value:,}" if type(value) is int else value for key, value in values.items()}
    items = "".join(
        f"<div><dt>{escape(str(key))}</dt><dd>{_cell(value)}</dd></div>" for key, value in shown.items()
    )
    return f'<dl class="{kind}">{items}</dl>'


def _result(result: Any) -> str:
    """Figures large, what is nested as tables, anything else as JSON."""
    if not isinstance(result, Mapping):
        return _json(result) if isinstance(result, list) else f"<p>{_cell(result)}</p>"
    if {"artifact", "records", "rows", "columns"} <= set(result):
        return _head(result)
    plain = {key: value for key, value in result.items() if not isinstance(value, Mapping | list)}
    short = all(len(str(value)) <= 24 for value in plain.values())
    parts = [_definitions(plain, "figures" if short else "")] if plain else []
    for key, value in result.items():
        if key in plain:
            continue
        parts.append(f"<h3>{escape(str(key))}</h3>")
        if isinstance(value, Mapping) and {"artifact", "records", "rows", "columns"} <= set(value):
            parts.append(_head(value))
        elif isinstance(value, Mapping) and not any(isinstance(v, Mapping | list) for v in value.values()):
            parts.append(f'<div class="pairs">{_rows(value.items())}</div>')
        else:
            parts.append(_json(value))
    return "".join(parts)


def _head(table: Mapping[str, Any]) -> str:
    """The first records of a table that was written as an artifact."""
    columns = list(table["columns"])
    rows = [[record.get(column) for column in columns] for record in table["records"]]
    note = f"artifact {table['artifact']}: {table['rows']:,} rows"
    shown = f", the first {len(rows)} here" if len(rows) < table["rows"] else ""
    return f'{_rows(rows, columns)}<p class="note">{escape(note + shown)}</p>'


def _table(frame: pd.DataFrame) -> str:
    return _rows(frame.itertuples(index=False, name=None), [str(column) for column in frame.columns])


def _rows(rows: Any, columns: Sequence[str] = ()) -> str:
    cells = [list(row) for row in rows]
    count = max([len(columns), *map(len, cells)], default=0)
    numeric = [
        all(_is_number(row[i]) or row[i] is None for row in cells) and bool(cells) for i in range(count)
    ]
    kinds = [' class="n"' if is_numeric else "" for is_numeric in numeric]
    head = "".join(f"<th{kind}>{escape(str(name))}</th>" for kind, name in zip(kinds, columns, strict=False))
    lines = (
        "".join(f"<td{kind}>{_cell(value)}</td>" for kind, value in zip(kinds, row, strict=False))
        for row in cells
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if columns else ''}<tbody>{body}</tbody></table>"


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _cell(value: Any) -> str:
    """One value, escaped; missing ones as a dash."""
    if value is None or (value != value):
        return '<span class="none">–</span>'
    if _is_number(value):
        number = float(value)
        if number == int(number) and abs(number) < 1e15:
            return f"{int(number):,}" if abs(number) >= 10_000 else str(int(number))
        return f"{number:,.2f}" if abs(number) >= 1000 else f"{number:.4g}"
    return escape(str(value))


def _json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return f"<pre>{escape(text if len(text) < 20_000 else text[:20_000] + '…')}</pre>"

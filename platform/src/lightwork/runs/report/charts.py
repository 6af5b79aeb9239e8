"""The charts: Bokeh figures with colours that suit a light and a dark page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from bokeh.models import (
    ColumnDataSource,
    CustomJSTickFormatter,
    FactorRange,
    HoverTool,
    Legend,
    LegendItem,
    NumeralTickFormatter,
)
from bokeh.plotting import figure

if TYPE_CHECKING:
    from lightwork.runs.report.sections import Bars, Lines


COLORS = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#ec4899", "#14b8a6", "#a3a830")
_TEXT = "#7b8494"
_GRID = "#808080"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def bars(section: Bars) -> Any:
    """Draw horizontal bars with their values at the end, the first at the top."""
    names = list(section.values)
    values = list(section.values.values())
    unit = f" {section.unit}" if section.unit else ""
    source = ColumnDataSource({"name": names, "value": values, "label": [number(value) for value in values]})
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    plot = figure(
        y_range=FactorRange(*reversed(names)),
        x_range=(low - (0.14 * span if low < 0 else 0), high + 0.14 * span),
        height=34 * len(names) + 44,
        toolbar_location=None,
        tools="",
    )
    plot.hbar(
        y="name", right="value", left=0, height=0.68, source=source, color=COLORS[0], hover_alpha=0.75,
        border_radius=3,
    )  # fmt: skip
    for below, align, offset in ((False, "left", 6), (True, "right", -6)):
        rows = [i for i, value in enumerate(values) if (value < 0) is below]
        part = ColumnDataSource({key: [column[i] for i in rows] for key, column in source.data.items()})
        plot.text(
            x="value", y="name", text="label", source=part, x_offset=offset, text_align=align,
            text_baseline="middle", text_color=_TEXT, text_font={"value": _FONT}, text_font_size="13px",
        )  # fmt: skip
    plot.add_tools(HoverTool(tooltips=[("", f"@name: @label{unit}")]))
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
    plot.xaxis.axis_label = section.unit or None
    _style(plot)
    plot.ygrid.grid_line_color = None
    return plot


def lines(section: Lines) -> Any:
    """Draw lines over times, numbers or labels; a click in the legend hides a line."""
    frame, x, kind = _over(section.frame)
    many = len(frame.columns) > 1
    plot = figure(
        x_axis_type="datetime" if kind == "time" else "linear",
        height=380 if many else 340,
        tools="pan,box_zoom,xwheel_zoom,reset,save",
        active_drag="box_zoom",
        active_scroll=None,
    )
    items = []
    unit = f" {section.unit}" if section.unit else ""
    shown_x = "@x{%F %H:%M}" if kind == "time" else "@label" if kind == "label" else "@x{0,0.[000]}"
    for position, column in enumerate(frame.columns):
        data = {"x": x, "y": frame[column].to_numpy()}
        if kind == "label":
            data["label"] = [str(value) for value in section.frame.index]
        line = plot.line(
            "x", "y", source=ColumnDataSource(data), color=COLORS[position % len(COLORS)], width=1.6,
            alpha=0.9, muted_alpha=0.1, dash=("solid", "dashed", "dotted")[position // len(COLORS) % 3],
        )  # fmt: skip
        tips = [("", str(column)), ("", shown_x), ("", f"@y{{0,0.[000]}}{unit}")]
        formatters = {"@x": "datetime"} if kind == "time" else {}
        plot.add_tools(HoverTool(renderers=[line], tooltips=tips, formatters=formatters))
        items.append(LegendItem(label=str(column), renderers=[line]))
    if many:
        legend = Legend(
            items=items, click_policy="hide", orientation="horizontal", ncols=6, border_line_color=None,
            background_fill_alpha=0, label_text_color=_TEXT, label_text_font=_FONT,
            label_text_font_size="13px", margin=0, padding=4, inactive_fill_alpha=0.0,
        )  # fmt: skip
        plot.add_layout(legend, "above")
    if kind == "label":
        names = [str(value) for value in section.frame.index]
        plot.xaxis.formatter = CustomJSTickFormatter(
            args={"names": names}, code="return Number.isInteger(tick) ? names[tick] ?? '' : ''"
        )
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[000]")
    plot.yaxis.axis_label = section.unit or None
    _style(plot)
    plot.xgrid.grid_line_color = None
    plot.toolbar.autohide = True
    return plot


def number(value: float) -> str:
    """Format a number for people: `26,115`, `0.0312`."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def _over(frame: pd.DataFrame) -> tuple[pd.DataFrame, Any, str]:
    """Return the frame, its x values, and their kind: `time` (local clock time), `number` or `label`."""
    index = frame.index
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex):
        return frame, index.tz_localize(None).to_numpy(), "time"
    if len(index) and all(hasattr(value, "isoformat") for value in index):  # dates as objects
        return frame, pd.to_datetime(index).to_numpy(), "time"
    if pd.api.types.is_numeric_dtype(index.dtype):
        return frame, index.to_numpy(), "number"
    return frame, list(range(len(frame))), "label"


def _style(plot: Any) -> None:
    plot.sizing_mode = "stretch_width"
    plot.background_fill_color = plot.border_fill_color = None
    plot.outline_line_color = None
    plot.toolbar.logo = None
    plot.grid.grid_line_color = _GRID
    plot.grid.grid_line_alpha = 0.22
    for axis in plot.axis:
        axis.axis_line_color = axis.minor_tick_line_color = axis.major_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = _TEXT
        axis.major_label_text_font = axis.axis_label_text_font = _FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "13px"
        axis.axis_label_text_font_style = "normal"


MAX_POINTS = 2000


def thinned(frame: pd.DataFrame, points: int = MAX_POINTS) -> pd.DataFrame:
    """Thin out a frame to at most `points` rows, keeping each column's minimum and maximum per interval.

    Args:
        frame: numbers over an index.
        points: maximum number of rows; even.

    Returns:
        A copy of the frame if it is short enough. Otherwise two rows for each of points / 2 equally long
        intervals, at the interval's first and middle row; an interval without values has none either.
    """
    count = len(frame)
    if count <= points:
        return frame.copy()
    intervals = points // 2
    edges = np.linspace(0, count, intervals + 1).astype(int)
    rows = np.sort(np.concatenate([edges[:-1], (edges[:-1] + edges[1:]) // 2]))
    columns = {}
    for column in frame.columns:
        values = frame[column].to_numpy()
        lows = np.where(np.isnan(values), np.inf, values)
        highs = np.where(np.isnan(values), -np.inf, values)
        low = np.minimum.reduceat(lows, edges[:-1])
        high = np.maximum.reduceat(highs, edges[:-1])
        rising = _first(np.isclose(highs, np.repeat(high, np.diff(edges))), edges) > _first(
            np.isclose(lows, np.repeat(low, np.diff(edges))), edges
        )
        pair = np.where(rising, (low, high), (high, low)).T.ravel()
        columns[column] = np.where(np.isfinite(pair), pair, np.nan)
    return pd.DataFrame(columns, index=frame.index[rows])


def _first(hits: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the position of the first hit in each interval."""
    positions = np.where(hits, np.arange(len(hits)), len(hits))
    return np.minimum.reduceat(positions, edges[:-1])

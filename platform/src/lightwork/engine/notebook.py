"""The progress of maps in a notebook: a live bar below the cell."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightwork.engine.progress import Stats


def in_notebook() -> bool:
    """Return whether a notebook's kernel runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookRow:
    """The bar of one map, or a line that says what takes long.

    Args:
        title: what it is about.
        total: the number of elements; None if unknown.
    """

    def __init__(self, title: str, total: int | None) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found, unused-ignore]

        self._html: Any = HTML
        self._title = title
        self._total = total
        self._shown: Any = display(HTML(self._row("")), display_id=True)

    def update(self, stats: Stats) -> None:
        """Show the progress so far."""
        from lightwork.engine.progress import details

        done = stats.cached + stats.computed + stats.failed
        share = "" if self._total is None else f" of {self._total:,}"
        most = f' max="{self._total}"' if self._total else ""
        bar = f'<progress value="{done}"{most} style="width:20em"></progress> ' if most else ""
        rate = f", {done / stats.seconds:,.0f}/s" if stats.seconds > 0 else ""
        text = html.escape("".join(f", {item}" for item in details(stats)))
        self._show(f"{bar}{done:,}{share}{rate}{text}")

    def close(self, stats: Stats) -> None:
        """Show the final state."""
        self.update(stats)

    def remove(self) -> None:
        """Erase the row: what it said is over."""
        self._shown.update(self._html(""))

    def _row(self, text: str) -> str:
        return f"<div><b>{html.escape(self._title)}</b> {text}</div>"

    def _show(self, text: str) -> None:
        self._shown.update(self._html(self._row(text)))

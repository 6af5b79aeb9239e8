"""The pages of a lake, made when they are asked for."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from lightwork.errors import InputError
from lightwork.history.sync import ask
from lightwork.ui import pages
from lightwork.ui.overview import Overview, overview

if TYPE_CHECKING:
    from lightwork.lake import Lake
    from lightwork.ui.pages import Place
    from lightwork.ui.schedules import Firings

_FRESH = 5.0
"""Seconds for which what was read at the start is shown."""
_REPORT = 64 << 20
"""Bytes of a report that is shown."""


class Answer(NamedTuple):
    """What is sent: the status of HTTP, the content, and whether it is a tenant's own page."""

    status: int
    body: bytes
    is_foreign: bool = False


class Site:
    """The pages of a lake.

    Args:
        lake: the lake.
        place: what the pages say of it.
        firings: the next firings.
    """

    def __init__(self, lake: Lake, place: Place, firings: Firings) -> None:
        self._lake = lake
        self._place = place
        self._firings = firings
        self._first: Overview | None = None

    def prepare(self) -> None:
        """Read the history, so that the first page is there at once.

        Raises:
            LightworkError: the lake cannot be read.
        """
        self._first = self._read()

    def _read(self) -> Overview:
        return ask(self._lake, lambda history: overview(history, time.time()))

    def overview(self) -> Answer:
        """Return the overview."""
        first, self._first = self._first, None
        view = first if first is not None and time.time() - first.now < _FRESH else self._read()
        return _page(pages.overview_page(self._place, view, self.firing()))

    def refresh(self) -> None:
        """Ask for the next firings, for the next page: reading a tenant's file takes longer than a page."""
        self._firings.refresh()

    def firing(self) -> pages.Firing:
        """Return what is known of the next firings."""
        known = self._firings.known
        return pages.Firing(known=known or {}, is_pending=known is None, problem=self._firings.problem)

    def run(self, name: str) -> Answer:
        """Return the page of a run."""
        from lightwork.ui.detail import detail

        found = None
        with contextlib.suppress(InputError):  # no run can have this name
            found = detail(self._lake, name, time.time())
        if found is None:
            return self._missing(f"There is no run {name!r}.")
        return _page(pages.run_page(self._place, found))

    def report(self, name: str, step: str) -> Answer:
        """Return the report of a run, which is a page of its own that its tenant has written."""
        data = None
        with contextlib.suppress(FileNotFoundError, InputError):
            if file := self._report_of(name, step):
                data = self._lake.read_range(f"runs/{name}/{file}", 0, _REPORT + 1)
        if data is None:
            return self._missing(f"The run {name!r} has no report.")
        if len(data) > _REPORT:
            return self.problem(413, "This report is too large", f"lightwork open {name}")
        return Answer(200, data, is_foreign=True)

    def _report_of(self, name: str, step: str) -> str:
        """Return the name of the file that is a run's report, or that of one of its steps."""
        from lightwork.store import records

        report = (records.run(self._lake, name) or {}).get("report")
        if isinstance(report, dict):
            report = report.get(step)
        return str(report or "").rpartition("/")[2]

    def artifact(self, name: str, version: str) -> Answer:
        """Return the beginning of an artifact, as a part of a page."""
        from lightwork.ui.preview import preview

        try:
            found = preview(self._lake, name, version)
        except (FileNotFoundError, InputError):
            return self._missing(f"There is no artifact {name!r} of this version any more.")
        return _page(pages.preview_part(found))

    def _missing(self, text: str) -> Answer:
        return self.problem(404, "Not found", text)

    def problem(self, status: int, title: str, text: str) -> Answer:
        """Return a page that says why there is nothing else."""
        return Answer(status, _page(pages.problem_page(self._place, title, text, time.time())).body)


def _page(text: str) -> Answer:
    return Answer(200, text.encode())

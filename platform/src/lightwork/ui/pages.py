"""The pages as HTML: every text is escaped, and what a browser would not show or obey is spelled out.

One place does both: whatever a template prints passes through `_spelled` and then through Jinja's escaping.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lightwork.errors import visible
from lightwork.history import cost
from lightwork.store.index_copies import own_folder
from lightwork.ui import overview as looks
from lightwork.ui import words
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jinja2

    from lightwork.ui.detail import Detail
    from lightwork.ui.overview import Next, Overview
    from lightwork.ui.preview import Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the runs are.

    Attributes:
        tenant: the tenant.
        lake: the lake's address.
        environment: the environment; empty for this machine's own settings.
    """

    tenant: str
    lake: str
    environment: str = ""

    @property
    def options(self) -> str:
        """The options that select it, for a command that a page names."""
        return f" --env {self.environment} --tenant {self.tenant}" if self.environment else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What is known of schedules: each one's next firing, and why they are not known."""

    known: Mapping[str, Next] = field(default_factory=dict)
    is_pending: bool = False
    problem: str = ""


def overview_page(place: Place, overview: Overview, firing: Firing) -> str:
    """Return the overview as a page of the server."""
    return _template("page.html.jinja").render(**_common(place, overview.now), view=overview, firing=firing)


def run_page(place: Place, detail: Detail) -> str:
    """Return a run as a page of the server."""
    return _template("page.html.jinja").render(**_common(place, detail.now), detail=detail)


def problem_page(place: Place, title: str, text: str, now: float) -> str:
    """Return a page that says why there is nothing else."""
    return _template("page.html.jinja").render(**_common(place, now), title=title, problem=text)


def preview_part(preview: Preview) -> str:
    """Return the beginning of an artifact, as a part of a run's page."""
    return _template("preview.html.jinja").render(preview=preview)


def run_part(detail: Detail, runs: frozenset[str], place: Place) -> str:
    """Return a run as a part of a file.

    Args:
        detail: the run.
        runs: the runs that the file has.
        place: where the runs are.
    """
    return _template("part.html.jinja").render(
        detail=detail, place=place, links=Links(runs), now=detail.now, is_file=True
    )


def file_page(
    place: Place, overview: Overview, firing: Firing, parts: Sequence[str], runs: frozenset[str], note: str
) -> str:
    """Return everything as one file that loads nothing.

    Args:
        place: where the runs are.
        overview: the overview.
        firing: the next firings.
        parts: the runs, as `run_part` made them.
        runs: their names.
        note: what the file leaves out.
    """
    from markupsafe import Markup

    values = _common(place, overview.now) | {"links": Links(runs), "is_file": True}
    return _template("page.html.jinja").render(
        **values,
        view=overview,
        firing=firing,
        parts=[Markup(part) for part in parts],  # noqa: S704 - made by `run_part`
        note=note,
    )


class Links:
    """The addresses of a page's links.

    Args:
        runs: the runs that a file has; None for the pages of a server, which has all.
    """

    def __init__(self, runs: frozenset[str] | None = None) -> None:
        self._runs = runs

    def run(self, name: str) -> str:
        """Return the address of a run; empty if the file does not have it."""
        if self._runs is None:
            return f"/run/{_quoted(name)}"
        return f"#run-{_quoted(name)}" if name in self._runs else ""

    def home(self) -> str:
        """Return the address of the overview."""
        return "/" if self._runs is None else "#"

    def report(self, name: str, step: str = "") -> str:
        """Return the address of a run's report; empty in a file."""
        more = f"?step={_quoted(step)}" if step else ""
        return "" if self._runs is not None else f"/run/{_quoted(name)}/report{more}"

    def preview(self, name: str, version: str) -> str:
        """Return the address of the beginning of an artifact; empty in a file."""
        if self._runs is not None:
            return ""
        return f"/artifact/{_quoted(name)}/{_quoted(version)}"


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def _common(place: Place, now: float) -> dict[str, Any]:
    return {
        "place": place,
        "now": now,
        "links": Links(),
        "is_file": False,
        "style": _own("page.css"),
        "script": _own("page.js"),
        "version": __version__,
    }


def policy() -> str:
    """Return the content security policy of a page: its own script and style, and nothing else."""
    return (
        f"default-src 'none'; script-src '{_digest(_own('page.js'))}';"
        f" style-src '{_digest(_own('page.css'))}'; connect-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _own(name: str) -> str:
    """Read a file of this package."""
    return (resources.files(__name__.rpartition(".")[0]) / name).read_text("utf-8")


def _spelled(value: Any) -> Any:
    """Return what a template prints, with everything spelled out that would be obeyed or not be seen."""
    if value is None:
        return ""
    return value if hasattr(value, "__html__") else visible(str(value))


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    compiled = own_folder("pages")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_own),
        bytecode_cache=None if compiled is None else jinja2.FileSystemBytecodeCache(str(compiled)),
        autoescape=True,
        finalize=_spelled,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": words.duration,
        "clock": words.clock,
        "number": words.number,
        "hours": cost.hours,
        "plain": words.plain,
        "digest": _digest,
    }
    environment.globals |= {
        "ago": words.ago,
        "day": words.day,
        "zone": words.zone,
        "size": words.size,
        "glyphs": looks.GLYPHS,
        "good": looks.GOOD,
        "bad": looks.BAD,
        "cost_days": looks.COST_DAYS,
        "last_runs": looks.LAST,
    }
    return environment


@cache
def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)

"""Whatever a tenant wrote is text on the page: no element, no attribute, no link, and nothing hidden."""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightwork.errors import ElementError, is_hidden
from lightwork.history.query import Brief
from lightwork.lake import Lake
from lightwork.runs.log_lines import Line
from lightwork.store import batches, failures
from lightwork.ui import pages
from lightwork.ui.detail import Detail, detail
from lightwork.ui.lines import Tail, _entry
from lightwork.ui.overview import Failure, Next, Overview, Row, arranged
from lightwork.ui.pages import Firing, Place
from lightwork.ui.preview import Preview
from lightwork.ui.timeline import timeline
from tests.unit.lightwork.ui import lakes

ODD = (
    "<script>alert(1)</script>",
    "</script><script>1</script>",
    "<img src=x onerror=alert(1)>",
    '" onload="x',
    "' x='",
    "</style><style>*{}",
    "<!--",
    "]]>",
    "javascript:alert(1)",
    "\x00",
    "\x1b[2J",
    "\u202eevil",
    "\u2028",
    "\u200b",
    "\ud800",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "&lt;b&gt;",
    "`",
    "\r\n\t",
    "//evil.example",
    "%2e%2e/",
    "\ufeff",
    "\U000e0041",
    "../../x",
)
TEXT = st.one_of(
    st.sampled_from(ODD), st.builds("".join, st.lists(st.one_of(st.sampled_from(ODD), st.text()), max_size=4))
)
NOW = dt.datetime(2026, 11, 28, 7, 40, tzinfo=dt.UTC).timestamp()
VOID = {"meta", "link", "input", "img", "br"}


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ...]] = Counter()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = tuple(sorted(name for name, _ in attrs))
        self.found[tag, *names] += 1
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "data-preview")]

    def handle_comment(self, data: str) -> None:
        self.found["comment",] += 1


def elements(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    parser.close()
    return parser


def check(page: str, plain: str) -> None:
    """Compare a page of odd texts with the same page of plain ones."""
    page.encode()
    odd = {character for character in page if is_hidden(character)} - set("\n\t")
    assert not odd
    one, other = elements(page), elements(plain)
    assert one.found == other.found
    assert all(
        link.startswith(("/run/", "/artifact/", "#run-")) or link in ("/", "#", "data:,")
        for link in one.links
    )


def overview(text: str) -> str:
    runs = [
        Brief(text, status, NOW - 60, seconds)
        for status, seconds in (("failed", 3.0), ("running", None), (text, 1.0))
    ]
    bars, _ = arranged(runs, 2.0, NOW)
    row = Row(
        name=text,
        bars=bars,
        middle=0.5,
        last=runs[0],
        took=3.0,
        usual=2.0,
        cost=1.5,
        hours=2.0,
        failure=Failure(text, NOW - 60, text),
    )
    view = Overview(rows=[row], now=NOW, currency=text, today={"failed": 1}, problem=text)
    firing = Firing(known={text: Next(NOW + 60, text, text)}, problem=text)
    place = Place(tenant=text, lake=text, environment=text)
    parts = [pages.run_part(one(text), frozenset([text]), place)]
    served = pages.overview_page(place, view, firing)
    return served + pages.file_page(place, view, firing, parts, frozenset([text]), text)


def one(text: str) -> Detail:
    record: dict[str, Any] = {
        "name": text,
        "pipeline": text,
        "tenant": text,
        "on": text,
        "status": text,
        "started": "2026-11-28T07:00:00+00:00",
        "finished": text,
        "seconds": 3.0,
        "parameters": {text: text, "list": [text, {text: text}]},
        "retry_of": text,
        "retried_by": [text],
        "elements": {"total": 2, "cached": 1, "computed": 1, "failed": 1},
        "tasks": {text: {"total": 1, "failed": 1}, "x": {}},
        "worker_seconds": [{"size": text, "spot": None, "seconds": 3.0}],
        "code_keys": {text: text},
        "git_commit": text,
        "versions": {text: text},
        "attempts": [{"status": text, "step": text, "started": text, "error": text}] * 2,
        "error": text,
        "report": {text: text},
        "artifacts": [],
    }
    rows = [batches.Row(f"{text}{n}", f"{text}{n}", NOW, NOW + 1, 3, 1) for n in range(2)]
    table = failures.Failures()
    table.add(ElementError(text, 3, text, text, text, 2))
    from lightwork.ui import detail as module

    events = [text, json.dumps({"event": text, "level": text, "exception": text, text: text})]
    lines = [_entry(Line.of("2026-11-28T07:00:00+00:00", text, event)) for event in events]
    return Detail(
        record=record,
        now=NOW,
        started=NOW - 60,
        bars=arranged([Brief(text, "failed", NOW, 3.0)], 1.0, NOW)[0],
        middle=0.3,
        before={"runs": 1, "succeeded": 1, "median_seconds": 1.0},
        previous=text,
        following=text,
        changes=[(text, text, text)],
        phases=module._phases({"phases": {"waiting": 1.0, "computing": 2.0}}),
        timeline=timeline(rows, 3, NOW),
        failed=[module._failed(row) for row in table.rows],
        failed_in_all=2,
        debug=text,
        log=Tail(lines, is_cut=True),
        artifacts=[module._artifact({"name": text, "version": text, "rows": 1, "bytes": 2, "uri": text})],
    )


def of_run(text: str) -> str:
    return pages.run_page(Place(tenant=text, lake=text, environment=text), one(text))


def previewed(text: str) -> str:
    table = Preview(
        columns=[text, text],
        types=[text, ""],
        numeric=[True, False],
        rows=[[text, None], [text, text]],
        note=text,
    )
    return pages.preview_part(table) + pages.preview_part(Preview(text=text or "x", note=text))


PAGES = (
    overview,
    of_run,
    previewed,
    lambda text: pages.problem_page(Place(tenant=text, lake=text), text, text, NOW),
)


@functools.cache
def plain(number: int, text: str) -> str:
    return PAGES[number](text)


def check_all(text: str) -> None:
    # The further lines of a log's line are an element of their own.
    other = "plain\nplain" if "\n" in text else "plain"
    for number, page in enumerate(PAGES):
        check(page(text), plain(number, other))


def test_all_odd_texts_at_once_are_no_more_than_a_text() -> None:
    check_all("".join(ODD))


# A blank text leaves elements out, such as the link to the run before.
@settings(max_examples=6)
@given(TEXT.filter(str.strip))
def test_no_text_is_more_than_a_text(text: str) -> None:
    check_all(text)


@pytest.mark.slow
@settings(max_examples=200)
@given(TEXT.filter(str.strip))
def test_none_of_many_texts_is_more_than_a_text(text: str) -> None:
    check_all(text)


def test_the_check_sees_what_is_not_escaped() -> None:
    for bad in ("<b>", '<p onclick="x">', "<!-- -->", "<a href='javascript:x'>", "\u202e"):
        page = f"<p>plain</p>{bad}"
        try:
            check(page, "<p>plain</p>")
        except AssertionError:
            continue
        raise AssertionError(f"{bad} was let through")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT.filter(lambda text: all(not 0xD800 <= ord(c) < 0xE000 for c in text)))
def test_what_a_lake_holds_is_shown_as_text_too(lake: Lake, text: str) -> None:
    lakes.run(
        lake,
        "odd",
        pipeline=text or "x",
        status="failed",
        error=text,
        parameters={text: text},
        versions={text: text},
        git_commit=text,
        tasks={text: {"total": 1, "cached": 0, "computed": 0, "failed": 1}, "y": {"total": 1}},
        code_keys={text: text},
        batches={
            "begin": 1.0,
            "workers": [text],
            "tasks": [text],
            "rows": ["0 0 0.0 1.0 1 0 1"],
            "omitted": 0,
        },
    )
    lakes.log(lake, "odd", lakes.NOW, [("error", text)])
    found = detail(lake, "odd", NOW)
    assert found is not None
    page = pages.run_page(Place(tenant="acme", lake=lake.root), found)
    assert not {character for character in page if is_hidden(character)} - set("\n\t")
    assert {tag for tag, *_ in elements(page).found} <= KNOWN
    assert sum(count for (tag, *_), count in elements(page).found.items() if tag == "script") == 1


KNOWN = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "header",
        "main",
        "footer",
        "nav",
        "section",
        "div",
        "span",
        "p",
        "h1",
        "h2",
    ),
    *(
        "a",
        "b",
        "i",
        "em",
        "bdi",
        "small",
        "code",
        "pre",
        "time",
        "dl",
        "dt",
        "dd",
        "ul",
        "ol",
        "li",
        "svg",
        "rect",
        "line",
        "path",
        "text",
    ),
    *(
        "g",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "dialog",
        "kbd",
        "button",
        "script",
        "del",
        "ins",
    ),
}


def test_no_template_marks_a_text_as_safe() -> None:
    folder = Path(pages.__file__).parent
    safe = [
        (path.name, line)
        for path in folder.glob("*.jinja")
        for line in path.read_text().splitlines()
        if "| safe" in line
    ]
    assert all("{{ style | safe }}" in line or "{{ script | safe }}" in line for _, line in safe)
    assert len(safe) == 2

"""One file with all pages: bounded, and it says what it leaves out."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from lightwork import InputError
from lightwork.lake import Lake
from lightwork.ui.export import document, export
from lightwork.ui.overview import Next
from lightwork.ui.pages import Firing, Place
from tests.unit.lightwork.ui import lakes

PLACE = Place(tenant="acme", lake="/srv/lake/acme")
MINUTE = dt.timedelta(minutes=1)


def runs(lake: Lake, count: int, *, text: int = 0) -> None:
    for number in range(count):
        name = f"run-{number:02}"
        lakes.run(lake, name, started=lakes.NOW - (count - number) * MINUTE)
        if text:
            lakes.log(lake, name, lakes.NOW, [("info", "x" * text)] * 40)


def test_a_file_has_the_pages_of_all_runs_with_a_bar(lake: Lake) -> None:
    runs(lake, 33)
    content, count, without = document(lake, PLACE, Firing())
    page = content.decode()
    assert (count, without) == (30, 0)
    assert len(re.findall(r'<article class="run-page" id="run-run-\d\d">', page)) == 30
    assert "It leaves out older runs, reports, the content of artifacts" in page
    assert 'href="/run/' not in page
    assert "data-preview=" not in page


def test_a_schedule_without_a_run_is_told_below_the_pipelines(lake: Lake) -> None:
    runs(lake, 1)
    late = Next(lakes.NOW.timestamp() + 60, "never started", "no controller")
    known = {"windy-city": late, "<b>new</b>": late, "off": Next(None, "suspended", "being moved")}
    page = document(lake, PLACE, Firing(known=known))[0].decode()
    waiting = page[page.index('<section class="waiting">') :].partition("</section>")[0]
    assert re.findall("<bdi>(.+?)</bdi>", waiting) == ["&lt;b&gt;new&lt;/b&gt;", "off"]
    assert 'title="no controller">never started' in waiting
    assert 'title="being moved">suspended' in waiting
    known = {"windy-city": late}
    assert '<section class="waiting">' not in document(lake, PLACE, Firing(known=known))[0].decode()


def test_every_link_of_a_file_leads_to_something_in_it(lake: Lake) -> None:
    runs(lake, 33)
    page = document(lake, PLACE, Firing())[0].decode()
    ids = {f"#{name}" for name in re.findall(r'id="([^"]+)"', page)}
    assert set(re.findall(r'href="([^"]+)"', page)) - {"#", "data:,"} <= ids


def test_a_file_loads_nothing(lake: Lake) -> None:
    runs(lake, 1)
    page = document(lake, PLACE, Firing())[0].decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy
    assert not re.findall(r"(?:src|href)=\"(?:https?:|//)", page)


def test_a_file_is_bounded_and_says_what_did_not_fit(lake: Lake) -> None:
    runs(lake, 20, text=1000)
    most = 400_000
    content, count, without = document(lake, PLACE, Firing(), most)
    assert len(content) <= most
    assert 0 < count < 20
    assert without == 20 - count
    page = content.decode()
    assert f"except for {without} that do not fit into 0.4 MB" in page
    assert 'id="run-run-19"' in page, "the newest runs are in it"
    ids = {f"#{name}" for name in re.findall(r'id="([^"]+)"', page)}
    assert set(re.findall(r'href="([^"]+)"', page)) - {"#", "data:,"} <= ids


def test_a_file_that_cannot_be_written_is_told_in_one_line(lake: Lake, tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "runs.html", tmp_path):
        with pytest.raises(InputError, match=r"^--out .*: cannot be written \("):
            export(lake, PLACE, Firing(), str(path))
    assert not list(tmp_path.glob(".*"))


def test_an_empty_lake_gives_a_file_too(lake: Lake, tmp_path: Path) -> None:
    assert export(lake, PLACE, Firing(), str(tmp_path / "runs.html")) == (0, 0)
    assert "No runs yet" in (tmp_path / "runs.html").read_text()

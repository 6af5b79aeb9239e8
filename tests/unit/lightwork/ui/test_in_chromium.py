"""The page in a real Chromium: what a click and a key do, at every width, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lightwork.lake import open_lake
from lightwork.ui.export import export
from lightwork.ui.overview import Next
from lightwork.ui.pages import Firing, Place
from lightwork.ui.schedules import Firings
from tests.unit.lightwork.runs.report.browser import Browser, browser, executable
from tests.unit.lightwork.ui import lakes
from tests.unit.lightwork.ui.serving import Served, serving
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no chromium on PATH"),
]

WIDTHS = (390, 768, 1024, 1920)
NAMES = (
    "[...document.querySelectorAll('.pipelines tbody tr')].filter(r => !r.hidden).map(r => r.dataset.name)"
)
KIND = "`${document.body?.dataset.kind} ${document.readyState}`"
TITLE = "document.querySelector('h1')?.textContent ?? ''"
NEWEST = "[...document.querySelectorAll('tr[data-name=windy-city] a.bar .slot')].pop()"
MIDDLE = f"(b => [b.left + b.width / 2, b.top + 10])({NEWEST}.getBoundingClientRect())"
OUTSIDE = """
[...document.querySelectorAll('h1, h2, p, th, td, dd, dt, li, summary, .status, .name')]
  .filter(item => item.textContent.trim() && !item.closest('.scroll, [hidden], dialog, .tip, .hidden'))
  .filter(item => {
    const box = item.getBoundingClientRect();
    return box.width && (box.left < 0 || box.right > innerWidth + 0.5);
  })
  .map(item => item.textContent.trim().slice(0, 60))
"""


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    """The server of this module has a cache of its own."""


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, names: dict[str, str]) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        lake = open_lake(folder / "lake", tenant="acme", patience=0)
        names |= lakes.fill(lake)
        when = lakes.NOW.timestamp()
        known = {
            "windy-city": Next(when + 40_000, "on time"),
            "daylight": Next(None, "suspended", "the provider is down"),
            "battery-health": Next(when + 90_000, "never started", "no run of it has started since Monday"),
        }
        firings = Firings(lambda: known)
        firings.refresh(60)
        place = Place(tenant="acme", lake="/srv/lake/acme")
        export(lake, place, Firing(known=known), str(folder / "runs.html"))
        names["file"] = str(folder / "runs.html")
        with serving(lake, firings) as running:
            yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(chromium: Browser, served: Served) -> Browser:
    """The overview, which the browser has come to by the address with the token."""
    chromium.run("location.protocol == 'http:' && sessionStorage.clear()")
    chromium.open(served.door.address(), width=1024)
    wait_until(lambda: chromium.run(KIND) == "overview complete", "the page is led to")
    chromium.messages.clear()
    return chromium


def press(page: Browser, *keys: str) -> None:
    for key in keys:
        page.key(key)


def test_the_address_ends_at_the_page_and_is_no_longer_shown(page: Browser, served: Served) -> None:
    assert page.run("location.href") == f"http://127.0.0.1:{served.port}/"
    assert page.run("document.cookie") == "", "no script sees the cookie"
    assert page.run("document.referrer") in ("", f"http://127.0.0.1:{served.port}/")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_at_any_width(
    page: Browser, served: Served, names: dict[str, str], width: int, dark: bool
) -> None:
    for path in ("/", f"/run/{names['failed']}", f"/run/{names['running']}"):
        page.open(f"http://127.0.0.1:{served.port}{path}", width=width, dark=dark)
        assert page.run("document.documentElement.scrollWidth") == width
        assert page.run(OUTSIDE) == []
        assert page.messages == []


def test_dark_is_dark(page: Browser, served: Served) -> None:
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    for dark in (False, True):
        page.open(f"http://127.0.0.1:{served.port}/", width=1024, dark=dark)
        assert (page.run(lightness) < 60) is dark


def test_a_click_on_a_bar_opens_its_run(page: Browser) -> None:
    box = page.run(f"{NEWEST}.scrollIntoView({{block: 'center'}}), {MIDDLE}")
    page.mouse("mouseMoved", *box)
    assert page.run("document.querySelector('.tip').textContent").startswith("failed in 7 min 11 s")
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, *box)
    wait_until(lambda: page.run(KIND) == "run complete", "the run's page")
    assert "windy-city-20261128t071502-k3x9q" in page.run("document.querySelector('h1').textContent")
    assert page.messages == []


def test_the_filter_shows_what_has_all_its_words(page: Browser) -> None:
    assert len(page.run(NAMES)) == 5
    press(page, "/")
    page.type("key failing")
    assert page.run(NAMES) == ["tide-tables", "windy-city"]
    page.type(" zzz")
    assert page.run("document.querySelector('.nothing').hidden") is False
    press(page, "Escape")
    assert len(page.run(NAMES)) == 5
    page.run("document.querySelector('[data-state=running]').click()")
    assert page.run(NAMES) == ["battery-health"]


def test_keys_sort_and_lead_to_a_run_and_back(page: Browser) -> None:
    assert page.run(NAMES)[0] == "a-pipeline-with-a-rather-long-name-for-a-phone"
    press(page, "r")
    assert page.run(NAMES)[0] == "windy-city"
    press(page, "s", "s", "s")  # by the last run, by duration, by median
    assert page.run("document.querySelector('[aria-sort]').dataset.sort") == "usual"
    assert page.run(NAMES)[0] == "tide-tables"
    press(page, "j", "ArrowLeft")
    assert page.run("document.activeElement.closest('tr').dataset.name") == "tide-tables"
    assert page.run("document.querySelector('.tip').hidden") is False
    page.key("Enter", text="\r")
    wait_until(lambda: page.run(KIND) == "run complete", "the run's page")
    press(page, "[")
    wait_until(lambda: page.run(TITLE).endswith("00027"), "the run before")
    wait_until(lambda: page.run(KIND) == "run complete", "all of it")
    press(page, "u")
    wait_until(lambda: page.run(KIND) == "overview complete", "the overview")
    assert page.run(NAMES)[0] == "tide-tables", "the order is kept"


def test_the_page_reads_itself_again_and_keeps_what_was_typed(page: Browser) -> None:
    press(page, "/")
    page.type("windy-city")
    page.run("window.once = 1; refresh().then(() => { window.done = 1; }); 0")
    wait_until(lambda: page.run("window.done") == 1, "the page is read again")
    assert page.run("document.activeElement.value") == "windy-city"
    assert page.run(NAMES) == ["windy-city"]
    assert page.messages == []


@pytest.mark.parametrize("width", [390, 1024])
def test_the_page_needs_no_script(page: Browser, served: Served, names: dict[str, str], width: int) -> None:
    page.open(f"http://127.0.0.1:{served.port}/", width=width, scripts=False)
    assert page.run("document.querySelectorAll('a.bar').length") == 150
    assert page.run(OUTSIDE) == []
    page.open(f"file://{names['file']}#run-{names['failed']}", width=width, scripts=False)
    assert page.run("document.querySelector('.overview').offsetHeight") == 0
    assert "KeyError" in page.run("document.querySelector('.run-page:target').innerText")


def test_a_file_opens_offline_with_all_its_pages(page: Browser, names: dict[str, str]) -> None:
    page.open(f"file://{names['file']}", width=1024)
    assert page.run("document.querySelectorAll('.run-page').length") > 140
    assert page.run("[...document.querySelectorAll('.run-page')].every(p => !p.offsetHeight)")
    page.run(f"{NEWEST}.parentNode.dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    wait_until(
        lambda: page.run("document.querySelector('.run-page:target')?.offsetHeight > 0"), "the run's page"
    )
    assert page.run("document.querySelector('.overview').offsetHeight") == 0
    press(page, "u")
    wait_until(lambda: page.run("document.querySelector('.overview').offsetHeight > 0"), "the overview")
    assert page.messages == []


def test_a_foreign_page_cannot_read_or_frame_it(page: Browser, served: Served, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{served.port}/"
    foreign = tmp_path / "foreign.html"
    asking = f"fetch('{address}', {{credentials: 'include'}})"
    script = f"{asking}.then(() => {{ window.got = 1; }}, () => {{ window.got = 0; }})"
    foreign.write_text(f"<iframe src='{address}'></iframe><script>{script}</script>")
    page.open(foreign.as_uri(), width=390)
    wait_until(lambda: page.run("window.got") is not None, "the foreign page has tried")
    assert page.run("window.got") == 0
    assert any("403" in message or "ERR_BLOCKED" in message or "CORS" in message for message in page.messages)


def test_a_preview_is_read_when_it_is_asked_for(page: Browser, served: Served, names: dict[str, str]) -> None:
    page.open(f"http://127.0.0.1:{served.port}/run/{names['failed']}", width=1024)
    page.run("document.querySelector('[data-preview]').open = true")
    wait_until(
        lambda: "be read" in page.run("document.querySelector('.preview').textContent"),
        "the answer",
        seconds=30,
    )


def test_nobody_answers_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chromium: Browser) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lake = open_lake(tmp_path / "lake", tenant="acme", patience=0)
    lakes.run(lake, "run")
    with serving(lake) as running:
        chromium.open(running.door.address(), width=1024)
        wait_until(lambda: chromium.run(KIND) == "overview complete", "the page is led to")
    chromium.run("refresh()")
    wait_until(lambda: chromium.run("document.querySelector('.stale').hidden") is False, "it says so")

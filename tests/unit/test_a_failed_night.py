"""`docs/a-failed-night.md` is what the commands print today, on a terminal of 80 columns.

The page is the script: its first Python block is the pipeline, the lines after `$ ` are typed in their order,
and the block `diff` is the edit between them. Names, times, durations, versions and the folder may differ
from those of the page. To record it anew, after a command prints something else:

    LIGHTWORK_RECORD=1 .venv/bin/python -m pytest tests/unit/test_a_failed_night.py
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import lightwork
from tests.unit.lightwork.runs.report.browser import Browser, browser, executable
from tests.unit.lightwork.terminal import Terminal
from tests.waiting import VARIABLE, patience, wait_until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "a-failed-night.md"
RECORD = "LIGHTWORK_RECORD"
FOLDER = "/home/jane/weather"
"""The folder that the page shows in place of the test's."""
COLUMNS = 80
NIGHTS = range(21, 27)
"""The nights of November 2026 that have data."""
BAD_NIGHT, BAD_LINE = 23, 77
BEFORE = """
from lightwork.functions import discovery
for day in range(21, 24):
    values = {"start": f"2026-11-{day}T00:00:00+00:00", "end": f"2026-11-{day + 1}T00:00:00+00:00"}
    try:
        print(discovery.find("nightly-wind").run(**values).status)
    except Exception as error:
        print(type(error.__cause__ or error).__name__)
"""
"""The runs of the nights before the page begins, in their order."""
PACKAGE = "weather"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\bnightly-wind-\d{8}t\d{6}-[a-z0-9]{5}\b")
FAILED, RETRY, LAST = 2, 3, 6
"""The numbers of runs, of which the first is 0."""
CHROMIUM = pytest.mark.skipif(executable() is None, reason="no chromium on PATH")
KIND = "`${document.body?.dataset.kind} ${document.readyState}`"
TITLE = "document.querySelector('h1').textContent"
CHANGED = """
[...document.querySelectorAll('dl.changes > div')].map(
  item => [item.querySelector('dt').innerText, ['del', 'ins'].map(tag => item.querySelector(tag).innerText)])
"""
BARS = "[...document.querySelectorAll('tr[data-name=nightly-wind] a.bar')]"
CHANGES = [
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b(?!\+)"), "TIME"),
    (re.compile(r"\b\d[\d,]*\.\d+\b"), "0.0"),
    (re.compile(r"^versions .*", re.MULTILINE), "versions"),
    (re.compile(r"^phases .*\n", re.MULTILINE), ""),  # those that took no time are left out
    (re.compile(r"\bprocess \d+"), "process 0"),
    (re.compile(r" {2,}|─+"), " "),
]
"""What differs between two recordings, besides the names of runs."""


@dataclass
class Project:
    """The page's project in a folder of its own, and what `lightwork` needs to find it.

    Attributes:
        folder: the folder.
        names: the runs that were recorded, by those that the page names.
    """

    folder: Path
    names: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        source = Path(lightwork.__file__).parents[1]
        path = f"{source}:{self.folder / 'installed'}"
        return {"PYTHONPATH": path, "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}

    def nights(self) -> None:
        """Run the pipeline for the first nights, in one process; the last of them fails."""
        done = subprocess.run(
            [sys.executable, "-c", BEFORE],
            cwd=self.folder,
            env={**os.environ, **self.environment(), "LIGHTWORK_ON": "serial"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.split() == ["succeeded"] * 2 + ["ValueError"], done.stdout + done.stderr

    def type(self, line: str) -> tuple[int, str]:
        """Type a command on a terminal; return its exit code and what the page shows of its output."""
        program, *words = shlex.split(line)
        assert program == "lightwork"
        words = [self.names.get(word, word) for word in words]
        terminal = Terminal(self.folder, "-m", "lightwork", *words, columns=COLUMNS, **self.environment())
        try:
            code = terminal.end(200)
        finally:
            terminal.stop()
        return code, screen(terminal).replace(str(self.folder), FOLDER).strip("\n")

    @contextlib.contextmanager
    def page(self) -> Iterator[str]:
        """Type `lightwork ui` while the `with` block runs; yields the address that it prints."""
        process = subprocess.Popen(
            [sys.executable, "-m", "lightwork", "ui", "--no-open"],
            cwd=self.folder,
            env={**os.environ, **self.environment()},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()
            process.communicate(timeout=patience(20))


def screen(terminal: Terminal) -> str:
    """Return what is left on a terminal: of a line that is written again and again, the last."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal._bytes.decode()).replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return "\n".join(line for line in lines if "━" not in line)


def source() -> str:
    return next(text for language, text in BLOCK.findall(PAGE.read_text()) if language == "python")


@dataclass
class Walk:
    """What the walk has left.

    Attributes:
        page: the page with what was printed.
        before: a copy of the project as it was when the page begins.
        after: the project at the end.
    """

    page: str
    before: Project
    after: Project

    def run(self, number: int) -> str:
        """Return the name of a run by the last table of them: the first of all is 0."""
        return str(NAME.findall(self.page[self.page.rindex("$ lightwork runs") :])[-1 - number])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The walk, gone once for all tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [item for item in os.environ if item.startswith(("LIGHTWORK_", "DASK_"))]:
            if name not in (RECORD, VARIABLE):
                patch.delenv(name)
        ready = prepared(tmp_path_factory.mktemp("walk") / "weather")
        before = replace(ready, folder=tmp_path_factory.mktemp("before") / "weather")
        shutil.copytree(ready.folder, before.folder, symlinks=True)
        yield Walk(recorded(ready), before, ready)


def prepared(folder: Path) -> Project:
    """Return the project after three nights, the last of which failed."""
    package, info = folder / PACKAGE, folder / "installed" / f"{PACKAGE}-1.dist-info"
    for item in (package, info, folder / "data"):
        item.mkdir(parents=True)
    (folder / "installed" / PACKAGE).symlink_to(package)
    (package / "nightly_wind.py").write_text(source())
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[lightwork.pipelines]\n{PACKAGE} = {PACKAGE}\n")
    for day in NIGHTS:
        lines = [f"KJFK {n // 20:02}:{n % 20 * 3:02} {3 + (7 * n + day) % 90 / 10:.1f}" for n in range(120)]
        if day == BAD_NIGHT:
            lines[BAD_LINE] = f"{lines[BAD_LINE].rpartition(' ')[0]} ///"
        (folder / "data" / f"2026-11-{day}.txt").write_text("\n".join(lines) + "\n")
    (folder / ".env").write_text("LIGHTWORK_ON=serial\n")
    ready = Project(folder)
    ready.nights()
    return ready


def edited(text: str, change: str) -> str:
    """Return a text after the change that a diff shows."""
    before = "".join(f"{line[1:]}\n" for line in change.splitlines() if line[:1] in "- ")
    after = "".join(f"{line[1:]}\n" for line in change.splitlines() if line[:1] in "+ ")
    assert text.count(before) == 1, f"the page's diff does not fit its source:\n{before}"
    return text.replace(before, after)


def recorded(project: Project) -> str:
    """Go through the page; return it with what was printed."""

    def go(match: re.Match[str]) -> str:
        language, text = match.groups()
        if language == "diff":
            file = project.folder / PACKAGE / "nightly_wind.py"
            file.write_text(edited(file.read_text(), text))
        if not text.startswith("$ "):
            return match[0]
        command, _, before = text.partition("\n")
        _, printed = project.type(command.removeprefix("$ "))
        for old, new in zip(NAME.findall(before), NAME.findall(printed), strict=False):
            project.names.setdefault(old, new)
        typed = NAME.sub(lambda name: project.names.get(name[0], name[0]), command)
        return f"```{language}\n{typed}\n{printed}\n```"

    return BLOCK.sub(go, PAGE.read_text())


def plain(text: str) -> list[str]:
    """Return the lines of a page without what differs between two recordings."""
    names = list(dict.fromkeys(NAME.findall(text)))
    text = NAME.sub(lambda name: f"RUN-{names.index(name[0]) + 1}", text)
    for pattern, word in CHANGES:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(patience(600))
def test_the_page_shows_what_the_commands_print(walk: Walk) -> None:
    page, now = PAGE.read_text(), walk.page
    if os.environ.get(RECORD):
        PAGE.write_text(now)
    differences = "\n".join(difflib.unified_diff(plain(page), plain(now), "the page", "now", lineterm=""))
    assert not differences or os.environ.get(RECORD), f"{differences}\nrecord it anew: {RECORD}=1"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@contextlib.contextmanager
def opened(chromium: Browser, project: Project) -> Iterator[Browser]:
    """Open the page of a project's runs in the browser, while the `with` block runs."""
    with project.page() as address:
        chromium.open(address, width=1024)
        wait_until(lambda: chromium.run(KIND) == "overview complete", "the overview")
        yield chromium


def click(page: Browser, element: str, leads_to: str) -> None:
    """Click an element, the first line of a link, and wait for the page of a run."""
    middle = "(b => [b.left + b.width / 2, b.top + b.height / 2])"
    box = page.run(f"{element}.scrollIntoView({{block: 'center'}}), {middle}({element}.getClientRects()[0])")
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        page.mouse(kind, *box)
    wait_until(lambda: page.run(KIND) == "run complete" and page.run(TITLE) == leads_to, leads_to)


def section(page: Browser, label: str) -> str:
    """Return what a section of the page of a run shows."""
    return str(page.run(f"document.querySelector('section[aria-label=\"{label}\"]').innerText"))


@CHROMIUM
@pytest.mark.slow
@pytest.mark.timeout(patience(600))
def test_chromium_shows_the_failed_element_and_its_line_in_the_log(walk: Walk, chromium: Browser) -> None:
    debug = re.search(r"^debug one: (.+)$", walk.page, re.MULTILINE)
    assert debug
    error = "ValueError: could not convert string to float: '///'"
    with opened(chromium, walk.before) as page:
        assert page.run(f"{BARS}.length") == FAILED + 1
        assert page.run(f"{BARS}.pop().ariaLabel").startswith("failed in ")
        assert "knots: element 77 " in page.run("document.querySelector('td.failure').innerText")
        click(page, f"{BARS}.pop().querySelector('.slot')", walk.run(FAILED))
        page.run("document.querySelector('ul.failed details').open = true")
        failed = section(page, "Failed elements")
        for shown in ("77", "'KJFK 03:51 ///'", error, "nightly_wind.py", f"Debug one: {debug[1]}"):
            assert shown in failed
        log = page.run("document.querySelector('section.log li.l-error').innerText")
        assert "element 77 ('KJFK 03:51 ///') failed" in log
        assert "return float(line.split()[2])" in log
        assert f"lightwork retry {walk.run(FAILED)}" in section(page, "Commands")
        assert page.messages == []


@CHROMIUM
@pytest.mark.slow
@pytest.mark.timeout(patience(600))
def test_chromium_shows_what_the_retry_changed_the_missed_days_and_the_cost(
    walk: Walk, chromium: Browser
) -> None:
    with opened(chromium, walk.after) as page:
        labels = page.run(f"{BARS}.map(bar => bar.ariaLabel.split(' ')[0])")
        assert labels == ["succeeded"] * FAILED + ["failed"] + ["succeeded"] * (LAST - FAILED)
        bill = re.search(r"^nightly-wind +7 +([\d.]+)", walk.page, re.MULTILINE)
        assert bill
        assert page.run("document.querySelector('tr[data-name=nightly-wind] td.cost').innerText") == bill[1]
        click(page, f"{BARS}[{RETRY}].querySelector('.slot')", walk.run(RETRY))
        changes = page.run(f"Object.fromEntries({CHANGED})")
        expected = {"status": ["failed", "succeeded"], "elements.failed": ["1", "0"]}
        assert changes.items() >= (expected | {"elements.cached": ["0", "77"]}).items()
        click(page, f"document.querySelector('header.head p a[href$={walk.run(FAILED)}]')", walk.run(FAILED))
        click(page, f"document.querySelector('header.head p a[href$={walk.run(RETRY)}]')", walk.run(RETRY))
        assert page.messages == []


def test_the_page_goes_from_the_failed_run_to_the_bill() -> None:
    typed = re.findall(r"^\$ lightwork (.+)$", PAGE.read_text(), re.MULTILINE)
    wanted = ["runs", "show", "--errors", "--only knots:77 --on serial", "retry", "backfill", "cost"]
    positions = [next(at for at, line in enumerate(typed) if word in line) for word in wanted]
    assert positions == sorted(positions)


def test_two_recordings_differ_by_no_name_and_no_time() -> None:
    one = "nightly-wind-20261128t095221-k3x9q  failed   2026-11-28 09:52:21   2.4\nversions  python 3.11.2"
    two = "nightly-wind-20261129t010203-aaaaa  failed   2026-11-29 01:02:03  13.5\nversions  python 3.13.1"
    assert plain(one) == plain(two)
    assert plain(one) != plain(two.replace("failed", "lost"))

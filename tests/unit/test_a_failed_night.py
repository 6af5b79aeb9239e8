"""`docs/a-failed-night.md` is what the commands print today, on a terminal of 80 columns.

The page is the script: its first Python block is the pipeline, the lines after `$ ` are typed in their order,
and the block `diff` is the edit between them. Names, times, durations, versions and the folder may differ
from those of the page. To record it anew, after a command prints something else:

    LIGHTWORK_RECORD=1 .venv/bin/python -m pytest tests/unit/test_a_failed_night.py
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import lightwork
from tests.unit.lightwork.terminal import Terminal
from tests.waiting import patience

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


def screen(terminal: Terminal) -> str:
    """Return what is left on a terminal: of a line that is written again and again, the last."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal._bytes.decode()).replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return "\n".join(line for line in lines if "━" not in line)


def source() -> str:
    return next(text for language, text in BLOCK.findall(PAGE.read_text()) if language == "python")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project after four nights, the last of which failed."""
    for name in [name for name in os.environ if name.startswith(("LIGHTWORK_", "DASK_")) and name != RECORD]:
        monkeypatch.delenv(name)
    folder = tmp_path / "weather"
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
    (folder / ".env").write_text("LIGHTWORK_ON=serial\nLIGHTWORK_WORKERS=1\n")
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
def test_the_page_shows_what_the_commands_print(project: Project) -> None:
    page, now = PAGE.read_text(), recorded(project)
    if os.environ.get(RECORD):
        PAGE.write_text(now)
    differences = "\n".join(difflib.unified_diff(plain(page), plain(now), "the page", "now", lineterm=""))
    assert not differences or os.environ.get(RECORD), f"{differences}\nrecord it anew: {RECORD}=1"


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

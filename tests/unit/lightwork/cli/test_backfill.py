"""`lightwork backfill` on this machine: real runs in a real lake, interrupted, resumed, and doubled."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import lightwork
from lightwork.lake import open_lake
from lightwork.store import records
from tests.waiting import patience

PACKAGE = "filled"
CODE = '''
import datetime as dt
import os
import time
from pathlib import Path

from lightwork import pipeline


@pipeline(interval=("start", "end"))
def hourly(start: dt.datetime, end: str, factor: int = 2) -> dict:
    """Work on an interval."""
    folder = Path(os.environ["FILLED_NOTES"])
    with (folder / "started").open("a") as file:
        file.write(f"{start.isoformat()} {end}\\n")
    if (folder / "slow").exists():
        time.sleep(60)
    if (folder / f"fails-{start.day}").exists():
        raise ValueError(f"no data on day {start.day}")
    return {"seconds": (dt.datetime.fromisoformat(end) - start).total_seconds() * factor}


@pipeline
def plain(start: str) -> None:
    """Take no interval."""
'''
TENANT = """
name: acme
environments: [dev]
pipelines:
  hourly:
    schedule: 30 2 * * *
    timezone: Europe/Berlin
"""


@dataclass(frozen=True)
class Project:
    """A folder with an installed pipeline, and what its runs note in `notes`."""

    folder: Path

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def started(self) -> list[str]:
        """Return the intervals of the runs that have started, in their order."""
        file = self.notes / "started"
        return file.read_text().splitlines() if file.exists() else []

    def popen(self, *words: str) -> subprocess.Popen[str]:
        source = Path(lightwork.__file__).parents[1]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LIGHTWORK_")}
        return subprocess.Popen(
            [sys.executable, "-m", "lightwork", *words],
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **kept,
                "PYTHONPATH": f"{source}:{self.folder / 'site'}",
                "FILLED_NOTES": str(self.notes),
            },
        )

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        process = self.popen(*words)
        out, err = process.communicate(timeout=patience(100))
        assert process.returncode == code, err + out
        return out, err

    def fill(self, *words: str, code: int = 0) -> dict[str, str]:
        """Run `backfill hourly --json`; return what became of each interval, by its start."""
        out, err = self.run("backfill", "hourly", "--json", "--on", "serial", *words, code=code)
        report = json.loads(out.splitlines()[-1])
        assert report["status"] == ("succeeded" if code == 0 else "failed"), err
        for run in (item["run"] for item in report["intervals"] if item["state"] == "succeeded"):
            assert re.fullmatch(r"hourly-\d{8}t\d{6}-\w{5}", run), "by its name, not by its process"
        return {item["interval"][0]: item["state"] for item in report["intervals"]}


pytestmark = pytest.mark.slow
"""Each interval is a process; `test_backfill_words.py` and `runs/test_backfill.py` have what needs none."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    package, info = tmp_path / "site" / PACKAGE, tmp_path / "site" / f"{PACKAGE}-1.dist-info"
    for folder in (package, info, tmp_path / "notes", tmp_path / "tenants"):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "pipes.py").write_text(CODE)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[lightwork.pipelines]\n{PACKAGE} = {PACKAGE}\n")
    (tmp_path / "tenants" / "acme.yaml").write_text(TENANT)
    return Project(tmp_path)


DAYS = ("--from", "2026-10-24", "--to", "2026-10-27", "--tenant", "acme")
"""Around the end of summer time, where 2:30 is twice."""


@pytest.mark.timeout(300)
def test_each_interval_has_one_run_and_the_same_command_starts_none_again(project: Project) -> None:
    out, _ = project.run("backfill", "hourly", "--dry-run", *DAYS)
    assert out.count("to run") == 5, "each interval, and the sum"
    assert project.started() == []
    assert set(project.fill(*DAYS).values()) == {"succeeded"}
    expected = [
        "2026-10-24T02:30:00+02:00 2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00",
        "2026-10-25T02:30:00+01:00 2026-10-26T02:30:00+01:00",
        "2026-10-26T02:30:00+01:00 2026-10-27T02:30:00+01:00",
    ]
    assert project.started() == expected, "no moment is in two, and none in none"
    assert set(project.fill(*DAYS).values()) == {"done"}
    assert project.started() == expected
    assert set(project.fill("factor=2", *DAYS).values()) == {"done"}, "the default, which they had"
    assert set(project.fill("factor=3", *DAYS).values()) == {"succeeded"}, "other parameters are other runs"


@pytest.mark.timeout(400)
def test_thirty_intervals_with_failures_interrupted_and_resumed(project: Project) -> None:
    month = ("--from", "2026-03-10", "--to", "2026-04-09", "--tenant", "acme", "--parallel", "2")
    for day in (15, 20, 29):
        (project.notes / f"fails-{day}").touch()
    process = project.popen("backfill", "hourly", "--on", "serial", *month)
    until = time.monotonic() + patience(100)
    while len(project.started()) < 8 and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=patience(60))
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    first = len(project.started())
    assert 8 <= first < 30

    states = project.fill(*month, code=1)
    counts = Counter(states.values())
    # 02:30 does not exist on 2026-03-29, so one interval is two days long.
    assert len(states) == 29
    assert counts["failed"] == 2, states
    assert counts["done"] >= first - 4
    failed = {start[:10] for start, state in states.items() if state == "failed"}
    assert failed == {"2026-03-15", "2026-03-20"}

    for day in (15, 20):
        (project.notes / f"fails-{day}").unlink()
    states = project.fill(*month)
    assert Counter(states.values()) == {"done": 27, "succeeded": 2}
    lake = open_lake((project.folder / ".lightwork" / "lake").as_uri(), tenant="acme")
    done = [record for name in records.names(lake) if (record := records.run(lake, name))]
    good = Counter(tuple(record["interval"]) for record in done if record["status"] == "succeeded")
    assert set(good.values()) == {1}, "no interval has two runs that succeeded"
    assert len(good) == 29
    ends = {end for _, end in good}
    assert len(ends - {start for start, _ in good}) == 1, "they join without a gap, across the clock change"


@pytest.mark.timeout(300)
def test_a_run_of_somebody_else_is_waited_for_and_one_that_was_killed_is_not(project: Project) -> None:
    one = ("--from", "2026-10-24", "--to", "2026-10-25", "--tenant", "acme")
    (project.notes / "slow").touch()
    first = project.popen("backfill", "hourly", "--on", "serial", *one)
    until = time.monotonic() + patience(60)
    while not project.started() and time.monotonic() < until:
        time.sleep(0.1)
    second = project.popen("backfill", "hourly", "--on", "serial", *one)
    assert second.stderr is not None
    assert "works on it already; waiting for it" in second.stderr.readline()
    (project.notes / "slow").unlink()
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=patience(60)) == 130
    _, err = second.communicate(timeout=patience(100))
    assert second.returncode == 0, err
    assert "has not succeeded (stopped); another run follows" in err
    assert len(project.started()) == 2

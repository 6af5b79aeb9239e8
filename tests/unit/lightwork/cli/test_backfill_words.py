"""`lightwork backfill`: what it refuses before anything starts, and what `--dry-run` shows. No run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightwork.functions import discovery
from lightwork.store import records
from tests.unit.lightwork.cli.conftest import PACKAGE

CODE = '''
import datetime as dt

from lightwork import pipeline


@pipeline(interval=("start", "end"))
def hourly(start: dt.datetime, end: str, factor: int = 2) -> None:
    """Work on an interval."""
    1 // factor


@pipeline
def plain(start: str) -> None:
    """Take no interval."""


@pipeline(interval=("first", "last"))
def numbers(first: int, last: int) -> None:
    """Take an interval of the wrong type."""
'''
TENANT = """
name: acme
environments: [dev]
pipelines:
  hourly:
    schedule: 30 2 * * *
    timezone: Europe/Berlin
"""
DAYS = ("--from", "2026-10-24", "--to", "2026-10-27", "--tenant", "acme")
"""Around the end of summer time, where 2:30 is twice."""


@pytest.fixture(autouse=True)
def _pipelines(project: Path) -> None:
    (project / PACKAGE / "filled.py").write_text(CODE)
    (project / "tenants").mkdir()
    (project / "tenants" / "acme.yaml").write_text(TENANT)
    discovery.scan.cache_clear()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plain", *DAYS], "plain takes no interval, so its runs cannot be told apart by time"),
        (["numbers", *DAYS], "parameter first takes the interval of a run, and its type int does not take"),
        (["hourly", "--from", "2026-10-24"], "hourly has no schedule to cut the intervals"),
        (["hourly", "start=1", *DAYS], "parameter start takes the interval; leave it out"),
        (["hourly", "facto=1", *DAYS], "there is no parameter 'facto'; did you mean 'factor'"),
        (["hourly", "--from", "24.10.2026", *DAYS[2:]], "expected a date or a time"),
        (["hourly", "--from", "2026-10-28", *DAYS[2:]], "--from 2026-10-28 is not before --to 2026-10-27"),
        (["hourly", "--from", "2999-01-01", "--to", "2999-02-01", *DAYS[4:]], "no interval is over yet"),
        (["hourly", "--every", "1x", *DAYS], "expected a number and m, h, d or w"),
        (["hourly", "--timezone", "UTC", *DAYS], "--timezone is that of --every"),
        (["hourly", "--every", "1d", "--timezone", "Mars", *DAYS], "there is no such time zone"),
        (
            ["hourly", "--every", "1m", "--from", "2020-01-01", "--to", "2026-01-01"],
            "more than 10,000 intervals",
        ),
        (["hourly", "--context", "x", *DAYS], "expected --env as well"),
        (["hourly", "--env", "dev", "--on", "local", *DAYS], "expected one of the two"),
    ],
)
def test_wrong_input_is_said_in_one_line(lightwork, words: list[str], message: str) -> None:
    done = lightwork("backfill", *words)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert message in line
    assert done.out == ""


def test_a_dry_run_shows_each_interval_and_starts_nothing(lightwork, project: Path) -> None:
    done = lightwork("backfill", "hourly", "--dry-run", "--json", *DAYS)
    assert done.code == 0, done.err
    found = [item["interval"] for item in json.loads(done.out)["intervals"]]
    assert found == [
        ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00"],
        ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"],
        ["2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"],
        ["2026-10-26T02:30:00+01:00", "2026-10-27T02:30:00+01:00"],
    ], "no moment is in two, and none in none"
    assert "4 intervals: 4 to run" in lightwork("backfill", "hourly", "--dry-run", *DAYS).out
    assert not (project / ".lightwork").exists()


def states(lightwork, *words: str) -> list[str]:
    done = lightwork("backfill", "hourly", "--dry-run", "--json", *words, *DAYS)
    return [item["state"] for item in json.loads(done.out)["intervals"]]


def test_an_interval_that_somebody_ran_by_hand_is_done_with_the_same_parameters(lightwork) -> None:
    by_hand = ["start=2026-10-24T00:30:00Z", "end=2026-10-25T02:30:00+02:00", "factor=3"]
    assert lightwork("run", "hourly", *by_hand, "--on", "serial", "--tenant", "acme").code == 0
    assert states(lightwork) == ["done", "to run", "to run", "to run"], "the same moments in another zone"
    assert states(lightwork, "factor=3")[0] == "done"
    assert states(lightwork, "factor=03")[0] == "done", "the same number"
    assert states(lightwork, "factor=2")[0] == "to run"


def test_runs_that_cannot_be_of_an_interval_are_not_read(lightwork, project: Path, monkeypatch) -> None:
    runs = project / ".lightwork/lake/acme/runs"
    wanted = ("hourly-1792888200", "hourly-20261026t063518-k3x9q", "20261026T063518-0a1b2c", "hourly")
    others = ("hourly-20261001t063518-k3x9q", "hourly-1700000000", "table-20261026t063518-k3x9q")
    for name in (*wanted, *others):
        (runs / name).mkdir(parents=True)
        (runs / name / "x").touch()
    read: list[str] = []
    monkeypatch.setattr(records, "run", lambda lake, name: read.append(name))
    assert states(lightwork) == ["to run"] * 4
    assert sorted(read) == sorted(wanted)


def test_an_interval_whose_run_failed_is_to_run_with_the_reason(lightwork, project: Path) -> None:
    by_hand = ["start=2026-10-24T02:30:00+02:00", "end=2026-10-25T02:30:00+02:00", "factor=0"]
    assert lightwork("run", "hourly", *by_hand, "--on", "serial", "--tenant", "acme").code == 1
    done = lightwork("backfill", "hourly", "--dry-run", "--json", *DAYS)
    first = json.loads(done.out)["intervals"][0]
    assert first["state"] == "to run"
    assert first["error"] == "ZeroDivisionError: integer division or modulo by zero"


def test_steps_of_days_follow_the_clock_and_steps_of_hours_the_time(lightwork) -> None:
    days = ("--from", "2026-10-24T12:00", "--to", "2026-10-26", "--timezone", "Europe/Berlin")
    done = lightwork("backfill", "hourly", "--dry-run", "--json", "--every", "1d", *days)
    starts = [item["interval"] for item in json.loads(done.out)["intervals"]]
    assert starts == [
        ["2026-10-24T12:00:00+02:00", "2026-10-25T12:00:00+01:00"],
        ["2026-10-25T12:00:00+01:00", "2026-10-26T12:00:00+01:00"],
    ]
    done = lightwork("backfill", "hourly", "--dry-run", "--json", "--every", "24h", *days)
    starts = [item["interval"] for item in json.loads(done.out)["intervals"]]
    assert starts[0] == ["2026-10-24T12:00:00+02:00", "2026-10-25T11:00:00+01:00"]

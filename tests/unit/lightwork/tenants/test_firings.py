"""The firings of schedules: those of Argo's own reader, also where clocks change and in its odd habits."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import subprocess
import zoneinfo
from pathlib import Path

import pytest

from lightwork.tenants import firings, schedules
from tests.cluster import binaries
from tests.waiting import patience

BERLIN = "Europe/Berlin"
ODD_ZONES = (
    BERLIN,
    "America/New_York",
    "Africa/Cairo",  # no midnight in spring
    "America/Havana",
    "America/Santiago",
    "Asia/Beirut",
    "America/Asuncion",
    "Australia/Lord_Howe",  # half an hour
    "Antarctica/Troll",  # two hours
    "Africa/Casablanca",
    "Pacific/Apia",  # lacks a whole day, in 2011
    "Atlantic/Azores",
    "Asia/Kathmandu",
    "UTC",
)
CASES = 4_000
COUNT = 12


def some(cron: str, zone: str, after: str, count: int = 3) -> list[str]:
    found = firings.after(cron, zone, dt.datetime.fromisoformat(after))
    return [moment.isoformat() for moment, _ in zip(found, range(count), strict=False)]


def test_days_with_a_step_are_a_list_of_days_so_one_of_day_and_weekday_suffices() -> None:
    days = [text[:10] for text in some("0 6 */2 * 1", "UTC", "2026-11-01T00:00+00:00", 5)]
    assert days == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-05", "2026-11-07"], (
        "the 2nd is a Monday"
    )
    days = [text[:10] for text in some("0 6 * * 1", "UTC", "2026-11-01T00:00+00:00", 2)]
    assert days == ["2026-11-02", "2026-11-09"]


def test_the_days_of_the_week_end_with_saturday() -> None:
    days = {
        dt.datetime.fromisoformat(text).isoweekday() % 7
        for text in some("0 6 * * 1/2", "UTC", "2026-11-01T00:00Z", 9)
    }
    assert days == {1, 3, 5}, "and not 7, which would be Sunday"


def test_the_last_firing_before_a_moment_is_the_one_whose_next_is_later() -> None:
    for cron in ("*/15 * * * *", "30 6 * * *", "0 0 1 * *", "0 0 29 2 *"):
        moment = dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
        last = firings.before(cron, BERLIN, moment)
        assert last is not None
        assert last.astimezone(dt.UTC) < moment
        assert next(firings.after(cron, BERLIN, last)).astimezone(dt.UTC) >= moment


def test_a_firing_in_the_doubled_hour_is_before_its_double() -> None:
    first, second = (dt.datetime(2026, 10, 25, hour, 30, tzinfo=dt.UTC) for hour in (0, 1))
    assert f"{first.astimezone(zoneinfo.ZoneInfo(BERLIN)):%H:%M}" == "02:30"
    assert firings.before("30 2 * * *", BERLIN, second) == first.astimezone(zoneinfo.ZoneInfo(BERLIN))
    last = firings.before("30 2 * * *", BERLIN, second.astimezone(zoneinfo.ZoneInfo(BERLIN)))
    assert last is not None
    assert last.timestamp() == first.timestamp(), "also if the moment is given in the same zone"


def field(random: random.Random, first: int, last: int) -> str:
    """Return a field of a schedule, as people and machines write them."""

    def item() -> str:
        low, high = sorted((random.randint(first, last), random.randint(first, last)))
        step = random.choice((1, 2, 3, 5, 7, 15, 40))
        return random.choice(
            ("*", f"*/{step}", f"{low}", f"{low}-{high}", f"{low}-{high}/{step}", f"{low}/{step}")
        )

    kind = random.random()
    if kind < 0.35:
        return "*"
    return ",".join(item() for _ in range(1 if kind < 0.85 else random.randint(2, 3)))


def a_case(random: random.Random, zones: list[str]) -> tuple[str, int, str]:
    """Return a zone, a moment near a clock change if there is one, and a schedule."""
    zone = random.choice(ODD_ZONES if random.random() < 0.6 else zones)
    while True:
        cron = " ".join(field(random, *bounds) for bounds in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6)))
        if random.random() < 0.3:
            cron = f"{random.randint(0, 59)} {random.randint(0, 4)} {' '.join(cron.split()[2:])}"
        try:
            cron = schedules.canonical_cron(cron)
        except ValueError:
            continue
        break
    start = dt.datetime(random.randint(2005, 2036), random.randint(1, 12), 1, tzinfo=dt.UTC)
    if random.random() < 0.7 and (
        change := next(schedules._transitions(zoneinfo.ZoneInfo(zone), start), None)
    ):
        start = change - dt.timedelta(seconds=random.randint(-90_000, 200_000))
    return zone, int(start.timestamp()) + random.randint(0, 3600), cron


def ours(zone: str, seconds: int, cron: str) -> str:
    found = firings.after(cron, zone, dt.datetime.fromtimestamp(seconds, dt.UTC))
    return " ".join(f"{moment.timestamp():.0f}" for moment, _ in zip(found, range(COUNT), strict=False))


@pytest.fixture(scope="module")
def argos() -> Path:
    if not (binaries.folder_of(binaries.CRON) / "done").exists() and shutil.which("go") is None:
        pytest.skip("needs Go")
    return binaries.build(binaries.CRON) / "bin" / "cron"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_schedules_fire_when_argos_own_reader_says(argos: Path) -> None:
    seed = int(os.environ.get("LIGHTWORK_TEST_SEED", "20261128"))
    source, zones = random.Random(seed), sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
    cases = [a_case(source, zones) for _ in range(CASES)]
    lines = "".join(f"{zone}\t{seconds}\t{COUNT}\t{cron}\n" for zone, seconds, cron in cases)
    answer = subprocess.run(
        [argos],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(120),
        env={"ZONEINFO": zoneinfo.TZPATH[0]},  # of the same version
    )
    theirs = answer.stdout.splitlines()
    assert len(theirs) == len(cases)
    wrong = [
        (*case, told, made) for case, told in zip(cases, theirs, strict=True) if (made := ours(*case)) != told
    ]
    assert not wrong, f"{len(wrong)} of {CASES} differ, seed {seed}: {wrong[:5]}"
    assert sum(" " in text for text in theirs) > CASES / 2, "most fire several times"

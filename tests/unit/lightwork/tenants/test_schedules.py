"""Schedules: the grammar that cron and Argo share, and the effect of clock changes."""

from __future__ import annotations

import datetime as dt

import pytest

from lightwork.tenants import schedules

NOVEMBER = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("30 6 * * *", "30 6 * * *"),
        ("  */5  8-18 * * mon-fri ", "*/5 8-18 * * MON-FRI"),
        ("0 0 1 jul *", "0 0 1 JUL *"),
        ("@daily", "0 0 * * *"),
        ("0 0 31 * 1", "0 0 31 * 1"),
    ],
)
def test_a_schedule_has_one_canonical_form(written: str, canonical: str) -> None:
    assert schedules.canonical_cron(written) == canonical


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("30 6 * *", "five fields"),
        ("0 30 6 * * *", "it has 6"),
        ("60 6 * * *", "the minute is out of range"),
        ("0 24 * * *", "the hour is out of range"),
        ("0 6 0 * *", "the day of month is out of range"),
        ("0 6 * 13 *", "the month is out of range"),
        ("0 6 * * 7", "Sunday is 0"),
        ("0 6 * * 5-7", "Sunday is 0"),
        ("0 6 L * *", "Argo accepts"),
        ("0 6 * * 5L", "Argo accepts"),
        ("0 6 * * 1#2", "Argo accepts"),
        ("0 6 ? * *", "Argo accepts"),
        ("*/0 6 * * *", "the minute is out of range"),
        ("50-10 6 * * *", "the minute is out of range"),
        ("0 6 30 2 *", "day of month"),
        ("@every 5m", "five fields"),
        ("@reboot", "five fields"),
        (30, "in quotes"),
    ],
)
def test_a_schedule_that_argo_rejects_is_refused_with_the_field(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedules.canonical_cron(written)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("Mars", "for example Europe/Berlin or UTC"),
        ("localtime", "no such time zone"),
        ("../../etc/passwd", "no such time zone"),
        (1, "should be a time zone's name"),
    ],
)
def test_an_unknown_time_zone_is_refused(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedules.canonical_zone(written)


def test_the_names_of_time_zones_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr(schedules.zoneinfo, "available_timezones", lambda: {"UTC", *read, read.append("x")})
    schedules._zones.cache_clear()
    try:
        assert [schedules.canonical_zone("UTC") for _ in range(3)] == ["UTC"] * 3
    finally:
        schedules._zones.cache_clear()
    assert len(read) == 1


def test_times_follow_the_local_clock() -> None:
    moments = schedules.times("30 6 * * *", "America/New_York", NOVEMBER, 2)
    assert [moment.isoformat() for moment in moments] == [
        "2026-11-25T06:30:00-05:00",
        "2026-11-26T06:30:00-05:00",
    ]


def test_the_next_time_is_after_now() -> None:
    at = dt.datetime(2026, 11, 24, 6, 30, tzinfo=dt.UTC)
    assert schedules.times("30 6 * * *", "UTC", at, 1)[0].day == 25


def test_a_skipped_hour_has_no_run_and_a_doubled_one_has_two() -> None:
    before = dt.datetime(2027, 3, 27, 12, 0, tzinfo=dt.UTC)
    days = [moment.day for moment in schedules.times("30 2 * * *", "Europe/Berlin", before, 2)]
    assert days == [29, 30], "02:30 does not exist on 2027-03-28"
    before = dt.datetime(2027, 10, 30, 12, 0, tzinfo=dt.UTC)
    moments = [moment.isoformat() for moment in schedules.times("30 2 * * *", "Europe/Berlin", before, 3)]
    assert moments == ["2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00", "2027-11-01T02:30:00+01:00"]


def test_a_schedule_of_every_quarter_hour_is_even_through_a_doubled_hour() -> None:
    before = dt.datetime(2027, 10, 31, 0, 0, tzinfo=dt.UTC)
    moments = schedules.times("*/15 * * * *", "Europe/Berlin", before, 8)
    steps = {
        (later - sooner).total_seconds()
        for sooner, later in zip(
            [moment.astimezone(dt.UTC) for moment in moments],
            [moment.astimezone(dt.UTC) for moment in moments[1:]],
            strict=False,
        )
    }
    assert steps == {900.0}


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        (
            "30 2 * * *",
            "Europe/Berlin",
            [("skipped", "2027-03-28T02:30"), ("doubled", "2027-10-31T02:30")],
        ),
        ("0 3 * * *", "Europe/Berlin", []),  # three is the first hour after the gap, and exists
        ("0 2 * * *", "Europe/Berlin", [("skipped", "2027-03-28T02:00"), ("doubled", "2027-10-31T02:00")]),
        ("30 1 * * 0", "America/New_York", [("doubled", "2027-11-07T01:30")]),
        ("30 2 * * 1", "Europe/Berlin", []),  # clocks change on Sundays
        ("30 * * * *", "Europe/Berlin", []),  # every hour is not affected
        ("30 2 * * *", "UTC", []),
        ("15 2 * * *", "Australia/Lord_Howe", [("skipped", "2027-10-03T02:15")]),  # half an hour
    ],
)
def test_times_that_a_clock_change_skips_or_doubles_are_reported(
    cron: str, zone: str, expected: list[tuple[str, str]]
) -> None:
    changes = schedules.clock_changes(cron, zone, NOVEMBER)
    assert [(c.kind, c.local.isoformat(timespec="minutes")) for c in changes][
        : len(expected) or 1
    ] == expected

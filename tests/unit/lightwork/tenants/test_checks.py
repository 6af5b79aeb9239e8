"""Checks of a tenant's file against the code: unknown pipelines, wrong parameters, clock changes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Gt
from pydantic import DirectoryPath

from lightwork import pipeline, tenants
from lightwork.errors import InputError
from lightwork.tenants import checks

HEAD = "name: acme\nenvironments: [dev]\npipelines:\n"


@pipeline
def windy_city(
    hours: Annotated[int, Gt(0)] = 5,
    since: dt.date | None = None,
    folder: DirectoryPath | None = None,
    names: list[str] | None = None,
) -> int:
    return hours


@pipeline
def ask_me(what: str) -> str:
    return what


@pipeline(interval=("start", "end"))
def daily(start: dt.datetime, end: str, unit: str = "mph") -> None: ...


@pipeline(interval=("start", "end"))
def odd(start: int, end: int) -> None: ...


PIPELINES: dict[str, Any] = {"windy-city": windy_city, "ask-me": ask_me, "daily": daily, "odd": odd}
DAILY = "schedule: 30 6 * * *, timezone: UTC"


def check(folder: Path, text: str) -> list[str]:
    path = folder / "acme.yaml"
    path.write_text(HEAD + text)
    return checks.check(tenants.read(path), PIPELINES)


@pytest.mark.parametrize(
    "text",
    [
        "  windy-city: {}\n",
        "  windy-city: {parameters: {hours: 7, since: 2026-01-31, names: [a, b]}}\n",
        "  windy-city: {parameters: {hours: '7', since: null}}\n",
        "  nightly: {pipeline: windy-city}\n",
        "  windy-city: {parameters: {folder: /only/in/the/pod}}\n",
        "  ask-me: {}\n",
    ],
)
def test_parameters_that_the_signature_takes_are_valid(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "  windy-cty: {}\n",
            "acme.yaml:4: pipelines.windy-cty: found 'windy-cty'; there is no such pipeline; did you mean",
        ),
        (
            "  nightly:\n    pipeline: windy\n",
            "5: pipelines.nightly.pipeline: found 'windy'; there is no such pipeline",
        ),
        (
            "  windy-city:\n    parameters:\n      hours: 0\n",
            "6: pipelines.windy-city.parameters.hours: found 0; expected int > 0",
        ),
        (
            "  windy-city:\n    parameters:\n      hour: 1\n",
            "6: pipelines.windy-city.parameters.hour: windy-city has no such parameter; did you mean 'hours'",
        ),
        (
            "  windy-city:\n    parameters: {hours: many}\n",
            "5: pipelines.windy-city.parameters.hours: found 'many';",
        ),
        (
            "  ask-me:\n    schedule: 0 6 * * *\n    timezone: UTC\n",
            "pipelines.ask-me.parameters: what is missing, and a scheduled run cannot ask for it; ",
        ),
    ],
)
def test_a_wrong_pipeline_or_parameter_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, text)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, "  windy-city: {parameters: {hours: 0, since: soon, other: 1}}\n  nobody: {}\n")
    assert len(str(caught.value).splitlines()) == 4


def test_a_pipeline_in_its_own_image_is_reported_as_unchecked(tmp_path: Path) -> None:
    (line,) = check(tmp_path, "  theirs: {image: 'registry.example/theirs:1.0', parameters: {x: 1}}\n")
    assert (
        "4: pipelines.theirs: not checked: 'theirs' is not installed here but in registry.example/theirs:1.0"
        in line
    )


def test_a_schedule_that_a_clock_change_affects_causes_a_warning_with_the_date(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(HEAD + "  windy-city:\n    schedule: 30 2 * * *\n    timezone: Europe/Berlin\n")
    lines = checks.clock_warnings(tenants.read(path), dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
    assert len(lines) == 2
    assert "5: pipelines.windy-city.schedule: 02:30 on 2027-03-28 does not exist in Europe/Berlin" in lines[0]
    assert "02:30 on 2027-10-31 occurs twice in Europe/Berlin, where clocks go back: two runs" in lines[1]


def test_a_schedule_gives_the_interval_so_the_file_does_not(tmp_path: Path) -> None:
    assert check(tmp_path, f"  daily: {{{DAILY}, parameters: {{unit: kmh}}}}\n") == []
    with pytest.raises(
        InputError, match=r"parameters\.start: found .*; a scheduled run gets it from its firing"
    ):
        check(tmp_path, f"  daily: {{{DAILY}, parameters: {{start: 2026-01-31}}}}\n")
    assert check(tmp_path, "  daily: {parameters: {start: 2026-01-31}}\n") == [], "without a schedule it may"


def test_a_step_has_no_firing_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="start is missing, and a step cannot ask for it"):
        check(tmp_path, f"  nightly: {{{DAILY}, steps: {{one: {{pipeline: daily}}}}}}\n")


def test_the_parameters_of_an_interval_take_moments(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="odd: parameter start takes the interval of a run, and its type int"
    ):
        check(tmp_path, "  odd: {}\n")

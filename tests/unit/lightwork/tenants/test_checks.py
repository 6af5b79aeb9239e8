"""A tenant's pipelines against the code: near misses, wrong parameters, schedules at changes of clocks."""

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


KNOWN: dict[str, Any] = {"windy-city": windy_city, "ask-me": ask_me}


def check(folder: Path, text: str) -> list[str]:
    path = folder / "acme.yaml"
    path.write_text(HEAD + text)
    return checks.check(tenants.read(path), KNOWN)


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
def test_parameters_that_the_signature_takes_are_right(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "  windy-cty: {}\n",
            "acme.yaml:4: pipelines.windy-cty: found 'windy-cty'; there is no such pipeline; did you",
        ),
        (
            "  nightly:\n    pipeline: windy\n",
            "5: pipelines.nightly.pipeline: found 'windy'; there is no such",
        ),
        (
            "  windy-city:\n    parameters:\n      hours: 0\n",
            "6: pipelines.windy-city.parameters.hours: found 0; expected int > 0",
        ),
        (
            "  windy-city:\n    parameters:\n      hour: 1\n",
            "6: pipelines.windy-city.parameters.hour: windy-city has no",
        ),
        (
            "  windy-city:\n    parameters: {hours: many}\n",
            "5: pipelines.windy-city.parameters.hours: found 'many';",
        ),
        (
            "  ask-me:\n    schedule: 0 6 * * *\n    timezone: UTC\n",
            "pipelines.ask-me.parameters: what is missing, and a schedule has nobody to ask; expected str",
        ),
    ],
)
def test_what_the_signature_does_not_take_is_refused_on_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, text)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_wrong_parameter_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check(tmp_path, "  windy-city: {parameters: {hours: 0, since: soon, other: 1}}\n  nobody: {}\n")
    assert len(str(caught.value).splitlines()) == 4


def test_a_pipeline_in_an_image_of_its_own_is_said_to_be_unchecked(tmp_path: Path) -> None:
    (line,) = check(tmp_path, "  theirs: {image: 'registry.example/theirs:1.0', parameters: {x: 1}}\n")
    assert "4: pipelines.theirs: not checked: its own image has it" in line


def test_schedules_at_a_change_of_clocks_are_warned_of_with_the_date(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(HEAD + "  windy-city:\n    schedule: 30 2 * * *\n    timezone: Europe/Berlin\n")
    lines = checks.clock_warnings(tenants.read(path), dt.datetime(2026, 11, 24, tzinfo=dt.UTC))
    assert len(lines) == 2
    assert "5: pipelines.windy-city.schedule: 02:30 on 2027-03-28 does not exist in Europe/Berlin" in lines[0]
    assert "02:30 on 2027-10-31 comes twice in Europe/Berlin, as clocks go back: two runs" in lines[1]

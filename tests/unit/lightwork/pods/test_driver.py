"""The driver's command: what Argo puts in its environment becomes a command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightwork.errors import InputError
from lightwork.pods import driver


def test_the_environment_becomes_a_command_line() -> None:
    values = {"hours": "7", "names": '["a", "b"]', "text": "--refresh x=y", "odd": "", "number": 3}
    environment = {"LIGHTWORK_FUNCTION": "windy-city", "LIGHTWORK_ARGUMENTS": json.dumps(values)}
    assert driver.command(environment) == [
        *("run", "--json", "windy-city", "--"),
        *("hours=7", 'names=["a", "b"]', "text=--refresh x=y", "odd=", "number=3"),
    ]


def test_a_pipeline_without_parameters_is_run_without() -> None:
    assert driver.command({"LIGHTWORK_FUNCTION": "windy-city"}) == ["run", "--json", "windy-city", "--"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "LIGHTWORK_FUNCTION is not set"),
        ({"LIGHTWORK_FUNCTION": "a", "LIGHTWORK_ARGUMENTS": "{"}, "is not JSON"),
        ({"LIGHTWORK_FUNCTION": "a", "LIGHTWORK_ARGUMENTS": "[1]"}, "expected an object"),
    ],
)
def test_an_environment_that_is_not_the_templates_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        driver.command(environment)


def test_a_wrong_parameter_ends_the_driver_with_the_command_lines_own_line(tmp_path: Path) -> None:
    arguments = {"max_timestamps": "0", "data": "none", "unit": "none"}
    last_word = tmp_path / "termination-log"
    found = subprocess.run(
        [sys.executable, "-m", "lightwork.pods.driver"],
        env={
            **os.environ,
            "LIGHTWORK_FUNCTION": "windy-city",
            "LIGHTWORK_ARGUMENTS": json.dumps(arguments),
            "LIGHTWORK_LAST_WORD_FILE": str(last_word),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert line.startswith(
        "lightwork: windy-city: parameter max_timestamps: '0' is too small; expected int > 0"
    )
    assert last_word.read_text() == line.removeprefix("lightwork: "), "it becomes the step's message in Argo"

"""The driver: the environment that Argo sets becomes a command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lightwork.errors import InputError
from lightwork.kube import contract
from lightwork.pods import driver
from lightwork.store.documents import seal
from tests.waiting import patience


def test_the_environment_becomes_a_command_line() -> None:
    values = {"hours": "7", "names": '["a", "b"]', "text": "--refresh x=y", "odd": "", "number": 3}
    environment = {"LIGHTWORK_FUNCTION": "windy-city", "LIGHTWORK_ARGUMENTS": json.dumps(values)}
    assert driver.command(environment) == [
        *("run", "--json", "windy-city", "--"),
        *("hours=7", 'names=["a", "b"]', "text=--refresh x=y", "odd=", "number=3"),
    ]


def test_a_value_that_begins_with_an_at_sign_is_a_text_and_a_long_one_is_in_a_file() -> None:
    values = {"at": "@noon", "@text": "lightwork:file:words 200,000 bytes, which begin: x"}
    environment = {"LIGHTWORK_FUNCTION": "windy-city", "LIGHTWORK_ARGUMENTS": json.dumps(values)}
    assert driver.command(environment)[-2:] == ["at=@@noon", "text=@/etc/lightwork/parameters/words"]


def test_a_long_value_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "PARAMETERS_FOLDER", str(tmp_path))
    items = ["run", f"text=@{tmp_path}/words", "other=@elsewhere"]
    with pytest.raises(
        InputError, match="parameter text: its value, too long for the Workflow, has not come"
    ):
        driver.wait_for_files(items, 0)
    later = threading.Timer(0.2, (tmp_path / "words").write_text, ["x"])
    later.start()
    driver.wait_for_files(items, patience(20))
    later.join()


def test_a_pipeline_without_parameters_runs_without_any() -> None:
    assert driver.command({"LIGHTWORK_FUNCTION": "windy-city"}) == ["run", "--json", "windy-city", "--"]


def test_a_result_file_is_written_if_a_step_uses_it() -> None:
    environment = {"LIGHTWORK_FUNCTION": "windy-city", "LIGHTWORK_RESULT_FILE": "/tmp/r.json"}
    assert driver.command(environment) == ["run", "--json", "--result", "/tmp/r.json", "windy-city", "--"]
    assert "--result" not in driver.command({**environment, "LIGHTWORK_RESULT_FILE": ""})


def run_driver(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the driver in a separate process, with a result file."""
    environment = {
        **os.environ,
        "LIGHTWORK_FUNCTION": "windy-city",
        "LIGHTWORK_LAKE": str(folder / "lake"),
        "LIGHTWORK_ON": "serial",
        "LIGHTWORK_RESULT_FILE": str(folder / "result.json"),
        "LIGHTWORK_LAST_WORD_FILE": str(folder / "last-word"),
        **variables,
    }
    words = [sys.executable, "-m", "lightwork.pods.driver"]
    return subprocess.run(
        words, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=patience(120)
    )


def test_the_pipelines_result_is_in_the_file_as_json(tmp_path: Path) -> None:
    done = run_driver(tmp_path, LIGHTWORK_ARGUMENTS='{"max_timestamps": "48"}')
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == json.loads(done.stdout.splitlines()[-1])["result"]
    assert result, "windy-city has a result for two days"


def test_a_result_file_in_a_missing_folder_is_refused_before_the_run(tmp_path: Path) -> None:
    done = run_driver(tmp_path, LIGHTWORK_RESULT_FILE=str(tmp_path / "nowhere" / "result.json"))
    assert done.returncode == 2
    assert "nowhere/result.json" in done.stderr
    assert "folder" in done.stderr
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("text", "fits"),
    [("x" * 99_000, True), ("x" * 100_001, False), ('"' * 24_000, True), ('"' * 26_000, False)],
)
def test_a_results_size_is_that_of_its_json_inside_json(tmp_path: Path, text: str, fits: bool) -> None:
    file = tmp_path / "result.json"
    file.write_text(text)
    if fits:
        driver.refuse_large(file)
        return
    with pytest.raises(InputError, match="at most 100,000: write it as an artifact"):
        driver.refuse_large(file)


def test_a_run_fails_if_a_step_uses_a_result_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIGHTWORK_FUNCTION", "windy-city")
    monkeypatch.setenv("LIGHTWORK_ARGUMENTS", '{"max_timestamps": "24"}')
    monkeypatch.setenv("LIGHTWORK_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("LIGHTWORK_ON", "serial")
    monkeypatch.setenv("LIGHTWORK_LAST_WORD_FILE", str(tmp_path / "last-word"))
    monkeypatch.setattr(driver, "LARGEST_RESULT", 5)
    with pytest.raises(SystemExit) as ended:
        driver.main()
    assert ended.value.code == 0, "no step uses it"
    monkeypatch.setenv("LIGHTWORK_RESULT_FILE", str(tmp_path / "result.json"))
    with pytest.raises(SystemExit) as ended:
        driver.main()
    assert ended.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("lightwork: the result is ")
    assert line.removeprefix("lightwork: ") == (tmp_path / "last-word").read_text()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "LIGHTWORK_FUNCTION is not set"),
        ({"LIGHTWORK_FUNCTION": "a", "LIGHTWORK_ARGUMENTS": "{"}, "is not JSON"),
        ({"LIGHTWORK_FUNCTION": "a", "LIGHTWORK_ARGUMENTS": "[1]"}, "expected an object"),
    ],
)
def test_a_malformed_environment_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        driver.command(environment)


def test_a_wrong_parameter_ends_the_driver_with_the_command_lines_message(tmp_path: Path) -> None:
    arguments = {"max_timestamps": "0", "data": "none", "unit": "none"}
    message = tmp_path / "termination-log"
    done = subprocess.run(
        [sys.executable, "-m", "lightwork.pods.driver"],
        env={
            **os.environ,
            "LIGHTWORK_FUNCTION": "windy-city",
            "LIGHTWORK_ARGUMENTS": json.dumps(arguments),
            "LIGHTWORK_LAST_WORD_FILE": str(message),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("lightwork: windy-city: parameter max_timestamps: '0' is too small")
    assert message.read_text() == line.removeprefix("lightwork: "), "the step's message in Argo"


@pytest.mark.slow
def test_a_lake_that_stays_away_ends_the_driver_with_75_and_says_so_to_argo(tmp_path: Path) -> None:
    done = run_driver(
        tmp_path,
        LIGHTWORK_LAKE="s3://bucket",
        LIGHTWORK_LAKE_PATIENCE="0",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        AWS_REGION="eu-central-1",
    )
    assert done.returncode == 75, done.stderr
    last_word = (tmp_path / "last-word").read_text()
    assert last_word.startswith("cannot write s3://bucket/local/runs/")
    assert last_word.endswith("the endpoint is unreachable; check the network and AWS_ENDPOINT_URL")


ATTEMPT = {
    "LIGHTWORK_ARGUMENTS": '{"max_timestamps": "48"}',
    "LIGHTWORK_RUN": "windy-city-x",
    "LIGHTWORK_RUN_CREATED": str(time.time()),
    "LIGHTWORK_STEP": "",
}


@pytest.mark.slow
def test_what_an_earlier_attempt_has_finished_is_handed_out_and_not_run_again(tmp_path: Path) -> None:
    def attempt(number: int, **changes: str) -> dict[str, Any]:
        (tmp_path / "result.json").unlink(missing_ok=True)
        variables = {**ATTEMPT, "LIGHTWORK_RUN_UID": "u-1", "LIGHTWORK_ATTEMPT": str(number), **changes}
        done = run_driver(tmp_path, **variables)
        assert done.returncode == 0, done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert json.loads((tmp_path / "result.json").read_text()) == outcome["result"]
        assert ("it is not run again" in done.stderr + done.stdout) == (outcome["started"] == first)
        return outcome

    first = ""
    outcome = attempt(0)
    first = outcome["started"]
    assert outcome["run"] == "windy-city-x"
    assert attempt(1) == outcome
    assert len(list((tmp_path / "lake").glob("*/runs/windy-city-x/attempts/*"))) == 1
    for changes in ({"LIGHTWORK_RUN_UID": "u-2"}, {"LIGHTWORK_STEP": "windy"}, {"LIGHTWORK_RUN": "another"}):
        assert attempt(1, **changes)["started"] != first
    assert attempt(0)["started"] != first, "a first attempt looks for none"


@pytest.mark.slow
def test_what_an_earlier_attempt_did_not_finish_is_run_again(tmp_path: Path) -> None:
    variables = {**ATTEMPT, "LIGHTWORK_RUN_UID": "u-1"}
    assert run_driver(tmp_path, **variables, LIGHTWORK_ATTEMPT="0").returncode == 0
    (record,) = (tmp_path / "lake").glob("*/runs/*/attempts/*.json")
    document = json.loads(record.read_text())
    del document["seal"]
    record.write_bytes(seal({**document, "status": "running"}))
    done = run_driver(tmp_path, **variables, LIGHTWORK_ATTEMPT="1")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["started"] != document["started"]
    assert len(list((tmp_path / "lake").glob("*/runs/windy-city-x/attempts/*.json"))) == 2

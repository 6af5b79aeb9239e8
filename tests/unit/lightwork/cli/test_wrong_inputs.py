"""Every wrong input: exit code 2 and one line on stderr before anything starts."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from lightwork.cli.main import cli

WRONG = [
    ("run windy-city --refresh --no-cache", "expected one of the two"),
    ("lst", "there is no command 'lst'; did you mean 'list'?"),
    ("--versio", "there is no option '--versio'; did you mean '--version'?"),
    ("list --jsn", "list: there is no option '--jsn'; did you mean '--json'?"),
    ("list extra", "list: got unexpected extra argument (extra); expected `lightwork list`"),
    ("run", "the pipeline's name is missing; available: drawn, element-fails,"),
    ("run windy-cty", "there is no pipeline 'windy-cty'; did you mean 'windy-city'?"),
    ("run zzz", "there is no pipeline 'zzz'; available: drawn, element-fails,"),
    (
        "run windy-city max_timestamp=1",
        "there is no parameter 'max_timestamp'; did you mean 'max_timestamps'?",
    ),
    ("run windy-city max_timestamps=ten", "'ten' is not a whole number; expected int > 0, for example"),
    ("run windy-city max_timestamps=0", "'0' is too small; expected int > 0"),
    ("run windy-city max_timestamps", "'max_timestamps' has no '='; expected name=value"),
    ("run windy-city max_timestamps=1 max_timestamps=2", "max_timestamps is given twice"),
    ("run windy-city data=/no/such", "'/no/such' is not a folder that exists"),
    ("run windy-city mode=fst", "did you mean 'fast'?"),
    ("run table", "table: parameter rows is missing; expected int, for example rows=10"),
    ("run windy-city --max-timestamps 5", "no option '--max-timestamps'"),
    ("run windy-city --max-timestamps 5", "parameters are given as name=value"),
    ("run windy-city --worker 2", "there is no option '--worker'; did you mean '--workers'?"),
    ("run windy-city --on", "option '--on' has no value; expected `--on VALUE`"),
    ("run windy-city --on kubernetes", "'kubernetes' is not a place to run; expected serial, local, tcp://"),
    ("run windy-city --on locl", "did you mean 'local'?"),
    ("run windy-city --on tcp://scheduler", "did you mean 'tcp://scheduler:8786'?"),
    ("run windy-city --workers 0", "workers: expected 1 or more, got 0; for example"),
    ("run windy-city --workers -2", "workers: expected 1 or more, got -2"),
    ("run windy-city --workers two", "workers: 'two' is not a whole number"),
    (
        "run windy-city --lake gs://bucket",
        "scheme 'gs' is not known; expected a folder, file:///folder or s3://",
    ),
    ("run windy-city --lake s3://", "expected s3://bucket/prefix"),
    ("run windy-city --tenant Acme_Corp", "'acme-corp'"),
    ("explain windy-city", "explain: TASK is missing; expected `lightwork explain PIPELINE TASK"),
    ("explain windy-cty double", "did you mean 'windy-city'?"),
    ("explain windy-city doubel", "there is no task 'doubel'; did you mean 'double'?"),
    ("explain windy-city double x=one", "'one' is not a whole number"),
    ("explain windy-city double y=1", "double: there is no parameter 'y'"),
    ("explain windy-city scaled factor=1", "scaled: parameter x is missing; expected x=VALUE"),
    ("explain windy-city double x", "'x' has no '='"),
    ("artifacts nothing", "there is no artifact 'nothing'"),
    ("artifacts --lake gs://bucket", "scheme 'gs' is not known"),
    ("runs --tenant Acme", "'acme'"),
    ("runs --last 0", "runs: invalid value for '--last': 0 is not in the range x>=1"),
    ("runs --last x", "runs: invalid value for '--last': 'x' is not a valid integer"),
    ("logs", "logs: RUN is missing; expected `lightwork logs RUN`"),
    ("cache prun", "cache: there is no command 'prun'; did you mean 'prune'?"),
    ("cache prune --keep-last 0", "'--keep-last': 0 is not in the range x>=1"),
    ("cache prune --keep-for soon", "'soon': expected a number and s, m, h, d or w, for example 30d"),
    ("cache prune --silent-for 1m", "--silent-for: expected 5m or more, got 1m"),
    ("cache prune --task x --keep-last 3", "--older-than and --task select results, and the --keep-"),
    ("cache prune --older-than soon", "'soon': expected a number and s, m, h, d or w, for example 30d"),
    ("cache prune --task nothing", "'nothing' has no results"),
    ("new", "new: NAME is missing"),
    ("new WindyCity", "did you mean 'windy-city'?"),
    ("new windy-city", "there is already a pipeline 'windy-city'"),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[f"{i} {line}" for i, (line, _) in enumerate(WRONG)])
def test_a_wrong_input_is_refused_in_one_line_before_anything_starts(
    lightwork, project: Path, line: str, words: str
) -> None:
    done = lightwork(*line.split())
    assert done.code == 2
    assert done.err.startswith("lightwork: ")
    assert done.err.count("\n") == 1
    assert words in done.err
    assert done.out == ""
    assert not (project / ".lightwork").exists()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LIGHTWORK_ON", "locl", "LIGHTWORK_ON: 'locl' is not a place to run"),
        (
            "DASK_SCHEDULER_ADDRESS",
            "scheduler:8786",
            "DASK_SCHEDULER_ADDRESS: 'scheduler:8786' is not a scheduler's",
        ),
        ("LIGHTWORK_LAKE", "gs://bucket", "LIGHTWORK_LAKE: "),
        ("LIGHTWORK_TENANT", "Acme", "LIGHTWORK_TENANT: "),
    ],
)
def test_a_wrong_environment_variable_is_named(
    lightwork, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = lightwork("run", "windy-city")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert words in done.err


@pytest.mark.parametrize(
    "line", ["runs", "show last", "artifacts", "cost", "cache size", "ui --out page.html"]
)
@pytest.mark.parametrize("place", ["lake", "lake/local"])
def test_a_file_in_place_of_a_lake_is_not_an_empty_lake(
    lightwork, project: Path, line: str, place: str
) -> None:
    path = project / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    done = lightwork(*line.split(), "--lake", str(project / "lake"))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"lightwork: lake {project / 'lake'}: {path} is a file; expected a folder\n"


def test_wrong_inputs_are_refused_in_the_order_of_the_command_line(lightwork) -> None:
    wrong = {
        "no pipeline": ["windy-cty"],
        "no parameter": ["x=1"],
        "not a place": ["--on", "x"],
        "workers: ": ["--workers", "0"],
        "is not known": ["--lake", "gs://b"],
        "tenant": ["--tenant", "A"],
    }
    for position, words in enumerate(wrong):
        items = [item for later in list(wrong)[position:] for item in wrong[later]]
        done = lightwork("run", *(items if position == 0 else ["windy-city", *items]))
        assert words in done.err


def test_a_pipelines_own_refusal_is_one_line_and_exit_code_2(lightwork) -> None:
    done = lightwork("run", "refuses", "--on", "serial")
    assert done.code == 2
    assert done.err == "lightwork: refuses: the input folder is empty; expected Parquet files\n"


def test_a_missing_equals_sign_is_reported_before_a_wrong_place(lightwork) -> None:
    assert "has no '='" in lightwork("run", "windy-city", "5", "--on", "x").err


def _commands_of_environments(group: click.Group, *words: str) -> list[str]:
    """Return the commands below a group that have `--env`, each as it is typed."""
    found: list[str] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += _commands_of_environments(command, *words, name)
        elif command and any("--env" in option.opts for option in command.params):
            found.append(" ".join([*words, name]))
    return found


@pytest.mark.parametrize("command", _commands_of_environments(cli))
def test_no_command_takes_an_environment_that_there_is_not(command, lightwork) -> None:
    done = lightwork(*command.split(), "--env", "mars", "anything")
    assert (done.code, done.out) == (2, "")
    assert done.err == "lightwork: --env: found 'mars'; expected dev, staging or prod\n"

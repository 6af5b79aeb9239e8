from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lightwork as package
from lightwork.cli import output
from lightwork.lake import open_lake
from tests.waiting import patience


def record(project: Path) -> dict:
    (file,) = (project / ".lightwork/lake/local/runs").glob("*/attempts/*.json")
    return json.loads(file.read_text())


def test_the_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from lightwork.cli.main import execute; execute(['--help']); heavy = {'pandas', 'dask',"
        " 'distributed', 'pyarrow', 'numpy', 'boto3', 'bokeh', 'pydantic', 'rich', 'structlog',"
        " 'lightwork.cli.run', 'lightwork.runs.session'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "explain" in done.stdout


def test_the_help_is_shown_without_a_command(lightwork) -> None:
    done = lightwork()
    assert done.code == 0
    assert done.out.startswith("Usage: lightwork")


def test_the_version_is_shown(lightwork) -> None:
    assert lightwork("--version").out == f"lightwork {package.__version__}\n"


def test_list_shows_names_descriptions_parameters_and_types(lightwork) -> None:
    out = lightwork("list").out
    for words in (
        "windy-city",
        "Which place is windiest.",
        "max_timestamps=10  (int > 0)",
        "rows  (int, required)",
    ):
        assert words in out
    assert "More about it" not in out


def test_list_warns_of_broken_modules_on_stderr_and_goes_on(lightwork, project: Path) -> None:
    (project / "cli_pipelines" / "bad.py").write_text("1/0")
    done = lightwork("list")
    assert done.code == 0
    assert "windy-city" in done.out
    assert "warning: cli_pipelines.bad cannot be used: ZeroDivisionError" in done.err


def test_list_as_json_is_one_object(lightwork) -> None:
    listed = json.loads(lightwork("list", "--json").out)
    (table,) = [item for item in listed["pipelines"] if item["name"] == "table"]
    rows = {"name": "rows", "type": "int", "required": True, "schema": {"type": "integer"}}
    assert table["parameters"] == [rows]


def test_a_runs_json_is_the_last_line_of_stdout_and_the_only_one_by_lightwork(lightwork) -> None:
    done = lightwork("run", "windy-city", "max_timestamps=4", "--on", "serial", "--json")
    first, last = done.out.splitlines()
    assert done.code == 0
    assert first == "from the pipeline"
    run = json.loads(last)
    assert run["result"] == {"sum": 12, "nan": None, "mode": "fast"}
    assert run["elements"] == {"total": 4, "cached": 0, "computed": 4, "failed": 0}
    assert run["parameters"] == {"max_timestamps": 4, "data": None, "mode": "fast"}
    assert run["pipeline"] == "windy-city"
    assert Path(run["report"]).is_file()


def test_summary_and_result_go_to_stdout_and_the_log_to_stderr(lightwork) -> None:
    done = lightwork("run", "windy-city", "--on", "serial")
    assert done.out.startswith("from the pipeline\n")
    for words in ("windy-city", "10 elements: 10 computed", "sum", "90", "JFK", "█", "report.html"):
        assert words in done.out
    assert done.err == ""  # under pytest, which takes the log


def test_the_first_line_of_a_run_names_its_lake(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lightwork", "run", "windy-city", "--on", "serial"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, cwd=project,
        capture_output=True, text=True, timeout=patience(60), check=True,
    )  # fmt: skip
    line = done.stderr.splitlines()[0]
    assert "windy-city runs as" in line
    assert line.endswith(f"lake {project / '.lightwork' / 'lake' / 'local'}")


def test_with_json_the_summary_goes_to_stderr(lightwork) -> None:
    assert "10 elements: 10 computed" in lightwork("run", "windy-city", "--on", "serial", "--json").err


def test_a_mapping_shown_as_bars_is_not_shown_twice(lightwork) -> None:
    assert lightwork("run", "drawn", "--on", "serial").out.count("JFK") == 1


@pytest.mark.parametrize("args", [("windy-city", "--help"), ("--on", "serial", "windy-city", "-h")])
def test_the_help_of_a_pipeline_shows_its_parameters(lightwork, args) -> None:
    done = lightwork("run", *args)
    assert done.code == 0
    text = " ".join(done.out.split())
    assert "Parameters of windy-city (Which place is windiest):" in text
    assert "max_timestamps=10 int > 0" in text
    assert "data=none" in text
    assert "mode=fast 'fast' or 'slow'" in text
    assert "--refresh" in text


def test_the_help_of_a_pipeline_shows_its_tasks_options(lightwork) -> None:
    text = " ".join(lightwork("run", "windy-city", "--help").out.split())
    assert "Options of its tasks: scaled retries=2, retry_on=OSError" in text


def test_the_help_of_a_pipeline_says_what_is_required(lightwork) -> None:
    assert "rows  int, required" in lightwork("run", "table", "--help").out


def test_help_for_a_pipeline_that_does_not_exist_is_an_error(lightwork) -> None:
    done = lightwork("run", "windy-cty", "--help")
    assert done.code == 2
    assert "did you mean 'windy-city'?" in done.err


def test_runs_of_a_pipeline_that_does_not_exist_are_an_error(lightwork) -> None:
    done = lightwork("runs", "windy-cty")
    assert (done.code, done.out) == (2, "")
    assert "there is no pipeline 'windy-cty'" in done.err
    assert "did you mean 'windy-city'?" in done.err
    assert lightwork("runs", "windy-city").out.startswith("No runs of windy-city in ")
    assert lightwork("runs", "windy-cty", "--json").code == 2


def test_a_second_run_says_that_everything_is_cached(lightwork) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    assert "10 elements: all cached" in lightwork("run", "windy-city", "--on", "serial").out
    assert "10 computed" in lightwork("run", "windy-city", "--on", "serial", "--refresh").out
    assert "10 computed" in lightwork("run", "windy-city", "--on", "serial", "--no-cache").out


@pytest.mark.parametrize(
    ("args", "computed"),
    [
        (("windy-city", "--refresh", "double"), True),
        (("windy-city", "--refresh=double", "max_timestamps=10"), True),
        (("--on", "serial", "windy-city", "--refresh", "max_timestamps=10"), True),
        (("--refresh", "windy-city"), True),
        (("windy-city", "--refresh", "other"), False),
    ],
)
def test_refresh_takes_the_name_of_a_task_after_that_of_the_pipeline(lightwork, args, computed) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    done = lightwork("run", *args, "--on", "serial")
    assert done.code == 0, done.err
    assert ("10 computed" in done.out) == computed


def test_the_record_of_a_run_says_how_it_ended(lightwork, project: Path) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    run = record(project)
    assert run["status"] == "succeeded"
    assert run["elements"]["total"] == 10
    assert run["started"] <= run["finished"]
    assert run["error"] is None


def test_a_failing_pipeline_exits_with_1_and_shows_its_own_traceback(lightwork, project: Path) -> None:
    done = lightwork("run", "raises", "--on", "serial")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "lightwork: failed: KeyError: 'missing'"
    assert "in raises" in done.err
    assert "lightwork/run.py" not in done.err
    assert (record(project)["status"], record(project)["error"]) == ("failed", "KeyError: 'missing'")


def test_a_failing_element_is_named_with_its_traceback_and_exit_code_1(lightwork) -> None:
    done = lightwork("run", "element-fails", "--on", "serial")
    assert done.code == 1
    assert "three is" in done.err
    assert "in scaled" in done.err
    last = done.err.splitlines()[-1]
    assert last.startswith("lightwork: cli_pipelines.pipes.scaled: element 3 (")


def test_an_interrupted_run_exits_with_130_and_says_that_results_are_kept(lightwork, project: Path) -> None:
    done = lightwork("run", "interrupted", "--on", "serial")
    assert done.code == 130
    assert done.err.count("\n") == 1
    assert "results are kept" in done.err
    assert record(project)["status"] == "stopped"


def test_a_terminated_run_is_recorded_as_stopped(lightwork, project: Path) -> None:
    done = lightwork("run", "terminated", "--on", "serial")
    assert done.code == 130
    assert record(project)["status"] == "stopped"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_table_becomes_an_artifact_with_its_first_records(lightwork) -> None:
    out = lightwork("run", "table", "rows=30", "--on", "serial", "--json").out
    run = json.loads(out)
    assert run["result"] == {
        "artifact": "table",
        "rows": 30,
        "columns": ["n", "day"],
        "records": [{"n": n, "day": "2026-01-31"} for n in range(20)],
    }
    assert [item["name"] for item in run["artifacts"]] == ["table"]
    listed = lightwork("artifacts").out
    assert "table" in listed
    assert "30" in listed
    assert "the first 5 of 30 rows" in lightwork("artifacts", "table").out
    assert json.loads(lightwork("artifacts", "table", "--json").out)["artifacts"][0]["rows"] == 30


def test_runs_are_shown_newest_first(lightwork) -> None:
    assert lightwork("runs").out.startswith("No runs in ")
    lightwork("run", "windy-city", "--on", "serial")
    lightwork("run", "raises", "--on", "serial")
    runs = json.loads(lightwork("runs", "--json").out)["runs"]
    assert sorted(item["status"] for item in runs) == ["failed", "succeeded"]
    assert runs[0]["started"] >= runs[1]["started"]
    assert "KeyError" in lightwork("runs", "raises").out
    assert "windy-city" not in lightwork("runs", "raises").out
    assert len(json.loads(lightwork("runs", "--last", "1", "--json").out)["runs"]) == 1


def test_settings_come_from_a_dotenv_file_unless_the_environment_has_them(
    lightwork, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (
        "LIGHTWORK_TENANT",
        "LIGHTWORK_ON",
    ):  # so that the variables the file sets are removed afterwards
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    (project / ".env").write_text("LIGHTWORK_TENANT=acme\nLIGHTWORK_ON=locl\n")
    monkeypatch.setenv("LIGHTWORK_ON", "serial")
    run = json.loads(lightwork("run", "windy-city", "--json").out.splitlines()[-1])
    assert run["tenant"] == "acme"


def test_the_environment_says_where_to_run(lightwork, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://scheduler:8786")
    monkeypatch.setenv("LIGHTWORK_ON", "serial")
    lightwork("run", "windy-city", "--json")
    assert record(project)["on"] == "serial"


def test_explain_shows_the_keys_components_and_whether_a_call_is_cached(lightwork, project: Path) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    facts = json.loads(lightwork("explain", "windy-city", "double", "x=3", "--value", "--json").out)
    assert facts["call"] | {"key": ""} == {"arguments": {"x": 3}, "key": "", "kept": True, "result": 6}
    assert facts["kept"] == 10
    assert "cli_pipelines.pipes.double" in [item["name"] for item in facts["components"]]
    assert not json.loads(lightwork("explain", "windy-city", "double", "x=99", "--json").out)["call"]["kept"]
    assert "double(x=99): not cached" in lightwork("explain", "windy-city", "double", "x=99").out
    assert "double(x=3): cached\n" in lightwork("explain", "windy-city", "double", "x=3").out
    assert "double(x=3): cached: 6" in lightwork("explain", "windy-city", "double", "x=3", "--value").out


def test_explain_names_the_component_that_changed(lightwork, project: Path) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    file = project / "cli_pipelines" / "pipes.py"
    file.write_text(file.read_text().replace("return 2 * x", "return x * 2"))
    code = (
        "from lightwork.functions import discovery; discovery.packages = lambda: ['cli_pipelines']\n"
        "from lightwork.cli.main import main; main(['explain', 'windy-city', 'double'])"
    )
    paths = os.pathsep.join([str(project), str(Path(package.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "function cli_pipelines.pipes.double changed" in done.stdout
    assert "cached results of this code: 0 in " in done.stdout


def test_cache_shows_sizes_and_prunes(lightwork, project: Path) -> None:
    assert lightwork("cache").out.startswith("No cached results in ")
    lightwork("run", "windy-city", "--on", "serial")
    (task,) = json.loads(lightwork("cache", "size", "--json").out)["tasks"]
    assert (task["task"], task["results"], task["versions"]) == ("cli_pipelines.pipes.double", 10, 1)
    assert "cli_pipelines.pipes.double" in lightwork("cache").out
    assert "Would delete 2 files" in lightwork("cache", "prune", "--task", "double", "--dry-run").out
    assert json.loads(lightwork("cache", "prune", "--older-than", "1h", "--json").out)["files"] == 0
    assert json.loads(lightwork("cache", "size", "--json").out)["tasks"] == [task]
    assert lightwork("cache", "prune", "--task", "double").code == 0
    assert open_lake(project / ".lightwork/lake", tenant="local").entries("results") == []


def test_pruning_by_age_deletes_only_older_results(lightwork, project: Path) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    (old,) = project.glob(".lightwork/lake/local/results/*/*/*.seg")
    young = old.with_name("f" * 32 + ".seg")
    young.write_bytes(old.read_bytes())
    os.utime(old, (1, 1))
    assert json.loads(lightwork("cache", "prune", "--older-than", "30d", "--json").out)["files"] == 1
    assert young.exists()
    assert not old.exists()
    assert young.with_name("code.json").exists()


def test_new_creates_a_pipeline_that_runs(lightwork, project: Path) -> None:
    created = json.loads(lightwork("new", "own-one", "--json").out)
    assert "cli_pipelines/own_one/pipeline.py" in created["files"]
    assert (
        json.loads(lightwork("run", "own-one", "count=3", "--on", "serial", "--json").out)["result"]["sum"]
        == 5
    )
    assert "lightwork run second-one" in lightwork("new", "second-one").out


def test_a_closed_stdout_does_not_cause_a_traceback(project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    code = "import sys; from lightwork.cli.main import main; main(['--help'])"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child.stdout.close()
    _, err = child.communicate()
    assert err == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123_456_789, "123 MB"), (5e12, "5.0 TB")],
)
def test_sizes_have_a_readable_unit(count: float, text: str) -> None:
    assert output.size(count) == text


def test_counted_nouns_are_singular_for_one() -> None:
    assert [output.counted(number, "file") for number in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]


@pytest.fixture
def littered(lightwork, project: Path) -> Path:
    """A lake with two runs, and with what a run that was killed on another machine has left."""
    for _ in range(2):
        lightwork("run", "table", "rows=3", "--on", "serial")
    lake = project / ".lightwork/lake/local"
    for path in ("runs/r1/jobs/a.job", "artifacts/table/v1-r1/part-00000.parquet", "results/.tmp-1-a"):
        (lake / path).parent.mkdir(parents=True, exist_ok=True)
        (lake / path).write_bytes(bytes(1000))
    return lake


def test_cache_size_shows_all_kinds_of_files(lightwork, littered: Path) -> None:
    shown = json.loads(lightwork("cache", "size", "--json").out)
    files = {kind["kind"]: kind["files"] for kind in shown["kinds"]}
    assert files["jobs"] == files["artifacts without a commit"] == files["temporary files"] == 1
    assert files["runs"] == files["reports"] == 2
    assert shown["bytes"] == sum(kind["bytes"] for kind in shown["kinds"])
    everything = [littered, *littered.rglob("*")]
    assert shown["bytes"] == sum(path.stat().st_size for path in everything)
    assert shown["disk"] == sum(path.stat().st_blocks * 512 for path in everything)
    assert "temporary files" in lightwork("cache").out


def test_prune_deletes_what_was_left_and_the_history_that_is_asked_for(lightwork, littered: Path) -> None:
    def prune(*options: str) -> tuple[dict[str, int], int]:
        done = json.loads(lightwork("cache", "prune", "--json", *options).out)
        amounts = {kind["kind"]: kind["files"] for kind in done["kinds"]}
        assert done["files"] == sum(amounts.values())
        return amounts, done["spared"]["files"]

    assert prune() == ({}, 3), "it may still be at work"
    assert "Spared 3 files (3.0 kB) that a process may still use." in lightwork("cache", "prune").out
    for path in littered.rglob("*"):
        os.utime(path, (1e9, 1e9))
    left = {"artifacts without a commit": 1, "jobs": 1, "temporary files": 1}
    assert prune("--dry-run", "--keep-for", "90000d") == (left, 0)
    history = {"runs": 1, "reports": 1, "artifacts": 2}
    assert prune("--dry-run", "--keep-for", "90000d", "--keep-last", "1") == (left | history, 0)
    out = lightwork("cache", "prune", "--keep-for", "90000d", "--keep-last", "1").out
    assert "jobs" in out
    assert re.search(r"Deleted 7 files \([\d.]+ .?B\) in ", out)
    assert prune("--keep-for", "90000d", "--keep-last", "1") == ({}, 0)
    assert len(json.loads(lightwork("runs", "--json").out)["runs"]) == 2, "the history has what it was told"
    assert len(json.loads(lightwork("artifacts", "--json").out)["artifacts"]) == 1
    amounts, _ = prune("--keep-for", "1d")
    assert amounts.keys() - {"folders"} == set(), "the record of the run that wrote the artifact stays"
    assert len(json.loads(lightwork("artifacts", "--json").out)["artifacts"]) == 1

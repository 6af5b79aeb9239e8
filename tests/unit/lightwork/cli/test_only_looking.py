"""Commands that only look at a lake run nothing that somebody has put into it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pyarrow as pa
import pytest

from lightwork.cli.main import cli
from lightwork.functions import discovery
from lightwork.keys import call_key, code_key
from lightwork.lake import open_lake
from lightwork.store import segments
from lightwork.store.artifacts import Artifacts
from lightwork.store.results import ResultStore

LOOKS = {
    "list": [""],
    "describe": ["", "windy-city --json"],
    "explain": [
        "windy-city trap",
        "windy-city trap x=1",
        "windy-city trap x=1 --json",
        "windy-city trap x=9",
    ],
    "artifacts": [
        "",
        "--json",
        *(
            f"{name}{options}"
            for name in ("winds", "bait")
            for options in ("", " --json", " --head 2", " --path", " --to x.csv --overwrite")
        ),
        "bait --to x.parquet --overwrite",
    ],
    "cache": [""],
    "cache size": ["", "--json"],
    "cache prune": ["--older-than 30d --dry-run", "--task trap --dry-run", "--older-than 30d"],
    "runs": ["", "--json", "windy-city --last 1", "--slow --where x=1 --status failed --since 7d"],
    "cost": ["", "--json", "--by day"],
    "schedule": ["--tenant acme"],
    "queue": ["", "--json"],
    "doctor": ["", "--json"],
    "logs": ["RUN", "RUN --json", "RUN --follow"],
    "show": ["RUN", "RUN --json"],
    "open": ["RUN --json"],
    "diff": ["RUN RUN", "RUN RUN --json"],
    "ui": ["--out page.html"],
    "tenant": [""],
    "tenant validate": ["acme.yaml"],
    "tenant show": ["acme.yaml"],
    "tenant render": ["acme.yaml --env dev"],
    "tenant schema": [""],
    "completion": ["", "bash"],
}
"""By command, the argument lines to try."""

ACTS = {
    "run": "runs a pipeline",
    "backfill": "runs a pipeline",
    "retry": "runs a pipeline",
    "new": "writes files",
    "tenant new": "writes a file",
    "login": "talks to AWS and a cluster and not to a lake",
    "submit": "talks to a cluster and not to a lake",
    "schedule suspend": "talks to a cluster and not to a lake",
    "schedule resume": "talks to a cluster and not to a lake",
    "schedule now": "talks to a cluster and not to a lake",
    "stop": "talks to a cluster and not to a lake",
    "search": "talks to a cluster and not to a lake",
    "dashboard": "talks to a cluster and not to a lake",
}

CODE = """
from pathlib import Path

import pandas as pd
from lightwork import current_session, pipeline, task


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@task
def trap(x: int) -> Trap:
    return Trap()


@pipeline
def windy_city() -> None:
    list(trap.map([1, 2]))
    current_session().artifacts.write("winds", pd.DataFrame({"hours": [1, 2]}))
"""
TENANT = """
name: acme
environments: [dev]
quota: {cpu: 4, memory: 16Gi}
pipelines: {}
"""


class Trap:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> object:
        return Path.touch, (Path("sprung"),)


PICKLES = {
    "protocol 5": pickle.dumps(Trap(), protocol=5),
    "protocol 0": pickle.dumps(Trap(), protocol=0),
    "a list": pickle.dumps([1, 2, Trap()], protocol=5),
}


@pytest.fixture
def lake(project: Path, lightwork: Callable, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lake whose results, blocks of results and artifacts spring a trap if they are unpickled."""
    (project / "cli_pipelines" / "pipes.py").write_text(CODE)
    (project / "acme.yaml").write_text(TENANT)
    discovery.scan.cache_clear()
    done = lightwork("run", "windy-city", "--on", "serial")
    assert done.code == 0, done.err
    opened = open_lake(project / ".lightwork/lake", tenant="local")
    bait = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": PICKLES["protocol 5"],
        "PANDAS:metadata": PICKLES["protocol 0"],
    }
    table = pa.table({"n": [1]}, schema=pa.schema([pa.field("n", pa.int64(), metadata=bait)], metadata=bait))
    Artifacts(opened, run_id="run", provenance={}).write("bait", table)
    (project / "sprung").unlink(missing_ok=True)
    yield project
    (project / "sprung").unlink(missing_ok=True)


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    """Yield all commands of a group, with its subcommands."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield f"{path}{name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


def look(lightwork: Callable) -> dict[str, str]:
    """Run every command that only looks; return the ends of those that sprang a trap or broke."""
    wrong = {}
    name = next(Path(".lightwork/lake/local/runs").glob("windy-city-*")).name
    for command, lines in LOOKS.items():
        for line in (item.replace("RUN", name) for item in lines):
            done = lightwork(*command.split(), *line.split())
            if Path("sprung").exists():
                wrong[f"{command} {line}"] = "unpickled"
                Path("sprung").unlink()
            elif "Traceback" in done.err:
                wrong[f"{command} {line}"] = done.err
    return wrong


def test_every_command_looks_or_acts() -> None:
    assert {*LOOKS, *ACTS} == set(commands(cli))


def test_results_are_not_unpickled(lake: Path, lightwork: Callable) -> None:
    assert look(lightwork) == {}


@pytest.mark.parametrize("kind", PICKLES)
def test_blocks_of_results_are_not_unpickled(lake: Path, lightwork: Callable, kind: str) -> None:
    task = discovery.tasks(discovery.find("windy-city"))["trap"]
    code = code_key(task)
    key = call_key(task.fn, code, (1,), {}, ())
    opened = open_lake(lake / ".lightwork/lake", tenant="local")
    opened.delete(entry.path for entry in opened.entries("results") if entry.path.endswith(".seg"))
    ResultStore(opened, task.name).open(code).commit(key, [(1, PICKLES[kind])])
    assert look(lightwork) == {}
    assert "trap(x=1): cached" in lightwork("explain", "windy-city", "trap", "x=1").out


@pytest.mark.parametrize("kind", PICKLES)
def test_no_file_of_a_lake_is_unpickled_whatever_its_name(lake: Path, lightwork: Callable, kind: str) -> None:
    root = lake / ".lightwork/lake"
    (root / "local" / "runs" / "x" / "jobs").mkdir(parents=True)
    (root / "local" / "runs" / "x" / "jobs" / f"{'0' * 32}.job").touch()
    for file in [file for file in root.rglob("*") if file.is_file()]:
        file.write_bytes(PICKLES[kind])
    assert look(lightwork) == {}


def test_explain_reads_a_value_only_when_asked(lake: Path, lightwork: Callable) -> None:
    call = json.loads(lightwork("explain", "windy-city", "trap", "x=1", "--json").out)["call"]
    assert call["kept"]
    assert "result" not in call
    assert not (lake / "sprung").exists()
    lightwork("explain", "windy-city", "trap", "x=1", "--value")
    assert (lake / "sprung").exists()


def test_the_value_needs_a_call_and_its_help_says_what_it_runs(lightwork: Callable) -> None:
    done = lightwork("explain", "windy-city", "double", "--value")
    assert done.code == 2
    assert "--value needs the arguments of a call" in done.err
    assert "runs code that the lake's owner" in " ".join(lightwork("explain", "--help").out.split())


def test_a_value_whose_block_is_damaged_is_not_cached(lightwork: Callable, project: Path) -> None:
    lightwork("run", "windy-city", "--on", "serial")
    (file,) = (project / ".lightwork/lake").rglob("*.seg")
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert segments.decode_head(data).keys == 10
    call = json.loads(lightwork("explain", "windy-city", "double", "x=3", "--value", "--json").out)["call"]
    assert not call["kept"]

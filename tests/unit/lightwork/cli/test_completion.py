"""Tab: by real shells on a terminal, and by what the program answers to a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from infra.driver.cli import cli as estate
from lightwork.cli import completion
from lightwork.cli.main import cli
from lightwork.lake import open_lake
from lightwork.store.artifacts import Artifacts
from tests.unit.lightwork.terminal import Terminal

BIN = Path(sys.executable).parent
KINDS = """
import enum
from typing import Literal

Alias = Literal["north", "south"]


class Color(enum.Enum):
    RED = "dark red"
    BLUE = "blue"


class Size(enum.StrEnum):
    SMALL = enum.auto()
"""
CODE = '''
"""Importing this fails the test: Tab must not run it."""
import pathlib
import typing as t
from pathlib import Path
from typing import Annotated, Literal, Optional

import lightwork as lw
from annotated_types import Gt
from lightwork import pipeline as declared
from lightwork import task
from pydantic import DirectoryPath, FilePath

from .kinds import Alias, Color, Size
from .shared import imported_task

Path("ran").touch()
print("noise")
Own = Literal["own"]


@task
def local_task(x: int, flag: bool = False): ...


@lw.task(retries=3)
def other_task(y): ...


def plain(x): ...


called_task = task(plain)


@declared
def windy_city(
    count: Annotated[int, Gt(0)] = 10,
    mode: Literal["fast", "slow", "two words", "a$b;c", "it's", "x:y", 7, None] = "fast",
    flag: bool = False,
    maybe: bool | None = None,
    text: "Literal['quoted'] | None" = None,
    option: Optional[Literal["may"]] = None,
    union: t.Union[t.Literal["first"], Alias] = "first",
    own: Own = "own",
    color: Color = Color.RED,
    size: Size = Size.SMALL,
    data: DirectoryPath | None = None,
    file: FilePath = None,
    path: pathlib.Path = None,
) -> dict:
    """Which place is windiest."""
'''
VALUES = {
    "count": [],
    "mode": ["fast", "slow", "two words", "a$b;c", "it's", "x:y", "7", "none"],
    "flag": ["true", "false"],
    "maybe": ["true", "false", "none"],
    "text": ["quoted", "none"],
    "option": ["may", "none"],
    "union": ["first", "north", "south"],
    "own": ["own"],
    "color": ["dark red", "blue"],
    "size": ["small"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package of pipelines that must not be imported, and a lake in `kept`."""
    folder = tmp_path_factory.mktemp("completion")
    package = folder / "cli_pipelines" / "wind"
    package.mkdir(parents=True)
    (package / "pipes.py").write_text(CODE)
    (package / "kinds.py").write_text(KINDS)
    (package / "shared.py").write_text("from lightwork import task\n@task\ndef imported_task(z: bool): ...\n")
    (package / "broken.py").write_text("def pipeline(:\n")
    metadata = folder / "cli_pipelines-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cli-pipelines\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[lightwork.pipelines]\nx = cli_pipelines\n")
    (folder / "subfolder").mkdir()
    (folder / "winds.csv").touch()
    (folder / "tenants").mkdir()
    (folder / "tenants" / "acme.yaml").touch()
    lake = open_lake(str(folder / "kept"), tenant="local")
    Artifacts(lake, run_id="r", provenance={}).write_file("winds", b"")
    lake.write("results/pipes.local_task/x", b"")
    lake.write("results/$(touch ran)/x", b"")
    lake.write(
        "runs/20260101-1/run.json", b'{"run_id": "20260101-1", "pipeline": "old-one", "status": "succeeded"}'
    )
    return folder


@pytest.fixture
def ask(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable]:
    """Return the candidates for a line, as the program answers Fish, in this process."""
    from lightwork.cli import running
    from lightwork.functions import discovery

    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr(discovery, "packages", lambda: ["cli_pipelines"])
    for variable in ("LIGHTWORK_LAKE", "LIGHTWORK_TENANT"):
        monkeypatch.delenv(variable, raising=False)

    def ask(line: str, shell: str = "fish") -> list[str]:
        program = line.split()[0]
        monkeypatch.setenv(f"_{program.replace('-', '_').upper()}_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("LIGHTWORK_COMPLETION_LINE", line)
        command = {"lightwork": cli, "lightwork-estate": estate}[program]
        capfd.readouterr()
        running.execute(command, program, [], say=pytest.fail)
        shown = capfd.readouterr()
        assert not shown.err
        rows = [row.split("\t") for row in shown.out.splitlines() if row]
        return [row[1] or f"<{row[0]}>" for row in rows]

    yield ask
    assert not (project / "ran").exists(), "Tab ran a pipeline's module"
    assert not (project / ".lightwork").exists(), "Tab made a lake"


def test_each_parameter_offers_its_values(ask):
    before = "lightwork run windy-city"
    assert ask(f"{before} ") == [f"{name}=" for name in [*VALUES, "data", "file", "path"]]
    assert ask(f"{before} mode=slow m") == ["maybe="]
    for name, values in VALUES.items():
        assert ask(f"{before} {name}=") == [f"{name}={value}" for value in values]
    assert ask(f"{before} color=d") == ["color=dark red"]
    assert ask(f"{before} data=") == ["<dir>"]
    assert ask(f"{before} data=n") == ["data=none"]
    assert ask(f"{before} file=") == ask(f"{before} path=x") == ["<file>"]
    assert ask(f"{before} unknown=") == ask(f"{before} count=1") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lightwork r", ["run", "runs", "retry"]),
        ("lightwork --v", ["--version"]),
        ("lightwork run ", ["windy-city"]),
        ("lightwork run --on local --refresh w", ["windy-city"]),
        ("lightwork submit w", ["windy-city"]),
        ("lightwork explain windy-city ", ["imported_task", "local_task", "other_task", "plain"]),
        ("lightwork explain windy-city local_task ", ["x=", "flag="]),
        ("lightwork explain windy-city local-task flag=t", ["flag=true"]),
        ("lightwork explain windy-city cli_pipelines.wind.shared.imported_task z=f", ["z=false"]),
        ("lightwork explain windy-city nosuch ", []),
        ("lightwork run nosuch ", []),
        ("lightwork nosuch ", []),
        ("lightwork run --nosuch x ", ["windy-city"]),
        ("lightwork run 'windy-", ["windy-city"]),
        ("lightwork artifacts --lake kept ", ["winds"]),
        ("lightwork artifacts --lake=kept w", ["winds"]),
        ("lightwork artifacts --lake kept --tenant other ", []),
        ("lightwork artifacts ", []),
        ("lightwork artifacts --lake s3:/ ", []),
        ("lightwork cache ", ["prune", "size"]),
        ("lightwork cache prune --lake kept --task ", ["pipes.local_task"]),
        ("lightwork runs --lake kept ", ["windy-city", "old-one"]),
        ("lightwork runs --last ", []),
        ("lightwork run --on ", ["serial", "local", "coiled", "tcp://", "tls://"]),
        ("lightwork run --on=s", ["--on=serial"]),
        ("lightwork run --lake ", ["<dir>"]),
        ("lightwork run --result ", ["<file>"]),
        ("lightwork logs --env ", ["dev", "staging", "prod"]),
        ("lightwork logs run --role w", ["worker"]),
        ("lightwork logs ", []),
        ("lightwork tenant show ", ["acme"]),
        ("lightwork tenant validate ./", ["<file>"]),
        ("lightwork tenant new x --pipeline ", ["windy-city"]),
        ("lightwork completion z", ["zsh"]),
        ("lightwork-estate st", ["stacks"]),
        ("lightwork-estate up --stack staging.a", ["staging.acme"]),
        ("lightwork-estate cost --env dev --tenant a", ["acme"]),
        ("lightwork-estate up --env=p", ["--env=prod"]),
        ("lightwork-estate up --summary-dir ", ["<dir>"]),
    ],
)
def test_what_is_offered(ask, line, expected):
    assert ask(line) == expected


def test_all_parameters_offer_something_or_are_free_text(ask):
    """Each argument and option of the command trees."""
    free = {  # a number, a new name, or what nobody can know
        *(
            "workers",
            "last",
            "older_than",
            "keep_for",
            "keep_last",
            "silent_for",
            "port",
            "parallel",
            "hours",
            "variables",
            "image",
            "since",
            "where in runs",
            "name in new",
            "only",
            "step in open",
            "head in artifacts",
        ),
        *("name in tenant new",),
        *(f"{name} in backfill" for name in ("begin", "end", "every", "timezone", "max_failures")),
        *("reason in schedule suspend", "reason in schedule resume"),
        *(f"{name} in search" for name in ("text", "since", "until", "limit")),
        *(f"{name} in logs" for name in ("task", "since", "tail", "worker")),
        *(f"{name} in login" for name in ("account", "region", "role", "profile")),
    }
    lacking = []
    for tree in (cli, estate):
        for path, command in _commands(tree):
            for item in command.params:
                known = {item.name, f"{item.name} in {path}"} & free
                is_flag = isinstance(item, click.Option) and (item.is_flag or item.is_eager)
                has_type = isinstance(item.type, click.Choice | click.Path)
                if not (known or is_flag or has_type or item._custom_shell_complete):
                    lacking.append(f"{path}: {item.name}")
    assert not lacking


def _commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join([*path, name]), command
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)


def test_a_lake_that_does_not_answer_is_given_up(project, tmp_path):
    """In a process of its own, since giving up ends it; the time counts from Tab."""
    code = (
        "import time; from lightwork.cli import candidates, completion, main;"
        "completion.LIMIT = 0.1; candidates._lake = lambda ctx: time.sleep(60); main.main()"
    )
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_LIGHTWORK_COMPLETE": "zsh_complete",
            "LIGHTWORK_COMPLETION_LINE": "lightwork artifacts ",
        },
        cwd=tmp_path,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert (result.stdout, result.stderr) == (b"", b"")
    assert time.monotonic() - start < 30


SOURCES = {
    "bash": ('eval "$(lightwork completion bash)"', ["--norc", "--noprofile", "-i"]),
    "zsh": ('eval "$(lightwork completion zsh)"', ["-f", "-i"]),
    "fish": ("lightwork completion fish | source", ["--no-config", "-i"]),
}
LINES = {
    "lightwork run wi\tmo\tf\t": "lightwork run windy-city mode=fast",
    "lightwork run windy-city data=sub\t": "lightwork run windy-city data=subfolder",
}
"""By what is typed, with Tabs, the words that the shell then has, joined by spaces."""
MORE_LINES = {
    "lightwork run windy-city mode=tw\t": "lightwork run windy-city mode=two words",
    "lightwork run --on=se\t": "lightwork run --on=serial",
    "lightwork exp\t": "lightwork explain",
    "lightwork run windy-city mode='tw\t": "lightwork run windy-city mode=two words",
    'lightwork run windy-city mode="a\t': "lightwork run windy-city mode=a$b;c",
    "lightwork run windy-city mode=a\t": "lightwork run windy-city mode=a$b;c",
    "lightwork run windy-city mode=it\t": "lightwork run windy-city mode=it's",
    "lightwork run windy-city mode=x:\t": "lightwork run windy-city mode=x:y",
    "lightwork explain windy-city other_task y\t1 z\t": "lightwork explain windy-city other_task y=1 z",
    "lightwork run --result winds.c\t": "lightwork run --result winds.csv",
    "lightwork artifacts --lake kept w\t": "lightwork artifacts --lake kept winds",
    "lightwork nosuch x\t": "lightwork nosuch x",
    "lightwork-estate boo\t": "lightwork-estate bootstrap",
    f"{BIN}/lightwork exp\t": f"{BIN}/lightwork explain",
    "FOO=1 lightwork exp\t": "FOO=1 lightwork explain",
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SOURCES)
@pytest.mark.parametrize(
    "lines", [pytest.param(LINES, id="few"), pytest.param(MORE_LINES, id="many", marks=pytest.mark.slow)]
)
def test_a_real_shell_completes(project, tmp_path, shell, lines):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    source, flags = SOURCES[shell]
    terminal = Terminal(
        project,
        *flags,
        program=program,
        HOME=str(tmp_path),
        OUT=str(tmp_path),
        PYTHONPATH=str(project),
        PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}",
    )
    words: dict[str, str] = {}
    try:
        terminal.type(f"{source}; {source.replace('lightwork', 'lightwork-estate')}; echo re''ady\r")
        terminal.wait_for("ready")
        for number, line in enumerate(lines):
            # The finished line becomes the arguments of `printf`: what the shell itself takes for its words.
            terminal.type(f"{line}\x01printf '%s ' \x05 >$OUT/{number}; echo do''ne{number}\r")
            terminal.wait_for(f"done{number}")
            words[line] = (tmp_path / f"{number}").read_text().strip().replace("/ ", " ").rstrip("/")
    finally:
        terminal.stop()
    assert words == lines, terminal.text
    assert not (project / "ran").exists()


@pytest.mark.parametrize(
    ("line", "breaks", "kept"),
    [
        ("lightwork run a=b", "=:", "a="),
        ("lightwork run a=b:c", "=:", "a=b:"),
        ("lightwork run a=b:c", ":", "a=b:"),
        ("lightwork run a=b", " ", ""),
        ("lightwork run a=b ", "=:", ""),
        ("lightwork run 'a=b", "=:", ""),
        ('lightwork run a="b=c', "=:", "a="),
        ("lightwork run a\\ b=c", "=:", "a b="),
        ("lightwork run a\\=b", "=:", ""),
    ],
)
def test_bash_keeps_what_is_before_its_word_breaks(line, breaks, kept):
    assert completion._left_as_it_is(line, breaks)[0] == kept


@pytest.mark.parametrize("shell", SOURCES)
@pytest.mark.parametrize("program", ["lightwork", "lightwork-estate"])
def test_scripts_name_their_program(program, shell, capfd):
    completion.command_for(program).main([shell], standalone_mode=False)
    script = capfd.readouterr().out
    assert program in script
    assert "%(" not in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)

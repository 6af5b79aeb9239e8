"""Output that cannot be written: readers that are gone, full disks and closed streams, for every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from infra.driver.cli import cli as estate
from lightwork.cli import running
from lightwork.cli.main import cli
from lightwork.lake import open_lake
from lightwork.store.artifacts import Artifacts
from tests.waiting import patience

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")

BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).resolve().parents[4]
ZYGOTE = """
import json, os, sys
from infra.driver import cli as estate
from lightwork.cli import explain, kept, main, pipelines, remote, run, tenant
import infra.driver.plan, rich.table
from lightwork.store import artifacts, records, usage

programs = {"lightwork": main.main, "lightwork-estate": estate.main}
outcomes = []
for program, *arguments, stdout, stderr in json.loads(sys.argv[1]):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        gone = os.pipe()
        os.close(gone[0])
        targets = {"gone": gone[1], "full": os.open("/dev/full", os.O_WRONLY), "seen": write}
        os.dup2(targets[stdout], 1)
        os.dup2(targets[stderr], 2)
        os.close(read)
        os.close(write)
        sys.argv = [program, *arguments]
        programs[program]()  # the interpreter ends as it always does
    os.close(write)
    with open(read, errors="replace") as shown:
        text = shown.read()
    outcomes.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text])
print(json.dumps(outcomes))
"""


def commands(group: click.Group, *path: str) -> Iterator[list[str]]:
    yield [*path, "--help"]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield [*path, name, "--help"]


HELP = [
    [*line]
    for name, tree in (("lightwork", cli), ("lightwork-estate", estate))
    for line in commands(tree, name)
]
LOOKING = [
    ["lightwork", *line.split()]
    for line in (
        "artifacts",
        "artifacts --json",
        "cache",
        "runs",
        "completion fish",
    )
] + [
    ["lightwork-estate", *line.split()]
    for line in ("stacks --env dev --all", "stacks --env dev --all --json", "completion")
]
WRONG = [
    ["lightwork", "nosuch"],
    ["lightwork", "runs", "--last", "0"],
    ["lightwork-estate", "up", "--env", "dev"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    lake = open_lake(str(folder / ".lightwork" / "lake"), tenant="local")
    Artifacts(lake, run_id="r", provenance={}).write_file("winds", b"x")
    return folder


GROUPS = {
    "reader gone": ([*HELP, *LOOKING, ["lightwork", "list"]], "gone", "seen", 1, ""),
    "both gone": (LOOKING, "gone", "gone", 1, ""),
    "full": (HELP[::4] + LOOKING, "full", "seen", 1, "{}: the output cannot be written: No space"),
    "both full": (LOOKING, "full", "full", 1, ""),
    "wrong input, full": (WRONG, "full", "seen", 2, "{}: "),
    "wrong input, errors full": (WRONG, "seen", "full", 2, ""),
    "wrong input, errors gone": (WRONG, "seen", "gone", 2, ""),
}
"""Command lines, the kinds of their stdout and stderr, and the exit code and the start of the line to see."""


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, list[tuple[int, str]]]:
    """By command line with the kinds of its stdout and stderr, its exit code and what is seen."""
    cases = [[*line, *kinds] for lines, *kinds, _, _ in GROUPS.values() for line in lines]
    cases += [[*line, "seen", stderr] for line in LOOKING for stderr in ("seen", "full", "gone")]
    process = subprocess.run(
        [sys.executable, "-c", ZYGOTE, json.dumps(cases)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=patience(100),
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return {
        " ".join(case): tuple(found) for case, found in zip(cases, json.loads(process.stdout), strict=True)
    }


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_output_that_is_lost_is_told_in_one_line_at_most(outcomes, group):
    lines, stdout, stderr, code, shown = GROUPS[group]
    for line in lines:
        exit_code, text = outcomes[" ".join([*line, stdout, stderr])]
        assert exit_code == code, (line, text)
        assert text.startswith(shown.format(line[0])), (line, text)
        assert text.count("\n") == bool(shown), (line, text)


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["full", "gone"])
def test_errors_that_nobody_can_read_change_nothing_else(outcomes, stderr):
    for line in LOOKING:
        code, text = outcomes[" ".join([*line, "seen", "seen"])]
        assert (code, bool(text)) == (0, True), line
        assert outcomes[" ".join([*line, "seen", stderr])] == (code, text)


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("lightwork runs | head -1", 0, "No runs in", ""),
        ("lightwork --help | head -1", 0, "Usage: lightwork", ""),
        ("lightwork runs >&-", 1, "", "lightwork: the output cannot be written: Bad file descriptor"),
        ("lightwork runs 2>&-", 0, "No runs in", ""),
        ("lightwork nosuch 2>&-", 2, "", ""),
        ("lightwork nosuch >&- 2>&-", 2, "", ""),
        ("lightwork runs <&-", 0, "No runs in", ""),
        (
            "PYTHONUNBUFFERED=1 lightwork --help >/dev/full",
            1,
            "",
            "lightwork: the output cannot be written: No space",
        ),
        ("lightwork-estate --help | head -1", 0, "Usage: lightwork-estate", ""),
        (
            "lightwork-estate stacks --env dev --all >&-",
            1,
            "",
            "lightwork-estate: the output cannot be written",
        ),
    ],
)
def test_in_a_shell(folder, line, code, out, err):
    process = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    assert process.returncode == code, process.stderr
    assert process.stdout.startswith(out)
    assert process.stderr.startswith(err)
    assert process.stderr.count("\n") == bool(err)
    assert bool(process.stdout) == bool(out)


def test_a_broken_connection_of_a_command_is_its_own_error():
    def fail():
        raise BrokenPipeError(32, "Broken pipe")  # as of a socket

    texts: list[str] = []
    code = running.execute(
        click.Command("thing", callback=fail),
        "thing",
        [],
        say=texts.append,
        unexpected=lambda e: f"failed: {e}",
    )
    assert (code, texts) == (1, ["failed: [Errno 32] Broken pipe"])

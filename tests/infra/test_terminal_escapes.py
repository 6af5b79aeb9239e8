"""What `lightwork-estate` and CI print of others' data is escaped, as `lightwork` does it."""

from __future__ import annotations

import ast
import contextlib
import io
from pathlib import Path

import pytest

from infra.driver import cli, run, table
from infra.driver.outcome import Command, Counts, Outcome, Result
from infra.driver.selection import Choice
from infra.driver.summary import Summary
from tests.infra.driver.pretended import step

INFRA = Path(cli.__file__).parents[1]
TEXT = "a\x1b]52;c;eA==\x07b\x1b[2Jc\u202ed\x9b2Je\x7f"
RAW = ("\x1b", "\x07", "\u202e", "\x9b", "\x7f")
ESCAPED = "a\\x1b]52;c;eA==\\x07b\\x1b[2Jc\\u202ed\\x9b2Je\\x7f"


def raw_prints(tree: ast.AST) -> list[int]:
    """Return the lines of calls that print without escaping."""
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        writes = name in ("sys.stderr.write", "sys.stdout.write") and "visible(" not in ast.unparse(node)
        if writes or name in ("print", "click.echo", "click.secho", "Console", "rich.print"):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "path", sorted(INFRA.rglob("*.py")), ids=lambda path: str(path.relative_to(INFRA)).replace("/", ".")
)
def test_nothing_is_printed_raw(path: Path) -> None:
    assert not raw_prints(ast.parse(path.read_text()))


def test_raw_prints_are_found() -> None:
    code = "print(x)\nclick.echo(x)\nConsole()\nsys.stderr.write(x)\nsys.stderr.write(visible(x))\necho(x)"
    assert raw_prints(ast.parse(code)) == [1, 2, 3, 4]


OUTCOME = Outcome(
    stack="dev.acme",
    result=Result.FAILED,
    counts=Counts(create=1),
    error=(TEXT,),
    reason=TEXT,
    steps=(step("create", name=TEXT),),
)


def check(text: str) -> None:
    assert not [mark for mark in RAW if mark in text], repr(text)


def test_the_summary_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(
        command=Command.PREVIEW, environment="dev", commit="", outcomes=[OUTCOME], warnings=[TEXT]
    )
    run.echo(run.text(summary))
    shown = capsys.readouterr().out
    check(shown)
    assert ESCAPED in shown


def test_the_lines_of_progress_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with table.view(["dev.acme"]) as view:
        view.begin("dev.acme", TEXT)
        view.end(OUTCOME)
    shown = capsys.readouterr().err
    check(shown)
    assert shown.count(ESCAPED) == 2


def test_the_table_of_progress_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    with contextlib.redirect_stderr(stderr), table.view(["dev.acme"]) as view:
        view.begin("dev.acme", "planning")
        view.end(OUTCOME)
    assert ESCAPED.replace("\\x07", "") in stderr.getvalue()  # which rich drops
    assert not [mark for mark in RAW[1:] if mark in stderr.getvalue()]


@pytest.mark.parametrize("option", ["", "--json"])
def test_the_chosen_stacks_are_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    choice = Choice(
        environment="dev", estate=False, tenants=(TEXT,), warnings=(TEXT,), reasons={f"dev.{TEXT}": TEXT}
    )
    monkeypatch.setattr(cli, "_choice", lambda *_: choice)
    assert cli.execute(["stacks", "--env", "dev", "--all", *option.split()]) == 0
    shown = capsys.readouterr()
    check(shown.out + shown.err)
    assert ESCAPED in shown.err

"""Every error of a command becomes text and an exit code."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest

from lightwork.cli import running
from lightwork.errors import ClusterAway, InputError, LakeAway, RunFailed, one_line


def run(
    *argv: str,
    raising: BaseException | None = None,
    value: int | None = None,
    stopped: str | None = "was stopped",
    **options: Any,
) -> tuple[int, list[str]]:
    """Run a command that raises or returns what is given; its exit code and the texts of its errors."""
    texts: list[str] = []

    @click.command()
    @click.option("--count", type=int)
    def command(count: int) -> int | None:
        if raising:
            raise raising
        return value

    return running.execute(command, "thing", argv, say=texts.append, stopped=stopped, **options), texts


@pytest.mark.parametrize("value", [None, 0, 1, 3])
def test_the_commands_own_value_is_the_exit_code(value: int | None) -> None:
    assert run(value=value) == (value or 0, [])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("acme: pods: found none"), 2, "acme: pods: found none"),
        (RunFailed("element 3 failed"), 1, "element 3 failed"),
        (LakeAway("cannot read a"), 75, "cannot read a"),
        (ClusterAway("another authority"), 75, "another authority"),
        (KeyboardInterrupt(), 130, "was stopped"),
    ],
)
def test_an_error_is_printed_and_sets_the_exit_code(error: BaseException, code: int, text: str) -> None:
    assert run(raising=error) == (code, [text])


def test_a_wrong_option_is_a_wrong_input() -> None:
    code, (text,) = run("--count", "x")
    assert code == 2
    assert text.startswith("Invalid value for '--count'")
    assert text.endswith("(thing --help)")
    assert run("--count", "x", usage=lambda _: "no number") == (2, ["no number"])


def test_other_exceptions_pass_through_unless_a_text_is_given_for_them() -> None:
    with pytest.raises(KeyError):
        run(raising=KeyError("a"))
    assert run(raising=KeyError("a"), unexpected=lambda error: f"failed: {error}") == (1, ["failed: 'a'"])


def test_ctrl_c_passes_through_without_a_text_for_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(raising=KeyboardInterrupt(), stopped=None)


def test_details_are_printed_before_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise RunFailed("element 3")

    code = running.execute(
        click.Command("thing", callback=fail),
        "thing",
        [],
        say=lambda text: print(text, file=sys.stderr),
        details=lambda error: f"details of {error}\n\n",
    )
    assert (code, capsys.readouterr().err) == (1, "details of element 3\nelement 3\n")


def test_the_command_finds_its_object_in_the_context() -> None:
    found: list[object] = []
    command = click.Command("thing", callback=click.pass_obj(found.append))
    assert running.execute(command, "thing", [], say=print, obj="settings") == 0
    assert found == ["settings"]


def test_help_is_not_an_error() -> None:
    assert run("--help") == (0, [])


def test_each_line_follows_the_programs_name(capsys: pytest.CaptureFixture[str]) -> None:
    running.lines("thing", "one\ttwo\nthree")
    assert capsys.readouterr().err == "thing: one two\nthing: three\n"
    assert one_line(ValueError(" a\n  b ")) == "a b"


def test_a_reader_that_is_gone_does_not_cause_a_traceback() -> None:
    code = (
        "import click\nfrom lightwork.cli import running\n"
        "@click.command()\ndef c():\n    for _ in range(100000): click.echo('line ' * 20)\n"
        "running.end(running.execute(c, 'c', [], say=print))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 1

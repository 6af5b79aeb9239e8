"""Every error of a command becomes text and an exit code."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from lightwork.cli import running
from lightwork.errors import InputError, RunFailed, one_line


def run(
    *argv: str, raising: BaseException | None = None, value: int | None = None, **more
) -> tuple[int, list[str]]:
    said: list[str] = []

    @click.command()
    @click.option("--count", type=int)
    def command(count: int) -> int | None:
        if raising:
            raise raising
        return value

    code = running.execute(
        command,
        "thing",
        argv,
        stopped="was stopped",
        usage=lambda error: f"usage: {error.format_message()}",
        say=said.append,
        **more,
    )
    return code, said


@pytest.mark.parametrize("value", [None, 0, 1, 3])
def test_the_commands_own_value_is_the_exit_code(value: int | None) -> None:
    assert run(value=value) == (value or 0, [])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("acme: pods: found none"), 2, "acme: pods: found none"),
        (RunFailed("element 3 failed"), 1, "element 3 failed"),
        (KeyboardInterrupt(), 130, "was stopped"),
    ],
)
def test_an_error_is_said_and_has_its_code(error: BaseException, code: int, text: str) -> None:
    assert run(raising=error) == (code, [text])


def test_a_wrong_option_is_a_wrong_input() -> None:
    code, (text,) = run("--count", "x")
    assert code == 2
    assert text.startswith("usage: Invalid value for '--count'")


def test_an_error_of_somebody_elses_goes_through_unless_it_is_wanted() -> None:
    with pytest.raises(KeyError):
        run(raising=KeyError("a"))
    assert run(raising=KeyError("a"), unexpected=lambda error: f"failed: {error}") == (1, ["failed: 'a'"])


def test_help_is_no_error() -> None:
    assert run("--help") == (0, [])


def test_each_line_follows_the_commands_name(capsys: pytest.CaptureFixture[str]) -> None:
    running.lines("thing", "one\ttwo\nthree")
    assert capsys.readouterr().err == "thing: one two\nthing: three\n"
    assert one_line(ValueError(" a\n  b ")) == "a b"


def test_a_reader_that_is_gone_is_no_traceback() -> None:
    code = (
        "import click\nfrom lightwork.cli import running\n"
        "@click.command()\ndef c():\n    for _ in range(100000): click.echo('line ' * 20)\n"
        "running.end(running.execute(c, 'c', [], stopped='', usage=str, say=print))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 1

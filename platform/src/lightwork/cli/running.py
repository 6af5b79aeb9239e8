"""Running a command line: its errors become lines on stderr and an exit code, the same for every command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from lightwork.errors import InputError, LightworkError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def execute(
    command: click.Command,
    name: str,
    argv: Sequence[str] | None,
    *,
    stopped: str,
    usage: Callable[[click.UsageError], str],
    say: Callable[[str], None],
    unexpected: Callable[[Exception], str] | None = None,
) -> int:
    """Run a command line to its end.

    Args:
        command: the command, or the group of commands.
        name: what it is called.
        argv: its arguments; None for this process's own.
        stopped: what is said when Ctrl-C ends it.
        usage: makes the text for an argument or option that click refuses.
        say: prints the text of an error.
        unexpected: makes the text for an error that is not lightwork's own; None lets such an error through.

    Returns:
        The exit code: the command's own, 1 for a failure, 2 for a wrong input, 130 when it was stopped.
    """
    try:
        # As click's own main does, but an interrupt comes through as it is.
        with command.make_context(name, list(sys.argv[1:] if argv is None else argv)) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        say(usage(error))
        return 2
    except LightworkError as error:
        say(str(error))
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        say(stopped)
        return 130
    except BrokenPipeError:
        _close_stdout()
        return 1
    except Exception as error:
        if unexpected is None:
            raise
        say(unexpected(error))
        return 1


def end(code: int) -> NoReturn:
    """End the process, with what is printed handed on first."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
    sys.exit(code)


def lines(name: str, text: str) -> None:
    """Print a text on stderr, each of its lines after the command's name."""
    for line in text.splitlines():
        click.echo(f"{name}: {one_line(line)}", err=True)


def _close_stdout() -> None:
    """Let the interpreter's own flush at the end go nowhere: nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

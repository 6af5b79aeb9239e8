"""Run a command line: every error becomes text on stderr and an exit code, the same in every program.

`lightwork`, `lightwork-estate` and the modules that CI jobs call share it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lightwork.cli.output import echo
from lightwork.errors import InputError, LakeAway, LightworkError, near, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


STOPPED_CODE = 130
"""The exit code after Ctrl-C."""
_CHAIN = 16
"""Causes of an error that are looked at, at most."""
LAKE_AWAY_CODE = 75
"""The exit code if the lake stayed away (EX_TEMPFAIL): the same command may succeed later."""


class Group(click.Group):
    """A group of commands that names the nearest command if it does not have the one asked for."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names.

        Raises:
            InputError: there is no such command.
        """
        names = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in names:
            path = ctx.command_path.partition(" ")[2]
            where = f"{path}: " if path else ""
            raise InputError(f"{where}there is no command {args[0]!r}{near(args[0], names)}")
        return super().resolve_command(ctx, args)


def execute(
    command: click.Command,
    name: str,
    argv: Sequence[str] | None,
    *,
    say: Callable[[str], None],
    stopped: str | None = None,
    usage: Callable[[click.UsageError], str] | None = None,
    details: Callable[[Exception], str] | None = None,
    unexpected: Callable[[Exception], str] | None = None,
    obj: Any = None,
) -> int:
    """Run a command line to its end.

    Args:
        command: the command, or the group of commands.
        name: the program's name in usage texts.
        argv: the arguments; None for this process's own.
        say: prints the text of an error.
        stopped: the text after Ctrl-C; None lets KeyboardInterrupt through.
        usage: returns the text for an argument or option that Click refuses; by default Click's own message
            with a pointer to `--help`.
        details: returns lines to print on stderr before the text of an error, such as a traceback.
        unexpected: returns the text for any other exception; None lets it through.
        obj: the object in the command's Click context.

    Returns:
        The exit code: the command's own, 1 for a failure, 2 for a wrong input, 75 if the lake stayed away,
        130 after Ctrl-C.
    """
    try:
        # As in Click's own `main`, except that KeyboardInterrupt is not turned into `Abort`.
        with command.make_context(name, list(sys.argv[1:] if argv is None else argv), obj=obj) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        say(usage(error) if usage else f"{one_line(error.format_message()).rstrip('.')} ({name} --help)")
        return 2
    except KeyboardInterrupt:
        if stopped is None:
            raise
        say(stopped)
        return STOPPED_CODE
    except BrokenPipeError:
        _discard_stdout()
        return 1
    except LightworkError as error:
        _print_details(details, error)
        say(str(error))
        return _code(error)
    except Exception as error:
        if unexpected is None:
            raise
        _print_details(details, error)
        say(unexpected(error))
        return _code(error)


def _code(error: Exception) -> int:
    """Return the exit code for an error; a lake that stayed away counts also where it is only the cause."""
    cause: BaseException | None = error
    for _ in range(_CHAIN):
        if isinstance(cause, LakeAway):
            return LAKE_AWAY_CODE
        if cause is None:
            break
        cause = cause.__cause__
    return 2 if isinstance(error, InputError) else 1


def _print_details(details: Callable[[Exception], str] | None, error: Exception) -> None:
    if details and (text := details(error).rstrip()):
        echo(text, err=True)


def end(code: int) -> NoReturn:
    """Flush stdout and end the process with an exit code."""
    if code == STOPPED_CODE:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # another one ends what is left without a traceback
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    sys.exit(code)


def lines(name: str, text: str) -> None:
    """Print each line of a text on stderr, prefixed with the program's name."""
    for line in text.splitlines():
        echo(f"{name}: {one_line(line)}", err=True)


def _discard_stdout() -> None:
    """Point stdout at the null device once its reader is gone, so that the flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

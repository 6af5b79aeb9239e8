"""Run a command line: every error becomes text on stderr and an exit code, the same in every program.

`lightwork`, `lightwork-estate` and the modules that CI jobs call share it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lightwork.cli import streams
from lightwork.cli.output import echo
from lightwork.errors import ClusterAway, InputError, LakeAway, LightworkError, near, one_line
from lightwork.functions.unraisable import interrupt_again

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
    if any(variable.endswith("_COMPLETE") for variable in os.environ):
        from lightwork.cli import completion

        if completion.is_asked(name):
            return completion.answer(command, name)
    streams.open_all()
    interrupt_again()
    report = _Report(say, details)
    try:
        # As in Click's own `main`, except that KeyboardInterrupt is not turned into `Abort`.
        with command.make_context(name, list(sys.argv[1:] if argv is None else argv), obj=obj) as context:
            code = int(command.invoke(context) or 0)
        sys.stdout.flush()
        return code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        report(usage(error) if usage else f"{one_line(error.format_message()).rstrip('.')} ({name} --help)")
        return 2
    except KeyboardInterrupt:
        if stopped is None:
            raise
        report(stopped)
        return STOPPED_CODE
    except LightworkError as error:
        report(str(error), error)
        return _code(error)
    except Exception as error:
        if (reason := streams.lost(error)) is not None:
            if reason:
                report(f"the output cannot be written: {reason}")
            return 1
        if unexpected is None:
            raise
        report(unexpected(error), error)
        return _code(error)


def _code(error: Exception) -> int:
    """Return the exit code for an error; a lake that stayed away counts also where it is only the cause."""
    cause: BaseException | None = error
    for _ in range(_CHAIN):
        # By the type, and not by an attribute: an element's exception may raise for either.
        if issubclass(type(cause), (LakeAway, ClusterAway)):
            return LAKE_AWAY_CODE
        if cause is None:
            break
        cause = BaseException.__dict__["__cause__"].__get__(cause)
    return 2 if isinstance(error, InputError) else 1


class _Report:
    """Prints the text of an error, unless standard error cannot be written either."""

    def __init__(self, say: Callable[[str], None], details: Callable[[Exception], str] | None) -> None:
        self._say = say
        self._details = details

    def __call__(self, text: str, error: Exception | None = None) -> None:
        try:
            if error is not None and self._details and (details := self._details(error).rstrip()):
                echo(details, err=True)
            self._say(text)
        except OSError as problem:
            if streams.lost(problem) is None:
                raise


def end(code: int) -> NoReturn:
    """Flush stdout and end the process with an exit code."""
    if code == STOPPED_CODE:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # another one ends what is left without a traceback
    streams.flush()
    sys.exit(code)


def lines(name: str, text: str) -> None:
    """Print each line of a text on stderr, prefixed with the program's name."""
    for line in text.splitlines():
        echo(f"{name}: {one_line(line)}", err=True)

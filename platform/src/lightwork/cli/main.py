"""The entry point of `lightwork`: its commands, and the text of its errors.

Each command's module is imported when the command is used, so that `lightwork --help` starts fast.
"""

from __future__ import annotations

import contextlib
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from lightwork.cli import fatal, running
from lightwork.cli.output import echo
from lightwork.errors import ElementError, LightworkError, near, one_line
from lightwork.functions.raised import is_quit
from lightwork.runs.stopping import STOPPED
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

COMMANDS = {
    "run": ("run", "Run a pipeline: lightwork run windy-city max_timestamps=1000"),
    "list": ("pipelines", "Show the pipelines and their parameters."),
    "describe": ("pipelines", "Show what pipelines take; with --json for a tenant's file."),
    "new": ("pipelines", "Create a pipeline with a test, ready to run."),
    "explain": (
        "explain",
        "Show what a task's cache key is made of, and what changed since earlier results.",
    ),
    "artifacts": ("kept", "Show the tables and files that runs have written."),
    "cache": ("cache", "Show the space that a lake takes, or delete what nobody needs."),
    "runs": ("history", "Show recent runs, all or those of a kind."),
    "show": ("show", "Show one run: how it went, what failed, what it left."),
    "ui": ("ui", "Show the history of runs as a page."),
    "diff": ("diff", "Show what differs between two runs."),
    "open": ("show", "Open the report of a run in the browser."),
    "cost": ("history", "Show the time of runs' workers, and what it cost."),
    "retry": ("retry", "Run a pipeline again, with the parameters of an earlier run."),
    "login": ("login", "Make the commands work with a tenant in a cluster; once."),
    "submit": ("remote", "Start a run in a cluster: lightwork submit windy-city --env dev --tenant acme"),
    "stop": ("remote", "Stop a run in a cluster."),
    "logs": ("logs", "Print what a run has logged, here or in a cluster."),
    "search": ("search", "Search the log lines of a tenant in a cluster, also of runs that are gone."),
    "schedule": ("schedule", "Show the schedules of a tenant; suspend, resume, and run one now."),
    "queue": ("queue", "Show the runs that are at work and those that wait, and behind whom."),
    "backfill": ("backfill", "Run a pipeline for many intervals of time, each once."),
    "doctor": ("doctor", "Look for what is amiss, and name the command that mends it."),
    "dashboard": ("remote", "Show the Dask dashboard of a run in a cluster."),
    "tenant": ("tenant", "Check, show and render a tenant's file: lightwork tenant validate FILE"),
    "completion": ("completion", "Show how to complete commands with Tab in bash, zsh or fish."),
}
"""By command, its module in lightwork.cli and its line in the help, in the order in which users need them."""


class Commands(running.Group):
    """The group of all commands, which shows its help without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the commands, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"lightwork.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the commands, and the options of the group, that start as the incomplete word does."""
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands' lines in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="lightwork", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run plain Python functions on many workers, and compute each result only once."""
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())
        return
    from lightwork.settings import load_env

    load_env()


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process.

    The exit code is 0 for success, 1 for a failed run, 2 for a wrong input, 75 if the lake stayed away, and
    130 after Ctrl-C.
    """
    running.end(execute(argv))


def execute(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; print every error on stderr."""
    details: list[str] = []

    def details_of(error: Exception) -> str:
        text = _traceback(error)
        if not fatal.is_event():
            return text
        details.append(text)  # the event has them
        return ""

    return running.execute(
        cli,
        "lightwork",
        argv,
        say=lambda text: _say(text, "".join(details)),
        stopped=STOPPED,
        usage=_usage,
        details=details_of,
        unexpected=lambda error: STOPPED if is_quit(error) else f"failed: {type(error).__name__}: {error}",
    )


def _traceback(error: Exception) -> str:
    """Return the traceback of an error in a pipeline; empty for an error that its message explains.

    It starts at the pipeline's first frame, or is complete if none of its frames is the pipeline's.
    """
    if isinstance(error, ElementError):
        return error.traceback
    if isinstance(error, LightworkError) or is_quit(error):
        return ""
    import traceback

    not_the_pipelines = (str(Path(__file__).parent.parent), str(Path(click.__file__).parent))
    start = error.__traceback__
    while start is not None and start.tb_frame.f_code.co_filename.startswith(not_the_pipelines):
        start = start.tb_next
    return "".join(traceback.format_exception(type(error), error, start or error.__traceback__))


_TERMINATION_MESSAGE_BYTES = 2000


def _say(text: str, details: str) -> None:
    """Print a text on stderr as one line, and write it to the file that Kubernetes reads, if one is named.

    In a run's pod the line is an event of its log, which has the details as well.
    """
    from lightwork.kube.contract import ENV_LAST_WORD

    line = one_line(text)
    if fatal.is_event():
        fatal.tell(line, details)
    else:
        echo(f"lightwork: {line}", err=True)
    if file := os.environ.get(ENV_LAST_WORD):
        with contextlib.suppress(OSError):
            Path(file).write_bytes(line.encode()[:_TERMINATION_MESSAGE_BYTES])


def _usage(error: click.UsageError) -> str:
    """Return Click's complaint in the words of lightwork's own errors."""
    command = error.ctx.command_path.partition(" ")[2] if error.ctx else ""
    where = f"{command}: " if command else ""
    options = [name for item in _params(error) for name in item.opts if name.startswith("--")] + ["--help"]
    if isinstance(error, click.NoSuchOption):
        guess = near(error.option_name, options)
        has_parameters = command in ("run", "explain", "submit") and not guess.endswith("?")
        hint = "; parameters are given as name=value" if has_parameters else ""
        return f"{where}there is no option {error.option_name!r}{guess}{hint}"
    usage = f"`lightwork {f'{command} {_usage_line(error)}'.strip()}`"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        option = isinstance(error.param, click.Option)
        name = error.param.opts[0] if option else error.param.human_readable_name
        return f"{where}{name} is missing; expected {usage}"
    if isinstance(error, click.BadOptionUsage):
        return f"{where}option {error.option_name!r} has no value; expected `{error.option_name} VALUE`"
    text = one_line(error.format_message()).rstrip(".")
    text = text[:1].lower() + text[1:].replace("integer range", "integer")
    return f"{where}{text}" if isinstance(error, click.BadParameter) else f"{where}{text}; expected {usage}"


def _params(error: click.UsageError) -> list[click.Parameter]:
    return list(error.ctx.command.params) if error.ctx else []


def _usage_line(error: click.UsageError) -> str:
    """Return a command's arguments and required options, as its usage shows them."""
    if not error.ctx:
        return "COMMAND"
    pieces = [piece for piece in error.ctx.command.collect_usage_pieces(error.ctx) if piece != "[OPTIONS]"]
    required = [item for item in _params(error) if isinstance(item, click.Option) and item.required]
    return " ".join([*pieces, *(f"{item.opts[0]} {item.metavar or 'VALUE'}" for item in required)])

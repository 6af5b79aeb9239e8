"""Functions shared by the commands of CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.config import settings
from infra.config.naming import Names
from infra.config.stack import ENVIRONMENTS
from lightwork.cli import running
from lightwork.cli.output import echo
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.settings import Settings
    from lightwork.tenants import Environment

ROOT = Path(__file__).resolve().parents[2]


environment = click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
"""The option `--env`, which every command has."""


def run(command: click.Command, module: str, arguments: Sequence[str] | None, obj: Any = None) -> int:
    """Run a command line; its exit code: 2 if refused, 1 if failed, with one line on standard error.

    Args:
        command: the command.
        module: the module that has it.
        arguments: the words of the command line, if not the process's own.
        obj: what the command finds in its context.
    """
    return running.execute(
        command,
        f"python -m {module}",
        arguments,
        say=lambda text: echo(text, err=True),
        obj=obj,
    )


def settings_and_names(root: Path, environment: Environment) -> tuple[Settings, Names]:
    """Load an environment's settings, and derive its names.

    Raises:
        InputError: one line for each mistake in `Pulumi.<environment>.yaml`.
    """
    declared = settings.load(root, environment)
    return declared, Names.of(declared)


def installed(program: str) -> str:
    """Return a program's path in this Python's environment; its bare name, for PATH, if it is not there."""
    path = Path(sys.executable).parent / program
    return str(path) if path.exists() else program


def call(
    words: Sequence[str],
    *,
    stdin: str | None = None,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    show: bool = False,
) -> str:
    """Run a program to its end, and return its output.

    Args:
        words: the program and its arguments, without secrets: the job's log shows them if it fails.
        stdin: the standard input, such as a password.
        cwd: the working directory.
        variables: environment variables to add to this process's.
        show: print the output to the job's log instead of returning it.

    Raises:
        InputError: the program is not installed.
        RunFailed: its exit code is not 0. The message has its last line of output.
    """
    try:
        process = subprocess.run(  # noqa: S603 - the callers write the words
            list(words),
            input=stdin,
            cwd=cwd,
            env={**os.environ, **(variables or {})},
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise InputError(f"{words[0]}: not installed; the job's image must include it") from None
    if process.returncode:
        reason = "" if show else (process.stderr or process.stdout or "").strip().rpartition("\n")[2]
        line = " ".join(str(word) for word in words)
        raise RunFailed(f"{line}: exit code {process.returncode}{f': {reason}' if reason else ''}")
    return "" if show else str(process.stdout)

"""What the modules that jobs call have in common."""

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
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.settings import Settings
    from lightwork.tenants import Environment

ROOT = Path(__file__).resolve().parents[2]


environment = click.option("--env", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
"""The option that every command has."""


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
        say=lambda text: print(text, file=sys.stderr),
        obj=obj,
    )


def known(root: Path, environment: Environment) -> tuple[Settings, Names]:
    """An environment's settings, and the names that follow from them.

    Raises:
        InputError: one line for each mistake in `Pulumi.<environment>.yaml`.
    """
    found = settings.load(root, environment)
    return found, Names.of(found)


def own(program: str) -> str:
    """A program of this Python's environment (`.venv/bin`), if it is there; else whatever PATH says."""
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.exists() else program


def call(
    words: Sequence[str],
    *,
    stdin: str | None = None,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    show: bool = False,
) -> str:
    """Run a program to its end; what it printed.

    Args:
        words: the program and its arguments. Jobs' logs show them when it fails: no secret belongs here.
        stdin: what it reads, such as a password.
        cwd: where it runs.
        variables: what its environment has besides this process's.
        show: its output is the job's own, and none is returned.

    Raises:
        InputError: there is no such program.
        RunFailed: it failed; with its last line.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the words are the program's own
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
        raise InputError(
            f"{words[0]}: there is no such program here; the job's image has to bring it"
        ) from None
    if done.returncode:
        said = "" if show else (done.stderr or done.stdout or "").strip().rpartition("\n")[2]
        what = " ".join(str(word) for word in words)
        raise RunFailed(f"{what}: ended with {done.returncode}{f': {said}' if said else ''}")
    return "" if show else str(done.stdout)

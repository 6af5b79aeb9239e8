"""Run a pipeline in its own container: `python -m lightwork.pods.driver`.

This is `lightwork run` with the pipeline and its parameters taken from the environment, which Argo sets:

- `LIGHTWORK_FUNCTION`: the pipeline's name.
- `LIGHTWORK_ARGUMENTS`: a JSON object of strings, each as it would follow `name=` on the command line.
- `LIGHTWORK_RESULT_FILE`: the file for the pipeline's result as JSON, which other steps of the run use;
  unset or empty if none does.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lightwork.errors import InputError, one_line
from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping


LARGEST_RESULT = 100_000
"""Bytes of a result for other steps: Argo stores it in the Workflow and in the next pod's environment."""

TERMINATION_LOG = "/dev/termination-log"
"""The file from which Kubernetes reads why a container ended; Argo shows it as the step's message."""


def command(environment: Mapping[str, str]) -> list[str]:
    """Return the command line that the environment describes.

    Raises:
        InputError: a variable is missing or malformed.
    """
    name = environment.get(contract.ENV_FUNCTION, "")
    if not name:
        raise InputError(f"{contract.ENV_FUNCTION} is not set; expected the pipeline's name")
    text = environment.get(contract.ENV_ARGUMENTS) or "{}"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{contract.ENV_ARGUMENTS} is not JSON ({error}); expected an object of strings"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{contract.ENV_ARGUMENTS} is {text[:60]!r}; expected an object of strings")
    items = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()
    ]
    result = ["--result", file] if (file := environment.get(contract.ENV_RESULT_FILE)) else []
    # After `--`, a value that looks like an option is not taken for one.
    return ["run", "--json", *result, name, "--", *items]


def refuse_large(file: Path) -> None:
    """Refuse a result that is too large to be passed to other steps.

    Raises:
        InputError: the result is too large.
    """
    # Argo quotes it once more, as a string in an object of parameters.
    size = len(json.dumps(file.read_text(encoding="utf-8")))
    if size > LARGEST_RESULT:
        raise InputError(
            f"the result is {size:,} bytes long as JSON; a result that another step uses may have at most"
            f" {LARGEST_RESULT:,}: write it as an artifact and return the artifact's name"
        )


def main() -> NoReturn:
    """Run the pipeline and end the process as `lightwork run` does."""
    from lightwork.cli.main import main as lightwork

    os.environ.setdefault(contract.ENV_LAST_WORD, TERMINATION_LOG)
    try:
        argv = command(os.environ)
    except InputError as error:
        _print(error)
        sys.exit(2)
    try:
        lightwork(argv)
    except SystemExit as end:
        if end.code == 0 and (file := os.environ.get(contract.ENV_RESULT_FILE)):
            try:
                refuse_large(Path(file))
            except InputError as error:
                _print(error)
                sys.exit(1)
        raise


def _print(error: InputError) -> None:
    """Print an error on stderr, and write it to the file that Kubernetes reads."""
    line = one_line(error)
    print(f"lightwork: {line}", file=sys.stderr)
    with contextlib.suppress(OSError):
        Path(os.environ[contract.ENV_LAST_WORD]).write_text(line, encoding="utf-8")


if __name__ == "__main__":
    main()

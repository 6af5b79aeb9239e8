"""The pipeline's own container: `python -m lightwork.pods.driver`.

It is `lightwork run`, with the pipeline and its parameters from the environment, where Argo puts them:

- `LIGHTWORK_FUNCTION`: the pipeline's name.
- `LIGHTWORK_ARGUMENTS`: a JSON object of texts, as they would be behind `name=` on the command line.
- `LIGHTWORK_RESULT_FILE`: where to put what the pipeline returned, as JSON, for other steps of the run; not
  set, or empty, if none uses it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lightwork.errors import InputError
from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping


LARGEST_RESULT = 100_000
"""Bytes of a result as it is passed on. Argo keeps it in the Workflow, and in the next pod's environment."""


TERMINATION_LOG = "/dev/termination-log"
"""Where Kubernetes reads why a container has ended, which Argo then shows as the step's message."""


def command(environment: Mapping[str, str]) -> list[str]:
    """The command line that the environment stands for.

    Raises:
        InputError: the environment is not what the run's template sets.
    """
    name = environment.get(contract.ENV_FUNCTION, "")
    if not name:
        raise InputError(f"{contract.ENV_FUNCTION} is not set; expected the pipeline's name")
    text = environment.get(contract.ENV_ARGUMENTS) or "{}"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{contract.ENV_ARGUMENTS} is not JSON ({error}); expected an object of texts"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{contract.ENV_ARGUMENTS} is {text[:60]!r}; expected an object of texts")
    items = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()
    ]
    kept = ["--result", file] if (file := environment.get(contract.ENV_RESULT_FILE)) else []
    # What follows `--` is never an option, whatever a value looks like.
    return ["run", "--json", *kept, name, "--", *items]


def refuse_large(file: Path) -> None:
    """See that a result can be passed on.

    Raises:
        InputError: it is too large.
    """
    # It is quoted once more on its way: as a text in an object of parameters.
    size = len(json.dumps(file.read_text(encoding="utf-8")))
    if size > LARGEST_RESULT:
        raise InputError(
            f"the result has {size:,} bytes, quotes included, and another step uses it; expected at most"
            f" {LARGEST_RESULT:,}: write it as an artifact, and return the artifact's name"
        )


def main() -> NoReturn:
    """Run the pipeline, and end the process as `lightwork run` does."""
    from lightwork.cli.main import main as lightwork

    os.environ.setdefault(contract.ENV_LAST_WORD, TERMINATION_LOG)
    try:
        argv = command(os.environ)
    except InputError as error:
        _say(error)
        sys.exit(2)
    try:
        lightwork(argv)
    except SystemExit as end:
        if end.code == 0 and (file := os.environ.get(contract.ENV_RESULT_FILE)):
            try:
                refuse_large(Path(file))
            except InputError as error:
                _say(error)
                sys.exit(1)
        raise


def _say(error: InputError) -> None:
    """Say what is wrong, on standard error and where Kubernetes reads a pod's last word."""
    print(f"lightwork: {error}", file=sys.stderr)
    with contextlib.suppress(OSError):
        Path(os.environ[contract.ENV_LAST_WORD]).write_text(str(error), encoding="utf-8")


if __name__ == "__main__":
    main()

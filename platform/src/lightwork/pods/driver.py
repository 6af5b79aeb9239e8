"""The pipeline's own container: `python -m lightwork.pods.driver`.

It is `lightwork run`, with the pipeline and its parameters from the environment, where Argo puts them:

- `LIGHTWORK_FUNCTION`: the pipeline's name.
- `LIGHTWORK_ARGUMENTS`: a JSON object of texts, as they would be behind `name=` on the command line.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NoReturn

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def command(environment: Mapping[str, str]) -> list[str]:
    """The command line that the environment stands for.

    Raises:
        InputError: the environment is not what the run's template sets.
    """
    name = environment.get("LIGHTWORK_FUNCTION", "")
    if not name:
        raise InputError("LIGHTWORK_FUNCTION is not set; expected the pipeline's name")
    text = environment.get("LIGHTWORK_ARGUMENTS") or "{}"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"LIGHTWORK_ARGUMENTS is not JSON ({error}); expected an object of texts") from None
    if not isinstance(values, dict):
        raise InputError(f"LIGHTWORK_ARGUMENTS is {text[:60]!r}; expected an object of texts")
    items = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()
    ]
    # What follows `--` is never an option, whatever a value looks like.
    return ["run", "--json", name, "--", *items]


def main() -> NoReturn:
    """Run the pipeline, and end the process as `lightwork run` does."""
    import sys

    from lightwork.cli.main import main as lightwork

    try:
        argv = command(os.environ)
    except InputError as error:
        print(f"lightwork: {error}", file=sys.stderr)
        sys.exit(2)
    lightwork(argv)


if __name__ == "__main__":
    main()

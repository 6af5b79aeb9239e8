"""Run a pipeline in its own container: `python -m lightwork.pods.driver`.

This is `lightwork run` with the pipeline and its parameters taken from the environment, which Argo sets:

- `LIGHTWORK_FUNCTION`: the pipeline's name.
- `LIGHTWORK_ARGUMENTS`: a JSON object of strings, each the text of a parameter. `@name` in place of a name
  says that the text is in a file of PARAMETERS_FOLDER, which the string names.
- `LIGHTWORK_RESULT_FILE`: the file for the pipeline's result as JSON, which other steps of the run use;
  unset or empty if none does.

If an earlier attempt of the same driver has finished the run, this one only hands out its result.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lightwork.cli import fatal
from lightwork.cli.running import LAKE_AWAY_CODE
from lightwork.errors import InputError, LakeAway, LightworkError, one_line
from lightwork.functions import given
from lightwork.kube import contract, firing, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


LARGEST_RESULT = 100_000
"""Bytes of a result for other steps: Argo passes it on in a variable, as JSON inside JSON."""

FILES_SECONDS = 90.0
"""How long the driver waits for long parameters: kubelet looks for new files about once a minute."""

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
        _item(key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items()
    ]
    result = ["--result", file] if (file := environment.get(contract.ENV_RESULT_FILE)) else []
    # After `--`, a value that looks like an option is not taken for one.
    return ["run", "--json", *result, name, "--", *items]


def _item(key: str, text: str) -> str:
    """Return a parameter as an item of the command line, where a file's name follows `@`.

    Raises:
        InputError: it takes its part of an interval, which cannot be told.
    """
    if text.startswith(texts.OF_FIRING):
        text = firing.text(text)
    if key.startswith("@"):
        name = text.removeprefix(texts.IN_FILE).partition(" ")[0]
        return f"{key[1:]}=@{contract.PARAMETERS_FOLDER}/{name}"
    return f"{key}={'@' if text.startswith('@') else ''}{text}"


def wait_for_files(items: Iterable[str], seconds: float = FILES_SECONDS) -> None:
    """Wait for the files that items of the command line name; `lightwork submit` makes them after the run.

    Raises:
        InputError: a file does not come.
    """
    until = time.monotonic() + seconds
    for item in items:
        name, _, path = item.partition("=@")
        while path.startswith(contract.PARAMETERS_FOLDER) and not Path(path).exists():
            if time.monotonic() > until:
                raise InputError(
                    f"parameter {name}: its value, too long for the Workflow, has not come, or was deleted"
                    " with the run that it was given to; submit the run again"
                )
            time.sleep(1)


def refuse_large(file: Path) -> None:
    """Refuse a result that is too large to be passed to other steps.

    Raises:
        InputError: the result is too large.
    """
    size = given.weight(file.read_text(encoding="utf-8"))
    if size > LARGEST_RESULT:
        raise InputError(
            f"the result is {size:,} bytes long as Argo passes it on, where each quote counts four times; a"
            f" result that another step uses may have at most {LARGEST_RESULT:,}: write it as an artifact and"
            " return the artifact's name"
        )


def replay(environment: Mapping[str, str]) -> bool:
    """Hand out the result of an earlier attempt that finished the run; return whether there is one.

    Raises:
        LightworkError: the lake cannot be read.
    """
    if environment.get(contract.ENV_ATTEMPT, "0") == "0":
        return False
    from lightwork import settings
    from lightwork.cli.output import show_json
    from lightwork.cli.run import write_result
    from lightwork.lake import open_lake
    from lightwork.logs import configure, get_logger
    from lightwork.runs import earlier
    from lightwork.runs.outcome import Run

    lake = open_lake(settings.resolve_lake(None), tenant=settings.resolve_tenant(None))
    if (record := earlier.succeeded(lake, environment)) is None:
        return False
    result = Run({**record, "name": record["run"]}, lake)
    configure()
    get_logger().info(f"{result.name} has succeeded before, as {record['id']}; it is not run again")
    if file := environment.get(contract.ENV_RESULT_FILE):
        write_result(file, result.result)
    show_json(result.to_json())
    return True


def main() -> NoReturn:
    """Run the pipeline and end the process as `lightwork run` does."""
    from lightwork.cli.main import main as lightwork

    fatal.catch_all()
    os.environ.setdefault(contract.ENV_LAST_WORD, TERMINATION_LOG)
    try:
        argv = command(os.environ)
        wait_for_files(argv)
        done = replay(os.environ)
    except LightworkError as error:
        _print(error)
        sys.exit(LAKE_AWAY_CODE if isinstance(error, LakeAway) else 2 if isinstance(error, InputError) else 1)
    try:
        if not done:
            lightwork(argv)
    except SystemExit as end:
        if end.code != 0:
            raise
    if file := os.environ.get(contract.ENV_RESULT_FILE):
        try:
            refuse_large(Path(file))
        except InputError as error:
            _print(error)
            sys.exit(1)
    sys.exit(0)


def _print(error: LightworkError) -> None:
    """Print an error on stderr, and write it to the file that Kubernetes reads."""
    line = one_line(error)
    if fatal.is_event():
        fatal.tell(line)
    else:
        print(f"lightwork: {line}", file=sys.stderr)
    with contextlib.suppress(OSError):
        Path(os.environ[contract.ENV_LAST_WORD]).write_text(line, encoding="utf-8")


if __name__ == "__main__":
    main()

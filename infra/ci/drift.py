"""Whether an environment is still what was deployed: a preview of the commit that stands there.

    python -m infra.ci.drift --env prod --summary-dir summary/prod

The program that is compared with is that of the commit which was deployed, in a folder of its own: what main
has that prod does not have yet is no drift.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.ci import deployed
from infra.ci.common import ROOT, call, environment, known, run
from infra.config.image import DIGEST
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infra.ci.deployed import Deployed
    from lightwork.tenants import Environment


def differences(summary: Mapping[str, Any]) -> list[str]:
    """One line for each stack that is not as it was deployed, or that could not be looked at.

    Args:
        summary: the driver's `summary.json`.

    Raises:
        RunFailed: it is none.
    """
    try:
        return [line for stack in summary["stacks"] for line in _of(stack)]
    except (KeyError, TypeError):
        raise RunFailed("summary.json: is no summary of lightwork-estate") from None


def look(environment: Environment, record: Deployed, folder: Path, root: Path = ROOT) -> list[str]:
    """Preview all stacks as they were deployed; the differences.

    Args:
        environment: which environment.
        record: what stands there.
        folder: where the summary goes.
        root: the repository.

    Raises:
        InputError: the commit is not in the repository.
        RunFailed: the preview came to nothing.
    """
    folder = folder.resolve()
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place, "deployed")
        try:
            call(["git", "worktree", "add", "--quiet", "--detach", str(tree), record.commit], cwd=root)
        except RunFailed as error:
            raise InputError(
                f"{record.commit}, which {environment} is at, cannot be checked out: {error}"
            ) from None
        try:
            call(["sh", "requirements/install.sh"], cwd=tree, show=True)
            failed = _preview(environment, tree, folder, record.digest)
        finally:
            call(["git", "worktree", "remove", "--force", str(tree)], cwd=root)
    try:
        found = differences(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise RunFailed(
            f"{environment}: the preview wrote no summary{f': {failed}' if failed else ''}"
        ) from None
    return found or ([failed] if failed else [])


@click.command(help=__doc__)
@environment
@click.option(
    "--summary-dir",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Where the summary goes.",
)
def command(env: Environment, summary_dir: Path) -> None:
    """Compare, and say what differs."""
    _, names = known(ROOT, env)
    record = deployed.required(deployed.client(names), names)
    print(f"{env} is at {record.commit} since {record.at}", flush=True)
    found = look(env, record, summary_dir)
    summary = summary_dir / "summary.md"
    if summary.exists():
        print(summary.read_text(encoding="utf-8"))
    if found:
        raise RunFailed("\n".join((f"{env} is not what was deployed:", *found)))
    print(f"{env} is what was deployed")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where something differs."""
    return run(command, "infra.ci.drift", arguments)


def _preview(environment: str, tree: Path, folder: Path, digest: str) -> str:
    """Run the driver of that commit; what it failed with, if it failed."""
    words = [
        *(str(tree / ".venv/bin/lightwork-estate"), "preview", "--env", environment, "--all", "--refresh"),
        *("--summary-dir", str(folder)),
    ]
    variables = {DIGEST: digest, "PATH": f"{tree / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    try:
        call(words, cwd=tree, variables=variables, show=True)
    except RunFailed as error:
        return str(error)
    return ""


def _of(stack: Mapping[str, Any]) -> Iterator[str]:
    name, changes = stack["stack"], stack["changes"]
    if stack.get("error"):
        yield f"{name}: {stack['error']}"
    for change in changes:
        yield f"{name}: {change['op']} {change['type']} {change['name']}"


if __name__ == "__main__":
    sys.exit(main())

"""Check whether an environment still matches what was deployed, by a preview of the deployed commit.

    python -m infra.ci.drift --env prod --summary-dir summary/prod

The deployed commit is checked out in a separate folder, so that newer commits on main do not count as drift.
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
from infra.ci.common import ROOT, call, environment, run, settings_and_names
from infra.config.image import DIGEST
from lightwork.cli.output import echo
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infra.ci.deployed import Deployed
    from lightwork.tenants import Environment


def differences(summary: Mapping[str, Any]) -> list[str]:
    """Return a line for each changed resource, and for each stack that could not be previewed.

    Args:
        summary: the content of the driver's `summary.json`.

    Raises:
        RunFailed: it is not a summary.
    """
    try:
        return [line for stack in summary["stacks"] for line in _lines(stack)]
    except (KeyError, TypeError):
        raise RunFailed("summary.json: not a summary of lightwork-estate") from None


def look(environment: Environment, record: Deployed, folder: Path, root: Path = ROOT) -> list[str]:
    """Preview all stacks at the deployed commit, and return the differences.

    Args:
        environment: the environment.
        record: the record of its last deployment.
        folder: the folder for the summary.
        root: the repository's root.

    Raises:
        InputError: the commit is not in the repository.
        RunFailed: the preview wrote no summary.
    """
    folder = folder.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary, "deployed")
        try:
            call(["git", "worktree", "add", "--quiet", "--detach", str(tree), record.commit], cwd=root)
        except RunFailed as error:
            raise InputError(
                f"{record.commit}, deployed to {environment}, cannot be checked out: {error}"
            ) from None
        try:
            call(["sh", "requirements/install.sh"], cwd=tree, show=True)
            failure = _preview(environment, tree, folder, record.digest)
        finally:
            call(["git", "worktree", "remove", "--force", str(tree)], cwd=root)
    try:
        lines = differences(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise RunFailed(
            f"{environment}: the preview wrote no summary{f': {failure}' if failure else ''}"
        ) from None
    return lines or ([failure] if failure else [])


@click.command(help=__doc__)
@environment
@click.option(
    "--summary-dir",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder for the summary.",
)
def command(env: Environment, summary_dir: Path) -> None:
    """Compare, and print the differences."""
    _, names = settings_and_names(ROOT, env)
    record = deployed.required(deployed.client(names), names)
    echo(f"{env}: {record.commit} was deployed at {record.at}")
    lines = look(env, record, summary_dir)
    summary = summary_dir / "summary.md"
    if summary.exists():
        echo(summary.read_text(encoding="utf-8"))
    if lines:
        raise RunFailed("\n".join((f"{env} differs from what was deployed:", *lines)))
    echo(f"{env} matches what was deployed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if something differs."""
    return run(command, "infra.ci.drift", arguments)


def _preview(environment: str, tree: Path, folder: Path, digest: str) -> str:
    """Run the deployed commit's driver, and return its error; empty if it succeeded."""
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


def _lines(stack: Mapping[str, Any]) -> Iterator[str]:
    name, changes = stack["stack"], stack["changes"]
    if stack.get("error"):
        yield f"{name}: {stack['error']}"
    for change in changes:
        yield f"{name}: {change['op']} {change['type']} {change['name']}"


if __name__ == "__main__":
    sys.exit(main())

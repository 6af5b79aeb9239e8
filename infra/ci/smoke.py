"""Run a pipeline for real in an environment that was just deployed, and wait for its end.

    python -m infra.ci.smoke --env dev --tenant acme

As a data engineer would: `lightwork submit`, through the cluster's API, with a kubeconfig of this run alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.ci.common import ROOT, call, environment, known, own, run
from infra.ci.jobs import SMOKE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names
    from lightwork.tenants import Environment


def access_words(names: Names) -> list[str]:
    """Write the way into the cluster into a kubeconfig, under the name that `lightwork` looks for."""
    return [
        *("aws", "eks", "update-kubeconfig", "--name", names.cluster, "--region", names.region),
        *("--alias", f"lightwork-{names.environment}"),
    ]


def submit_words(names: Names, tenant: str) -> list[str]:
    """Start the pipeline and wait; a run that does not succeed is exit code 1."""
    return [
        *(own("lightwork"), "submit", SMOKE, "--wait"),
        *("--env", names.environment, "--tenant", tenant),
    ]


@click.command(help=__doc__)
@environment
@click.option("--tenant", required=True, help="Whose pipeline.")
def command(env: Environment, tenant: str) -> None:
    """Run the pipeline."""
    _, names = known(ROOT, env)
    with tempfile.TemporaryDirectory() as folder:
        variables = {"KUBECONFIG": str(Path(folder, "config"))}
        call(access_words(names), variables=variables, show=True)
        call(submit_words(names, tenant), variables=variables, show=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where the run did not succeed."""
    return run(command, "infra.ci.smoke", arguments)


if __name__ == "__main__":
    sys.exit(main())

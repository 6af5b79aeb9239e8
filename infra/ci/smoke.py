"""Run a pipeline in an environment that was just deployed, and wait for its end.

    python -m infra.ci.smoke --env dev --tenant acme

It calls `lightwork submit` as a data engineer would, with a temporary kubeconfig.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.ci.common import ROOT, call, environment, installed, run, settings_and_names
from infra.ci.jobs import SMOKE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names
    from lightwork.tenants import Environment


def access_words(names: Names) -> list[str]:
    """Return the command that adds the cluster to a kubeconfig, as the context that `lightwork` expects."""
    return [
        *("aws", "eks", "update-kubeconfig", "--name", names.cluster, "--region", names.region),
        *("--alias", f"lightwork-{names.environment}"),
    ]


def submit_words(names: Names, tenant: str) -> list[str]:
    """Return the command that starts the pipeline and waits; its exit code is 1 if the run fails."""
    return [
        *(installed("lightwork"), "submit", SMOKE, "--wait"),
        *("--env", names.environment, "--tenant", tenant),
    ]


@click.command(help=__doc__)
@environment
@click.option("--tenant", required=True, help="The tenant whose pipeline is run.")
def command(env: Environment, tenant: str) -> None:
    """Run the pipeline."""
    _, names = settings_and_names(ROOT, env)
    with tempfile.TemporaryDirectory() as folder:
        variables = {"KUBECONFIG": str(Path(folder, "config"))}
        call(access_words(names), variables=variables, show=True)
        call(submit_words(names, tenant), variables=variables, show=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if the run did not succeed."""
    return run(command, "infra.ci.smoke", arguments)


if __name__ == "__main__":
    sys.exit(main())

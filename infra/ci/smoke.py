"""Run a pipeline for real in an environment that was just deployed, and wait for its end.

    python -m infra.ci.smoke --env dev --tenant acme

As a data engineer would: `lightwork submit`, through the cluster's API, with a kubeconfig of this run alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from infra.ci.common import ROOT, answer, call, known, own
from infra.ci.jobs import SMOKE
from infra.config.stack import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.config.naming import Names


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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where the run did not succeed."""
    parser = argparse.ArgumentParser(prog="python -m infra.ci.smoke", description=__doc__)
    parser.add_argument("--env", choices=ENVIRONMENTS, required=True, help="the environment")
    parser.add_argument("--tenant", required=True, help="whose pipeline")
    chosen = parser.parse_args(arguments)

    def work() -> None:
        _, names = known(ROOT, chosen.env)
        with tempfile.TemporaryDirectory() as folder:
            variables = {"KUBECONFIG": str(Path(folder, "config"))}
            call(access_words(names), variables=variables, show=True)
            call(submit_words(names, chosen.tenant), variables=variables, show=True)

    return answer(work)


if __name__ == "__main__":
    sys.exit(main())

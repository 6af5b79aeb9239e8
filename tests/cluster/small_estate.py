"""An estate of a cluster and its nodes, deployed by Pulumi's own engine to a stand-in for AWS.

pulumi-eks' components are made by a provider in a process of its own (`component_provider.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from infra import permission
from infra.aws.children import Children
from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.nodes import Nodes, NodesArgs
from infra.aws.providers import aws_provider
from infra.config import settings
from infra.config.naming import Names
from infra.offline.expected import VERSION
from tests.cluster import binaries, stand_in
from tests.cluster.deployments import Deployments
from tests.estate import files
from tests.infra.engine import ACCOUNT

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGIN = """#!/bin/sh
PYTHONPATH={root} exec {python} -m tests.cluster.component_provider "$@"
"""


@dataclass
class Estate(Deployments):
    """An estate of cluster and nodes only, and the account that it is deployed to.

    Attributes:
        account: the account.
        changed: the sizes that differ from the environment's own.
    """

    account: stand_in.Account = field(default_factory=stand_in.Account)
    changed: dict[str, int] = field(default_factory=dict)

    def sizes(self, **sizes: int) -> None:
        """Change sizes in the settings."""
        self.changed |= sizes
        text = ", ".join(f"{name}: {size}" for name, size in self.changed.items())
        path = self.root / "Pulumi.dev.yaml"
        lines = path.read_text().splitlines(keepends=True)
        start = "  lightwork:sizes: "
        path.write_text("".join(f"{start}{{{text}}}\n" if line.startswith(start) else line for line in lines))

    def updated(self, options: str = "", command: str = "up") -> list[str]:
        """Deploy or preview; return the names of the changed resources."""
        code, summary = self.typed(f"{command} --env dev --estate {options}")
        assert code == 0, summary["dev"]["error"]
        changes: list[dict[str, str]] = summary["dev"]["changes"]  # type: ignore[assignment]
        assert {change["op"] for change in changes} <= {"update"}, changes
        return [change["name"] for change in changes]

    def plug_in_components(self) -> None:
        """Give the engine the provider of pulumi-eks' components, in the version of the program's package."""
        program = self.home / "plugins" / f"resource-eks-v{VERSION}" / "pulumi-resource-eks"
        program.parent.mkdir(parents=True)
        program.write_text(PLUGIN.format(root=REPOSITORY, python=sys.executable))
        program.chmod(0o755)

    def permit(self, *names: str) -> None:
        """Replace the `destroy` entries in the settings."""
        path = self.root / "Pulumi.dev.yaml"
        lines = path.read_text().splitlines(keepends=True)
        start = "  lightwork:destroy: "
        entry = f"{start}[{', '.join(names)}]\n"
        path.write_text("".join(entry if line.startswith(start) else line for line in lines))

    def state(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the resources in the stack's state by type and name."""
        path = self.backend / ".pulumi" / "stacks" / "lightwork" / "dev.json"
        resources = json.loads(path.read_text())["checkpoint"]["latest"].get("resources", [])
        return {(resource["type"], resource["urn"].rpartition("::")[2]): resource for resource in resources}

    def program_of(self, stack: str, variables: Mapping[str, str]) -> None:
        """Make the cluster and its nodes, as the estate does."""
        environment = settings.load(self.root, "dev")
        names = Names.of(environment)
        options = pulumi.ResourceOptions(providers=[aws_provider(environment, names)])
        children = Children.registered()
        with permission.lifted(permission.of(environment, None)):
            self._make(environment, names, children, options)

    @staticmethod
    def _make(
        environment: settings.Settings, names: Names, children: Children, options: pulumi.ResourceOptions
    ) -> None:
        subnets = [pulumi.Output.from_input(f"subnet-{zone}") for zone in "abc"]
        boundary = names.boundary_arn("estate")
        cluster = Cluster(
            "cluster",
            ClusterArgs(
                names=names,
                vpc_id="vpc",
                subnet_ids=subnets,
                public_cidrs=(),
                administrators=environment.administrators,
                # Known only when the role is, as the estate's own.
                deployer=pulumi.Output.from_input(names.role_arn("apply")),
                previewer=names.role_arn("preview"),
                boundary=boundary,
                log_days=30,
                protected=False,
            ),
            options,
        )
        args = NodesArgs(
            names=names,
            cluster=cluster,
            children=children,
            subnet_ids=subnets,
            sizes=environment.sizes,
            boundary=boundary,
        )
        Nodes("nodes", args, options)


@contextmanager
def deployed(folder: Path) -> Iterator[Estate]:
    """Yield an estate below a folder that has been deployed once, with its groups at their minimum."""
    root = files.repository(folder / "clone", ACCOUNT)
    estate = Estate(root, folder / "backend", binaries.build(binaries.ENGINE))
    estate.program = estate.program_of
    estate.backend.mkdir()
    estate.plug_in_components()
    with stand_in.serving(estate.account) as estate.more, estate.in_use():
        estate.sizes(drivers_min=1)
        code, summary = estate.typed("up --env dev --estate")
        assert code == 0, summary["dev"]["error"]
        yield estate

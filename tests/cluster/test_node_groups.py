"""Node groups that an autoscaler resizes, with the real engine and a stand-in for AWS and its provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pulumi
import pytest

from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.nodes import Nodes, NodesArgs
from infra.aws.providers import aws_provider
from infra.config import settings
from infra.config.naming import Names
from tests.cluster import binaries, stand_in
from tests.cluster.deployments import Deployments
from tests.estate import files
from tests.infra.engine import ACCOUNT


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

    def program_of(self, stack: str, variables: Mapping[str, str]) -> None:
        """Make the cluster and its nodes, as the estate does."""
        environment = settings.load(self.root, "dev")
        names = Names.of(environment)
        options = pulumi.ResourceOptions(providers=[aws_provider(environment, names)])
        subnets = [pulumi.Output.from_input(f"subnet-{zone}") for zone in "abc"]
        boundary = names.boundary_arn("estate")
        cluster = Cluster(
            "cluster",
            ClusterArgs(
                names=names,
                subnet_ids=subnets,
                public_cidrs=(),
                administrators=environment.administrators,
                deployer=names.role_arn("apply"),
                previewer=names.role_arn("preview"),
                boundary=boundary,
                log_days=30,
                protected=False,
            ),
            options,
        )
        args = NodesArgs(
            names=names, cluster=cluster, subnet_ids=subnets, sizes=environment.sizes, boundary=boundary
        )
        Nodes("nodes", args, options)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """An estate that has been deployed once, with its groups at their minimum."""
    folder = tmp_path_factory.mktemp("node-groups")
    root = files.repository(folder / "clone", ACCOUNT)
    estate = Estate(root, folder / "backend", binaries.build(binaries.ENGINE))
    estate.program = estate.program_of
    estate.backend.mkdir()
    with stand_in.serving(estate.account) as estate.more, estate.in_use():
        estate.sizes(drivers_min=1)
        code, summary = estate.typed("up --env dev --estate")
        assert code == 0, summary["dev"]["error"]
        yield estate


def test_a_new_group_starts_at_its_minimum(estate: Estate) -> None:
    sizes = {name.rpartition("-")[0]: size["desiredSize"] for name, size in estate.account.groups.items()}
    assert sizes == {"system-a": 1, "system-b": 1, "system-c": 0, "drivers": 1, "workers": 0}


def test_an_up_leaves_grown_groups_alone(estate: Estate) -> None:
    estate.account.live("workers")["desiredSize"] = 12
    estate.account.live("drivers")["desiredSize"] = 4
    estate.account.sent.clear()
    for command, options in (("preview", ""), ("up", ""), ("up", "--refresh")):
        assert estate.updated(options, command) == []
    assert estate.account.sent == []


def test_new_limits_are_sent_with_the_live_size_moved_into_them(estate: Estate) -> None:
    for sizes, group, live, sent in (
        # A raised maximum during a run, a lowered maximum, a raised minimum, and one below the size.
        ({"workers_max": 40}, "workers", 12, {"minSize": 0, "maxSize": 40, "desiredSize": 12}),
        ({"workers_max": 10}, "workers", 12, {"minSize": 0, "maxSize": 10, "desiredSize": 10}),
        ({"drivers_min": 3}, "drivers", 1, {"minSize": 3, "maxSize": 10, "desiredSize": 3}),
        ({"drivers_min": 4}, "drivers", 6, {"minSize": 4, "maxSize": 10, "desiredSize": 6}),
    ):
        estate.account.live(group)["desiredSize"] = live
        estate.account.sent.clear()
        estate.sizes(**sizes)
        if live == 12:
            assert estate.updated(command="preview") == [f"nodes-{group}"], "what `up` does is shown"
            assert estate.account.sent == []
        assert estate.updated() == [f"nodes-{group}"], sizes
        assert estate.account.sent == [(group, sent)], sizes
    assert estate.updated() == [], "a second deployment has nothing to do"


def test_a_deployment_whose_answer_was_lost_does_not_send_the_old_size_again(estate: Estate) -> None:
    estate.account.live("workers")["desiredSize"] = 7
    estate.sizes(workers_max=30)
    estate.account.loses_answers = True
    assert estate.typed("up --env dev --estate")[0] == 1
    estate.account.loses_answers = False
    estate.account.live("workers")["desiredSize"] = 9
    estate.account.sent.clear()
    assert estate.updated() == []
    assert (estate.account.sent, estate.account.live("workers")["desiredSize"]) == ([], 9)

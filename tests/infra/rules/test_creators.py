"""The rule `privileged-creator`: a cluster is open to its access entries and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from infra.aws.children import Children
from infra.config.stack import StackName
from infra.rules import UNKNOWN, Subject, recorded, violations
from infra.rules.creators import privileged_creator
from tests.infra.engine import run_program

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}


def reasons(access: Any) -> list[str]:
    cluster = Subject(
        type="aws:eks/cluster:Cluster",
        name="cluster",
        inputs={} if access is None else {"accessConfig": access},
        stack=StackName(environment="dev"),
    )
    return list(privileged_creator(cluster))


@pytest.mark.parametrize(
    "access", [CLOSED, UNKNOWN, {**CLOSED, "bootstrapClusterCreatorAdminPermissions": UNKNOWN}]
)
def test_access_by_entries_alone_or_not_known_yet_is_accepted(access: Any) -> None:
    assert reasons(access) == []


@pytest.mark.parametrize(
    ("access", "remedy"),
    [
        (
            {**CLOSED, "bootstrapClusterCreatorAdminPermissions": True},
            "bootstrapClusterCreatorAdminPermissions",
        ),
        ({"authenticationMode": "API"}, "bootstrapClusterCreatorAdminPermissions"),
        ({**CLOSED, "authenticationMode": "API_AND_CONFIG_MAP"}, "aws-auth"),
    ],
)
def test_an_administrator_by_creation_and_a_config_map_are_reported(access: Any, remedy: str) -> None:
    (line,) = reasons(access)
    assert remedy in line


def test_a_cluster_that_says_nothing_has_both_by_default() -> None:
    assert len(reasons(None)) == 2


@pytest.mark.slow
def test_a_cluster_that_a_component_makes_is_refused_if_nothing_decides_about_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules see what remote components make, and not only what the program asks for."""
    monkeypatch.setattr(Children, "decide", lambda *_: None)
    run = run_program(root, "dev")
    assert run.error is None, run.error
    (line,) = violations(recorded.subjects(run, "dev"))
    assert line.startswith("cluster-eksCluster (aws:eks/cluster:Cluster): privileged-creator: its creator")

"""The rule `privileged-creator`: a cluster is open to its access entries and to nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config.stack import StackName
from infra.rules import UNKNOWN, Subject
from infra.rules.creators import privileged_creator

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

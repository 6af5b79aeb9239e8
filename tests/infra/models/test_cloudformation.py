"""The resources pass cfn-lint: their types and versions exist in the region, and their values fit."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from infra.offline.dump import entries
from tests.infra.models.calls import calls
from tests.infra.models.cloudformation import TYPES, mistakes

if TYPE_CHECKING:
    from infra.offline.dump import Entry
    from tests.infra.engine import Run


@pytest.mark.parametrize("environment", [pytest.param("dev", marks=pytest.mark.slow), "prod"])
def test_an_estate_passes(estates: dict[str, Run], environment: str) -> None:
    """Staging has the sizes of the other two."""
    assert mistakes(entries(estates[environment])) == []


@pytest.mark.parametrize("stack", ["dev.acme", "prod.globex"])
def test_a_tenant_passes(customers: dict[str, Run], stack: str) -> None:
    assert mistakes(entries(customers[stack])) == []


def test_most_types_are_checked(estates: dict[str, Run], customers: dict[str, Run]) -> None:
    operations = {
        call.operation
        for run in (estates["prod"], customers["dev.acme"])
        for entry in entries(run)
        if entry["type"].startswith("aws:")
        for call in calls(entry["type"], entry["inputs"])
    }
    assert set(TYPES) <= operations, "a translation for a call that nothing makes"


WRONG = (
    ("aws:rds/instance:Instance", "instanceClass", "db.t4g.mediocre"),
    ("aws:rds/instance:Instance", "engineVersion", "17.99"),
    ("aws:opensearch/domain:Domain", "clusterConfig.instanceType", "r7g.largest.search"),
    ("aws:eks/nodeGroup:NodeGroup", "capacityType", "SPOTS"),
    ("aws:cloudwatch/logGroup:LogGroup", "retentionInDays", 31),
    ("aws:ec2/subnet:Subnet", "cidrBlock", "10.20.0.0/33"),
)


def test_wrong_values_are_found(estates: dict[str, Run]) -> None:
    changed: list[Entry] = []
    for type_, path, value in WRONG:
        entry = deepcopy(next(entry for entry in entries(estates["prod"]) if entry["type"] == type_))
        *parents, last = path.split(".")
        part = entry["inputs"]
        for parent in parents:
            part = part[parent]
        part[last] = value
        changed.append({**entry, "name": f"{entry['name']}{len(changed)}"})
    lines = mistakes(changed)
    for type_, path, value in WRONG:
        assert any(f"{value!r} " in line for line in lines), f"{type_} {path}: {lines}"

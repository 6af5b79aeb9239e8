"""Every resource is made by calls that botocore's models of AWS accept."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from infra.offline.dump import entries
from tests.infra.models import calls
from tests.infra.models.botocore_models import mistakes

if TYPE_CHECKING:
    from infra.offline.dump import Entry
    from tests.infra.engine import Run

OUTDATED = (
    "CreateDomain: .ClusterConfig.InstanceType: ",
    "CreateDomain: .ClusterConfig.DedicatedMasterType: ",
)
"""OpenSearch sells more types than botocore's model lists; cfn-lint has each region's price list."""


def resources(runs: dict[str, Run]) -> list[tuple[str, Entry]]:
    """Return the resources of AWS in all stacks, with their stacks."""
    return [
        (stack, entry)
        for stack, run in runs.items()
        for entry in entries(run)
        if entry["type"].startswith("aws:")
    ]


def refused(type_: str, inputs: dict[str, Any]) -> list[str]:
    lines = [line for call in calls.calls(type_, inputs) for line in mistakes(call)]
    return [line for line in lines if not line.startswith(OUTDATED)]


def test_every_call_has_the_names_kinds_and_values_of_its_model(
    estates: dict[str, Run], customers: dict[str, Run]
) -> None:
    lines = [
        f"{stack}: {entry['name']}: {line}"
        for stack, entry in resources({**estates, **customers})
        for line in refused(entry["type"], entry["inputs"])
    ]
    assert not lines, "\n".join(lines)


def test_every_entry_is_used(estates: dict[str, Run], customers: dict[str, Run]) -> None:
    used = {entry["type"] for _, entry in resources({**estates, **customers})}
    assert set(calls.ENTRIES) <= used, "an entry for a type that nobody makes"


def test_a_type_without_an_entry_and_an_input_in_no_call_are_errors(acme: Run) -> None:
    with pytest.raises(AssertionError, match="aws:sqs/queue:Queue: add its create operation"):
        calls.calls("aws:sqs/queue:Queue", {})
    budget = acme.one("aws:budgets/budget:Budget")
    with pytest.raises(AssertionError, match=r"\['planned'\] are in no call"):
        calls.calls(budget.type, {**budget.inputs, "planned": 1})


@pytest.mark.parametrize(
    ("type_", "path", "value", "line"),
    [
        ("aws:rds/instance:Instance", "identifier", 5, "DBInstanceIdentifier"),
        ("aws:eks/nodeGroup:NodeGroup", "capacityType", "SPOTS", "'SPOTS' is not one of ON_DEMAND, SPOT"),
        ("aws:eks/nodeGroup:NodeGroup", "scalingConfig.minSize", -1, "valid min value: 0"),
        ("aws:eks/cluster:Cluster", "accessConfig.authenticationMode", "IAM", "is not one of API"),
        ("aws:eks/cluster:Cluster", "name", "-dev", "does not match"),
        ("aws:iam/role:Role", "name", "a/b", "does not match"),
        ("aws:iam/role:Role", "maxSessionDuration", 60, "valid min value: 3600"),
        ("aws:opensearch/domain:Domain", "domainName", "Logs", "does not match"),
        (
            "aws:sns/topicSubscription:TopicSubscription",
            "protocol",
            None,
            'required parameter in input: "Protocol"',
        ),
    ],
)
def test_a_wrong_value_is_found(
    estates: dict[str, Run], type_: str, path: str, value: object, line: str
) -> None:
    inputs = deepcopy(next(entry["inputs"] for entry in entries(estates["prod"]) if entry["type"] == type_))
    assert refused(type_, inputs) == []
    *parents, last = path.split(".")
    part = inputs
    for parent in parents:
        part = part[parent]
    part[last] = value
    found = refused(type_, inputs)
    assert any(line in one for one in found), found

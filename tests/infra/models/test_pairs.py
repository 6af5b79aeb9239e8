"""Arguments that require or exclude one another, read from the docstrings of the pinned pulumi-aws."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from infra.offline.dump import entries
from tests.infra.models import pairs

if TYPE_CHECKING:
    from tests.infra.engine import Run

BUDGET, DATABASE = "aws:budgets/budget:Budget", "aws:rds/instance:Instance"

UNDERSTOOD = (
    "Each `and` block is one operand",
    "Each `or` block is one operand",
    "Specifying both `public_ipv4_pool` and `address` won't cause an error",
    'This must be set with a `volume_type` of `"io1/io2/gp3"`.',
    "When `availability_mode` is set to `regional`, this must be set to `public`.",
    "Must be specified when `private_dns_enabled` is `true` and `private_dns_preference`",
    "Only applicable when `image_tag_mutability` is set to `IMMUTABLE_WITH_EXCLUSION`",
    "The `horizontal_pod_autoscaler_controller_config` requires a Provisioned Control Plane",
    "To enable awareness with three Availability Zones",
    "Cannot be specified for gp3 storage if the `allocated_storage` value is below",
    "Cannot be specified if the `allocated_storage` value is below",
    "Priority should only be set if `filter` is configured.",
    "(i.e., the `protocol` is one of",
    "Only applicable for Network Load Balancer target groups when `protocol` is `TCP` or `TLS`.",
    "Only applicable for Application Load Balancer target groups when `target_type` is `instance` or `ip`.",
    "Only applicable when `protocol` is `HTTP` or `HTTPS`.",
    "Either `continent` or `country` must be specified.",
    "At least one of `schedule_expression` or `event_pattern` is required.",
    "The rule state `ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS` cannot be used in conjunction with the",
)
"""Sentences that no pattern fits, read by a person: none of them is about what the program gives."""


def types(runs: list[Run]) -> set[str]:
    return {resource.type for run in runs for resource in run.resources if resource.type.startswith("aws:")}


def test_no_resource_breaks_a_pair(estates: dict[str, Run], customers: dict[str, Run]) -> None:
    lines = [
        f"{stack}: {entry['name']}: {line}"
        for stack, run in {**estates, **customers}.items()
        for entry in entries(run)
        if entry["type"].startswith("aws:")
        for line in pairs.broken(entry["type"], entry["inputs"])
    ]
    assert not lines, "\n".join(lines)


def test_every_sentence_about_a_pair_is_read(estates: dict[str, Run], customers: dict[str, Run]) -> None:
    """A sentence of a newer pulumi-aws that nothing reads needs a pattern, or somebody who reads it."""
    unread = {
        sentence
        for type_ in types([*estates.values(), *customers.values()])
        for sentence in pairs.unread(type_)
    }
    assert [sentence for sentence in unread if not any(known in sentence for known in UNDERSTOOD)] == []
    assert [known for known in UNDERSTOOD if not any(known in sentence for sentence in unread)] == [], (
        "outdated"
    )


def inputs(run: Run, type_: str) -> dict[str, Any]:
    return deepcopy(run.one(type_).inputs)


@pytest.mark.parametrize(
    ("type_", "change", "line"),
    [
        (
            BUDGET,
            {"metrics": None},
            "filter_expression: Conflicts with `cost_filter` and requires `metrics`.",
        ),
        (BUDGET, {"costTypes": {}}, "metrics: Conflicts with `cost_types`"),
        (BUDGET, {"costFilters": [{}]}, "filter_expression: Conflicts with `cost_filter`"),
        (
            BUDGET,
            {"filterExpression": None},
            "metrics: Conflicts with `cost_types` and requires `filter_expression`",
        ),
        (
            DATABASE,
            {"password": "x"},
            "password: Cannot be set if `manage_master_user_password` is set to `true`.",
        ),
        (DATABASE, {"identifierPrefix": "x"}, "identifier_prefix: Conflicts with `identifier`."),
        (DATABASE, {"finalSnapshotIdentifier": None}, "final_snapshot_identifier: Must be provided if"),
        ("aws:ec2/flowLog:FlowLog", {"vpcId": None}, "One of `eni_id`"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"serviceName": None}, "Exactly one of"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"serviceNetworkArn": "x"}, "Exactly one of"),
    ],
)
def test_a_broken_pair_is_found(
    estates: dict[str, Run], customers: dict[str, Run], type_: str, change: dict[str, Any], line: str
) -> None:
    run = customers["dev.acme"] if type_ == BUDGET else estates["dev"]
    given = inputs(run, type_)
    assert pairs.broken(type_, given) == []
    changed = {key: value for key, value in {**given, **change}.items() if value is not None}
    assert any(line in found for found in pairs.broken(type_, changed)), pairs.broken(type_, changed)


def test_a_broken_pair_in_a_nested_block_is_found(estates: dict[str, Run]) -> None:
    template = deepcopy(estates["dev"].all("aws:ec2/launchTemplate:LaunchTemplate")[0])
    ebs = template.inputs["blockDeviceMappings"][0]["ebs"]
    assert pairs.broken(template.type, template.inputs) == []
    ebs |= {"kmsKeyId": "key", "encrypted": "false"}
    (line,) = pairs.broken(template.type, template.inputs)
    assert line.startswith("block_device_mappings.ebs.kms_key_id: ")

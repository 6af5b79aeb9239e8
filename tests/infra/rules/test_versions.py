"""The rule `unpinned`."""

from __future__ import annotations

from typing import Any

import pytest

from infra.rules import UNKNOWN
from tests.infra.rules.offences import reasons

RELEASE = "kubernetes:helm.sh/v3:Release"
CLUSTER = "aws:eks/cluster:Cluster"
NODES = "aws:eks/nodeGroup:NodeGroup"
ADDON = "aws:eks/addon:Addon"
DATABASE = "aws:rds/instance:Instance"
DOMAIN = "aws:opensearch/domain:Domain"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
JOB = "kubernetes:batch/v1:Job"
DIGEST = f"registry.example/platform@sha256:{'a' * 64}"
POSTGRES = {"engine": "postgres", "engineVersion": "17.7", "autoMinorVersionUpgrade": False}
GROUP = {"version": "1.35", "releaseVersion": "1.35.7-20260911", "launchTemplate": {"version": "3"}}


def job(image: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "one", "image": image}]}}}}


def workflow(image: str) -> dict[str, Any]:
    step = {"arguments": {"parameters": [{"name": "image", "value": image}]}}
    return {"spec": {"templates": [{"steps": [[step]]}]}}


OFFENDERS: list[tuple[str, dict[str, Any], str]] = [
    (RELEASE, {"chart": "argo"}, "version is missing"),
    (RELEASE, {"version": "^1.2.0"}, "version is '^1.2.0'"),
    (RELEASE, {"version": "1.x"}, "version is '1.x'"),
    (RELEASE, {"version": ">=1.0.0 <2.0.0"}, "exact version"),
    (RELEASE, {"version": "1.2"}, "exact version"),
    (RELEASE, {"version": "1.2.3", "values": {"image": {"tag": "latest"}}}, "values.image.tag is 'latest'"),
    (
        RELEASE,
        {"version": "1.2.3", "values": {"side": {"image": "a/b:latest"}}},
        "values.side.image: the image",
    ),
    (RELEASE, {"version": "1.2.3", "values": {"side": {"image": "a/b"}}}, "values.side.image: the image"),
    ("kubernetes:helm.sh/v4:Chart", {"chart": "argo"}, "version is missing"),
    (CLUSTER, {}, "version is missing"),
    (CLUSTER, {"version": "latest"}, "version is 'latest'"),
    (CLUSTER, {"version": "1.35", "upgradePolicy": {"supportType": "STANDARD"}}, "upgradePolicy is STANDARD"),
    (ADDON, {"addonName": "vpc-cni"}, "addonVersion is missing"),
    (ADDON, {"addonVersion": "latest"}, "addonVersion is 'latest'"),
    (ADDON, {"addonVersion": "v1.22.4"}, "addonVersion is 'v1.22.4'"),
    (NODES, {**GROUP, "version": None}, "version is missing"),
    (NODES, {**GROUP, "releaseVersion": None}, "releaseVersion is missing"),
    (NODES, {**GROUP, "launchTemplate": {"version": "$Latest"}}, "launchTemplate.version"),
    (NODES, {**GROUP, "launchTemplate": {"id": "lt"}}, "launchTemplate.version"),
    (TEMPLATE, {"imageId": "resolve:ssm:/aws/service/ami"}, "resolve:ssm:"),
    ("aws:ec2/instance:Instance", {"ami": "resolve:ssm:/aws/service/ami"}, "resolve:ssm:"),
    ("aws:autoscaling/group:Group", {"launchTemplate": {"version": "$Default"}}, "launchTemplate.version"),
    (DATABASE, {**POSTGRES, "engineVersion": None}, "engineVersion is missing"),
    (DATABASE, {**POSTGRES, "engineVersion": "17"}, "engineVersion is '17'"),
    (DATABASE, {**POSTGRES, "engine": "mysql", "engineVersion": "8.0"}, "engineVersion is '8.0'"),
    (DATABASE, {**POSTGRES, "autoMinorVersionUpgrade": True}, "autoMinorVersionUpgrade"),
    (DATABASE, {"engine": "postgres", "engineVersion": "17.7"}, "autoMinorVersionUpgrade"),
    ("aws:rds/cluster:Cluster", {"engineVersion": "17"}, "engineVersion is '17'"),
    (DOMAIN, {}, "engineVersion is missing"),
    (DOMAIN, {"engineVersion": "OpenSearch"}, "engineVersion is 'OpenSearch'"),
    (
        DOMAIN,
        {"engineVersion": "OpenSearch_2.19", "softwareUpdateOptions": {"autoSoftwareUpdateEnabled": True}},
        "autoSoftwareUpdateEnabled",
    ),
    ("aws:ecr/repository:Repository", {"imageTagMutability": "MUTABLE"}, "imageTagMutability"),
    ("aws:ecr/repository:Repository", {}, "imageTagMutability"),
    (JOB, job("python"), "container 'one': the image 'python'"),
    (JOB, job("registry.example:5000/python"), "'registry.example:5000/python' is not pinned"),
    (JOB, job("python:latest"), "'python:latest'"),
    (JOB, job(None), "the image ''"),
    ("kubernetes:argoproj.io/v1alpha1:WorkflowTemplate", workflow("a/b:latest"), "parameter 'image'"),
]


@pytest.mark.parametrize(("type_", "inputs", "word"), OFFENDERS)
def test_a_missing_or_changing_version_is_refused(type_: str, inputs: dict[str, Any], word: str) -> None:
    (line,) = reasons("unpinned", type_, inputs)
    assert word in line, line


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        (RELEASE, {"version": "1.2.3"}),
        (RELEASE, {"version": "v1.2.3-rc.1", "values": {"image": {"tag": "v3.7.14"}, "side": {"tag": ""}}}),
        (RELEASE, {"version": UNKNOWN}),
        (RELEASE, {"version": "1.2.3", "values": UNKNOWN}),
        (CLUSTER, {"version": "1.35", "upgradePolicy": {"supportType": "EXTENDED"}}),
        (ADDON, {"addonVersion": "v1.22.4-eksbuild.3"}),
        (NODES, GROUP),
        (NODES, {**GROUP, "launchTemplate": {"version": UNKNOWN}}),
        (NODES, {"version": "1.35", "amiType": "CUSTOM", "launchTemplate": {"version": "3"}}),
        (TEMPLATE, {"imageId": "ami-0123456789abcdef0"}),
        (DATABASE, POSTGRES),
        (DATABASE, {**POSTGRES, "engine": "mysql", "engineVersion": "8.0.42"}),
        ("aws:rds/cluster:Cluster", {"engineVersion": "17.7"}),
        (DOMAIN, {"engineVersion": "OpenSearch_2.19"}),
        ("aws:ecr/repository:Repository", {"imageTagMutability": "IMMUTABLE"}),
        (JOB, job("python:3.11.7")),
        (JOB, job("registry.example:5000/python:3.11.7")),
        (JOB, job(DIGEST)),
        (JOB, job(UNKNOWN)),
        (JOB, job("{{inputs.parameters.image}}")),
        ("kubernetes:argoproj.io/v1alpha1:WorkflowTemplate", workflow(DIGEST)),
        ("kubernetes:argoproj.io/v1alpha1:WorkflowTemplate", workflow("{{inputs.parameters.image}}")),
        ("aws:s3/bucket:Bucket", {"version": "whatever"}),
    ],
)
def test_a_pinned_version_is_allowed(type_: str, inputs: dict[str, Any]) -> None:
    assert reasons("unpinned", type_, inputs) == []

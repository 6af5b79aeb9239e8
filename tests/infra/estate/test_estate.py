"""Rules for the whole estate: tags, names, protection, no secrets, one place for outputs."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.estate.outputs import EstateOutputs
from infra.offline.answers import estate as pretended
from tests.infra.conftest import plain
from tests.infra.engine import ACCOUNT, run_program

if TYPE_CHECKING:
    from tests.infra.engine import Run

INFRA = Path(__file__).resolve().parents[3] / "infra"
PRECIOUS = (
    "aws:s3/bucket:Bucket",
    "aws:kms/key:Key",
    "aws:rds/instance:Instance",
    "aws:opensearch/domain:Domain",
    "aws:ecr/repository:Repository",
)
UNTAGGED = {
    "aws:autoscaling/tag:Tag": "is a tag itself",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "takes none",
    "aws:ec2/route:Route": "takes none",
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "takes none",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "takes none",
    "aws:iam/rolePolicy:RolePolicy": "takes none",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "takes none",
    "aws:kms/alias:Alias": "takes none",
    "aws:sns/topicPolicy:TopicPolicy": "takes none",
    "aws:sns/topicSubscription:TopicSubscription": "takes none",
}


PER_ZONE = {"aws:ec2/natGateway:NatGateway", "aws:ec2/eip:Eip"}
SIZED = {
    "aws:ec2/vpc:Vpc": ("cidrBlock",),
    "aws:ec2/subnet:Subnet": ("cidrBlock",),
    "aws:ec2/route:Route": ("natGatewayId",),
    "aws:cloudwatch/logGroup:LogGroup": ("retentionInDays",),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("threshold",),
    "aws:eks/cluster:Cluster": ("deletionProtection",),
    "aws:eks/nodeGroup:NodeGroup": ("instanceTypes", "scalingConfig"),
    "eks:index:Cluster": ("deletionProtection",),
    "eks:index:ManagedNodeGroup": ("instanceTypes", "scalingConfig"),
    "aws:rds/instance:Instance": (
        "allocatedStorage",
        "backupRetentionPeriod",
        "deletionProtection",
        "instanceClass",
        "maxAllocatedStorage",
        "multiAz",
    ),
    "aws:opensearch/domain:Domain": ("clusterConfig", "ebsOptions", "vpcOptions"),
}
"""The fields in which environments may differ. `deletionProtection` is set only in prod."""


def test_everything_that_takes_tags_has_them(estate: Run) -> None:
    environment = estate.outputs["environment"]
    for resource in estate.resources:
        plain = resource.type.startswith("aws:s3/bucket") and resource.type != "aws:s3/bucket:Bucket"
        if not resource.type.startswith("aws:") or UNTAGGED.get(resource.type) or plain:
            continue
        tags = resource.inputs.get("tags", {})
        assert tags.get("project") == "lightwork", (
            f"{resource.type} {resource.name}: costs are allocated by tag"
        )
        assert tags.get("environment") == environment, f"{resource.name}: CI's permissions depend on it"


def test_nodes_their_disks_and_interfaces_are_tagged(estate: Run) -> None:
    for template in estate.all("aws:ec2/launchTemplate:LaunchTemplate"):
        kinds = {entry["resourceType"] for entry in template.inputs["tagSpecifications"]}
        assert kinds == {"instance", "volume", "network-interface"}, "machines are most of the bill"


@pytest.mark.parametrize("type_", PRECIOUS)
def test_precious_resources_are_protected_and_outlive_the_stack(estate: Run, type_: str) -> None:
    resources = estate.all(type_)
    assert resources, f"there is no {type_}"
    for resource in resources:
        assert resource.protect, f"{resource.name}: `pulumi destroy` must refuse"
        assert resource.retain_on_delete, f"{resource.name}: removed from the program, it must stay"


def test_resources_around_retained_ones_are_retained(estate: Run) -> None:
    for resource in estate.resources:
        if resource.type.startswith(("aws:s3/bucket", "aws:rds/", "aws:kms/", "aws:ec2/securityGroup:")):
            assert resource.retain_on_delete, (
                f"{resource.name}: the retained resource would be unprotected or unusable"
            )


def test_no_secret_is_an_input_or_in_the_state(estate: Run) -> None:
    text = json.dumps([resource.inputs for resource in estate.resources])
    for resource in estate.resources:
        assert not resource.type.startswith(("random:", "tls:")), f"{resource.name} would be in the state"
        assert resource.type not in {
            "aws:iam/accessKey:AccessKey",
            "aws:secretsmanager/secretVersion:SecretVersion",
            "aws:ssm/parameter:Parameter",
        }, f"{resource.name}: a secret in the state"
    keys = {key.lower() for key in re.findall(r'"([A-Za-z_]+)":', text)}
    assert not {key for key in keys if re.search(r"password$|secretkey|token$", key)} - {
        "managemasteruserpassword",
        # Fields of Kubernetes: whether to mount a token, and the name of a Secret's key.
        "automountserviceaccounttoken",
        "secretkey",
    }, "an input looks like a secret"


def test_every_resource_goes_through_the_explicit_provider_and_belongs_to_a_component(estate: Run) -> None:
    components = {made.name for made in estate.resources if made.type.startswith("lightwork:infra:")}
    for resource in estate.resources:
        if resource.type.startswith("aws:"):
            assert "pulumi:providers:aws::aws::" in resource.provider, (
                f"{resource.name} uses another provider"
            )
            assert estate.owner(resource) in components, f"{resource.name} has no component"


def test_no_other_provider_is_used(estate: Run) -> None:
    kinds = {resource.type.partition(":")[0] for resource in estate.resources}
    assert kinds <= {"aws", "eks", "lightwork", "pulumi", "kubernetes"}, "an unexpected provider"


def test_environments_differ_in_sizes_but_not_in_security(estates: dict[str, Run]) -> None:
    recorded = {environment: plain(run, environment) for environment, run in estates.items()}
    for environment, resources in recorded.items():
        missing = set(recorded["prod"]).symmetric_difference(resources)
        missing = {(type_, name) for type_, name in missing if not name.startswith("watch-nat-")}
        assert {type_ for type_, _ in missing} <= PER_ZONE, f"{environment} lacks {missing}"
        for resource, inputs in resources.items():
            sized = SIZED.get(resource[0], ())
            for field in set(inputs) | set(recorded["prod"][resource]):
                if field not in sized:
                    assert inputs.get(field) == recorded["prod"][resource].get(field), (
                        f"{resource}: {field} of {environment} differs from prod: a size, or weaker security?"
                    )


def test_physical_names_contain_the_environment(estate: Run) -> None:
    environment = estate.outputs["environment"]
    for resource in estate.resources:
        if resource.type in PRECIOUS or resource.type in {"aws:iam/role:Role", "aws:iam/policy:Policy"}:
            names = [
                resource.inputs[key]
                for key in ("name", "identifier", "domainName", "bucket")
                if key in resource.inputs
            ]
            assert all(environment in name for name in names), f"{names} collide in a shared account"


def test_the_estate_exports_exactly_what_its_tenants_parse(estate: Run) -> None:
    parsed = EstateOutputs.parse(estate.outputs, "the recording")
    assert set(estate.outputs) == {field.name for field in dataclasses.fields(EstateOutputs)}, "its interface"
    assert parsed.account == ACCOUNT, "parsed from what was exported"
    assert len(parsed.private_subnet_ids) == 3, "a list stays a list"


def test_the_simulated_outputs_match_what_an_estate_exports(estate: Run) -> None:
    simulated = pretended(estate.outputs["environment"])
    EstateOutputs.parse(simulated, "pretended")
    for name, value in estate.outputs.items():
        assert simulated[name] == value, f"{name}: the tenants' tests would use a different estate"


def test_parts_that_exist_once_per_account_can_be_left_out(root: Path) -> None:
    path = root / "Pulumi.staging.yaml"
    path.write_text(path.read_text().replace("account_parts: make", "account_parts: exists"))
    run = run_program(root, "staging")
    assert run.error is None, f"it must deploy: {run.error}"
    for type_ in (
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        "aws:iam/serviceLinkedRole:ServiceLinkedRole",
    ):
        assert not run.all(type_), f"{type_}: AWS refuses a second one"


def test_the_settings_addresses_can_reach_the_api(root: Path) -> None:
    path = root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace("api_public_cidrs: []", "api_public_cidrs: [198.51.100.0/24]"))
    vpc = run_program(root, "dev").one("aws:eks/cluster:Cluster").inputs["vpcConfig"]
    assert vpc["endpointPublicAccess"] is True, "the settings name addresses"
    assert vpc["publicAccessCidrs"] == ["198.51.100.0/24"], "only these addresses"


def test_no_resource_is_created_inside_apply() -> None:
    for path in sorted(INFRA.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "apply"
            ):
                for inner in (call for argument in node.args for call in ast.walk(argument)):
                    if isinstance(inner, ast.Call):
                        called = ast.unparse(inner.func)
                        assert not re.match(r"(aws|kubernetes|eks)\.", called), (
                            f"{path.name}:{node.lineno}: previews would not show {called}"
                        )


def test_each_component_documents_its_costs_and_its_deletion() -> None:
    for path in sorted(INFRA.rglob("*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and "pulumi.ComponentResource" in map(ast.unparse, node.bases):
                component = ast.get_source_segment(text, node) or ""
                for part in ("Costs:", "Deleting:", "register_outputs("):
                    assert part in component, f"{path.name}: {node.name}: {part} is missing"


def test_arguments_of_components_are_frozen_and_documented() -> None:
    for path in sorted(INFRA.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or not node.name.endswith("Args"):
                continue
            (decorator,) = [ast.unparse(decorator) for decorator in node.decorator_list]
            for word in ("dataclass(", "frozen=True", "kw_only=True"):
                assert word in decorator, f"{path.name}: {node.name}: {decorator} lacks {word}"
            described = ast.get_docstring(node) or ""
            for field in (part.target for part in node.body if isinstance(part, ast.AnnAssign)):
                assert ast.unparse(field) in described, (
                    f"{path.name}: {node.name}: {ast.unparse(field)} is not described"
                )


def test_no_component_reads_another_stack() -> None:
    for path in sorted(INFRA.rglob("*.py")):
        if path.name not in {"outputs.py", "__main__.py", "answers.py"}:
            text = path.read_text()
            assert "StackReference" not in text, f"{path.name}: only the program's entry point may do that"
            assert "outputs.load" not in text, f"{path.name}: only the program's entry point may do that"

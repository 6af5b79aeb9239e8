"""The CrossGuard pack: the rules as the engine calls them, in process and over gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc
from pulumi_policy import (
    EnforcementLevel,
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from infra.policy_pack import pack
from infra.rules import RULES, STACK_RULES, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
OPTIONS = PolicyResourceOptions(True, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])
BUCKET = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OURS = {"project": "lightwork", "environment": "dev"}
CLOSED = dict.fromkeys(
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
)

OFFENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "public-bucket": (BUCKET, {"acl": "public-read", "tags": OURS}),
    "wildcard": (
        "aws:iam/rolePolicy:RolePolicy",
        {"policy": '{"Statement": [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}'},
    ),
    "untagged": (BUCKET, {"bucket": "b"}),
    "unpinned": ("kubernetes:helm.sh/v3:Release", {"chart": "argo"}),
    "privileged-creator": ("aws:eks/cluster:Cluster", {"accessConfig": {"authenticationMode": "API"}}),
    "unlimited": ("kubernetes:core/v1:Pod", {"spec": {"containers": [{"name": "one", "image": "a/b:1"}]}}),
    "soft-gate": (
        "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
        {"spec": {"failurePolicy": "Ignore"}},
    ),
    "open-balancer": ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}),
}


def urn(type_: str, name: str, stack: str = "dev") -> str:
    return f"urn:pulumi:{stack}::lightwork::{type_}::{name}"


def provider(**tags: str) -> PolicyProviderResource:
    """Return a provider with default tags; the engine passes its settings as JSON texts."""
    name = "pulumi:providers:aws"
    return PolicyProviderResource(name, {"defaultTags": json.dumps({"tags": tags})}, urn(name, "aws"), "aws")


def reported_by(rule: str, type_: str, props: dict[str, Any], **more: Any) -> list[str]:
    """Return what the policy of a rule reports about one resource."""
    (policy,) = [policy for policy in pack.policies() if policy.name == rule]
    assert isinstance(policy, ResourceValidationPolicy)
    args = ResourceValidationArgs(
        type_,
        unknown_checking_proxy(props),
        urn(type_, "thing", more.get("stack", "dev")),
        "thing",
        OPTIONS,
        more.get("provider"),
    )
    reported: list[str] = []
    policy.validate(args, lambda message, _=None: reported.append(message))
    return reported


def test_every_rule_is_a_policy_that_stops_the_deployment() -> None:
    policies = {policy.name: policy for policy in pack.policies()}
    assert set(policies) == {*RULES, *STACK_RULES}
    for policy in policies.values():
        assert policy.enforcement_level is EnforcementLevel.MANDATORY, f"{policy.name} would only warn"


def test_every_rule_has_an_offender_here() -> None:
    assert set(OFFENDERS) == set(RULES)


@pytest.mark.parametrize("rule", sorted(OFFENDERS))
def test_a_policy_reports_the_lines_of_its_rule(rule: str) -> None:
    type_, props = OFFENDERS[rule]
    reported = reported_by(rule, type_, props)
    wanted = [f"thing: {line}" for line in RULES[rule](subject_of(type_, props))]
    assert reported == wanted
    assert reported, "an offender must be reported"


def subject_of(type_: str, props: dict[str, Any]) -> Any:
    return pack.subject(ResourceValidationArgs(type_, props, urn(type_, "thing"), "thing", OPTIONS, None))


@pytest.mark.parametrize("rule", sorted(OFFENDERS))
def test_a_valid_resource_is_not_reported(rule: str) -> None:
    assert reported_by(rule, BUCKET, {"bucket": "b", "tags": OURS}) == []


def test_the_providers_default_tags_count() -> None:
    assert reported_by("untagged", BUCKET, {}, provider=provider(**OURS)) == []
    (line,) = reported_by("untagged", BUCKET, {}, provider=provider(**OURS), stack="dev.acme")
    assert "no tag 'tenant'" in line, "the stack is a tenant's"


def test_unknown_values_are_ignored_and_known_ones_are_not() -> None:
    props = {
        "bucket": UNKNOWN_STRING_VALUE,
        "tags": {**OURS, "Name": UNKNOWN_STRING_VALUE},
        "acl": "public-read",
    }
    (line,) = reported_by("public-bucket", BUCKET, props)
    assert "public-read" in line
    guarded = unknown_checking_proxy({"a": [UNKNOWN_STRING_VALUE, {"b": UNKNOWN_STRING_VALUE, "c": 1}]})
    assert pack.plain(guarded) == {"a": [UNKNOWN, {"b": UNKNOWN, "c": 1}]}


def reported_of_stack(rule: str, *resources: tuple[str, str, dict[str, Any]]) -> list[tuple[str, str | None]]:
    """Return what the policy of a rule for stacks reports about these resources, each with a URN."""
    (policy,) = [policy for policy in pack.policies() if policy.name == rule]
    assert isinstance(policy, StackValidationPolicy)
    reported: list[tuple[str, str | None]] = []
    args = StackValidationArgs(
        [
            PolicyResource(
                type_, unknown_checking_proxy(props), urn(type_, name), name, OPTIONS, None, None, [], {}
            )
            for type_, name, props in resources
        ],
        {},
        {},
    )
    policy.validate(args, lambda message, urn=None: reported.append((message, urn)))
    return reported


def test_a_bucket_without_a_block_is_reported_under_its_own_urn() -> None:
    rule = "unblocked-bucket"
    ((message, bucket),) = reported_of_stack(
        rule,
        (BUCKET, "lake-bucket", {"bucket": "b"}),
        (BUCKET, "other", {"bucket": "c"}),
        (BLOCK, "block", {**CLOSED, "bucket": "c"}),
    )
    assert message.startswith("lake-bucket: no BucketPublicAccessBlock"), message
    assert bucket == urn(BUCKET, "lake-bucket"), "the engine shows the line beside the bucket"
    blocked = [(BUCKET, "b", {"bucket": "b"}), (BLOCK, "c", {**CLOSED, "bucket": "b"})]
    assert reported_of_stack(rule, *blocked) == []


def test_an_open_port_of_the_nodes_is_reported_under_its_own_urn() -> None:
    service = "kubernetes:core/v1:Service"
    ((message, where),) = reported_of_stack(
        "open-node-port",
        (service, "page", {"metadata": {"namespace": "argo"}, "spec": {"type": "NodePort"}}),
        (service, "other", {"metadata": {"namespace": "argo"}, "spec": {"type": "ClusterIP"}}),
    )
    assert message.startswith("page: it opens a port of every node"), message
    assert where == urn(service, "page")


def test_people_whom_no_policy_checks_are_reported_under_the_urn_of_their_binding() -> None:
    kind = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
    props = {
        "metadata": {"name": "people", "namespace": "tenant-acme"},
        "subjects": [{"kind": "Group", "name": "lightwork:acme:people"}],
        "roleRef": {"kind": "Role", "name": "people"},
    }
    reported = reported_of_stack("unguarded-people", (kind, "rolebinding-people", props))
    assert len(reported) == 3
    assert {where for _, where in reported} == {urn(kind, "rolebinding-people")}


def test_the_packs_file_names_the_runtime_and_its_environment() -> None:
    folder = REPOSITORY / "infra" / "policy_pack"
    settings = yaml.safe_load((folder / "PulumiPolicy.yaml").read_text())
    assert settings["runtime"]["name"] == "python"
    virtualenv = (folder / settings["runtime"]["options"]["virtualenv"]).resolve()
    assert virtualenv == (REPOSITORY / ".venv").resolve(), "the environment that `make setup` creates"
    assert settings["version"], "the engine needs the pack's version"


@pytest.fixture(scope="module")
def served() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack as Pulumi starts it: a program that prints its port and serves there until it is stopped."""
    command = [sys.executable, str(REPOSITORY / "infra" / "policy_pack"), "127.0.0.1:1", "."]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=REPOSITORY / "infra" / "policy_pack"
    ) as started:
        try:
            assert started.stdout is not None
            port = int(started.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            started.terminate()


def request(type_: str, name: str, props: dict[str, Any]) -> Any:
    properties = json_format.ParseDict(props, struct_pb2.Struct())
    return proto.AnalyzeRequest(type=type_, properties=properties, urn=urn(type_, name), name=name)


def test_the_pack_reports_offenders_over_grpc(served: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = served.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == pack.NAME
    assert {policy.name for policy in info.policies} == {*RULES, *STACK_RULES}
    for rule, (type_, props) in OFFENDERS.items():
        diagnostics = served.Analyze(request(type_, "thing", props)).diagnostics
        violations = [entry for entry in diagnostics if entry.policyName == rule]
        assert violations, f"{rule}: the offender was not reported"
        assert all(entry.enforcementLevel == proto.MANDATORY for entry in violations), rule


def test_a_valid_resource_is_not_reported_over_grpc(served: analyzer_pb2_grpc.AnalyzerStub) -> None:
    props = {"bucket": UNKNOWN_STRING_VALUE, "forceDestroy": False, "tags": OURS}
    assert not served.Analyze(request(BUCKET, "lake-bucket", props)).diagnostics

"""The CrossGuard pack: the engine's questions answered by the same rules, in process and over the wire."""

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
    "unlimited": ("kubernetes:core/v1:Pod", {"spec": {"containers": [{"name": "one", "image": "a/b:1"}]}}),
}


def urn(type_: str, name: str, stack: str = "dev") -> str:
    return f"urn:pulumi:{stack}::lightwork::{type_}::{name}"


def provider(**tags: str) -> PolicyProviderResource:
    """As the engine tells it: a provider's settings are JSON in texts."""
    name = "pulumi:providers:aws"
    return PolicyProviderResource(name, {"defaultTags": json.dumps({"tags": tags})}, urn(name, "aws"), "aws")


def asked(rule: str, type_: str, props: dict[str, Any], **more: Any) -> list[str]:
    """What the policy of a rule reports of one resource."""
    (policy,) = [one for one in pack.policies() if one.name == rule]
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
    found = {policy.name: policy for policy in pack.policies()}
    assert set(found) == {*RULES, *STACK_RULES}, "a rule that is no policy stops nothing"
    for policy in found.values():
        assert policy.enforcement_level is EnforcementLevel.MANDATORY, f"{policy.name} would only be said"


def test_every_rule_has_an_offender_here() -> None:
    assert set(OFFENDERS) == set(RULES), "each is asked below"


@pytest.mark.parametrize("rule", sorted(OFFENDERS))
def test_a_policy_says_what_its_rule_says(rule: str) -> None:
    type_, props = OFFENDERS[rule]
    reported = asked(rule, type_, props)
    wanted = [f"thing: {line}" for line in RULES[rule](subject_of(type_, props))]
    assert reported == wanted, "the engine is told what the tests are told"
    assert reported, "an offender offends"


def subject_of(type_: str, props: dict[str, Any]) -> Any:
    return pack.subject(ResourceValidationArgs(type_, props, urn(type_, "thing"), "thing", OPTIONS, None))


@pytest.mark.parametrize("rule", sorted(OFFENDERS))
def test_an_innocent_is_not_reported(rule: str) -> None:
    assert asked(rule, BUCKET, {"bucket": "b", "tags": OURS}) == []


def test_the_tags_that_the_provider_adds_count() -> None:
    assert asked("untagged", BUCKET, {}, provider=provider(**OURS)) == []
    (line,) = asked("untagged", BUCKET, {}, provider=provider(**OURS), stack="dev.acme")
    assert "no tag 'tenant'" in line, "the stack's name says that it is a tenant's"


def test_a_value_that_is_not_known_yet_is_left_to_the_deployment() -> None:
    props = {
        "bucket": UNKNOWN_STRING_VALUE,
        "tags": {**OURS, "Name": UNKNOWN_STRING_VALUE},
        "acl": "public-read",
    }
    (line,) = asked("public-bucket", BUCKET, props)
    assert "public-read" in line, "one unknown value hides none of the others"
    guarded = unknown_checking_proxy({"a": [UNKNOWN_STRING_VALUE, {"b": UNKNOWN_STRING_VALUE, "c": 1}]})
    assert pack.plain(guarded) == {"a": [UNKNOWN, {"b": UNKNOWN, "c": 1}]}


def whole(*resources: tuple[str, str, dict[str, Any]]) -> list[tuple[str, str | None]]:
    (policy,) = [one for one in pack.policies() if isinstance(one, StackValidationPolicy)]
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
    policy.validate(args, lambda message, of=None: reported.append((message, of)))
    return reported


def test_a_bucket_without_a_block_is_reported_under_its_own_urn() -> None:
    ((message, of),) = whole(
        (BUCKET, "lake-bucket", {"bucket": "b"}),
        (BUCKET, "other", {"bucket": "c"}),
        (BLOCK, "block", {**CLOSED, "bucket": "c"}),
    )
    assert message.startswith("lake-bucket: no BucketPublicAccessBlock"), message
    assert of == urn(BUCKET, "lake-bucket"), "the engine shows the line beside the bucket"
    assert whole((BUCKET, "b", {"bucket": "b"}), (BLOCK, "c", {**CLOSED, "bucket": "b"})) == []


def test_the_packs_file_names_the_runtime_and_its_environment() -> None:
    folder = REPOSITORY / "infra" / "policy_pack"
    found = yaml.safe_load((folder / "PulumiPolicy.yaml").read_text())
    assert found["runtime"]["name"] == "python"
    wanted = (folder / found["runtime"]["options"]["virtualenv"]).resolve()
    assert wanted == (REPOSITORY / ".venv").resolve(), "the environment that `make setup` makes"
    assert found["version"], "the engine takes the pack's version from here"


@pytest.fixture(scope="module")
def served() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The pack as Pulumi starts it: a program that says its port, and answers there until it is ended."""
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


def question(type_: str, name: str, props: dict[str, Any]) -> Any:
    properties = json_format.ParseDict(props, struct_pb2.Struct())
    return proto.AnalyzeRequest(type=type_, properties=properties, urn=urn(type_, name), name=name)


def test_the_pack_answers_over_the_wire_as_the_engine_asks(served: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = served.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == pack.NAME
    assert {one.name for one in info.policies} == {*RULES, *STACK_RULES}, "what the engine lists"
    for rule, (type_, props) in OFFENDERS.items():
        found = served.Analyze(question(type_, "thing", props)).diagnostics
        named = [one for one in found if one.policyName == rule]
        assert named, f"{rule}: the offender went through"
        assert all(one.enforcementLevel == proto.MANDATORY for one in named), f"{rule} must stop the engine"


def test_an_innocent_goes_through_over_the_wire(served: analyzer_pb2_grpc.AnalyzerStub) -> None:
    props = {"bucket": UNKNOWN_STRING_VALUE, "forceDestroy": False, "tags": OURS}
    assert not served.Analyze(question(BUCKET, "lake-bucket", props)).diagnostics, "nothing to say"

"""The whole program, run as Pulumi runs it, against an engine that records its resources and invokes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from infra.policies import resources
from tests.infra.engine import ACCOUNT, Run, run_program

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
NAMESPACE = "kubernetes:core/v1:Namespace"
PROVIDERS = ("pulumi:providers:aws", "pulumi:providers:kubernetes")
CLUSTERS = "aws:eks/getClusters:getClusters"
CALLER = "aws:index/getCallerIdentity:getCallerIdentity"
OTHER = "999999999999"


def refusal(root: Path, stack: str, **kwargs: str) -> str:
    """Return the message of a run that must be refused before anything is planned."""
    run = run_program(root, stack, **kwargs)
    assert run.error is not None, "the program succeeded"
    planned = {resource.type for resource in run.resources} - {*PROVIDERS, "pulumi:pulumi:Stack"}
    assert not planned, f"refused only after {planned} were planned"
    return str(run.error)


@pytest.mark.parametrize(
    "group",
    [
        *("example", "examples/acme", "acme", "other/example/acme", "Example/acme", "*", "example/"),
        *("example//acme", "example/acme/"),
    ],
)
def test_a_group_of_people_outside_the_projects_group_is_refused(root: Path, group: str) -> None:
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("group: example/customers/acme", f'group: "{group}"'))
    assert refusal(root, "dev.acme") == (
        f"tenants/acme.yaml: people.group: found {group!r}; expected a group of gitlab.com below 'example',"
        " such as 'example/acme': only its owners can make one there"
    )


def test_the_group_of_the_operators_is_not_a_tenants(root: Path) -> None:
    """Whoever is put into it, to be one of a tenant's people, would act for all tenants."""
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("group: example/customers/acme", "group: example/operators"))
    assert refusal(root, "dev.acme") == (
        "tenants/acme.yaml: people.group: found 'example/operators', whose members act for every tenant;"
        " expected a group of the tenant's own, such as 'example/acme'"
    )


def test_a_principal_of_two_tenants_assumes_a_role_of_each(
    root: Path,
) -> None:
    """Its rights in one are no rights in the other: the roles, the entries and the groups are two."""
    acme, globex = (root / "tenants" / f"{name}.yaml" for name in ("acme", "globex"))
    people = "people:\n  principals: [arn:aws:iam::999999999999:role/of-both]\n"
    kept = re.sub(r"^people:\n( .*\n)*", "", acme.read_text(), flags=re.MULTILINE)
    acme.write_text(kept + people)
    globex.write_text(globex.read_text() + people)
    runs = [run_program(root, f"dev.{name}") for name in ("acme", "globex")]
    assert [run.error for run in runs] == [None, None]
    roles = [run.named("aws:iam/role:Role", "people-role").inputs for run in runs]
    trusts = [json.loads(role["assumeRolePolicy"])["Statement"][0]["Principal"] for role in roles]
    assert trusts == [{"AWS": ["arn:aws:iam::999999999999:role/of-both"]}] * 2, "of another account, too"
    assert len({role["name"] for role in roles}) == 2
    groups = [run.one("aws:eks/accessEntry:AccessEntry").inputs["kubernetesGroups"] for run in runs]
    assert groups == [["lightwork:acme:people"], ["lightwork:globex:people"]]


def test_a_group_of_people_below_the_projects_group_gets_the_tenants_account(acme: Run) -> None:
    account = acme.named("kubernetes:core/v1:ServiceAccount", "serviceaccount-people").inputs
    rule = account["metadata"]["annotations"]["workflows.argoproj.io/rbac-rule"]
    assert rule == '"example/customers/acme" in groups'
    assert not acme.all("kubernetes:core/v1:Secret"), "the token would be in the state"


def test_every_kind_of_public_access_to_the_bucket_is_blocked(acme: Run) -> None:
    block = acme.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert block[switch] is True, f"{switch} off leaves a way to make the lake public"
    assert block["bucket"] == acme.one(BUCKET).inputs["bucket"], "the block is on another bucket"


def test_bucket_acls_are_disabled(acme: Run) -> None:
    controls = acme.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs
    assert controls["rule"] == {"objectOwnership": "BucketOwnerEnforced"}, "an ACL grants beside the policies"


def test_the_bucket_carries_the_guarding_policy(acme: Run) -> None:
    bucket = acme.one(BUCKET).inputs["bucket"]
    expected = resources.bucket_guard(
        bucket_arn=f"arn:aws:s3:::{bucket}",
        key_arn=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/lake-key",
        account=ACCOUNT,
    )
    policy = acme.one("aws:s3/bucketPolicy:BucketPolicy").inputs
    assert json.loads(policy["policy"]) == expected, "policies/test_lake.py shows what this policy refuses"
    assert policy["bucket"] == bucket, "the policy is on another bucket"


def test_the_bucket_is_encrypted_by_its_own_key(acme: Run) -> None:
    (rule,) = acme.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    ).inputs["rules"]
    default = rule["applyServerSideEncryptionByDefault"]
    assert default["sseAlgorithm"] == "aws:kms", "anything else is not the tenant's key"
    assert default["kmsMasterKeyId"].endswith(":key/lake-key"), "the key is not the lake's"
    assert rule["bucketKeyEnabled"] is True, "without a bucket key each request pays for a call to KMS"


def test_the_key_rotates(acme: Run) -> None:
    key = acme.one(KEY).inputs
    assert key["enableKeyRotation"] is True, "a key that never rotates protects ever more data"
    assert key["deletionWindowInDays"] == 30, "the longest time to notice a mistake"


def test_deleted_objects_can_be_restored_for_as_long_as_the_tenants_file_says(acme: Run, root: Path) -> None:
    versioning = acme.one("aws:s3/bucketVersioning:BucketVersioning").inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}, (
        "without versions a delete is final"
    )
    lifecycle = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    replaced, unfinished = acme.one(lifecycle).inputs["rules"]
    assert replaced["noncurrentVersionExpiration"] == {"noncurrentDays": 90}, "acme.yaml says 90 days"
    assert "days" not in replaced["expiration"], "current data must never expire"
    assert unfinished["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}, (
        "the parts of uploads never finished are paid for and never seen"
    )
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("data_retention_days: 90", "data_retention_days: 7"))
    changed = run_program(root, "dev.acme").one(lifecycle).inputs["rules"][0]
    assert changed["noncurrentVersionExpiration"] == {"noncurrentDays": 7}, "the file's value was ignored"


@pytest.mark.parametrize("precious", [BUCKET, KEY, NAMESPACE])
def test_precious_resources_are_protected_and_outlive_the_stack(acme: Run, precious: str) -> None:
    resource = acme.one(precious)
    assert resource.protect, f"{precious}: `pulumi destroy` must refuse"
    assert resource.retain_on_delete, f"{precious}: removed from the program, it must stay where it is"


def test_the_lakes_access_logs_go_to_the_estates_bucket(acme: Run) -> None:
    logging = acme.one("aws:s3/bucketLogging:BucketLogging").inputs
    assert logging["targetBucket"] == f"lw-dev-{ACCOUNT}-eu-central-1-audit", "the estate's bucket"
    assert logging["targetPrefix"] == f"buckets/{acme.one(BUCKET).inputs['bucket']}/", (
        "the log bucket's policy lets S3 write below this folder alone"
    )


def test_a_retained_bucket_keeps_its_policy_key_and_lifecycle(acme: Run) -> None:
    guards = [
        resource for resource in acme.resources if resource.type.startswith(("aws:s3/bucket", "aws:kms"))
    ]
    assert len(guards) == 10, (
        "bucket, key, alias, encryption, ownership, public access, access logs, versions, policy, lifecycle"
    )
    for guard in guards:
        assert guard.retain_on_delete, (
            f"without its {guard.name} the retained bucket is less safe than before"
        )


def test_every_pod_of_the_namespace_must_be_restricted(acme: Run) -> None:
    metadata = acme.one(NAMESPACE).inputs["metadata"]
    assert metadata["name"] == "tenant-acme", "the prefix keeps tenants apart from kube-system and the like"
    for mode in ("enforce", "audit", "warn"):
        assert metadata["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted", f"{mode} is weaker"


def test_every_resource_goes_through_the_explicit_provider_of_its_kind(acme: Run) -> None:
    resources = [resource for resource in acme.resources if resource.type.startswith(("aws:", "kubernetes:"))]
    assert len(resources) > 50, "lake, identity, secrets, budget and the namespace's objects"
    for resource in resources:
        kind = resource.type.split(":")[0]
        provider = f"pulumi:providers:{kind}::{kind}::"
        assert provider in resource.provider, f"{resource.name} uses the shell's credentials"


def test_the_cluster_is_the_environments_and_never_the_kubeconfigs_current_one(acme: Run) -> None:
    provider = acme.one(PROVIDERS[1]).inputs
    assert "context" not in provider, "a context's name depends on the machine"
    config = json.loads(provider["kubeconfig"])
    assert config["clusters"][0]["cluster"]["server"] == "https://lightwork-dev.eks.example", (
        "the cluster is not the estate's"
    )


def test_no_credential_of_the_cluster_is_in_the_state(acme: Run) -> None:
    (user,) = json.loads(acme.one(PROVIDERS[1]).inputs["kubeconfig"])["users"]
    assert list(user["user"]) == ["exec"], "a token or a certificate would be kept in the state"
    assert user["user"]["exec"]["args"][:2] == ["eks", "get-token"], "each call asks AWS for a token"


def test_every_resource_belongs_to_its_component(acme: Run) -> None:
    for resource in acme.resources:
        if resource.type.startswith(("aws:", "kubernetes:")):
            assert "lightwork:infra:Tenant" in resource.parent, f"{resource.name} has no component"
        if resource.type.startswith(("aws:s3", "aws:kms")):
            assert resource.parent.endswith("lightwork:infra:Lake::lake"), (
                f"{resource.name} is outside the lake"
            )
    assert acme.one("lightwork:infra:Lake").parent.endswith("lightwork:infra:Tenant::tenant"), "a stray lake"
    assert acme.one(NAMESPACE).parent.endswith("lightwork:infra:Tenant::tenant"), "a stray namespace"


def test_bucket_and_key_carry_the_tenants_tags(acme: Run) -> None:
    for type_ in (BUCKET, KEY):
        tags = acme.one(type_).inputs["tags"]
        assert tags == {"project": "lightwork", "environment": "dev", "tenant": "acme"}, (
            "costs are allocated by tag"
        )


def test_the_tenants_stack_exports_its_interface(acme: Run) -> None:
    assert acme.outputs == {
        "account": ACCOUNT,
        "region": "eu-central-1",
        "lake": f"lw-dev-acme-{ACCOUNT}-eu-central-1",
        "namespace": "tenant-acme",
        "role_arn": f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/tenants/lightwork-dev-pods-acme",
    }, "the stack's outputs are its interface"


@pytest.mark.sample(1)
@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_an_estate_checks_its_account_before_it_creates_anything(root: Path, stack: str) -> None:
    run = run_program(root, stack)
    assert run.error is None, f"{stack} must go through: {run.error}"
    assert run.order[:3] == ["pulumi:pulumi:Stack", PROVIDERS[0], CALLER], "the check comes first"
    assert [token for token, _ in run.invokes] == [CALLER, CLUSTERS], "an estate reads no other stack"


@pytest.mark.parametrize("stack", ["dev", "dev.acme", "prod.acme"])
def test_credentials_of_another_account_are_refused_before_anything_is_planned(
    root: Path, stack: str
) -> None:
    message = refusal(root, stack, credentials_of=OTHER)
    assert "\n" not in message, "the message must be one line"
    assert OTHER in message, "the message must name the credentials' account"
    assert ACCOUNT in message, "the message must name the declared account"


def test_the_account_is_looked_up_through_the_explicit_provider(acme: Run) -> None:
    (provider,) = [provider for token, provider in acme.invokes if token == CALLER]
    assert "pulumi:providers:aws::aws::" in provider, (
        "another provider's credentials say nothing about this one's"
    )
    assert acme.one(PROVIDERS[0]).inputs["allowedAccountIds"] == f'["{ACCOUNT}"]', (
        "the provider checks as well"
    )


def test_the_placeholder_account_is_refused(root: Path) -> None:
    path = root / "Pulumi.dev.yaml"
    path.write_text(path.read_text().replace(ACCOUNT, "0" * 12))
    message = refusal(root, "dev.acme", credentials_of="0" * 12)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "lightwork:account" in text)
    assert re.match(rf"{path}:{line}: lightwork:account: .*'0{{12}}'.*placeholder", message), message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("lightwork:region:", "lightwork:regoin:", "lightwork:regoin: .*'region'"),
        ("lightwork:region: eu-central-1", "lightwork:region: Frankfurt", "lightwork:region: .*'Frankfurt'"),
        (f'"{ACCOUNT}"', ACCOUNT, f"lightwork:account: .*{ACCOUNT}.*string"),
        (f'"{ACCOUNT}"', '"1234"', "lightwork:account: .*'1234'"),
        ("lightwork:domain: dev.example.com", "lightwork:region: eu-west-1", "lightwork:region: .*keep one"),
        ("lightwork:region:", "lightwork:environment:", "lightwork:environment: remove it"),
        ("config:", "confg:", "config: .*missing"),
    ],
)
def test_a_wrong_setting_is_refused_with_file_and_reason(
    root: Path, old: str, new: str, expected: str
) -> None:
    path = root / "Pulumi.dev.yaml"
    text = path.read_text()
    assert old in text, "the sample does not change the file"
    path.write_text(text.replace(old, new))
    message = refusal(root, "dev.acme")
    assert str(path) in message, "the message must name the file"
    assert re.search(expected, message), f"the message must name the field and the reason: {message}"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("prd", "'prd'.*'prod'"),
        ("acme.dev", "'acme'.*dev, local, prod, staging"),
        ("dev.acme.two", r"'dev\.acme\.two'.*dev\.<tenant>"),
        ("dev.", r"'dev\.'.*dev\.<tenant>"),
        ("dev.nobody", r"nobody\.yaml: "),
    ],
)
def test_a_stack_that_is_neither_estate_nor_tenant_is_refused(root: Path, stack: str, expected: str) -> None:
    assert re.search(expected, refusal(root, stack)), "the message must say what a stack's name may be"


def test_a_tenant_is_refused_in_an_environment_that_its_file_does_not_name(root: Path) -> None:
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("[dev, staging, prod]", "[dev]"))
    message = refusal(root, "prod.acme")
    assert re.search(r"acme\.yaml: environments: prod\b", message), "the file names only dev"

"""What CI may do: the previewing role changes nothing, the deploying role stays in its environment."""

from __future__ import annotations

import json

import pytest

from infra.config.naming import Names
from infra.config.settings import GitLab
from infra.policies import ci, ci_change, scope
from infra.policies import tenant as tenant_policies
from infra.policies import trust as policies_trust
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide, within

NAMES = Names(environment="prod", account=ACCOUNT, region=REGION)
SCOPE = scope.Scope(
    names=NAMES,
    estate_boundary=NAMES.boundary_arn("estate"),
    tenant_boundary=NAMES.boundary_arn("tenant"),
)
LOOK = ci.look(SCOPE)
APPLY = [LOOK, *ci_change.applying(SCOPE).values()]

PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.com"
GITLAB = GitLab(project="example/lightwork")
JOB = {"Federated": PROVIDER}
ASSUME = "sts:AssumeRoleWithWebIdentity"
MAIN = "project_path:example/lightwork:ref_type:branch:ref:main"

TAGS = {"aws:ResourceTag/project": "lightwork", "aws:ResourceTag/environment": "prod"}
NEW = {"aws:RequestTag/project": "lightwork", "aws:RequestTag/environment": "prod"}
HERE = {"aws:RequestedRegion": REGION}
LAKE = f"arn:aws:s3:::lw-prod-acme-{ACCOUNT}-{REGION}"
STATE = f"arn:aws:s3:::lw-prod-{ACCOUNT}-{REGION}-state"
ROLE = NAMES.role_arn("lightwork-prod-node")
TENANT_ROLE = NAMES.role_arn("lightwork-prod-acme", tenant=True)


def token(subject: str, audience: str = policies_trust.AUDIENCE) -> dict[str, str | list[str]]:
    return {"gitlab.com:aud": audience, "gitlab.com:sub": subject}


DEPLOYS = f"{MAIN}:environment:prod:environment_protected:true"


def test_the_protected_branch_deploys_in_its_protected_environment() -> None:
    trust = policies_trust.apply(provider_arn=PROVIDER, gitlab=GITLAB, environment="prod")
    assert decide([trust], ASSUME, "", token(DEPLOYS), principal=JOB), "otherwise nothing is ever deployed"


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        (MAIN, "the environment is where the manual gate is"),
        (DEPLOYS.replace("ref:main", "ref:feature"), "another branch is not protected"),
        (DEPLOYS.replace("ref:main", "ref:main-2"), "a branch that begins alike is another branch"),
        (DEPLOYS.replace("ref_type:branch", "ref_type:tag"), "whoever may push a tag may name it main"),
        (DEPLOYS.replace("environment:prod", "environment:dev"), "dev's job would deploy to prod"),
        (DEPLOYS.replace("true", "false"), "anybody may run a job in an environment that is not protected"),
        (DEPLOYS.replace("example/lightwork", "stranger/lightwork"), "a fork is another project"),
        (DEPLOYS.replace("example/", "example/lightwork/"), "a project below is another project"),
        (f"x{DEPLOYS}", "the subject is the whole of it"),
    ],
)
def test_no_other_job_deploys(subject: str, why: str) -> None:
    trust = policies_trust.apply(provider_arn=PROVIDER, gitlab=GITLAB, environment="prod")
    assert not decide([trust], ASSUME, "", token(subject), principal=JOB), why


def test_any_branch_of_this_project_previews_and_no_other_project() -> None:
    trust = policies_trust.preview(provider_arn=PROVIDER, gitlab=GITLAB)
    for subject in (MAIN, MAIN.replace("main", "feature/x"), DEPLOYS):
        assert decide([trust], ASSUME, "", token(subject), principal=JOB), f"a merge request of {subject}"
    for stranger in (
        MAIN.replace("example/", "stranger/"),
        MAIN.replace("lightwork", "lightwork-2"),
        MAIN.replace("ref_type:branch", "ref_type:tag"),
        f"project_path:stranger/x:ref_type:branch:ref:{MAIN}",
    ):
        assert not decide([trust], ASSUME, "", token(stranger), principal=JOB), f"let {stranger} in"


@pytest.mark.parametrize("kind", ["preview", "apply"])
def test_a_token_for_somebody_else_or_of_another_issuer_is_refused(kind: str) -> None:
    trust = (
        policies_trust.preview(provider_arn=PROVIDER, gitlab=GITLAB)
        if kind == "preview"
        else policies_trust.apply(provider_arn=PROVIDER, gitlab=GITLAB, environment="prod")
    )
    assert not decide([trust], ASSUME, "", token(DEPLOYS, "https://vault.example"), principal=JOB), (
        "a token that a job gave to another service must not be worth anything here"
    )
    other = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.stranger.example"}
    assert not decide([trust], ASSUME, "", token(DEPLOYS), principal=other), (
        "another GitLab says what it likes"
    )
    assert not decide([trust], "sts:AssumeRole", "", token(DEPLOYS), principal=JOB), (
        "with keys nobody comes in"
    )


WRITES = [
    ("s3:PutObject", f"{STATE}/lightwork/prod.json"),
    ("s3:DeleteObject", f"{LAKE}/runs/1.json"),
    ("s3:PutBucketPolicy", LAKE),
    ("ec2:CreateVpc", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/*"),
    ("ec2:TerminateInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1"),
    ("eks:UpdateClusterConfig", NAMES.cluster_arn),
    ("rds:DeleteDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-prod-archive"),
    ("rds:ModifyDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-prod-archive"),
    ("es:DeleteDomain", f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-prod-logs"),
    ("kms:PutKeyPolicy", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake"),
    ("kms:ScheduleKeyDeletion", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake"),
    ("iam:CreateRole", ROLE),
    ("iam:PassRole", ROLE),
    ("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/somebody"),
    ("ecr:PutImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform"),
    (
        "secretsmanager:PutSecretValue",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/prod/acme/x",
    ),
    ("sts:AssumeRole", ROLE),
    ("eks:CreateAccessEntry", NAMES.cluster_arn),
]
READS_DATA = [
    ("s3:GetObject", f"{LAKE}/runs/1.json"),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1"),
    (
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/prod/acme/x",
    ),
    ("es:ESHttpGet", f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-prod-logs/_search"),
]


@pytest.mark.parametrize(("action", "resource"), WRITES)
def test_the_previewing_role_changes_nothing(action: str, resource: str) -> None:
    assert not decide([LOOK], action, resource, {**TAGS, **NEW, **HERE}), "any branch may preview"


def test_the_previewing_role_has_no_verb_that_changes_anything() -> None:
    for statement in LOOK["Statement"]:
        if statement["Effect"] == "Allow":
            for action in statement["Action"]:
                verb = action.partition(":")[2]
                assert verb.startswith(("Describe", "Get", "BatchGet", "List", "View", "Decrypt")), (
                    f"{action} may change things"
                )


@pytest.mark.parametrize(("action", "resource"), READS_DATA)
def test_neither_role_reads_what_is_a_customers(action: str, resource: str) -> None:
    for documents in ([LOOK], APPLY):
        assert not decide(documents, action, resource, {**TAGS, **HERE}), "setting up needs no data"


def test_a_bucket_policy_cannot_let_ci_read_a_lake() -> None:
    granted = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{LAKE}/*"}]}
    assert not decide([*APPLY, granted], "s3:GetObject", f"{LAKE}/runs/1.json", {}), (
        "who may write a bucket's policy could grant itself the bucket"
    )


def test_the_previewing_role_reads_the_states_and_how_things_are() -> None:
    state_key = {"kms:ResourceAliases": ["alias/lightwork/prod/state"]}
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/any"
    assert decide([LOOK], "s3:GetObject", f"{STATE}/lightwork/prod.json", {}), (
        "a preview compares with the state"
    )
    assert decide([LOOK], "kms:Decrypt", key, state_key), "the state is encrypted"
    assert not decide(
        [LOOK], "kms:Decrypt", key, {"kms:ResourceAliases": ["alias/lightwork/prod/acme/lake"]}
    ), "a lake's key opens a lake"
    assert not decide([LOOK], "kms:Decrypt", key, {}), "a key without a name is not the state's"
    assert decide([LOOK], "eks:DescribeCluster", NAMES.cluster_arn, {}), "a refresh reads the cluster"


def test_the_previewing_role_pulls_images_of_its_environment_and_pushes_none() -> None:
    images = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform"
    for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeImages"):
        assert decide([LOOK], action, images, {}), "staging's job copies what dev runs"
        assert not decide([LOOK], action, images.replace("prod", "dev"), {}), "another environment's"
    assert decide([LOOK], "ecr:GetAuthorizationToken", "*", {}), "nothing is pulled without signing in"
    for action in ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"):
        assert not decide([LOOK], action, images, {}), "any branch could say what runs"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("rds:DeleteDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-prod-archive"),
        ("es:DeleteDomain", f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-prod-logs"),
        ("s3:DeleteBucket", LAKE),
        ("s3:DeleteObject", f"{LAKE}/runs/1.json"),
        ("s3:DeleteObjectVersion", f"{LAKE}/runs/1.json"),
        ("kms:ScheduleKeyDeletion", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake"),
        ("kms:DisableKey", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake"),
        ("ecr:DeleteRepository", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform"),
        ("eks:DeleteCluster", NAMES.cluster_arn),
        (
            "secretsmanager:DeleteSecret",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/prod/acme/x",
        ),
    ],
)
def test_the_deploying_role_deletes_nothing_precious(action: str, resource: str) -> None:
    assert not decide(APPLY, action, resource, {**TAGS, **HERE}), "whatever a program or a state says"


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("ec2:CreateVpc", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1", NEW),
        ("ec2:CreateSubnet", f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-1", NEW),
        ("ec2:CreateSubnet", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1", TAGS),
        ("ec2:DeleteSubnet", f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/subnet-1", TAGS),
        ("eks:CreateCluster", "*", NEW),
        ("eks:UpdateClusterVersion", NAMES.cluster_arn, {}),
        ("rds:ModifyDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-prod-archive", {}),
        ("s3:PutBucketPolicy", LAKE, {}),
        ("s3:PutObject", f"{STATE}/lightwork/prod.json", {}),
        ("kms:CreateKey", "*", NEW),
        ("kms:PutKeyPolicy", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake", TAGS),
        ("ecr:PutImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform", {}),
    ],
)
def test_the_deploying_role_deploys(action: str, resource: str, context: dict[str, str]) -> None:
    assert decide(APPLY, action, resource, context), "otherwise `pulumi up` stops half-way"


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("ec2:CreateVpc", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1", {}),
        (
            "ec2:DeleteVpc",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1",
            {**TAGS, "aws:ResourceTag/environment": "dev"},
        ),
        ("ec2:DeleteVpc", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1", {}),
        ("ec2:DeleteVpc", f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-1", TAGS),
        ("ec2:CreateTags", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/vpc-1", NEW),
        (
            "ec2:CreateTags",
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-1",
            {**NEW, "aws:ResourceTag/project": "x"},
        ),
        ("eks:UpdateClusterConfig", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/lightwork-dev", {}),
        ("rds:ModifyDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-dev-archive", {}),
        ("s3:PutBucketPolicy", f"arn:aws:s3:::lw-dev-acme-{ACCOUNT}-{REGION}", {}),
        ("s3:PutObject", f"arn:aws:s3:::lw-dev-{ACCOUNT}-{REGION}-state/x", {}),
        ("kms:PutKeyPolicy", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other", {}),
        (
            "kms:TagResource",
            f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other",
            {**NEW, "kms:ResourceAliases": ["alias/x"]},
        ),
        (
            "kms:TagResource",
            f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other",
            {**NEW, "aws:ResourceTag/project": "x"},
        ),
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake", TAGS),
        ("ecr:PutImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/dev/platform", {}),
    ],
)
def test_what_is_not_this_environments_is_refused(
    action: str, resource: str, context: dict[str, str]
) -> None:
    assert not decide(APPLY, action, resource, context), "the account holds more than this environment"


def bounded(kind: str) -> dict[str, str]:
    return {"iam:PermissionsBoundary": NAMES.boundary_arn(kind)}


@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"])
def test_no_role_is_made_or_granted_anything_without_its_boundary(action: str) -> None:
    assert decide(APPLY, action, ROLE, bounded("estate")), "the estate has roles"
    assert decide(APPLY, action, TENANT_ROLE, bounded("tenant")), "tenants have roles"
    assert not decide(APPLY, action, ROLE, {}), "a role without a bound may do everything"
    assert not decide(
        APPLY, action, ROLE, {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/wide"}
    ), "a bound of one's own choice is none"
    assert not decide(APPLY, action, TENANT_ROLE, bounded("estate")), "a tenant's role is no node"


@pytest.mark.parametrize("kind", ["estate", "tenant"])
def test_the_deploying_role_changes_neither_itself_nor_the_boundaries(kind: str) -> None:
    own = f"arn:aws:iam::{ACCOUNT}:role{NAMES.ci_path}lightwork-prod-apply"
    for action in ("iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole"):
        assert not decide(APPLY, action, own, bounded(kind)), f"{action}: it would be whatever it wants"
    for action in ("iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:SetDefaultPolicyVersion"):
        assert not decide(APPLY, action, NAMES.boundary_arn(kind), {}), f"{action}: the bound would be gone"
    assert not decide(APPLY, "iam:DeleteRolePermissionsBoundary", ROLE, bounded(kind)), "so would it here"
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.com"
    assert not decide(APPLY, "iam:UpdateOpenIDConnectProviderThumbprint", provider, {}), (
        "nor whom AWS believes"
    )


def test_roles_are_passed_to_the_services_that_need_them_alone() -> None:
    assert decide(APPLY, "iam:PassRole", ROLE, {"iam:PassedToService": "eks.amazonaws.com"}), (
        "EKS takes roles"
    )
    assert not decide(APPLY, "iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}), (
        "a function would be the role in CI's stead"
    )


def test_a_bounded_role_cannot_come_out_of_its_bounds() -> None:
    everything = [{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}]
    estate = ci.estate_boundary(SCOPE)
    domain = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-prod-logs"
    tenant = tenant_policies.tenant_boundary(
        account=ACCOUNT, region=REGION, environment="prod", domain_arn=domain
    )
    for action in (
        "iam:CreateUser",
        "iam:PutRolePolicy",
        "sts:AssumeRole",
        "organizations:LeaveOrganization",
    ):
        for boundary in (estate, tenant):
            assert not within(boundary, everything, action, "*", HERE), f"{action} leads out"
    assert not within(estate, everything, "s3:GetObject", f"{LAKE}/x", HERE), "no node reads a lake"
    assert not within(tenant, everything, "ec2:RunInstances", "*", HERE), "a tenant starts no machine"
    other = f"arn:aws:s3:::lw-dev-acme-{ACCOUNT}-{REGION}/x"
    assert not within(tenant, everything, "s3:GetObject", other, {}), "another environment is out of reach"
    assert within(tenant, everything, "s3:GetObject", f"{LAKE}/x", {}), "its own lake is within"
    assert not within(tenant, everything, "s3:GetObject", f"{STATE}/x", {}), "the states are no lake"


@pytest.mark.parametrize("name", ["look", *ci_change.applying(SCOPE)])
def test_each_document_fits_into_a_managed_policy(name: str) -> None:
    document = LOOK if name == "look" else ci_change.applying(SCOPE)[name]
    size = len(json.dumps(document, separators=(",", ":")))
    assert size <= 6144, f"{name}: AWS takes 6,144 characters, these are {size}"

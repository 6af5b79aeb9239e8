"""CI's policies: the previewing role changes nothing, the deploying role stays in its environment."""

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
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/lightwork-prod-rotations"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:lightwork-prod-alarms"
ROLE = NAMES.role_arn("lightwork-prod-node")
TENANT_ROLE = NAMES.role_arn("lightwork-prod-acme", tenant=True)


def token(subject: str, audience: str = policies_trust.AUDIENCE) -> dict[str, str | list[str]]:
    return {"gitlab.com:aud": audience, "gitlab.com:sub": subject}


DEPLOYS = f"{MAIN}:environment:prod:environment_protected:true"


def test_the_protected_branch_deploys_in_its_protected_environment() -> None:
    trust = policies_trust.apply(provider_arn=PROVIDER, gitlab=GITLAB, environment="prod")
    assert decide([trust], ASSUME, "", token(DEPLOYS), principal=JOB), "otherwise nothing can be deployed"


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        (MAIN, "only the environment has the manual gate"),
        (DEPLOYS.replace("ref:main", "ref:feature"), "another branch is not protected"),
        (DEPLOYS.replace("ref:main", "ref:main-2"), "a branch with the same prefix is another branch"),
        (DEPLOYS.replace("ref_type:branch", "ref_type:tag"), "a tag may be named main as well"),
        (DEPLOYS.replace("environment:prod", "environment:dev"), "a job for dev must not deploy to prod"),
        (DEPLOYS.replace("true", "false"), "an unprotected environment is open to anybody's jobs"),
        (DEPLOYS.replace("example/lightwork", "stranger/lightwork"), "a fork is another project"),
        (DEPLOYS.replace("example/", "example/lightwork/"), "a subgroup's project is another project"),
        (f"x{DEPLOYS}", "the whole subject must match"),
    ],
)
def test_no_other_job_deploys(subject: str, why: str) -> None:
    trust = policies_trust.apply(provider_arn=PROVIDER, gitlab=GITLAB, environment="prod")
    assert not decide([trust], ASSUME, "", token(subject), principal=JOB), why


def test_any_branch_of_this_project_can_preview_and_no_other_project() -> None:
    trust = policies_trust.preview(provider_arn=PROVIDER, gitlab=GITLAB)
    for subject in (MAIN, MAIN.replace("main", "feature/x"), DEPLOYS):
        assert decide([trust], ASSUME, "", token(subject), principal=JOB), (
            f"{subject} must be able to preview"
        )
    for other in (
        MAIN.replace("example/", "stranger/"),
        MAIN.replace("lightwork", "lightwork-2"),
        MAIN.replace("ref_type:branch", "ref_type:tag"),
        f"project_path:stranger/x:ref_type:branch:ref:{MAIN}",
    ):
        assert not decide([trust], ASSUME, "", token(other), principal=JOB), f"{other} must be refused"


@pytest.mark.parametrize("kind", ["preview", "apply"])
def test_a_token_with_another_audience_or_issuer_is_refused(kind: str) -> None:
    trust = (
        policies_trust.preview(provider_arn=PROVIDER, gitlab=GITLAB)
        if kind == "preview"
        else policies_trust.apply(provider_arn=PROVIDER, gitlab=GITLAB, environment="prod")
    )
    assert not decide([trust], ASSUME, "", token(DEPLOYS, "https://vault.example"), principal=JOB), (
        "a token for another service must not work here"
    )
    other = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.stranger.example"}
    assert not decide([trust], ASSUME, "", token(DEPLOYS), principal=other), (
        "another GitLab can issue any subject"
    )
    assert not decide([trust], "sts:AssumeRole", "", token(DEPLOYS), principal=JOB), (
        "access keys must not work"
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
                    f"{action} may change something"
                )


@pytest.mark.parametrize(("action", "resource"), READS_DATA)
def test_neither_role_can_read_customers_data(action: str, resource: str) -> None:
    for documents in ([LOOK], APPLY):
        assert not decide(documents, action, resource, {**TAGS, **HERE}), "deploying does not need data"


EVERYTHING = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
"""What the policy of a bucket, a key or a secret may say; the deploying role may have written it itself."""
AUDIT = f"arn:aws:s3:::lw-prod-{ACCOUNT}-{REGION}-audit"
KEY, STATE_KEY = (
    f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
    {"kms:ResourceAliases": ["alias/lightwork/prod/state"]},
)
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/prod/acme/x"


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        *(
            (f"s3:{verb}Object", f"{bucket}/x", {})
            for verb in ("Get", "Put", "Delete")
            for bucket in (LAKE, AUDIT)
        ),
        *(("s3:DeleteObjectVersion", f"{bucket}/x", {}) for bucket in (LAKE, AUDIT, STATE)),
        *(
            (f"s3:Delete{what}", bucket, {})
            for what in ("Bucket", "BucketPolicy")
            for bucket in (LAKE, AUDIT, STATE)
        ),
        *(
            (f"s3:Put{what}", STATE, {})
            for what in (
                "BucketPolicy",
                "BucketVersioning",
                "LifecycleConfiguration",
                "EncryptionConfiguration",
            )
        ),
        *((f"kms:{verb}", KEY, TAGS) for verb in ("PutKeyPolicy", "ScheduleKeyDeletion", "DisableKey")),
        ("kms:UpdateAlias", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/lightwork/prod/state", {}),
        ("kms:UntagResource", KEY, {**TAGS, **STATE_KEY}),
        *(
            (f"secretsmanager:{verb}", SECRET, {})
            for verb in ("GetSecretValue", "PutSecretValue", "UpdateSecret")
        ),
        *((f"secretsmanager:{verb}", SECRET, {}) for verb in ("PutResourcePolicy", "DeleteSecret")),
        ("es:ESHttpGet", f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-prod-logs/_search", {}),
        ("ecr:SetRepositoryPolicy", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform", {}),
        ("ecr:BatchDeleteImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform", {}),
        ("rds:DeleteDBSnapshot", f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:lightwork-prod-archive-last", {}),
        (
            "logs:DeleteLogGroup",
            f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/eks/lightwork-prod/cluster",
            {},
        ),
        ("sts:AssumeRole", TENANT_ROLE, {}),
        ("s3:PutAccountPublicAccessBlock", "*", {}),
    ],
)
def test_the_deploying_role_is_denied_this_whatever_else_allows_it(
    action: str, resource: str, context: dict[str, str | list[str]]
) -> None:
    assert not decide([*APPLY, EVERYTHING], action, resource, {**HERE, **context})


def test_a_bucket_policy_cannot_let_ci_read_a_lake() -> None:
    granted = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{LAKE}/*"}]}
    assert not decide([*APPLY, granted], "s3:GetObject", f"{LAKE}/runs/1.json", {}), (
        "the right to write a bucket's policy must not be enough to read it"
    )


def test_the_previewing_role_reads_states_and_configuration() -> None:
    state_key = {"kms:ResourceAliases": ["alias/lightwork/prod/state"]}
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/any"
    assert decide([LOOK], "s3:GetObject", f"{STATE}/lightwork/prod.json", {}), "a preview reads the state"
    assert decide([LOOK], "kms:Decrypt", key, state_key), "the state is encrypted"
    assert not decide(
        [LOOK], "kms:Decrypt", key, {"kms:ResourceAliases": ["alias/lightwork/prod/acme/lake"]}
    ), "a lake's key is not the states' key"
    assert not decide([LOOK], "kms:Decrypt", key, {}), "a key without an alias is not the states' key"
    assert decide([LOOK], "eks:DescribeCluster", NAMES.cluster_arn, {}), "a refresh reads the cluster"


def test_the_previewing_role_can_pull_its_environments_images_but_not_push() -> None:
    images = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform"
    for action in ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeImages"):
        assert decide([LOOK], action, images, {}), "staging's job copies what dev runs"
        assert not decide([LOOK], action, images.replace("prod", "dev"), {}), "another environment's images"
    assert decide([LOOK], "ecr:GetAuthorizationToken", "*", {}), "pulling needs a login"
    for action in ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"):
        assert not decide([LOOK], action, images, {}), "any branch could replace the image"


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
def test_the_deploying_role_cannot_delete_anything_precious(action: str, resource: str) -> None:
    assert not decide(APPLY, action, resource, {**TAGS, **HERE}), "whatever a program or a state asks for"


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
        ("ecr:PutImage", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/lightwork/prod/platform", {}),
        ("events:PutTargets", RULE, {"events:TargetArn": [TOPIC]}),
    ],
)
def test_the_deploying_role_can_deploy(action: str, resource: str, context: dict[str, str]) -> None:
    assert decide(APPLY, action, resource, context), "otherwise `pulumi up` fails half-way"


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
        ("events:PutRule", RULE.replace("prod", "dev"), {}),
        ("events:PutTargets", RULE, {"events:TargetArn": [TOPIC, TOPIC.replace(ACCOUNT, "9" * 12)]}),
        ("events:PutTargets", RULE, {"events:TargetArn": [TOPIC.replace("prod", "dev")]}),
    ],
)
def test_the_deploying_role_cannot_change_other_environments(
    action: str, resource: str, context: dict[str, str]
) -> None:
    assert not decide(APPLY, action, resource, context), "the account holds more than this environment"


def bounded(kind: str) -> dict[str, str]:
    return {"iam:PermissionsBoundary": NAMES.boundary_arn(kind)}


@pytest.mark.parametrize("action", ["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"])
def test_roles_can_only_be_created_or_changed_with_their_boundary(action: str) -> None:
    assert decide(APPLY, action, ROLE, bounded("estate")), "the estate has roles"
    assert decide(APPLY, action, TENANT_ROLE, bounded("tenant")), "tenants have roles"
    assert not decide(APPLY, action, ROLE, {}), "a role without a boundary could do anything"
    assert not decide(
        APPLY, action, ROLE, {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/wide"}
    ), "any other boundary is as good as none"
    assert not decide(APPLY, action, TENANT_ROLE, bounded("estate")), (
        "a tenant's role needs the tenants' boundary"
    )


@pytest.mark.parametrize("kind", ["estate", "tenant"])
def test_the_deploying_role_cannot_change_itself_or_the_boundaries(kind: str) -> None:
    own = f"arn:aws:iam::{ACCOUNT}:role{NAMES.ci_path}lightwork-prod-apply"
    for action in ("iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole"):
        assert not decide(APPLY, action, own, bounded(kind)), f"{action} would let it grant itself anything"
    for action in ("iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:SetDefaultPolicyVersion"):
        assert not decide(APPLY, action, NAMES.boundary_arn(kind), {}), f"{action} would remove the boundary"
    assert not decide(APPLY, "iam:DeleteRolePermissionsBoundary", ROLE, bounded(kind)), (
        "that would remove the boundary as well"
    )
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.com"
    assert not decide(APPLY, "iam:UpdateOpenIDConnectProviderThumbprint", provider, {}), (
        "nor the trusted issuer"
    )


def test_roles_can_only_be_passed_to_the_services_that_need_them() -> None:
    assert decide(APPLY, "iam:PassRole", ROLE, {"iam:PassedToService": "eks.amazonaws.com"}), (
        "EKS needs roles"
    )
    assert not decide(APPLY, "iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}), (
        "a function could then use the role"
    )


def test_a_role_cannot_exceed_its_boundary() -> None:
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
            assert not within(boundary, everything, action, "*", HERE), (
                f"{action} would lead beyond the boundary"
            )
    assert not within(estate, everything, "s3:GetObject", f"{LAKE}/x", HERE), "nodes must not read lakes"
    assert not within(tenant, everything, "ec2:RunInstances", "*", HERE), "a tenant must not start machines"
    other = f"arn:aws:s3:::lw-dev-acme-{ACCOUNT}-{REGION}/x"
    assert not within(tenant, everything, "s3:GetObject", other, {}), "another environment is out of reach"
    assert within(tenant, everything, "s3:GetObject", f"{LAKE}/x", {}), "its own lake is within"
    assert not within(tenant, everything, "s3:GetObject", f"{STATE}/x", {}), "the states are not a lake"


@pytest.mark.parametrize("name", ["look", *ci_change.applying(SCOPE)])
def test_each_document_fits_into_a_managed_policy(name: str) -> None:
    document = LOOK if name == "look" else ci_change.applying(SCOPE)[name]
    size = len(json.dumps(document, separators=(",", ":")))
    assert size <= 6144, f"{name}: AWS allows 6,144 characters, got {size}"

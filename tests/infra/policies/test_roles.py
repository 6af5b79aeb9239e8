"""What each role of pods and nodes must be able to do and must never do, asked of what the stacks attach."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import within

if TYPE_CHECKING:
    from tests.infra.engine import Run

Asked = tuple[str, str]
LAKE = f"arn:aws:s3:::lw-dev-acme-{ACCOUNT}-{REGION}"
OTHER_LAKE = f"arn:aws:s3:::lw-dev-globex-{ACCOUNT}-{REGION}"
CLUSTER = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/lightwork-dev"
STATE = f"arn:aws:s3:::lw-dev-{ACCOUNT}-{REGION}-state"
DOMAIN = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-dev-logs"
SECRETS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
GROUP = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/eks-workers"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:lightwork-dev-alarms"
TENANT_ROLES = f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/tenants/lightwork-dev"

CONTEXT: dict[str, str | list[str]] = {
    "aws:RequestedRegion": REGION,
    "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true",
    "aws:ResourceTag/k8s.io/cluster-autoscaler/lightwork-dev": "owned",
    "kms:ResourceAliases": ["alias/lightwork/dev/acme/lake"],
    "kms:EncryptionContext:SecretARN": f"{SECRETS}rds!db-1",
    "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
    "s3:prefix": "acme/files/",
}

NEVER: tuple[Asked, ...] = (
    ("iam:CreateRole", f"{TENANT_ROLES}-x"),
    ("iam:PassRole", f"{TENANT_ROLES}-x"),
    ("iam:PutRolePolicy", f"{TENANT_ROLES}-x"),
    ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/lightwork-ci/dev/lightwork-dev-apply"),
    ("s3:GetObject", f"{STATE}/lightwork/dev.json"),
    ("s3:PutBucketPolicy", LAKE),
    ("s3:DeleteBucket", LAKE),
    ("s3:DeleteObjectVersion", f"{LAKE}/acme/x"),
    ("s3:GetObject", f"{OTHER_LAKE}/globex/x"),
    ("kms:ScheduleKeyDeletion", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"),
    ("secretsmanager:GetSecretValue", f"{SECRETS}lightwork/dev/globex/x"),
    ("secretsmanager:GetSecretValue", f"{SECRETS}lightwork/prod/acme/x"),
    ("secretsmanager:PutSecretValue", f"{SECRETS}lightwork/dev/acme/x"),
    ("eks:UpdateClusterConfig", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/lightwork-dev"),
    ("eks:CreateAccessEntry", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/lightwork-dev"),
    ("ec2:RunInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"),
    ("rds:DeleteDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-dev-archive"),
    ("eks:ListClusters", "*"),
    ("eks:ListNodegroups", f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/lightwork-dev"),
    ("iam:GetAccountSummary", "*"),
    ("servicequotas:GetServiceQuota", "*"),
)
"""What no pod may ever do."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What a role must be able to do, and what it must never do besides `NEVER`."""

    must: tuple[Asked, ...]
    never: tuple[Asked, ...] = ()


LAKE_OBJECTS = tuple((f"s3:{verb}Object", f"{LAKE}/acme/files/x") for verb in ("Get", "Put", "Delete"))
OWN_SECRET = ("secretsmanager:GetSecretValue", f"{SECRETS}lightwork/dev/acme/weather-api")
MASTER = ("secretsmanager:GetSecretValue", f"{SECRETS}rds!db-1")
"""The password of the archive's master."""
READ_LOGS = ("es:ESHttpPost", f"{DOMAIN}/logs-tenant-acme/_search")

ESTATE = {
    "autoscaler-pods-role": Questions(
        must=(
            ("autoscaling:SetDesiredCapacity", GROUP),
            ("autoscaling:DescribeAutoScalingGroups", "*"),
            ("eks:DescribeNodegroup", f"arn:aws:eks:{REGION}:{ACCOUNT}:nodegroup/lightwork-dev/workers/1"),
        ),
        never=(
            ("autoscaling:DeleteAutoScalingGroup", GROUP),
            ("autoscaling:UpdateAutoScalingGroup", GROUP),
            ("ec2:TerminateInstances", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1"),
            ("eks:DescribeNodegroup", f"arn:aws:eks:{REGION}:{ACCOUNT}:nodegroup/lightwork-prod/workers/1"),
        ),
    ),
    "search-admin-role": Questions(
        must=(
            ("es:ESHttpPut", f"{DOMAIN}/_plugins/_security/api/roles/tenant-acme"),
            ("es:ESHttpDelete", f"{DOMAIN}/_data_stream/logs-tenant-acme"),
            ("es:ESHttpDelete", f"{DOMAIN}/_plugins/_security/api/roles/tenant-acme"),
            ("es:ESHttpGet", f"{DOMAIN}/"),
        ),
        never=(("es:UpdateDomainConfig", DOMAIN), ("es:DeleteDomain", DOMAIN)),
    ),
    "search-shipper-role": Questions(
        must=(("es:ESHttpPost", f"{DOMAIN}/_bulk"),),
        never=(
            READ_LOGS,
            ("es:ESHttpDelete", f"{DOMAIN}/_data_stream/logs-tenant-acme"),
            ("es:ESHttpPost", f"{DOMAIN}/logs-tenant-acme/_delete_by_query"),
            ("es:ESHttpPost", f"{DOMAIN}/_search"),
        ),
    ),
    "secrets-role": Questions(
        must=(
            ("secretsmanager:GetSecretValue", f"{SECRETS}lightwork/dev/_platform/argo-sso"),
            ("sts:AssumeRole", f"{TENANT_ROLES}-secrets-acme"),
            ("sts:TagSession", f"{TENANT_ROLES}-secrets-acme"),
        ),
        never=(
            OWN_SECRET,
            MASTER,
            ("sts:AssumeRole", f"{TENANT_ROLES}-pods-acme"),
            ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/lightwork-dev-node"),
        ),
    ),
    "archive-login-role": Questions(
        must=(MASTER, ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/archive-key")),
        never=(
            OWN_SECRET,
            *LAKE_OBJECTS,
            READ_LOGS,
            ("secretsmanager:GetSecretValue", f"{SECRETS}rds!db-2"),
            ("secretsmanager:GetSecretValue", f"{SECRETS}lightwork/dev/_platform/argo-sso"),
            ("secretsmanager:PutSecretValue", f"{SECRETS}rds!db-1"),
            ("secretsmanager:RotateSecret", f"{SECRETS}rds!db-1"),
            ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"),
            ("rds:ModifyDBInstance", f"arn:aws:rds:{REGION}:{ACCOUNT}:db:lightwork-dev-archive"),
            ("sts:AssumeRole", f"{TENANT_ROLES}-secrets-acme"),
        ),
    ),
    "platform-aws-alarms-role": Questions(
        must=(("sns:Publish", TOPIC),),
        never=(("sns:Publish", TOPIC.replace("dev", "prod")), ("sns:Subscribe", TOPIC)),
    ),
    # These have only policies of AWS's own, whose documents are not here.
    **dict.fromkeys(
        ("cluster-role", "nodes-role", "cluster-network-role-role", "nodes-volumes-role-role"),
        Questions(must=(), never=(*LAKE_OBJECTS, OWN_SECRET, READ_LOGS)),
    ),
}
TENANT = {
    "identity-controller-role": Questions(
        must=(
            ("s3:GetObject", f"{LAKE}/acme/runs/1/attempts/2.json"),
            ("s3:PutObject", f"{LAKE}/acme/runs/1/workflow.json"),
            ("s3:DeleteObject", f"{LAKE}/acme/runs/.open/1.json"),
            ("kms:GenerateDataKey", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"),
        ),
        never=(
            *LAKE_OBJECTS,
            ("s3:GetObject", f"{LAKE}/acme/runs/1/jobs/1.job"),
            ("s3:PutObject", f"{LAKE}/acme/runs/1/attempts/2.json"),
            ("s3:DeleteObject", f"{LAKE}/acme/runs/1/workflow.json"),
            ("s3:PutObject", f"{LAKE}/acme/results/t/1.seg"),
            ("s3:PutObject", f"{LAKE}/acme/artifacts/x/_versions/1.json"),
            OWN_SECRET,
            READ_LOGS,
        ),
    ),
    "identity-role": Questions(
        must=(
            *LAKE_OBJECTS,
            ("s3:PutObject", f"{LAKE}/acme/runs/1/attempts/2.json"),
            ("s3:ListBucket", LAKE),
            ("kms:GenerateDataKey", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"),
            OWN_SECRET,
        ),
        never=(
            READ_LOGS,
            ("sns:Publish", TOPIC),
            ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other"),
        ),
    ),
    "identity-steps-role": Questions(
        must=(*LAKE_OBJECTS, ("s3:ListBucket", LAKE), OWN_SECRET),
        never=(
            ("s3:GetObject", f"{LAKE}/acme/runs/1/jobs/1.job"),
            ("s3:PutObject", f"{LAKE}/acme/results/t/1.seg"),
            ("s3:PutObject", f"{LAKE}/acme/artifacts/x/_versions/1.json"),
            READ_LOGS,
        ),
    ),
    "people-role": Questions(
        must=(
            ("eks:DescribeCluster", CLUSTER),
            ("s3:GetObject", f"{LAKE}/acme/runs/1/attempts/2.json"),
            ("s3:GetObject", f"{LAKE}/acme/artifacts/x/part-0.parquet"),
            ("s3:ListBucket", LAKE),
            READ_LOGS,
        ),
        never=(
            *LAKE_OBJECTS[1:],
            ("s3:GetObject", f"{LAKE}/other/x"),
            ("s3:GetObjectVersion", f"{LAKE}/acme/x"),
            ("s3:ListBucketVersions", LAKE),
            ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other"),
            ("kms:GenerateDataKey", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"),
            ("eks:DescribeCluster", CLUSTER.replace("dev", "prod")),
            ("eks:ListAccessEntries", CLUSTER),
            ("eks:DescribeNodegroup", f"arn:aws:eks:{REGION}:{ACCOUNT}:nodegroup/lightwork-dev/workers/1"),
            (
                "eks:UpdateAccessEntry",
                f"arn:aws:eks:{REGION}:{ACCOUNT}:access-entry/lightwork-dev/role/1/x/1",
            ),
            ("sts:AssumeRole", f"{TENANT_ROLES}-pods-acme"),
            ("sts:AssumeRole", f"{TENANT_ROLES}-people-globex"),
            OWN_SECRET,
            ("es:ESHttpPost", f"{DOMAIN}/logs-tenant-acme-2/_search"),
            ("es:ESHttpPost", f"{DOMAIN}/logs-tenant-*/_search"),
            ("es:ESHttpPost", f"{DOMAIN}/_search"),
            ("es:ESHttpGet", f"{DOMAIN}/_cat/indices"),
            ("es:ESHttpPost", f"{DOMAIN}/_bulk"),
        ),
    ),
    "secrets-role": Questions(
        must=(OWN_SECRET,), never=(*LAKE_OBJECTS, ("sts:AssumeRole", f"{TENANT_ROLES}-pods-acme"))
    ),
}


def roles(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the documents of each role's own policies, by its logical name, without CI's roles."""
    granted: dict[str, list[dict[str, Any]]] = {}
    for grant in run.all("aws:iam/rolePolicy:RolePolicy"):
        granted.setdefault(grant.inputs["role"], []).append(json.loads(grant.inputs["policy"]))
    return {
        role.name: granted.get(role.inputs["name"], [])
        for role in run.all("aws:iam/role:Role")
        if not role.inputs["path"].startswith("/lightwork-ci/")
    }


def boundary(estate: Run, kind: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        estate.named("aws:iam/policy:Policy", f"access-{kind}-boundary").inputs["policy"]
    )
    return document


CASES = [("estate", name, one) for name, one in ESTATE.items()] + [
    ("tenant", name, one) for name, one in TENANT.items()
]


@pytest.mark.parametrize(
    ("kind", "name", "questions"), CASES, ids=[f"{kind}-{name}" for kind, name, _ in CASES]
)
def test_a_role_does_what_it_must_and_nothing_that_it_must_not(
    estates: dict[str, Run], acme: Run, kind: str, name: str, questions: Questions
) -> None:
    grants = roles(estates["dev"] if kind == "estate" else acme)[name]
    outer = boundary(estates["dev"], kind)
    for action, resource in questions.must:
        assert within(outer, grants, action, resource, CONTEXT), f"must: {action} on {resource}"
    masters = () if name == "archive-login-role" else (MASTER,)
    for action, resource in (*questions.never, *NEVER, *masters):
        assert not within(outer, grants, action, resource, CONTEXT), f"never: {action} on {resource}"


def test_every_role_is_asked(estates: dict[str, Run], acme: Run) -> None:
    """A role without questions is one that nobody has thought about."""
    assert set(roles(estates["dev"])) == set(ESTATE)
    assert set(roles(acme)) == set(TENANT)

"""What CI may do on AWS: look, and, where it deploys, change what is this environment's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.statements import Condition, Policy, allow, policy, refuse

if TYPE_CHECKING:
    from infra.naming import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What belongs to an environment, in the ways that policies can say it.

    Attributes:
        names: the environment's names.
        estate_boundary: the ARN of the policy that bounds the estate's roles.
        tenant_boundary: the ARN of the one that bounds the tenants' roles.
    """

    names: Names
    estate_boundary: str
    tenant_boundary: str

    @property
    def new(self) -> Condition:
        """A request that tags what it makes as this environment's."""
        return {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in self.names.tags().items()}}

    @property
    def own(self) -> Condition:
        """A request about what is tagged as this environment's."""
        return {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in self.names.tags().items()}}

    @property
    def buckets(self) -> str:
        """The buckets, lakes among them."""
        return f"arn:aws:s3:::lw-{self.names.environment}-*"

    @property
    def lakes(self) -> str:
        """The lakes alone: the estate's own buckets do not end in the region."""
        return f"{self.buckets}-{self.names.account}-{self.names.region}"

    @property
    def state(self) -> str:
        """The bucket of Pulumi's states."""
        return f"arn:aws:s3:::{self.names.bucket('state')}"

    @property
    def roles(self) -> str:
        """The roles of estate and tenants; those of CI are not among them."""
        return f"arn:aws:iam::{self.names.account}:role{self.names.role_path}*"

    @property
    def tenant_roles(self) -> str:
        """The roles of tenants."""
        return f"arn:aws:iam::{self.names.account}:role{self.names.tenant_role_path}*"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in the environment's region and account."""
        return f"arn:aws:{service}:{self.names.region}:{self.names.account}:{resource}"


def look(scope: Scope) -> Policy:
    """Read how everything is set up, and the states; never what is in a lake, a secret or an index.

    Most of these calls know no resource. Those that do name it.
    """
    state: Condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": scope.names.key("state")}}
    return policy(
        allow(
            "Look",
            [
                "autoscaling:Describe*",
                "budgets:ViewBudget",
                "budgets:ListTagsForResource",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "ec2:Describe*",
                "ecr:DescribeRepositories",
                "ecr:GetLifecyclePolicy",
                "ecr:GetRepositoryPolicy",
                "ecr:ListTagsForResource",
                "eks:Describe*",
                "eks:List*",
                "es:DescribeDomain*",
                "es:ListTags",
                "iam:GetOpenIDConnectProvider",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListPolicyVersions",
                "iam:ListRolePolicies",
                "kms:DescribeKey",
                "kms:GetKeyPolicy",
                "kms:GetKeyRotationStatus",
                "kms:ListAliases",
                "kms:ListResourceTags",
                "logs:DescribeLogGroups",
                "logs:ListTagsForResource",
                "rds:Describe*",
                "rds:ListTagsForResource",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetResourcePolicy",
                "sns:GetSubscriptionAttributes",
                "sns:GetTopicAttributes",
                "sns:ListTagsForResource",
            ],
            ["*"],
        ),
        allow(
            "LookAtBuckets",
            [
                "s3:GetBucket*",
                "s3:GetEncryptionConfiguration",
                "s3:GetLifecycleConfiguration",
                "s3:GetAccelerateConfiguration",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
            ],
            [scope.buckets],
        ),
        allow("ReadState", ["s3:GetObject"], [f"{scope.state}/*"]),
        allow("ReadStateKey", ["kms:Decrypt"], [scope.arn("kms", "key/*")], state),
        refuse("NoData", ["s3:GetObject", "s3:GetObjectVersion"], [f"{scope.lakes}/*"]),
        refuse("NoSecrets", ["secretsmanager:GetSecretValue"], ["*"]),
    )


def change_roles(scope: Scope) -> Policy:
    """IAM: roles of this environment, each within its boundary; CI's own roles and the boundaries are not.

    Without the boundary whoever may make a role may do everything by way of it.
    """
    bounded: Condition = {
        "StringEquals": {"iam:PermissionsBoundary": [scope.estate_boundary, scope.tenant_boundary]}
    }
    unbounded: Condition = {"StringNotEquals": {"iam:PermissionsBoundary": scope.tenant_boundary}}
    granting = [
        "iam:AttachRolePolicy",
        "iam:CreateRole",
        "iam:DeleteRolePolicy",
        "iam:DetachRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
    ]
    services = ["eks.amazonaws.com", "pods.eks.amazonaws.com", "ec2.amazonaws.com"]
    linked = [
        "eks.amazonaws.com",
        "eks-nodegroup.amazonaws.com",
        "spot.amazonaws.com",
        "opensearchservice.amazonaws.com",
        "rds.amazonaws.com",
    ]
    return policy(
        allow("Grant", granting, [scope.roles], bounded),
        refuse("TenantsWithinTheirs", granting, [scope.tenant_roles], unbounded),
        allow(
            "Roles",
            [
                "iam:DeleteRole",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
            ],
            [scope.roles],
        ),
        allow("Pass", ["iam:PassRole"], [scope.roles], {"StringEquals": {"iam:PassedToService": services}}),
        allow(
            "ServiceLinkedRoles",
            ["iam:CreateServiceLinkedRole"],
            [f"arn:aws:iam::{scope.names.account}:role/aws-service-role/*"],
            {"StringEquals": {"iam:AWSServiceName": linked}},
        ),
    )


def estate_boundary(scope: Scope) -> Policy:
    """The most that any role of the estate may do: what cluster, nodes and their helpers need; no IAM."""
    names = scope.names
    here: Condition = {"StringEquals": {"aws:RequestedRegion": names.region}}
    return policy(
        allow(
            "Machines",
            ["autoscaling:*", "ec2:*", "elasticloadbalancing:*"],
            ["*"],
            here,
        ),
        allow("Cluster", ["eks:Describe*", "eks:List*", "eks-auth:AssumeRoleForPodIdentity"], ["*"], here),
        allow(
            "Images",
            ["ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer"],
            ["*"],
            here,
        ),
        allow("Search", ["es:ESHttp*"], [scope.arn("es", f"domain/{names.search_domain}/*")]),
        allow(
            "ArchivePassword",
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            [scope.arn("secretsmanager", "secret:rds!db-*")],
        ),
        allow("Keys", ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey"], [scope.arn("kms", "key/*")]),
    )

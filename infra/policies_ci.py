"""What CI may do on AWS: look, and, where it deploys, change what is this environment's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.statements import Condition, Policy, allow, policy, refuse

if TYPE_CHECKING:
    from infra.naming import Names


LOOKING = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    *(
        f"ec2:Describe{what}"
        for what in (
            "Addresses",
            "AddressesAttribute",
            "AvailabilityZones",
            "FlowLogs",
            "InternetGateways",
            "LaunchTemplates",
            "LaunchTemplateVersions",
            "NatGateways",
            "NetworkAcls",
            "NetworkInterfaces",
            "PrefixLists",
            "RouteTables",
            "SecurityGroupRules",
            "SecurityGroups",
            "Subnets",
            "Tags",
            "VpcEndpoints",
            "Vpcs",
        )
    ),
    "kms:ListAliases",
    "logs:DescribeLogGroups",
    "sns:GetSubscriptionAttributes",
)
"""What looks at how things are set up and knows no resource."""


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
        return self.arn_of_iam("role", self.names.role_path)

    @property
    def tenant_roles(self) -> str:
        """The roles of tenants."""
        return self.arn_of_iam("role", self.names.tenant_role_path)

    @property
    def cluster(self) -> list[str]:
        """The cluster and what belongs to it."""
        parts = {
            "cluster": "",
            "nodegroup": "/*/*",
            "addon": "/*/*",
            "access-entry": "/*",
            "podidentityassociation": "/*",
        }
        return [self.arn("eks", f"{kind}/{self.names.cluster}{rest}") for kind, rest in parts.items()]

    @property
    def state_key(self) -> Condition:
        """A request about the key of Pulumi's states, which is known by its alias alone."""
        return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": self.names.key("state")}}

    def arn_of_iam(self, kind: str, path: str) -> str:
        """The ARNs of all roles or policies below a path."""
        return f"arn:aws:iam::{self.names.account}:{kind}{path}*"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in the environment's region and account."""
        return f"arn:aws:{service}:{self.names.region}:{self.names.account}:{resource}"


def look(scope: Scope) -> Policy:
    """Read how everything is set up, and the states; never what is in a lake, a secret or an index.

    What is looked at by name is named; the rest are calls that know no resource.
    """
    names, state = scope.names, scope.state_key
    own = f"{names.cluster}-*"
    roles = [
        scope.arn_of_iam(kind, path)
        for kind in ("role", "policy")
        for path in (names.role_path, names.ci_path)
    ]
    return policy(
        allow("Look", list(LOOKING), ["*"]),
        allow("LookAtVpcs", ["ec2:DescribeVpcAttribute"], [scope.arn("ec2", "vpc/*")]),
        allow(
            "LookAtCluster",
            [
                "eks:DescribeAccessEntry",
                "eks:DescribeAddon",
                "eks:DescribeCluster",
                "eks:DescribeNodegroup",
                "eks:DescribePodIdentityAssociation",
                "eks:DescribeUpdate",
                "eks:ListAssociatedAccessPolicies",
                "eks:ListTagsForResource",
            ],
            scope.cluster,
        ),
        allow(
            "LookAtData",
            [
                "budgets:ListTagsForResource",
                "budgets:ViewBudget",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "ecr:DescribeRepositories",
                "ecr:GetLifecyclePolicy",
                "ecr:ListTagsForResource",
                "es:DescribeDomain",
                "es:DescribeDomainChangeProgress",
                "es:DescribeDomainConfig",
                "es:GetUpgradeStatus",
                "es:ListTags",
                "logs:ListTagsForResource",
                "rds:DescribeDBInstances",
                "rds:DescribeDBParameterGroups",
                "rds:DescribeDBParameters",
                "rds:DescribeDBSubnetGroups",
                "rds:ListTagsForResource",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetResourcePolicy",
                "sns:GetTopicAttributes",
                "sns:ListTagsForResource",
            ],
            [
                f"arn:aws:budgets::{names.account}:budget/{own}",
                scope.arn("cloudwatch", f"alarm:{own}"),
                scope.arn("ecr", f"repository/{names.image_repository}"),
                scope.arn("es", f"domain/{own}"),
                scope.arn("logs", f"log-group:/aws/eks/{names.cluster}/*"),
                scope.arn("logs", f"log-group:/aws/rds/instance/{own}"),
                *(scope.arn("rds", f"{kind}:{own}") for kind in ("db", "pg", "subgrp")),
                scope.arn("secretsmanager", f"secret:lightwork/{names.environment}/*"),
                scope.arn("sns", own),
            ],
        ),
        allow(
            "LookAtRoles",
            [
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListInstanceProfilesForRole",
                "iam:ListPolicyVersions",
                "iam:ListRolePolicies",
            ],
            [*roles, f"arn:aws:iam::{names.account}:role/aws-service-role/opensearchservice.amazonaws.com/*"],
        ),
        allow(
            "LookAtProvider",
            ["iam:GetOpenIDConnectProvider"],
            [f"arn:aws:iam::{names.account}:oidc-provider/*"],
        ),
        allow(
            "LookAtKeys",
            ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"],
            [scope.arn("kms", "key/*")],
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
        # What staging and prod run is copied from dev, in a job that may deploy to its own environment alone.
        allow(
            "PullImages",
            ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"],
            [scope.arn("ecr", f"repository/{names.image_repository}")],
        ),
        allow("SignInToImages", ["ecr:GetAuthorizationToken"], ["*"]),
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
        "ArnEquals": {"iam:PermissionsBoundary": [scope.estate_boundary, scope.tenant_boundary]}
    }
    unbounded: Condition = {"ArnNotEquals": {"iam:PermissionsBoundary": scope.tenant_boundary}}
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
        allow(
            "Cluster",
            ["eks:DescribeCluster", "eks:DescribeNodegroup", "eks-auth:AssumeRoleForPodIdentity"],
            scope.cluster,
        ),
        allow(
            "Images",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            # EKS's own images are in accounts of AWS.
            [f"arn:aws:ecr:{names.region}:*:repository/*"],
        ),
        allow("SignInToImages", ["ecr:GetAuthorizationToken"], ["*"], here),
        allow("Search", ["es:ESHttp*"], [scope.arn("es", f"domain/{names.search_domain}/*")]),
        allow(
            "ArchivePassword",
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            [scope.arn("secretsmanager", "secret:rds!db-*")],
        ),
        allow(
            "PlatformSecrets",
            ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            [scope.arn("secretsmanager", f"secret:{names.secret_prefix('_platform')}*")],
        ),
        allow(
            "TenantsSecrets",
            ["sts:AssumeRole", "sts:TagSession"],
            [names.role_arn(f"{names.named('secrets')}-*", tenant=True)],
        ),
        allow("Alarms", ["sns:Publish"], [scope.arn("sns", names.named("alarms"))]),
        allow(
            "Keys",
            ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            [scope.arn("kms", "key/*")],
        ),
    )

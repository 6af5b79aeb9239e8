"""The policy by which CI reads an environment, and the boundary of the estate's roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.statements import Condition, Policy, allow, policy, refuse

if TYPE_CHECKING:
    from infra.policies.scope import Scope

LOOKING = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    *(
        f"ec2:Describe{what}"
        for what in (
            "AccountAttributes",
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
    "eks:ListClusters",
    *(
        f"elasticloadbalancing:Describe{what}"
        for what in (
            "CapacityReservation",
            "ListenerAttributes",
            "Listeners",
            "LoadBalancerAttributes",
            "LoadBalancers",
            "Rules",
            "Tags",
            "TargetGroupAttributes",
            "TargetGroups",
        )
    ),
    "kms:ListAliases",
    "logs:DescribeLogGroups",
    "sns:GetSubscriptionAttributes",
)
"""Read-only calls that cannot be limited to a resource."""


def look(scope: Scope) -> Policy:
    """Allow reading the configuration and the states, never the content of a lake, a secret or an index.

    Calls that can be limited to resources are.
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
        allow(
            "LookAtQuotas",
            [
                "iam:GetAccountSummary",
                "servicequotas:GetAWSDefaultServiceQuota",
                "servicequotas:GetServiceQuota",
            ],
            ["*"],
        ),
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
                "eks:ListNodegroups",
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
                "es:GetCompatibleVersions",
                "es:GetUpgradeStatus",
                "es:ListTags",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "logs:ListTagsForResource",
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
                scope.arn("events", f"rule/{own}"),
                scope.arn("logs", f"log-group:/aws/eks/{names.cluster}/*"),
                scope.arn("logs", f"log-group:/aws/rds/instance/{own}"),
                *(scope.arn("rds", f"{kind}:{own}") for kind in ("db", "pg", "subgrp")),
                scope.arn("secretsmanager", f"secret:lightwork/{names.environment}/*"),
                scope.arn("sns", own),
            ],
        ),
        # The provider filters by the database's resource ID, which IAM takes for a question about all.
        allow("LookAtDatabases", ["rds:DescribeDBInstances"], [scope.arn("rds", "db:*")]),
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
        # A job that deploys to staging or prod copies the image from dev, where it may only read.
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


def estate_boundary(scope: Scope) -> Policy:
    """Return the boundary of the estate's roles: what cluster, nodes and add-ons need, and no IAM."""
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
            # EKS's own images are in AWS's accounts.
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
            "AlertsWork",
            ["cloudwatch:PutMetricData"],
            ["*"],
            {"StringEquals": {"cloudwatch:namespace": f"lightwork/{names.environment}"}},
        ),
        allow(
            "Keys",
            ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            [scope.arn("kms", "key/*")],
        ),
    )

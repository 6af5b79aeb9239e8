"""The policies of the deploying role, one per group of services.

The role may change buckets, keys, databases and the like, but never delete them. What it writes may destroy
or open data all the same: a bucket's lifecycle and policy, a role's trust, the database's password. AWS has
no condition on their content, so `never` denies the rest; docs/decisions/estate-access.md says what remains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.ci_pages import change_pages
from infra.policies.scope import Scope
from infra.policies.statements import Condition, Policy, allow, policy, refuse

if TYPE_CHECKING:
    from infra.policies.scope import Scope


def change_network(scope: Scope) -> Policy:
    """Allow creating, changing and deleting EC2 resources that carry this environment's tags.

    A call that creates one resource in another needs permission for both: `Make` grants it for the new
    resource, `MakeIn` for the existing one.
    """
    creating = [
        "ec2:AllocateAddress",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:CreateFlowLogs",
        "ec2:CreateInternetGateway",
        "ec2:CreateLaunchTemplate",
        "ec2:CreateNatGateway",
        "ec2:CreateRouteTable",
        "ec2:CreateSecurityGroup",
        "ec2:CreateSubnet",
        "ec2:CreateVpc",
        "ec2:CreateVpcEndpoint",
    ]
    changing = [
        "ec2:AssociateRouteTable",
        "ec2:AttachInternetGateway",
        "ec2:CreateLaunchTemplateVersion",
        "ec2:CreateRoute",
        "ec2:CreateTags",
        "ec2:DeleteFlowLogs",
        "ec2:DeleteInternetGateway",
        "ec2:DeleteLaunchTemplate",
        "ec2:DeleteNatGateway",
        "ec2:DeleteRoute",
        "ec2:DeleteRouteTable",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteSubnet",
        "ec2:DeleteTags",
        "ec2:DeleteVpc",
        "ec2:DeleteVpcEndpoints",
        "ec2:DetachInternetGateway",
        "ec2:DisassociateAddress",
        "ec2:DisassociateRouteTable",
        "ec2:ModifyLaunchTemplate",
        "ec2:ModifySecurityGroupRules",
        "ec2:ModifySubnetAttribute",
        "ec2:ModifyVpcAttribute",
        "ec2:ModifyVpcEndpoint",
        "ec2:ReleaseAddress",
        "ec2:ReplaceRoute",
        "ec2:ReplaceRouteTableAssociation",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
    ]
    by_creation = [action.partition(":")[2] for action in creating]
    started = [scope.arn("ec2", f"{kind}/*") for kind in ("instance", "volume", "network-interface")]
    ours = [scope.arn("ec2", f"{kind}/*") for kind in ("launch-template", "subnet")]
    groups = scope.arn("ec2", "security-group/*")
    return policy(
        allow("Make", creating, [scope.arn("ec2", "*")], scope.new),
        allow("MakeIn", creating, [scope.arn("ec2", "*")], scope.own),
        allow(
            "TagWhatIsMade",
            ["ec2:CreateTags"],
            [scope.arn("ec2", "*")],
            {"StringEquals": {**scope.new["StringEquals"], "ec2:CreateAction": by_creation}},
        ),
        allow("Change", changing, [scope.arn("ec2", "*")], scope.own),
        # A new VPC has a default security group without tags, which the program tags and empties.
        allow(
            "AdoptDefault",
            ["ec2:CreateTags"],
            [groups],
            {**scope.new, "Null": {"aws:ResourceTag/project": "true"}},
        ),
        # EKS checks that its caller may start instances from a node group's launch template, with its tags.
        # The cluster's security group and AWS's images have no tags of ours.
        allow(
            "NodeGroups",
            ["ec2:RunInstances"],
            [*started, groups, f"arn:aws:ec2:{scope.names.region}::image/*"],
            {"ArnLike": {"ec2:LaunchTemplate": scope.arn("ec2", "launch-template/*")}},
        ),
        allow("NodeGroupsOwn", ["ec2:RunInstances"], ours, scope.own),
        allow(
            "TagNodes", ["ec2:CreateTags"], started, {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
        ),
    )


def change_cluster(scope: Scope) -> Policy:
    """Allow changing this environment's cluster, the tags on its scaling groups, and the log groups."""
    cluster, region = scope.names.cluster, scope.names.region
    groups = (
        f"arn:aws:autoscaling:{region}:{scope.names.account}:autoScalingGroup:*:autoScalingGroupName/eks-*"
    )
    return policy(
        allow(
            "Cluster",
            [
                "eks:AssociateAccessPolicy",
                "eks:AssociateEncryptionConfig",
                "eks:CreateAccessEntry",
                "eks:CreateAddon",
                "eks:CreateNodegroup",
                "eks:CreatePodIdentityAssociation",
                "eks:DeleteAccessEntry",
                "eks:DeleteAddon",
                "eks:DeleteNodegroup",
                "eks:DeletePodIdentityAssociation",
                "eks:DisassociateAccessPolicy",
                "eks:TagResource",
                "eks:UntagResource",
                "eks:UpdateAccessEntry",
                "eks:UpdateAddon",
                "eks:UpdateClusterConfig",
                "eks:UpdateClusterVersion",
                "eks:UpdateNodegroupConfig",
                "eks:UpdateNodegroupVersion",
                "eks:UpdatePodIdentityAssociation",
            ],
            scope.cluster,
        ),
        # This call cannot be limited to a name: the cluster does not exist yet.
        allow("MakeCluster", ["eks:CreateCluster"], ["*"], scope.new),
        allow(
            "ScalingGroupTags",
            ["autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags"],
            [groups],
            {"StringEquals": {"aws:ResourceTag/eks:cluster-name": cluster}},
        ),
        allow(
            "Logs",
            [
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            [
                scope.arn("logs", f"log-group:/aws/eks/{cluster}/*"),
                scope.arn("logs", f"log-group:/aws/rds/instance/{cluster}-*"),
            ],
        ),
        allow(
            "FlowLogs",
            ["logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:GetLogDelivery"],
            ["*"],
            {"StringEquals": {"aws:RequestedRegion": region}},
        ),
    )


def change_data(scope: Scope) -> Policy:
    """Allow creating and changing buckets, database, search, images, secrets, alarms and budgets.

    CI cannot delete a bucket, database, domain, repository or secret, whatever a program or a state asks for:
    that takes a person.
    """
    name = f"lightwork-{scope.names.environment}"
    return policy(
        allow(
            "Buckets",
            [
                "s3:CreateBucket",
                "s3:PutBucketLogging",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ],
            [scope.buckets],
        ),
        allow("WriteState", ["s3:DeleteObject", "s3:PutObject"], [f"{scope.state}/*"]),
        allow(
            "Database",
            [
                "rds:AddTagsToResource",
                "rds:CreateDBInstance",
                "rds:CreateDBParameterGroup",
                "rds:CreateDBSubnetGroup",
                "rds:ModifyDBInstance",
                "rds:ModifyDBParameterGroup",
                "rds:ModifyDBSubnetGroup",
                "rds:RemoveTagsFromResource",
                "rds:ResetDBParameterGroup",
            ],
            [scope.arn("rds", f"{kind}:{name}-*") for kind in ("db", "pg", "subgrp")],
        ),
        allow(
            "DatabasePassword",
            ["secretsmanager:CreateSecret", "secretsmanager:TagResource"],
            [scope.arn("secretsmanager", "secret:rds!db-*")],
        ),
        allow(
            "Search",
            ["es:AddTags", "es:CreateDomain", "es:RemoveTags", "es:UpdateDomainConfig", "es:UpgradeDomain"],
            [scope.arn("es", f"domain/{name}-*")],
        ),
        allow(
            "Images",
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:CompleteLayerUpload",
                "ecr:CreateRepository",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:PutImageScanningConfiguration",
                "ecr:PutImageTagMutability",
                "ecr:PutLifecyclePolicy",
                "ecr:TagResource",
                "ecr:UntagResource",
                "ecr:UploadLayerPart",
            ],
            [scope.arn("ecr", f"repository/{scope.names.image_repository}")],
        ),
        allow(
            "TenantSecrets",
            [
                "secretsmanager:CreateSecret",
                "secretsmanager:TagResource",
                "secretsmanager:UntagResource",
            ],
            [scope.arn("secretsmanager", f"secret:{scope.names.secret_prefix('*')}*")],
        ),
        allow(
            "Alarms",
            [
                "sns:CreateTopic",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
                "sns:TagResource",
                "sns:UntagResource",
            ],
            [scope.arn("sns", f"{name}-*")],
        ),
        allow(
            "Unsubscribe",
            ["sns:Unsubscribe"],
            ["*"],
            {"StringEquals": {"aws:RequestedRegion": scope.names.region}},
        ),
        allow(
            "MetricAlarms",
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            [scope.arn("cloudwatch", f"alarm:{name}-*")],
        ),
        allow(
            "Rules",
            [
                "events:DeleteRule",
                "events:PutRule",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ],
            [scope.arn("events", f"rule/{name}-*")],
        ),
        allow(
            "RulesTellTheTopic",
            ["events:PutTargets"],
            [scope.arn("events", f"rule/{name}-*")],
            {"ForAllValues:ArnLike": {"events:TargetArn": scope.arn("sns", f"{name}-*")}},
        ),
        allow(
            "Budgets",
            ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"],
            [f"arn:aws:budgets::{scope.names.account}:budget/{name}-*"],
        ),
    )


def change_keys(scope: Scope) -> Policy:
    """Allow creating keys of this environment and letting AWS services use them, but not deleting keys.

    The only key that CI uses directly is that of Pulumi's states.
    """
    keys = scope.arn("kms", "key/*")
    services: Condition = {**scope.own, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    via: Condition = {
        **scope.own,
        "StringLike": {"kms:ViaService": f"*.{scope.names.region}.amazonaws.com"},
    }
    aliases = scope.arn("kms", f"alias/lightwork/{scope.names.environment}/*")
    return policy(
        allow("MakeKeys", ["kms:CreateKey"], ["*"], scope.new),
        # Only untagged keys without an alias: tagging any other key would make it this environment's.
        allow(
            "TagNewKeys",
            ["kms:TagResource"],
            [keys],
            {**scope.new, "Null": {"aws:ResourceTag/project": "true", "kms:ResourceAliases": "true"}},
        ),
        allow(
            "ChangeKeys",
            [
                "kms:CreateAlias",
                "kms:EnableKeyRotation",
                "kms:TagResource",
                "kms:UntagResource",
                "kms:UpdateAlias",
                "kms:UpdateKeyDescription",
            ],
            [keys],
            scope.own,
        ),
        allow("Aliases", ["kms:CreateAlias", "kms:UpdateAlias"], [aliases]),
        allow("LetServicesUseKeys", ["kms:CreateGrant"], [keys], services),
        allow("UseKeysThroughServices", ["kms:Decrypt", "kms:GenerateDataKey*"], [keys], via),
        allow("StateKey", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*"], [keys], scope.state_key),
    )


def applying(scope: Scope) -> dict[str, Policy]:
    """Return the deploying role's policies besides those to look, by name; AWS limits the size of each."""
    return {
        **({"pages": change_pages(scope)} if scope.zone_id else {}),
        "network": change_network(scope),
        "cluster": change_cluster(scope),
        "data": change_data(scope),
        "keys": change_keys(scope),
        "roles": change_roles(scope),
        "never": never(scope),
    }


def never(scope: Scope) -> Policy:
    """Deny what no deployment needs, even where the policy of a bucket, a key or a domain allows it.

    The role writes some of those policies itself: an allow in one of them would do without a grant here.
    """
    lakes, audit = scope.lakes, f"{scope.buckets}-audit"
    return policy(
        refuse(
            "NeverDelete",
            [
                "ecr:BatchDeleteImage",
                "ecr:DeleteRepository",
                "eks:DeleteCluster",
                "es:DeleteDomain",
                "kms:DeleteAlias",
                "kms:DisableKey",
                "kms:ScheduleKeyDeletion",
                "logs:DeleteLogGroup",
                "rds:DeleteDB*",
                "s3:DeleteBucket*",
                "s3:DeleteObjectVersion*",
                "secretsmanager:DeleteSecret",
            ],
            ["*"],
        ),
        refuse(
            "NeverOpen",
            [
                "ecr:SetRepositoryPolicy",
                "es:ESHttp*",
                "kms:PutKeyPolicy",
                "s3:PutAccountPublicAccessBlock",
                "secretsmanager:PutResourcePolicy",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecret",
                "sts:AssumeRole",
            ],
            ["*"],
        ),
        refuse(
            "NeverTouchData",
            ["s3:DeleteObject*", "s3:GetObject*", "s3:PutObject*", "s3:ReplicateObject"],
            [f"{lakes}/*", f"{audit}/*"],
        ),
        # An administrator's `bootstrap` made the bucket and the key of the states.
        refuse(
            "NeverChangeTheStatesBucket",
            [
                "s3:CreateBucket",
                "s3:PutBucket*",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ],
            [scope.state],
        ),
        refuse(
            "NeverChangeTheStatesKey",
            ["kms:CreateAlias", "kms:UpdateAlias"],
            [scope.arn("kms", scope.names.key("state"))],
        ),
        refuse(
            "NeverRetagTheStatesKey",
            ["kms:CreateAlias", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias"],
            [scope.arn("kms", "key/*")],
            scope.state_key,
        ),
    )


def change_roles(scope: Scope) -> Policy:
    """Allow changing this environment's roles within their boundaries, but not CI's roles or the boundaries.

    Without boundaries, the right to create a role would be the right to do anything.
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
        "elasticloadbalancing.amazonaws.com",
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
        allow(
            "ServiceLinkedRoleTags",
            ["iam:TagRole", "iam:UntagRole"],
            [f"arn:aws:iam::{scope.names.account}:role/aws-service-role/opensearchservice.amazonaws.com/*"],
        ),
    )

"""The wildcards that stand, each with the reason. What is not in this table is refused."""

from __future__ import annotations

from dataclasses import dataclass

POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
KEY = "aws:kms/key:Key"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
LOOKING = ("*:Describe*", "*:List*", "sns:GetSubscriptionAttributes", "ec2:GetInstanceTypesFrom*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """One statement that may have a wildcard.

    Attributes:
        type: the type of the resource that has the statement.
        names: the logical names of such resources.
        sid: the statement's `Sid`.
        actions: patterns of all that the statement may allow; another action ends the excuse.
        parts: what may be a wildcard: `actions`, `resources`, `principals`.
        reason: why.
    """

    type: str
    names: tuple[str, ...]
    sid: str
    actions: tuple[str, ...]
    parts: tuple[str, ...] = ("resources",)
    reason: str


EXCUSES: tuple[Excuse, ...] = (
    Excuse(
        type=POLICY,
        names=("access-estate-boundary",),
        sid="Machines",
        actions=("autoscaling:*", "ec2:*", "elasticloadbalancing:*"),
        parts=("actions", "resources"),
        reason="a boundary grants nothing: it bounds what roles may be granted, and EKS's own need these",
    ),
    Excuse(
        type=POLICY,
        names=("access-estate-boundary",),
        sid="Images",
        actions=("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        reason="the images of EKS's add-ons are in an account of AWS's own, another one in each region",
    ),
    Excuse(
        type=POLICY,
        names=("access-estate-boundary", "access-preview-look", "access-apply-look"),
        sid="SignInToImages",
        actions=("ecr:GetAuthorizationToken",),
        reason="the call is about no resource, and the token opens what other statements name",
    ),
    Excuse(
        type=POLICY,
        names=("access-preview-look", "access-apply-look"),
        sid="Look",
        actions=LOOKING,
        reason="these calls list, and AWS lets them name no resource",
    ),
    Excuse(
        type=ROLE_POLICY,
        names=("autoscaler-pods-policy",),
        sid="Look",
        actions=LOOKING,
        reason="these calls list, and AWS lets them name no resource",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="Make",
        actions=("ec2:AllocateAddress", "ec2:AuthorizeSecurityGroupIngress", "ec2:Create*"),
        reason="what is made has no name yet: the condition asks for the environment's tags on it",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="MakeIn",
        actions=("ec2:AllocateAddress", "ec2:AuthorizeSecurityGroupIngress", "ec2:Create*"),
        reason="EC2 chooses the ids; the condition asks for the environment's tags on what it is made in",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="TagWhatIsMade",
        actions=("ec2:CreateTags",),
        reason="the condition is that the call is the one that makes it",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="Change",
        actions=(
            "ec2:A*Route*",
            "ec2:AttachInternetGateway",
            "ec2:Create*",
            "ec2:De*",
            "ec2:Dis*",
            "ec2:Modify*",
            "ec2:ReleaseAddress",
            "ec2:ReplaceRoute",
            "ec2:RevokeSecurityGroup*",
        ),
        reason="EC2 chooses the ids; the condition asks for the environment's tags on what is changed",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="NodeGroups",
        actions=("ec2:RunInstances",),
        reason="an instance is of many kinds of things at once; the condition is a launch template of ours",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-cluster",),
        sid="MakeCluster",
        actions=("eks:CreateCluster",),
        reason="AWS lets the call name no resource; the condition asks for the environment's tags",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-cluster",),
        sid="FlowLogs",
        actions=("logs:*LogDelivery",),
        reason="AWS lets these calls name no resource; the condition is the environment's region",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-data",),
        sid="Unsubscribe",
        actions=("sns:Unsubscribe",),
        reason="AWS lets the call name no resource; the condition is the environment's region",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-keys",),
        sid="MakeKeys",
        actions=("kms:CreateKey",),
        reason="a new key has no name yet; the condition asks for the environment's tags on it",
    ),
    Excuse(
        type=KEY,
        names=("alarms-key", "archive-key", "cluster-secrets-key", "registry-key", "search-key"),
        sid="Account",
        actions=("kms:*",),
        parts=("actions",),
        reason="it lets the account's own policies decide; without it a key can become nobody's",
    ),
    Excuse(
        type=ENDPOINT,
        names=("network-s3",),
        sid="OwnBuckets",
        actions=("s3:*",),
        parts=("actions", "resources", "principals"),
        reason="an endpoint adds no right: it lets the VPC's traffic reach this account's buckets alone",
    ),
    Excuse(
        type=ENDPOINT,
        names=("network-s3",),
        sid="ImageLayers",
        actions=("s3:GetObject",),
        parts=("principals",),
        reason="an endpoint adds no right: it lets the VPC's traffic reach where image layers are",
    ),
)

"""The allowed wildcards, each with its reason. Any other wildcard is refused."""

from __future__ import annotations

from dataclasses import dataclass

POLICY = "aws:iam/policy:Policy"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
KEY = "aws:kms/key:Key"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
LOOKING = ("*:Describe*", "*:List*", "sns:GetSubscriptionAttributes", "ec2:GetInstanceTypesFrom*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """A statement that may have a wildcard.

    Attributes:
        type: the type of the resources with the statement.
        names: the logical names of these resources.
        sid: the statement's `Sid`.
        actions: patterns that all actions of the statement must match for the excuse to apply.
        parts: the parts that may be a wildcard: `actions`, `resources`, `principals`.
        reason: why the wildcard is needed.
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
        reason="a boundary grants nothing; it only limits roles, and EKS's roles need these actions",
    ),
    Excuse(
        type=POLICY,
        names=("access-estate-boundary",),
        sid="Images",
        actions=("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        reason="the images of EKS's add-ons are in an account of AWS, a different one in each region",
    ),
    Excuse(
        type=POLICY,
        names=("access-estate-boundary", "access-preview-look", "access-apply-look"),
        sid="SignInToImages",
        actions=("ecr:GetAuthorizationToken",),
        reason="the call has no resource, and the token gives access only to what other statements name",
    ),
    Excuse(
        type=POLICY,
        names=("access-estate-boundary",),
        sid="AlertsWork",
        actions=("cloudwatch:PutMetricData",),
        reason="AWS lets the call name no resource; the condition requires the environment's own namespace",
    ),
    Excuse(
        type=ROLE_POLICY,
        names=("platform-aws-watch-policy",),
        sid="Beat",
        actions=("cloudwatch:PutMetricData",),
        reason="AWS lets the call name no resource; the condition requires the environment's own namespace",
    ),
    Excuse(
        type=POLICY,
        names=("access-preview-look", "access-apply-look"),
        sid="Look",
        actions=LOOKING,
        reason="these calls list, and AWS lets them name no resource",
    ),
    Excuse(
        type=POLICY,
        names=("access-preview-look", "access-apply-look"),
        sid="LookAtQuotas",
        actions=("iam:GetAccountSummary", "servicequotas:Get*"),
        reason="these calls are about the whole account, and AWS lets them name no resource",
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
        actions=("ec2:AllocateAddress", "ec2:AuthorizeSecurityGroup*", "ec2:Create*"),
        reason="a new resource has no name yet; the condition requires the environment's tags on it",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="MakeIn",
        actions=("ec2:AllocateAddress", "ec2:AuthorizeSecurityGroup*", "ec2:Create*"),
        reason="EC2 chooses the ids; the condition requires the environment's tags on the parent resource",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="TagWhatIsMade",
        actions=("ec2:CreateTags",),
        reason="the condition requires that the same call creates the resource",
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
            "ec2:ReplaceRoute*",
            "ec2:RevokeSecurityGroup*",
        ),
        reason="EC2 chooses the ids; the condition requires the environment's tags on the changed resource",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-network",),
        sid="NodeGroups",
        actions=("ec2:RunInstances",),
        reason="a new instance involves many kinds of resources; the condition requires our launch template",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-cluster",),
        sid="MakeCluster",
        actions=("eks:CreateCluster",),
        reason="AWS allows no resource for this call; the condition requires the environment's tags",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-cluster",),
        sid="FlowLogs",
        actions=("logs:*LogDelivery",),
        reason="AWS allows no resource for these calls; the condition requires the environment's region",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-pages",),
        sid="MakeCertificates",
        actions=("acm:RequestCertificate",),
        reason="a new certificate has no name yet; the condition requires the environment's tags on it",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-data",),
        sid="Unsubscribe",
        actions=("sns:Unsubscribe",),
        reason="AWS allows no resource for this call; the condition requires the environment's region",
    ),
    Excuse(
        type=POLICY,
        names=("access-apply-keys",),
        sid="MakeKeys",
        actions=("kms:CreateKey",),
        reason="a new key has no name yet; the condition requires the environment's tags on it",
    ),
    Excuse(
        type=KEY,
        names=("alarms-key", "archive-key", "cluster-secrets-key", "registry-key", "search-key"),
        sid="Account",
        actions=("kms:*",),
        parts=("actions",),
        reason="it delegates to the account's own policies; without it, a key can become unmanageable",
    ),
    Excuse(
        type=ENDPOINT,
        names=("network-s3",),
        sid="OwnBuckets",
        actions=("s3:*",),
        parts=("actions", "resources", "principals"),
        reason="an endpoint grants nothing; it only lets the VPC's traffic reach this account's buckets",
    ),
    Excuse(
        type=ENDPOINT,
        names=("network-s3",),
        sid="ImageLayers",
        actions=("s3:GetObject",),
        parts=("principals",),
        reason="an endpoint grants nothing; it only lets the VPC's traffic reach the buckets of image layers",
    ),
)

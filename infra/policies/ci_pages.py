"""The policies by which CI reads and changes the way to the web pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.policies.statements import Condition, Policy, allow, policy

if TYPE_CHECKING:
    from infra.policies.scope import Scope


def look_at_pages(scope: Scope) -> Policy:
    """Allow reading the pages' certificate, and the records of their zone."""
    return policy(
        allow(
            "LookAtCertificates",
            ["acm:DescribeCertificate", "acm:ListTagsForCertificate"],
            [scope.arn("acm", "certificate/*")],
            scope.own,
        ),
        allow("LookAtZone", ["route53:GetHostedZone", "route53:ListResourceRecordSets"], [scope.zone]),
        allow("LookAtChanges", ["route53:GetChange"], ["arn:aws:route53:::change/*"]),
    )


def change_pages(scope: Scope) -> Policy:
    """Allow changing the pages' balancer, its certificate, its names, and the nodes' ports that it reaches.

    Balancers are known by their names, certificates by their tags, records by the pages' host names: other
    environments may have theirs in the same zone. EKS makes the nodes' group and scaling groups, with its
    tags.
    """
    names, region = scope.names, scope.names.region
    balancers, records = "elasticloadbalancing", "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    creating = ("AddTags", "CreateListener", "CreateLoadBalancer", "CreateRule", "CreateTargetGroup")
    changing = (
        *("DeleteListener", "DeleteLoadBalancer", "DeleteRule", "DeleteTargetGroup"),
        *("ModifyListener", "ModifyListenerAttributes", "ModifyLoadBalancerAttributes", "ModifyRule"),
        *("ModifyTargetGroup", "ModifyTargetGroupAttributes", "RemoveTags", "SetIpAddressType"),
        *("SetRulePriorities", "SetSecurityGroups", "SetSubnets"),
    )
    certificates = scope.arn("acm", "certificate/*")
    groups = f"arn:aws:autoscaling:{region}:{names.account}:autoScalingGroup:*:autoScalingGroupName/eks-*"
    of_cluster: Condition = {"StringEquals": {"aws:ResourceTag/eks:cluster-name": names.cluster}}
    nodes: Condition = {"StringEquals": {"aws:ResourceTag/aws:eks:cluster-name": names.cluster}}
    return policy(
        allow("Balancers", [f"{balancers}:{action}" for action in (*creating, *changing)], scope.balancers),
        allow("MakeCertificates", ["acm:RequestCertificate"], ["*"], scope.new),
        allow(
            "TagNewCertificates",
            ["acm:AddTagsToCertificate"],
            [certificates],
            {**scope.new, "Null": {"aws:ResourceTag/project": "true"}},
        ),
        allow(
            "Certificates",
            [
                "acm:AddTagsToCertificate",
                "acm:DeleteCertificate",
                "acm:RemoveTagsFromCertificate",
                "acm:UpdateCertificateOptions",
            ],
            [certificates],
            scope.own,
        ),
        allow(
            "Names",
            ["route53:ChangeResourceRecordSets"],
            [scope.zone],
            {
                "ForAllValues:StringLike": {records: [*scope.hosts, *(f"_*.{host}" for host in scope.hosts)]},
                "Null": {records: "false"},
            },
        ),
        allow(
            "Targets",
            [
                "autoscaling:AttachLoadBalancerTargetGroups",
                "autoscaling:DetachLoadBalancerTargetGroups",
            ],
            [groups],
            of_cluster,
        ),
        allow(
            "Ports",
            [
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:ModifySecurityGroupRules",
                "ec2:RevokeSecurityGroupIngress",
            ],
            [scope.arn("ec2", "security-group/*")],
            nodes,
        ),
    )

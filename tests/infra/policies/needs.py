"""What the provider asks of AWS to make, read, change and delete each type of resource, as IAM sees it.

From the Service Authorization Reference, and from the permissions of CloudFormation's handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.infra.engine import ACCOUNT, REGION

Context: TypeAlias = dict[str, "str | list[str]"]
Inputs: TypeAlias = Mapping[str, Any]
CLUSTER_GROUP = "sg-cluster"
"""The security group that EKS makes, with its own tags, as `infra.offline.answers` names it."""
VERBS = ("create", "read", "update", "delete")


@dataclass(frozen=True, slots=True)
class Request:
    """One question to IAM."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The calls for a type: words like `s3:PutBucketPolicy`, or `ec2:CreateSubnet@vpc` for another resource.

    A resource in front of which a plus stands is a new one: the request tags it. `@*` is for calls that
    cannot be limited to a resource.

    Attributes:
        arn: the ARN of the resource, from its inputs.
        create, read, update, delete: the calls.
    """

    arn: Callable[[Inputs], str]
    create: str = ""
    read: str = ""
    update: str = ""
    delete: str = ""


def requests(type_: str, inputs: Inputs, verb: str, environment: str) -> Iterator[Request]:
    """Yield what a verb asks for a resource of an environment.

    Raises:
        AssertionError: the type has no row.
    """
    assert type_ in ROWS, f"{type_}: add a row to tests/infra/policies/needs.py"
    row = ROWS[type_]
    for word in getattr(row, verb).split():
        action, _, target = word.partition("@")
        new = target.startswith("+")
        target = target.removeprefix("+")
        resource = row.arn(inputs) if not target else _named(target, inputs, environment)
        context = _context(action, target, environment, new=new)
        if target == "security-group" and inputs.get("securityGroupId") == CLUSTER_GROUP:
            context = {
                "aws:RequestedRegion": REGION,
                "aws:ResourceTag/aws:eks:cluster-name": f"lightwork-{environment}",
            }
        if action == "route53:ChangeResourceRecordSets":
            context["route53:ChangeResourceRecordSetsNormalizedRecordNames"] = [inputs["name"].rstrip(".")]
        if "permissionsBoundary" in inputs and action.startswith("iam:"):
            context["iam:PermissionsBoundary"] = inputs["permissionsBoundary"]
        yield Request(action.partition("/")[0], resource, context)


def _context(action: str, target: str, environment: str, *, new: bool) -> Context:
    tags = {"project": "lightwork", "environment": environment}
    wanted: Context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    owned: Context = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    base: Context = {"aws:RequestedRegion": REGION}
    if action.startswith("ec2:CreateTags/"):
        return {**base, **wanted, "ec2:CreateAction": action.partition("/")[2]}
    if action == "ec2:RunInstances":
        base["ec2:LaunchTemplate"] = _ec2("launch-template")
    if action == "kms:CreateGrant":
        base["kms:GrantIsForAWSResource"] = "true"
    if action in {"kms:Decrypt", "kms:GenerateDataKey"}:
        base["kms:ViaService"] = f"secretsmanager.{REGION}.amazonaws.com"
    if action.startswith("autoscaling:") and target != "*":
        return {**base, "aws:ResourceTag/eks:cluster-name": f"lightwork-{environment}"}
    if action == "events:PutTargets":
        base["events:TargetArn"] = [arn_of("sns", f"lightwork-{environment}-alarms")]
    if action == "iam:PassRole":
        service = {"cluster": "eks", "node": "ec2", "pod": "pods.eks"}[target.partition("-")[0]]
        return {**base, "iam:PassedToService": f"{service}.amazonaws.com"}
    if action == "iam:CreateServiceLinkedRole":
        return {**base, "iam:AWSServiceName": target.removeprefix("linked-")}
    if target.startswith("untagged"):
        return {**base, **wanted}
    return {**base, **(wanted if new else owned)}


def _named(target: str, inputs: Inputs, environment: str) -> str:
    """Return the ARN of a resource that a call touches besides its own."""
    if target == "*":
        return "*"
    if target.startswith("linked-"):
        service = target.removeprefix("linked-")
        return f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/AWSServiceRole"
    if target.endswith("-role"):
        return f"arn:aws:iam::{ACCOUNT}:role/lightwork/{environment}/lightwork-{environment}-{target}"
    if target == "image":
        return f"arn:aws:ec2:{REGION}::image/ami-1"
    if target in {"key", "untagged-key"}:
        return arn_of("kms", "key/1")
    if target.endswith("certificate"):
        return arn_of("acm", "certificate/1")
    if target in {"balancer", "listener"}:
        kind = {"balancer": "loadbalancer", "listener": "listener"}[target]
        return arn_of("elasticloadbalancing", f"{kind}/app/lightwork-{environment}-page/1")
    if target == "change":
        return "arn:aws:route53:::change/1"
    if target == "db-secret":
        return arn_of("secretsmanager", "secret:rds!db-1")
    if target == "any-db":
        return arn_of("rds", "db:*")
    if target in {"nodegroup", "addon", "access-entry", "podidentityassociation", "cluster"}:
        return eks(target)(inputs)
    if target in {"pg", "subgrp"}:
        return arn_of("rds", f"{target}:lightwork-{environment}-archive")
    if target == "domain":
        return arn_of("es", f"domain/lightwork-{environment}-logs")
    return _ec2("security-group" if target == "untagged" else target)


def arn_of(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _ec2(kind: str) -> str:
    return arn_of("ec2", f"{kind}/{kind}-1")


def ec2(kind: str) -> Callable[[Inputs], str]:
    return lambda _: _ec2(kind)


def eks(kind: str) -> Callable[[Inputs], str]:
    suffix = {"cluster": "", "nodegroup": "/group/1", "addon": "/addon/1", "access-entry": "/role/1/x/1"}
    return lambda inputs: arn_of(
        "eks", f"{kind}/{inputs.get('clusterName', inputs.get('name'))}{suffix.get(kind, '/a-1')}"
    )


def of(service: str, kind: str, name: str = "name") -> Callable[[Inputs], str]:
    return lambda inputs: arn_of(service, f"{kind}{inputs[name]}")


def role(name: str) -> Callable[[Inputs], str]:
    return lambda inputs: f"arn:aws:iam::{ACCOUNT}:role{inputs['path']}{inputs[name]}"


def bucket(inputs: Inputs) -> str:
    return f"arn:aws:s3:::{inputs['bucket']}"


def _tagged(action: str, kind: str) -> str:
    """Return the calls that make a resource of EC2 with tags."""
    return f"ec2:{action}@+{kind} ec2:CreateTags/{action}@{kind}"


RETAG = "ec2:CreateTags ec2:DeleteTags"
ROWS = {
    "aws:autoscaling/tag:Tag": Row(
        arn=lambda inputs: arn_of(
            "autoscaling", f"autoScalingGroup:1:autoScalingGroupName/{inputs['autoscalingGroupName']}"
        ),
        create="autoscaling:CreateOrUpdateTags",
        read="autoscaling:DescribeTags@*",
        delete="autoscaling:DeleteTags",
    ),
    "aws:ec2/vpc:Vpc": Row(
        arn=ec2("vpc"),
        create=f"{_tagged('CreateVpc', 'vpc')} ec2:ModifyVpcAttribute",
        read="ec2:DescribeVpcs@* ec2:DescribeVpcAttribute ec2:DescribeNetworkAcls@* ec2:DescribeRouteTables@*"
        " ec2:DescribeSecurityGroups@*",
        update=f"ec2:ModifyVpcAttribute {RETAG}",
        delete="ec2:DeleteVpc",
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Row(
        arn=ec2("security-group"),
        create="ec2:DescribeSecurityGroups@* ec2:CreateTags@untagged ec2:RevokeSecurityGroupIngress"
        " ec2:RevokeSecurityGroupEgress",
        read="ec2:DescribeSecurityGroups@*",
        update=RETAG,
    ),
    "aws:ec2/subnet:Subnet": Row(
        arn=ec2("subnet"),
        create=f"{_tagged('CreateSubnet', 'subnet')} ec2:CreateSubnet@vpc ec2:ModifySubnetAttribute",
        read="ec2:DescribeSubnets@*",
        update=f"ec2:ModifySubnetAttribute {RETAG}",
        delete="ec2:DeleteSubnet ec2:DescribeNetworkInterfaces@*",
    ),
    "aws:ec2/internetGateway:InternetGateway": Row(
        arn=ec2("internet-gateway"),
        create=f"{_tagged('CreateInternetGateway', 'internet-gateway')} ec2:AttachInternetGateway"
        " ec2:AttachInternetGateway@vpc",
        read="ec2:DescribeInternetGateways@*",
        update=RETAG,
        delete="ec2:DetachInternetGateway ec2:DetachInternetGateway@vpc ec2:DeleteInternetGateway",
    ),
    "aws:ec2/eip:Eip": Row(
        arn=ec2("elastic-ip"),
        create=_tagged("AllocateAddress", "elastic-ip"),
        read="ec2:DescribeAddresses@* ec2:DescribeAddressesAttribute@*",
        update=RETAG,
        delete="ec2:ReleaseAddress ec2:DisassociateAddress",
    ),
    "aws:ec2/natGateway:NatGateway": Row(
        arn=ec2("natgateway"),
        create=f"{_tagged('CreateNatGateway', 'natgateway')} ec2:CreateNatGateway@subnet"
        " ec2:CreateNatGateway@elastic-ip",
        read="ec2:DescribeNatGateways@*",
        update=RETAG,
        delete="ec2:DeleteNatGateway",
    ),
    "aws:ec2/routeTable:RouteTable": Row(
        arn=ec2("route-table"),
        create=f"{_tagged('CreateRouteTable', 'route-table')} ec2:CreateRouteTable@vpc",
        read="ec2:DescribeRouteTables@*",
        update=RETAG,
        delete="ec2:DeleteRouteTable",
    ),
    "aws:ec2/route:Route": Row(
        arn=ec2("route-table"),
        create="ec2:CreateRoute",
        read="ec2:DescribeRouteTables@*",
        update="ec2:ReplaceRoute",
        delete="ec2:DeleteRoute",
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Row(
        arn=ec2("route-table"),
        create="ec2:AssociateRouteTable ec2:AssociateRouteTable@subnet",
        read="ec2:DescribeRouteTables@*",
        update="ec2:ReplaceRouteTableAssociation ec2:ReplaceRouteTableAssociation@subnet",
        delete="ec2:DisassociateRouteTable ec2:DisassociateRouteTable@subnet",
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Row(
        arn=ec2("vpc-endpoint"),
        create=f"{_tagged('CreateVpcEndpoint', 'vpc-endpoint')} ec2:CreateVpcEndpoint@vpc"
        " ec2:CreateVpcEndpoint@route-table",
        read="ec2:DescribeVpcEndpoints@* ec2:DescribePrefixLists@*",
        update=f"ec2:ModifyVpcEndpoint ec2:ModifyVpcEndpoint@route-table {RETAG}",
        delete="ec2:DeleteVpcEndpoints",
    ),
    "aws:ec2/flowLog:FlowLog": Row(
        arn=ec2("vpc-flow-log"),
        create=f"{_tagged('CreateFlowLogs', 'vpc-flow-log')} ec2:CreateFlowLogs@vpc logs:CreateLogDelivery@*",
        read="ec2:DescribeFlowLogs@*",
        update=RETAG,
        delete="ec2:DeleteFlowLogs logs:DeleteLogDelivery@*",
    ),
    "aws:ec2/securityGroup:SecurityGroup": Row(
        arn=ec2("security-group"),
        create=f"{_tagged('CreateSecurityGroup', 'security-group')} ec2:CreateSecurityGroup@vpc"
        " ec2:RevokeSecurityGroupEgress",
        read="ec2:DescribeSecurityGroups@*",
        update=RETAG,
        delete="ec2:DeleteSecurityGroup ec2:DescribeNetworkInterfaces@*",
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Row(
        arn=ec2("security-group-rule"),
        create="ec2:AuthorizeSecurityGroupIngress@security-group"
        f" {_tagged('AuthorizeSecurityGroupIngress', 'security-group-rule')}",
        read="ec2:DescribeSecurityGroupRules@*",
        update=f"ec2:ModifySecurityGroupRules ec2:ModifySecurityGroupRules@security-group {RETAG}",
        delete="ec2:RevokeSecurityGroupIngress ec2:RevokeSecurityGroupIngress@security-group",
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Row(
        arn=ec2("security-group-rule"),
        create="ec2:AuthorizeSecurityGroupEgress@security-group"
        f" {_tagged('AuthorizeSecurityGroupEgress', 'security-group-rule')}",
        read="ec2:DescribeSecurityGroupRules@*",
        update=f"ec2:ModifySecurityGroupRules ec2:ModifySecurityGroupRules@security-group {RETAG}",
        delete="ec2:RevokeSecurityGroupEgress ec2:RevokeSecurityGroupEgress@security-group",
    ),
    "aws:ec2/launchTemplate:LaunchTemplate": Row(
        arn=ec2("launch-template"),
        create=_tagged("CreateLaunchTemplate", "launch-template"),
        read="ec2:DescribeLaunchTemplates@* ec2:DescribeLaunchTemplateVersions@*",
        update=f"ec2:CreateLaunchTemplateVersion ec2:ModifyLaunchTemplate {RETAG}",
        delete="ec2:DeleteLaunchTemplate",
    ),
}

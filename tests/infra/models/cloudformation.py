"""The resources as CloudFormation names them, for cfn-lint, which knows each region's types and versions.

Most of CloudFormation's names are those of the API, with a capital letter. Types that it makes in another
way, such as a bucket's settings, are left to botocore's models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.infra.engine import REGION
from tests.infra.models.calls import Call, calls, upper

if TYPE_CHECKING:
    from infra.offline.dump import Entry

Properties: TypeAlias = dict[str, Any]

MADE_UP = ["E1150", "E1151", "E1152", "E1153", "E1154", "E1155", "E1156"]
"""Rules about the form of IDs: those in a dump are made up."""


def mistakes(entries: Iterable[Entry]) -> list[str]:
    """Return what cfn-lint says against the resources of a stack."""
    from cfnlint.api import ManualArgs, lint  # seconds, which every test process would spend when it collects

    resources = {}
    for entry in entries:
        if entry["type"].startswith("aws:"):
            for call in calls(entry["type"], entry["inputs"]):
                if call.operation in TYPES:
                    name = "".join(filter(str.isalnum, f"{entry['name']}{call.operation}"))
                    resources[name] = resource(call)
    template = json.dumps({"Resources": resources})
    found = lint(template, config=ManualArgs(regions=[REGION], ignore_checks=["W", "I", *MADE_UP]))
    return [
        f"{'.'.join(map(str, match.path or ()))}: {match.rule.id}: {match.message[:200]}" for match in found
    ]


def resource(call: Call) -> dict[str, Any]:
    """Return the resource that a call makes."""
    kind, translate = TYPES[call.operation]
    properties = translate(_documents(_tags(upper(call.parameters))))
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _tags(properties: Properties) -> Properties:
    """Return properties with their tags where CloudFormation expects them."""
    if "LaunchTemplateData" not in properties and "TagSpecifications" in properties:
        properties["Tags"] = properties.pop("TagSpecifications")[0]["Tags"]
    return properties


def _documents(properties: Properties) -> Properties:
    """Return properties with policies as objects instead of texts."""
    for name, value in properties.items():
        is_document = isinstance(value, str) and value.startswith("{")
        if is_document and name.endswith(("Policy", "PolicyDocument", "AccessPolicies")):
            properties[name] = json.loads(value)
    return properties


def _same(properties: Properties) -> Properties:
    return properties


def _renamed(**names: str) -> Callable[[Properties], Properties]:
    return lambda properties: {names.get(name, name): value for name, value in properties.items()}


def _flow_log(properties: Properties) -> Properties:
    (resource_id,) = properties.pop("ResourceIds")
    return {**properties, "ResourceId": resource_id}


def _cluster(properties: Properties) -> Properties:
    (logging,) = properties["Logging"]["ClusterLogging"]
    types = {"EnabledTypes": [{"Type": kind} for kind in logging["Types"]]}
    tags = [{"Key": key, "Value": value} for key, value in properties.pop("Tags").items()]
    return {**properties, "Logging": {"ClusterLogging": types}, "Tags": tags}


def _listed_tags(properties: Properties) -> Properties:
    tags = [{"Key": key, "Value": value} for key, value in properties.pop("Tags").items()]
    return {**properties, "Tags": tags}


def _node_group(properties: Properties) -> Properties:
    # The names of labels and tags are data, which the translation of names must not change.
    return {name: value for name, value in properties.items() if name not in {"Labels", "Tags"}}


def _key(properties: Properties) -> Properties:
    tags = [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in properties.pop("Tags")]
    policy = properties.pop("Policy", None)
    return {**properties, "Tags": tags, **({"KeyPolicy": policy} if policy else {})}


def _managed_policy(properties: Properties) -> Properties:
    properties.pop("Tags")  # which the API takes and CloudFormation does not
    return _renamed(PolicyName="ManagedPolicyName")(properties)


def _database(properties: Properties) -> Properties:
    secret = {"KmsKeyId": properties.pop("MasterUserSecretKmsKeyId")}
    groups = properties.pop("VpcSecurityGroupIds")
    return {**properties, "MasterUserSecret": secret, "VPCSecurityGroups": groups}


def _budget(properties: Properties) -> Properties:
    limit = properties["Budget"]["BudgetLimit"]
    limit["Amount"] = float(limit["Amount"])
    properties.pop("AccountId")
    return properties


def _rule(properties: Properties) -> Properties:
    properties.pop("Tags")  # which the API takes and CloudFormation does not
    return properties


TYPES: dict[str, tuple[str, Callable[[Properties], Properties]]] = {
    "CreateVpc": ("EC2::VPC", _same),
    "CreateSubnet": ("EC2::Subnet", _same),
    "CreateRouteTable": ("EC2::RouteTable", _same),
    "CreateRoute": ("EC2::Route", _same),
    "AssociateRouteTable": ("EC2::SubnetRouteTableAssociation", _same),
    "CreateInternetGateway": ("EC2::InternetGateway", _same),
    "AllocateAddress": ("EC2::EIP", _same),
    "CreateNatGateway": ("EC2::NatGateway", _same),
    "CreateVpcEndpoint": ("EC2::VPCEndpoint", _same),
    "CreateFlowLogs": ("EC2::FlowLog", _flow_log),
    "CreateSecurityGroup": ("EC2::SecurityGroup", _renamed(Description="GroupDescription")),
    "CreateLaunchTemplate": ("EC2::LaunchTemplate", _same),
    "CreateCluster": ("EKS::Cluster", _cluster),
    "CreateNodegroup": ("EKS::Nodegroup", _node_group),
    "CreateAddon": ("EKS::Addon", _listed_tags),
    "CreateAccessEntry": ("EKS::AccessEntry", _listed_tags),
    "CreatePodIdentityAssociation": ("EKS::PodIdentityAssociation", _listed_tags),
    "CreateRole": ("IAM::Role", _same),
    "CreatePolicy": ("IAM::ManagedPolicy", _managed_policy),
    "PutRolePolicy": ("IAM::RolePolicy", _same),
    "CreateOpenIDConnectProvider": ("IAM::OIDCProvider", _renamed(ClientIDList="ClientIdList")),
    "CreateKey": ("KMS::Key", _key),
    "CreateAlias": ("KMS::Alias", _same),
    "CreateSecret": ("SecretsManager::Secret", _same),
    "PutBucketPolicy": ("S3::BucketPolicy", _renamed(Policy="PolicyDocument")),
    "CreateRepository": ("ECR::Repository", _same),
    "CreateDBInstance": ("RDS::DBInstance", _database),
    "CreateDBSubnetGroup": ("RDS::DBSubnetGroup", _same),
    "CreateDBParameterGroup": ("RDS::DBParameterGroup", _renamed(DBParameterGroupFamily="Family")),
    "CreateDomain": ("OpenSearchService::Domain", _renamed(TagList="Tags")),
    "PutRetentionPolicy": ("Logs::LogGroup", _same),
    "PutMetricAlarm": ("CloudWatch::Alarm", _same),
    "CreateLoadBalancer": ("ElasticLoadBalancingV2::LoadBalancer", _same),
    "CreateTargetGroup": ("ElasticLoadBalancingV2::TargetGroup", _same),
    "CreateListener": ("ElasticLoadBalancingV2::Listener", _same),
    "CreateRule": ("ElasticLoadBalancingV2::ListenerRule", _rule),
    "RequestCertificate": ("CertificateManager::Certificate", _same),
    "PutRule": ("Events::Rule", _same),
    "Subscribe": ("SNS::Subscription", _same),
    "CreateBudget": ("Budgets::Budget", _budget),
}
"""The type of each call that makes one, without `AWS::`, and what its properties become."""

"""The rows of the other services than EC2."""

from __future__ import annotations

from collections.abc import Callable

from tests.infra.engine import ACCOUNT
from tests.infra.policies.needs import ROWS, Inputs, Row, arn_of, bucket, eks, of, role

STARTING = " ".join(
    (
        *(f"ec2:RunInstances@{kind}" for kind in ("+instance", "+volume", "+network-interface")),
        *(f"ec2:RunInstances@{kind}" for kind in ("image", "launch-template", "security-group", "subnet")),
        *(f"ec2:CreateTags/RunInstances@{kind}" for kind in ("instance", "volume", "network-interface")),
        "ec2:DescribeLaunchTemplateVersions@*",
    )
)
"""EKS asks whether its caller may start machines from a node group's launch template, with their tags."""
POD = "iam:PassRole@pod-role iam:GetRole@pod-role"
KEY = "kms:DescribeKey@key kms:CreateGrant@key"


def _policy(inputs: Inputs) -> str:
    return f"arn:aws:iam::{ACCOUNT}:policy{inputs['path']}{inputs['name']}"


def _setting(get: str, put: str) -> Row:
    """A setting of a bucket: a resource that is put and got, and stays with its bucket."""
    return Row(arn=bucket, create=f"s3:{put}", read=f"s3:{get}", update=f"s3:{put}")


BALANCING = "elasticloadbalancing:"
READ_BALANCING = f"{BALANCING}DescribeTags@*"
RETAG_BALANCING = f"{BALANCING}AddTags {BALANCING}RemoveTags"


def _of_balancer(kind: str) -> Callable[[Inputs], str]:
    """Return the ARN of a part of a balancer, from that of what it belongs to."""

    def arn(inputs: Inputs) -> str:
        above = str(inputs.get("listenerArn") or inputs["loadBalancerArn"])
        return f"{above.replace('loadbalancer/', f'{kind}/').replace('listener/', f'{kind}/')}/1"

    return arn


PAGES = {
    "aws:lb/loadBalancer:LoadBalancer": Row(
        arn=of("elasticloadbalancing", "loadbalancer/app/"),
        create=f"{BALANCING}CreateLoadBalancer {BALANCING}AddTags {BALANCING}ModifyLoadBalancerAttributes"
        " iam:CreateServiceLinkedRole@linked-elasticloadbalancing.amazonaws.com"
        " ec2:DescribeAccountAttributes@* ec2:DescribeInternetGateways@* ec2:DescribeSecurityGroups@*"
        " ec2:DescribeSubnets@* ec2:DescribeVpcs@*",
        read=f"{BALANCING}DescribeLoadBalancers@* {BALANCING}DescribeLoadBalancerAttributes@*"
        f" {BALANCING}DescribeCapacityReservation@* {READ_BALANCING}",
        update=f"{BALANCING}ModifyLoadBalancerAttributes {BALANCING}SetSecurityGroups {BALANCING}SetSubnets"
        f" {RETAG_BALANCING}",
        delete=f"{BALANCING}DeleteLoadBalancer ec2:DescribeNetworkInterfaces@*",
    ),
    "aws:lb/targetGroup:TargetGroup": Row(
        arn=of("elasticloadbalancing", "targetgroup/"),
        create=f"{BALANCING}CreateTargetGroup {BALANCING}AddTags {BALANCING}ModifyTargetGroupAttributes",
        read=f"{BALANCING}DescribeTargetGroups@* {BALANCING}DescribeTargetGroupAttributes@* {READ_BALANCING}",
        update=f"{BALANCING}ModifyTargetGroup {BALANCING}ModifyTargetGroupAttributes {RETAG_BALANCING}",
        delete=f"{BALANCING}DeleteTargetGroup",
    ),
    "aws:lb/listener:Listener": Row(
        arn=_of_balancer("listener"),
        create=f"{BALANCING}CreateListener@balancer {BALANCING}AddTags",
        read=f"{BALANCING}DescribeListeners@* {BALANCING}DescribeListenerAttributes@* {READ_BALANCING}",
        update=f"{BALANCING}ModifyListener {BALANCING}ModifyListenerAttributes {RETAG_BALANCING}",
        delete=f"{BALANCING}DeleteListener",
    ),
    "aws:lb/listenerRule:ListenerRule": Row(
        arn=_of_balancer("listener-rule"),
        create=f"{BALANCING}CreateRule@listener {BALANCING}AddTags",
        read=f"{BALANCING}DescribeRules@* {READ_BALANCING}",
        update=f"{BALANCING}ModifyRule {BALANCING}SetRulePriorities {RETAG_BALANCING}",
        delete=f"{BALANCING}DeleteRule",
    ),
    "aws:autoscaling/attachment:Attachment": Row(
        arn=lambda inputs: arn_of(
            "autoscaling", f"autoScalingGroup:1:autoScalingGroupName/{inputs['autoscalingGroupName']}"
        ),
        create="autoscaling:AttachLoadBalancerTargetGroups",
        read="autoscaling:DescribeAutoScalingGroups@*",
        delete="autoscaling:DetachLoadBalancerTargetGroups",
    ),
    "aws:acm/certificate:Certificate": Row(
        arn=lambda _: arn_of("acm", "certificate/1"),
        create="acm:RequestCertificate@+* acm:AddTagsToCertificate@untagged-certificate",
        read="acm:DescribeCertificate acm:ListTagsForCertificate",
        update="acm:AddTagsToCertificate acm:RemoveTagsFromCertificate acm:UpdateCertificateOptions",
        delete="acm:DeleteCertificate",
    ),
    "aws:acm/certificateValidation:CertificateValidation": Row(
        arn=lambda _: arn_of("acm", "certificate/1"),
        create="acm:DescribeCertificate",
        read="acm:DescribeCertificate",
    ),
    "aws:route53/record:Record": Row(
        arn=lambda inputs: f"arn:aws:route53:::hostedzone/{inputs['zoneId']}",
        create="route53:ChangeResourceRecordSets route53:GetChange@change",
        read="route53:GetHostedZone route53:ListResourceRecordSets",
        update="route53:ChangeResourceRecordSets route53:GetChange@change",
        delete="route53:ChangeResourceRecordSets route53:GetChange@change",
    ),
}
"""The way to the web pages."""
ROWS |= PAGES
ROWS |= {
    "aws:eks/cluster:Cluster": Row(
        arn=eks("cluster"),
        create=f"eks:CreateCluster@+* eks:TagResource iam:PassRole@cluster-role iam:GetRole@cluster-role"
        f" {KEY} iam:CreateServiceLinkedRole@linked-eks.amazonaws.com",
        read="eks:DescribeCluster eks:ListTagsForResource",
        update="eks:UpdateClusterConfig eks:UpdateClusterVersion eks:DescribeUpdate eks:TagResource"
        " eks:UntagResource",
    ),
    "aws:eks/nodeGroup:NodeGroup": Row(
        arn=eks("nodegroup"),
        create=f"eks:CreateNodegroup@cluster eks:TagResource iam:PassRole@node-role iam:GetRole@node-role"
        f" iam:ListAttachedRolePolicies@node-role {STARTING}"
        " iam:CreateServiceLinkedRole@linked-eks-nodegroup.amazonaws.com"
        " iam:CreateServiceLinkedRole@linked-spot.amazonaws.com",
        read="eks:DescribeNodegroup eks:ListTagsForResource",
        update=f"eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion eks:DescribeUpdate {STARTING}"
        " eks:TagResource eks:UntagResource",
        delete="eks:DeleteNodegroup",
    ),
    "aws:eks/addon:Addon": Row(
        arn=eks("addon"),
        create=f"eks:CreateAddon@cluster eks:TagResource eks:CreatePodIdentityAssociation@cluster {POD}",
        read="eks:DescribeAddon eks:DescribePodIdentityAssociation@podidentityassociation"
        " eks:ListTagsForResource",
        update="eks:UpdateAddon eks:DescribeUpdate eks:TagResource eks:UntagResource"
        f" eks:UpdatePodIdentityAssociation@podidentityassociation {POD}",
        delete="eks:DeleteAddon eks:DeletePodIdentityAssociation@podidentityassociation",
    ),
    "aws:eks/accessEntry:AccessEntry": Row(
        arn=eks("access-entry"),
        create="eks:CreateAccessEntry@cluster eks:TagResource",
        read="eks:DescribeAccessEntry eks:ListTagsForResource",
        update="eks:UpdateAccessEntry eks:TagResource eks:UntagResource",
        delete="eks:DeleteAccessEntry",
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Row(
        arn=eks("access-entry"),
        create="eks:AssociateAccessPolicy",
        read="eks:ListAssociatedAccessPolicies",
        delete="eks:DisassociateAccessPolicy",
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Row(
        arn=eks("podidentityassociation"),
        create=f"eks:CreatePodIdentityAssociation@cluster eks:TagResource {POD}",
        read="eks:DescribePodIdentityAssociation eks:ListTagsForResource",
        update=f"eks:UpdatePodIdentityAssociation eks:TagResource eks:UntagResource {POD}",
        delete="eks:DeletePodIdentityAssociation",
    ),
    "aws:iam/role:Role": Row(
        arn=role("name"),
        create="iam:CreateRole iam:TagRole",
        read="iam:GetRole iam:ListRolePolicies iam:ListAttachedRolePolicies",
        update="iam:UpdateRole iam:UpdateAssumeRolePolicy iam:PutRolePermissionsBoundary iam:TagRole"
        " iam:UntagRole",
        delete="iam:DeleteRole iam:ListInstanceProfilesForRole iam:ListRolePolicies"
        " iam:ListAttachedRolePolicies",
    ),
    "aws:iam/rolePolicy:RolePolicy": Row(
        arn=role("role"),
        create="iam:PutRolePolicy",
        read="iam:GetRolePolicy",
        update="iam:PutRolePolicy",
        delete="iam:DeleteRolePolicy",
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Row(
        arn=role("role"),
        create="iam:AttachRolePolicy",
        read="iam:ListAttachedRolePolicies",
        delete="iam:DetachRolePolicy",
    ),
    "aws:iam/serviceLinkedRole:ServiceLinkedRole": Row(
        arn=lambda inputs: (
            f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{inputs['awsServiceName']}/AWSServiceRoleForX"
        ),
        create="iam:CreateServiceLinkedRole@linked-opensearchservice.amazonaws.com iam:TagRole",
        read="iam:GetRole",
        update="iam:TagRole iam:UntagRole",
    ),
    "aws:iam/policy:Policy": Row(
        arn=_policy,
        create="iam:CreatePolicy iam:TagPolicy",
        read="iam:GetPolicy iam:GetPolicyVersion",
        update="iam:CreatePolicyVersion iam:ListPolicyVersions iam:DeletePolicyVersion",
        delete="iam:DeletePolicy",
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Row(
        arn=lambda inputs: f"arn:aws:iam::{ACCOUNT}:oidc-provider/{inputs['url'].removeprefix('https://')}",
        create="iam:CreateOpenIDConnectProvider iam:TagOpenIDConnectProvider",
        read="iam:GetOpenIDConnectProvider",
        update="iam:UpdateOpenIDConnectProviderThumbprint iam:AddClientIDToOpenIDConnectProvider",
    ),
    "aws:kms/key:Key": Row(
        arn=lambda _: arn_of("kms", "key/1"),
        create="kms:CreateKey@+* kms:TagResource@untagged-key kms:EnableKeyRotation",
        read="kms:DescribeKey kms:GetKeyPolicy kms:GetKeyRotationStatus kms:ListResourceTags",
        update="kms:UpdateKeyDescription kms:TagResource kms:UntagResource",
    ),
    "aws:kms/alias:Alias": Row(
        arn=of("kms", ""),
        create="kms:CreateAlias kms:CreateAlias@key",
        read="kms:ListAliases@*",
        update="kms:UpdateAlias kms:UpdateAlias@key",
    ),
    "aws:secretsmanager/secret:Secret": Row(
        arn=of("secretsmanager", "secret:"),
        create="secretsmanager:CreateSecret secretsmanager:TagResource kms:GenerateDataKey@key"
        " kms:Decrypt@key",
        read="secretsmanager:DescribeSecret secretsmanager:GetResourcePolicy",
        update="secretsmanager:TagResource secretsmanager:UntagResource",
    ),
    "aws:s3/bucket:Bucket": Row(
        arn=bucket,
        create="s3:CreateBucket s3:PutBucketTagging",
        read="s3:ListBucket s3:GetBucketAcl s3:GetBucketCORS s3:GetBucketLocation s3:GetBucketLogging"
        " s3:GetBucketObjectLockConfiguration s3:GetBucketPolicy s3:GetBucketRequestPayment"
        " s3:GetBucketTagging s3:GetBucketVersioning s3:GetBucketWebsite s3:GetAccelerateConfiguration"
        " s3:GetEncryptionConfiguration s3:GetLifecycleConfiguration s3:GetReplicationConfiguration",
        update="s3:PutBucketTagging",
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _setting(
        "GetEncryptionConfiguration", "PutEncryptionConfiguration"
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting(
        "GetBucketOwnershipControls", "PutBucketOwnershipControls"
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _setting(
        "GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _setting("GetBucketPolicy", "PutBucketPolicy"),
    "aws:s3/bucketVersioning:BucketVersioning": _setting("GetBucketVersioning", "PutBucketVersioning"),
    "aws:s3/bucketLogging:BucketLogging": _setting("GetBucketLogging", "PutBucketLogging"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _setting(
        "GetLifecycleConfiguration", "PutLifecycleConfiguration"
    ),
    "aws:ecr/repository:Repository": Row(
        arn=of("ecr", "repository/"),
        create=f"ecr:CreateRepository ecr:TagResource {KEY}",
        read="ecr:DescribeRepositories ecr:ListTagsForResource",
        update="ecr:PutImageTagMutability ecr:PutImageScanningConfiguration ecr:TagResource"
        " ecr:UntagResource",
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Row(
        arn=of("ecr", "repository/", "repository"),
        create="ecr:PutLifecyclePolicy",
        read="ecr:GetLifecyclePolicy",
        update="ecr:PutLifecyclePolicy",
    ),
    "aws:rds/instance:Instance": Row(
        arn=of("rds", "db:", "identifier"),
        create="rds:CreateDBInstance rds:CreateDBInstance@subgrp rds:CreateDBInstance@pg"
        " rds:AddTagsToResource secretsmanager:CreateSecret@db-secret secretsmanager:TagResource@db-secret"
        f" {KEY} iam:CreateServiceLinkedRole@linked-rds.amazonaws.com",
        # The provider filters by the database's resource ID, which IAM takes for a question about all.
        read="rds:DescribeDBInstances rds:DescribeDBInstances@any-db rds:ListTagsForResource",
        update="rds:ModifyDBInstance rds:ModifyDBInstance@pg rds:AddTagsToResource"
        " rds:RemoveTagsFromResource",
    ),
    "aws:rds/subnetGroup:SubnetGroup": Row(
        arn=of("rds", "subgrp:"),
        create="rds:CreateDBSubnetGroup rds:AddTagsToResource",
        read="rds:DescribeDBSubnetGroups rds:ListTagsForResource",
        update="rds:ModifyDBSubnetGroup rds:AddTagsToResource rds:RemoveTagsFromResource",
    ),
    "aws:rds/parameterGroup:ParameterGroup": Row(
        arn=of("rds", "pg:"),
        create="rds:CreateDBParameterGroup rds:ModifyDBParameterGroup rds:AddTagsToResource",
        read="rds:DescribeDBParameterGroups rds:DescribeDBParameters rds:ListTagsForResource",
        update="rds:ModifyDBParameterGroup rds:ResetDBParameterGroup rds:AddTagsToResource"
        " rds:RemoveTagsFromResource",
    ),
    "aws:opensearch/domain:Domain": Row(
        arn=of("es", "domain/", "domainName"),
        create=f"es:CreateDomain es:AddTags {KEY}",
        read="es:DescribeDomain es:DescribeDomainConfig es:DescribeDomainChangeProgress es:ListTags"
        " es:GetUpgradeStatus es:GetCompatibleVersions",
        update="es:UpdateDomainConfig es:UpgradeDomain es:AddTags es:RemoveTags",
    ),
    "aws:cloudwatch/logGroup:LogGroup": Row(
        arn=of("logs", "log-group:"),
        create="logs:CreateLogGroup logs:PutRetentionPolicy logs:TagResource",
        read="logs:DescribeLogGroups@* logs:ListTagsForResource",
        update="logs:PutRetentionPolicy logs:AssociateKmsKey logs:TagResource logs:UntagResource",
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Row(
        arn=of("cloudwatch", "alarm:"),
        create="cloudwatch:PutMetricAlarm cloudwatch:TagResource",
        read="cloudwatch:DescribeAlarms cloudwatch:ListTagsForResource",
        update="cloudwatch:PutMetricAlarm cloudwatch:TagResource cloudwatch:UntagResource",
        delete="cloudwatch:DeleteAlarms",
    ),
    "aws:cloudwatch/eventRule:EventRule": Row(
        arn=of("events", "rule/"),
        create="events:PutRule events:TagResource",
        read="events:DescribeRule events:ListTagsForResource",
        update="events:PutRule events:TagResource events:UntagResource",
        delete="events:DeleteRule",
    ),
    "aws:cloudwatch/eventTarget:EventTarget": Row(
        arn=of("events", "rule/", "rule"),
        create="events:PutTargets",
        read="events:ListTargetsByRule",
        update="events:PutTargets",
        delete="events:RemoveTargets",
    ),
    "aws:sns/topic:Topic": Row(
        arn=of("sns", ""),
        create="sns:CreateTopic sns:SetTopicAttributes sns:TagResource",
        read="sns:GetTopicAttributes sns:ListTagsForResource",
        update="sns:SetTopicAttributes sns:TagResource sns:UntagResource",
    ),
    "aws:sns/topicPolicy:TopicPolicy": Row(
        arn=lambda inputs: str(inputs["arn"]),
        create="sns:SetTopicAttributes",
        read="sns:GetTopicAttributes",
        update="sns:SetTopicAttributes",
    ),
    "aws:sns/topicSubscription:TopicSubscription": Row(
        arn=lambda inputs: str(inputs["topic"]),
        create="sns:Subscribe",
        read="sns:GetSubscriptionAttributes@*",
        delete="sns:Unsubscribe@*",
    ),
    "aws:budgets/budget:Budget": Row(
        arn=lambda inputs: f"arn:aws:budgets::{ACCOUNT}:budget/{inputs['name']}",
        create="budgets:ModifyBudget budgets:TagResource",
        read="budgets:ViewBudget budgets:ListTagsForResource",
        update="budgets:ModifyBudget budgets:TagResource budgets:UntagResource",
        delete="budgets:ModifyBudget",
    ),
}

"""The policies of the cluster's own pods, their trust, and the policies attached to resources."""

from __future__ import annotations

import pytest

from infra.aws.alarms import EVENTS, PUBLISHERS, topic_policy
from infra.config import accounts
from infra.policies import pods, resources
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide

CLUSTER = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/lightwork-prod"
DOMAIN = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-prod-logs"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/archive"
OTHER = "999999999999"
EKS = {"Service": "pods.eks.amazonaws.com"}
POD: dict[str, str | list[str]] = {
    "aws:RequestTag/eks-cluster-arn": CLUSTER,
    "aws:RequestTag/kubernetes-namespace": "kube-system",
    "aws:RequestTag/kubernetes-service-account": "cluster-autoscaler",
}


def test_only_the_service_accounts_pods_can_assume_the_role() -> None:
    trust = pods.trust(
        cluster_arn=CLUSTER, namespace=accounts.AUTOSCALER.namespace, accounts=accounts.AUTOSCALER.name
    )
    assert decide([trust], "sts:AssumeRole", "", POD, principal=EKS), "the autoscaler itself"
    others = {
        "aws:RequestTag/kubernetes-namespace": "tenant-acme",
        "aws:RequestTag/kubernetes-service-account": "default",
        "aws:RequestTag/eks-cluster-arn": CLUSTER.replace("prod", "dev"),
    }
    for key, value in others.items():
        assert not decide([trust], "sts:AssumeRole", "", {**POD, key: value}, principal=EKS), (
            f"{key} is {value}"
        )
    assert not decide([trust], "sts:AssumeRole", "", {}, principal=EKS), (
        "a request without tags must be refused"
    )
    ec2 = {"Service": "ec2.amazonaws.com"}
    assert not decide([trust], "sts:AssumeRole", "", POD, principal=ec2), "a node is not a pod"


GROUP = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/eks-workers"
OURS: dict[str, str | list[str]] = {
    "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true",
    "aws:ResourceTag/k8s.io/cluster-autoscaler/lightwork-prod": "owned",
}


@pytest.mark.parametrize("action", ["SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup"])
def test_the_autoscaler_resizes_only_this_clusters_groups(action: str) -> None:
    grant = pods.autoscaler(account=ACCOUNT, region=REGION, cluster="lightwork-prod")
    assert decide([grant], f"autoscaling:{action}", GROUP, OURS), "its own groups"
    dev = {
        "aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true",
        "aws:ResourceTag/k8s.io/cluster-autoscaler/lightwork-dev": "owned",
    }
    assert not decide([grant], f"autoscaling:{action}", GROUP, dev), "another cluster's group"
    assert not decide([grant], f"autoscaling:{action}", GROUP, {}), "an untagged group"
    assert not decide([grant], "autoscaling:DeleteAutoScalingGroup", GROUP, OURS), "it must not delete groups"


def test_the_autoscaler_can_describe_this_clusters_node_groups() -> None:
    grant = pods.autoscaler(account=ACCOUNT, region=REGION, cluster="lightwork-prod")
    own = f"arn:aws:eks:{REGION}:{ACCOUNT}:nodegroup/lightwork-prod/workers/1"
    assert decide([grant], "eks:DescribeNodegroup", own, {}), "scale from zero needs labels and taints"
    other = own.replace("prod", "dev")
    assert not decide([grant], "eks:DescribeNodegroup", other, {}), "another cluster's node groups"


def test_the_shipper_can_add_logs_but_not_read_them() -> None:
    grant = pods.ship_logs(domain_arn=DOMAIN)
    assert decide([grant], "es:ESHttpPost", f"{DOMAIN}/_bulk", {}), "it must be able to add logs"
    for action, path in (
        ("es:ESHttpGet", "_search"),
        ("es:ESHttpPost", "logs-acme/_search"),
        ("es:ESHttpDelete", "logs-acme"),
        ("es:ESHttpPut", "_plugins/_security/api/roles/all"),
    ):
        assert not decide([grant], action, f"{DOMAIN}/{path}", {}), f"{action} {path} must be refused"
    elsewhere = f"{DOMAIN.replace('prod', 'dev')}/_bulk"
    assert not decide([grant], "es:ESHttpPost", elsewhere, {}), "another environment's domain"


def test_only_this_environments_roles_reach_the_domain() -> None:
    guard = resources.search_access(domain_arn=DOMAIN, account=ACCOUNT, paths=["/lightwork/prod/"])
    own = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    name = f"arn:aws:iam::{ACCOUNT}:role"
    for role in ("/lightwork/prod/shipper", "/lightwork/prod/tenants/acme"):
        context = {"aws:PrincipalArn": f"{name}{role}"}
        assert decide([guard], "es:ESHttpGet", f"{DOMAIN}/x", context, principal=own), (
            f"{role} is one of its roles"
        )
    for role in ("/lightwork/dev/shipper", "/admin", "/lightwork-ci/prod/apply"):
        context = {"aws:PrincipalArn": f"{name}{role}"}
        assert not decide([guard], "es:ESHttpGet", f"{DOMAIN}/x", context, principal=own), (
            f"{role} is not one of its roles"
        )
    foreign = {"AWS": f"arn:aws:iam::{OTHER}:root"}
    there = {"aws:PrincipalArn": f"arn:aws:iam::{OTHER}:role/lightwork/prod/shipper"}
    assert not decide([guard], "es:ESHttpGet", f"{DOMAIN}/x", there, principal=foreign), "another account"
    assert not decide([guard], "es:DeleteDomain", DOMAIN, {"aws:PrincipalArn": f"{name}/lightwork/prod/x"}), (
        "the policy only grants HTTP access"
    )


def test_a_secrets_key_works_only_for_it_and_through_secrets_manager() -> None:
    grant = pods.read_secret(secret_arn=SECRET, key_arn=KEY, region=REGION)
    through: dict[str, str | list[str]] = {
        "kms:EncryptionContext:SecretARN": SECRET,
        "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
    }
    assert decide([grant], "secretsmanager:GetSecretValue", SECRET, {}), "the Job needs the password"
    assert decide([grant], "kms:Decrypt", KEY, through), "and the key"
    other = SECRET.replace("rds!db-1", "lightwork/prod/acme/weather-api")
    assert not decide([grant], "secretsmanager:GetSecretValue", other, {}), "a tenant's secret"
    assert not decide([grant], "kms:Decrypt", KEY, {**through, "kms:EncryptionContext:SecretARN": other}), (
        "the same key must not open another secret"
    )
    assert not decide([grant], "kms:Decrypt", KEY, {}), (
        "direct use of the key would decrypt the database's backups"
    )
    assert not decide([grant], "secretsmanager:PutSecretValue", SECRET, {}), "only RDS changes it"


def test_the_endpoint_allows_this_accounts_buckets_and_image_layers() -> None:
    policy = resources.s3_endpoint(account=ACCOUNT, region=REGION)
    lake = "arn:aws:s3:::lw-prod-acme/x"
    layers = f"arn:aws:s3:::prod-{REGION}-starport-layer-bucket/x"
    assert decide([policy], "s3:PutObject", lake, {"aws:ResourceAccount": ACCOUNT}), (
        "the account's own buckets"
    )
    assert decide([policy], "s3:GetObject", layers, {"aws:ResourceAccount": OTHER}), "ECR's layers"
    assert not decide([policy], "s3:PutObject", lake, {"aws:ResourceAccount": OTHER}), (
        "data must not leave the account"
    )
    assert not decide([policy], "s3:PutObject", layers, {"aws:ResourceAccount": OTHER}), (
        "layers are read only"
    )


BUCKET = "arn:aws:s3:::lw-prod-audit"
LOGGED: dict[str, str | list[str]] = {
    "aws:SecureTransport": "true",
    "aws:SourceAccount": ACCOUNT,
    "aws:SourceArn": "arn:aws:s3:::lw-prod-acme",
}


def test_only_this_accounts_buckets_deliver_access_logs() -> None:
    guard = resources.log_bucket(
        bucket_arn=BUCKET, account=ACCOUNT, region=REGION, sources=["arn:aws:s3:::lw-prod-*"]
    )
    s3 = {"Service": "logging.s3.amazonaws.com"}
    here = f"{BUCKET}/buckets/acme/1"
    assert decide([guard], "s3:PutObject", here, LOGGED, principal=s3), "S3 writes its access logs"
    for key, value in (
        ("aws:SourceAccount", OTHER),
        ("aws:SourceArn", "arn:aws:s3:::stranger"),
        ("aws:SecureTransport", "false"),
    ):
        assert not decide([guard], "s3:PutObject", here, {**LOGGED, key: value}, principal=s3), (
            f"{key}: {value}"
        )
    assert not decide([guard], "s3:GetObject", here, LOGGED, principal=s3), "the writer must not read"
    lambdas = {"Service": "lambda.amazonaws.com"}
    assert not decide([guard], "s3:PutObject", here, LOGGED, principal=lambdas), "another service"
    flows = {"Service": "delivery.logs.amazonaws.com"}
    flow: dict[str, str | list[str]] = {
        **LOGGED,
        "aws:SourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:flow",
        "s3:x-amz-acl": "bucket-owner-full-control",
    }
    assert decide([guard], "s3:PutObject", f"{BUCKET}/flows/1", flow, principal=flows), "the network's log"
    assert not decide([guard], "s3:PutObject", here, flow, principal=flows), "each service has its own folder"


def test_a_key_is_limited_to_its_log_group_and_a_topic_to_this_account() -> None:
    statement = resources.for_logs(account=ACCOUNT, region=REGION, group="/aws/eks/lightwork-prod/cluster")
    key = resources.account_key(account=ACCOUNT, more=(statement,))
    logs = {"Service": f"logs.{REGION}.amazonaws.com"}
    context = "kms:EncryptionContext:aws:logs:arn"
    own = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/eks/lightwork-prod/cluster"
    assert decide([key], "kms:GenerateDataKey", "", {context: own}, principal=logs), "the cluster's logs"
    other = own.replace("prod", "dev")
    assert not decide([key], "kms:Decrypt", "", {context: other}, principal=logs), "another group's logs"
    assert not decide([key], "kms:Decrypt", "", {}, principal={"Service": "s3.amazonaws.com"}), (
        "another service"
    )

    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:lightwork-prod-alarms"
    guard = topic_policy(topic_arn=topic, account=ACCOUNT)
    for service in PUBLISHERS:
        principal = {"Service": service}
        assert decide([guard], "sns:Publish", topic, {"aws:SourceAccount": ACCOUNT}, principal=principal), (
            service
        )
        assert not decide([guard], "sns:Publish", topic, {"aws:SourceAccount": OTHER}, principal=principal), (
            f"{service} on behalf of another account"
        )
    assert decide([guard], "sns:Publish", topic, {}, principal={"Service": EVENTS}), "names no account"
    assert not decide([guard], "sns:Subscribe", topic, {}, principal={"Service": EVENTS})
    foreign = {"AWS": f"arn:aws:iam::{OTHER}:root"}
    assert not decide([guard], "sns:Publish", topic, {"aws:SourceAccount": ACCOUNT}, principal=foreign), (
        "false alarms would be an attack"
    )

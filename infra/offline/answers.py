"""Simulated responses of AWS: just enough for the program to run to its end without an account.

The simulated account is empty.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, cast

from infra.config.sizes import DEFAULTS
from infra.estate.outputs import READ
from lightwork.manifests import gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lightwork.tenants import Environment


ACCOUNT = "123456789012"
REGION = "eu-central-1"

Inputs = dict[str, Any]


def pretend(type_: str, name: str, inputs: Inputs) -> Inputs:
    """Return a resource's state: its inputs, and the values that AWS adds."""
    return {**inputs, **_ADDED[type_](name, inputs)} if type_ in _ADDED else dict(inputs)


def pretend_invoke(token: str, args: Inputs, account: str, outputs: Mapping[str, Any] | None) -> Inputs:
    """Return the result of a function of a provider.

    Args:
        token: the function's name.
        args: its arguments.
        account: the account that the simulated credentials belong to.
        outputs: the outputs of the environment's estate; None for simulated ones.

    Raises:
        AssertionError: the function is not simulated.
    """
    if token == "aws:index/getCallerIdentity:getCallerIdentity":  # noqa: S105  (a function's name)
        return {"accountId": account, "arn": "arn", "id": "id", "userId": "user"}
    if token == "aws:eks/getClusters:getClusters":  # noqa: S105
        return {"names": [], "id": "id", "region": REGION}
    if token == READ:
        environment = args["name"].rpartition("/")[2]
        return {**args, "outputs": dict(outputs or estate(environment)), "secretOutputNames": []}
    raise AssertionError(f"infra/offline/answers.py does not simulate the call {token}")


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _role(_: str, inputs: Inputs) -> Inputs:
    return {"arn": f"arn:aws:iam::{ACCOUNT}:role{inputs.get('path', '/')}{inputs['name']}"}


def _policy(_: str, inputs: Inputs) -> Inputs:
    return {"arn": f"arn:aws:iam::{ACCOUNT}:policy{inputs.get('path', '/')}{inputs['name']}"}


def _key(name: str, _: Inputs) -> Inputs:
    return {"arn": _arn("kms", f"key/{name}"), "keyId": name}


def _cluster(_: str, inputs: Inputs) -> Inputs:
    return {
        "arn": _arn("eks", f"cluster/{inputs['name']}"),
        "endpoint": f"https://{inputs['name']}.eks.example",
        "certificateAuthority": {"data": base64.b64encode(b"authority").decode()},
        "vpcConfig": {**inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"},
    }


def _node_group(_: str, inputs: Inputs) -> Inputs:
    name = inputs["nodeGroupNamePrefix"].rstrip("-")
    return {"nodeGroupName": f"{name}-1", "resources": [{"autoscalingGroups": [{"name": f"eks-{name}"}]}]}


def _database(_: str, inputs: Inputs) -> Inputs:
    return {
        "address": f"{inputs['identifier']}.rds.example",
        "masterUserSecrets": [
            {"secretArn": _arn("secretsmanager", "secret:rds!db-1"), "secretStatus": "active"}
        ],
    }


def _domain(_: str, inputs: Inputs) -> Inputs:
    return {
        "arn": _arn("es", f"domain/{inputs['domainName']}"),
        "endpoint": f"vpc-{inputs['domainName']}.es.example",
    }


def _certificate(_: str, inputs: Inputs) -> Inputs:
    hosts = [inputs["domainName"], *inputs["subjectAlternativeNames"]]
    options = [
        {
            "domainName": host,
            "resourceRecordName": f"_proof.{host}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{position}.acm-validations.aws.",
        }
        for position, host in enumerate(hosts)
    ]
    return {"arn": _arn("acm", "certificate/1"), "domainValidationOptions": options}


def _balancer(_: str, inputs: Inputs) -> Inputs:
    return {
        "arn": _arn("elasticloadbalancing", f"loadbalancer/app/{inputs['name']}/1"),
        "dnsName": f"{inputs['name']}.elb.example",
        "zoneId": "Z215JYRZR1TBD5",
    }


_ADDED: dict[str, Callable[[str, Inputs], Inputs]] = {
    "aws:s3/bucket:Bucket": lambda _, inputs: {"arn": f"arn:aws:s3:::{inputs['bucket']}"},
    "aws:kms/key:Key": _key,
    "aws:iam/role:Role": _role,
    "aws:iam/policy:Policy": _policy,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:ec2/launchTemplate:LaunchTemplate": lambda *_: {"latestVersion": 1},
    "aws:acm/certificate:Certificate": _certificate,
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:lb/listener:Listener": lambda _, inputs: {
        "arn": f"{inputs['loadBalancerArn'].replace('loadbalancer/', 'listener/')}/1"
    },
    "aws:lb/targetGroup:TargetGroup": lambda _, inputs: {
        "arn": _arn("elasticloadbalancing", f"targetgroup/{inputs['name']}/1")
    },
    "aws:route53/record:Record": lambda _, inputs: {"fqdn": inputs["name"].rstrip(".")},
    "aws:rds/instance:Instance": _database,
    "aws:opensearch/domain:Domain": _domain,
    "aws:ecr/repository:Repository": lambda _, inputs: {
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.example/{inputs['name']}"
    },
    "aws:sns/topic:Topic": lambda _, inputs: {"arn": _arn("sns", inputs["name"])},
}

ESTATE: Mapping[str, Any] = {
    "account": ACCOUNT,
    "region": REGION,
    "environment": "dev",
    "cluster_name": "lightwork-dev",
    "cluster_endpoint": "https://lightwork-dev.eks.example",
    "cluster_ca": base64.b64encode(b"authority").decode(),
    "vpc_cidr": "10.20.0.0/16",
    "service_cidr": "172.20.0.0/16",
    "private_subnet_ids": ["network-private-a-id", "network-private-b-id", "network-private-c-id"],
    "api_cidrs": ["10.20.198.0/28", "10.20.198.16/28", "10.20.198.32/28"],
    "archive_host": "lightwork-dev-archive.rds.example",
    "archive_secret_arn": _arn("secretsmanager", "secret:rds!db-1"),
    "search_endpoint": "vpc-lightwork-dev-logs.es.example",
    "search_domain_arn": _arn("es", "domain/lightwork-dev-logs"),
    "search_admin_role_arn": f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/lightwork-dev-search-admin",
    "image_repository_url": f"{ACCOUNT}.dkr.ecr.{REGION}.example/lightwork/dev/platform",
    "logs_bucket": f"lw-dev-{ACCOUNT}-{REGION}-audit",
    "argo_domain": "argo.dev.example.com",
    "tenant_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/lightwork-ci/dev/lightwork-dev-tenant-boundary",
    "alarm_topic_arn": _arn("sns", "lightwork-dev-alarms"),
    "people_policies": list(gate.POLICIES),
}
"""The outputs of a simulated estate of dev."""


def _network(environment: str) -> str:
    """Return the first two numbers of the addresses in an environment's VPC, such as `10.20.`."""
    cidr: str = DEFAULTS[cast("Environment", environment)]["vpc_cidr"]
    return cidr.rpartition(".0.0/")[0] + "."


def estate(environment: str) -> dict[str, Any]:
    """Return the outputs of a simulated estate of any environment."""

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        for pattern in ("-{}", "/{}/", ".{}."):
            value = value.replace(pattern.format("dev"), pattern.format(environment))
        return value.replace(_network("dev"), _network(environment))

    return {**{name: renamed(value) for name, value in ESTATE.items()}, "environment": environment}

"""The policies of a tenant's roles: access to its own resources, and to no other tenant's."""

from __future__ import annotations

import pytest

from infra.config.naming import Names
from infra.policies import pods
from infra.policies import tenant as tenant_policies
from infra.policies.statements import allow, policy
from infra.tenant.identity import controller_role, pods_role, secrets_role, steps_role
from lightwork.errors import InputError
from lightwork.kube.contract import LAKE_ACCOUNTS
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide, within

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
SECRETS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/dev"
KEY, OTHER_KEY = (f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}" for name in ("acme", "globex"))
BUCKET, OTHER_BUCKET = (f"arn:aws:s3:::{NAMES.lake_bucket(name)}" for name in ("acme", "globex"))
OWN = f"{SECRETS}/acme/weather-api-AbCdEf"
READ = tenant_policies.read_secrets(prefix_arn=f"{SECRETS}/acme/", key_arn=KEY, region=REGION)
GRANTS = [READ, tenant_policies.lake_read_write(bucket_arn=BUCKET, key_arn=KEY)]
DOMAIN = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/lightwork-dev-logs"
BOUNDARY = tenant_policies.tenant_boundary(
    account=ACCOUNT,
    region=REGION,
    environment="dev",
    domain_arn=DOMAIN,
)
VIA = {
    "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
    "kms:EncryptionContext:SecretARN": OWN,
    "kms:ResourceAliases": ["alias/lightwork/dev/acme/lake"],
}


@pytest.mark.parametrize("action", ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"])
def test_a_tenant_reads_its_own_secrets(action: str) -> None:
    assert within(BOUNDARY, GRANTS, action, OWN, {}), "its pipelines need them"


@pytest.mark.parametrize(
    "secret",
    [
        f"{SECRETS}/globex/weather-api-AbCdEf",
        f"{SECRETS}/acme-2/weather-api-AbCdEf",
        f"{SECRETS}/_platform/argo-sso-AbCdEf",
        f"{SECRETS.replace('/dev', '/prod')}/acme/weather-api-AbCdEf",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1",
    ],
)
def test_a_tenant_cannot_read_another_tenants_secrets(secret: str) -> None:
    assert not decide(GRANTS, "secretsmanager:GetSecretValue", secret, {}), f"{secret} is not its own"


def test_a_tenant_cannot_use_another_tenants_bucket_or_key() -> None:
    for action, resource in (
        ("s3:GetObject", f"{OTHER_BUCKET}/runs/1.json"),
        ("s3:PutObject", f"{OTHER_BUCKET}/runs/1.json"),
        ("s3:ListBucket", OTHER_BUCKET),
        ("kms:Decrypt", OTHER_KEY),
        ("kms:GenerateDataKey", OTHER_KEY),
    ):
        assert not decide(GRANTS, action, resource, VIA), f"{action} of another tenant's {resource}"


def test_a_tenant_cannot_change_secrets_or_use_anything_else_on_aws() -> None:
    for action, resource in (
        ("secretsmanager:PutSecretValue", OWN),
        ("secretsmanager:DeleteSecret", OWN),
        ("sts:AssumeRole", NAMES.role_arn(secrets_role(NAMES, "globex"), tenant=True)),
        ("iam:PassRole", NAMES.role_arn("any")),
        ("ec2:DescribeInstances", "*"),
        ("es:ESHttpGet", f"arn:aws:es:{REGION}:{ACCOUNT}:domain/logs/_search"),
    ):
        assert not decide(GRANTS, action, resource, VIA), f"{action} must be refused"


def test_the_key_decrypts_secrets_only_through_secrets_manager() -> None:
    assert decide([READ], "kms:Decrypt", KEY, VIA), "secrets are encrypted with it"
    for name, value in (
        ("kms:ViaService", f"s3.{REGION}.amazonaws.com"),
        ("kms:EncryptionContext:SecretARN", f"{SECRETS}/globex/weather-api-AbCdEf"),
    ):
        assert not decide([READ], "kms:Decrypt", KEY, {**VIA, name: value}), f"with {name} {value}"


def test_a_prefix_without_its_slash_is_refused() -> None:
    with pytest.raises(ValueError, match=r"secret:lightwork/dev/acme: .*slash"):
        tenant_policies.read_secrets(prefix_arn=f"{SECRETS}/acme", key_arn=KEY, region=REGION)


def test_no_grant_covers_everything() -> None:
    for document in GRANTS:
        for statement in document["Statement"]:
            assert "*" not in statement["Resource"], f"{statement['Sid']} covers everything"
            assert not any("*" in action for action in statement["Action"]), (
                f"{statement['Sid']} allows too much"
            )


SEARCHES = [
    ("es:ESHttpPost", "logs-tenant-acme/_search", True),
    ("es:ESHttpGet", "logs-tenant-acme/_search", False),
    ("es:ESHttpPost", "logs-tenant-acme-2/_search", False),
    ("es:ESHttpPost", "logs-tenant-globex/_search", False),
    ("es:ESHttpPost", "logs-tenant-acme,logs-tenant-globex/_search", False),
    ("es:ESHttpPost", "logs-tenant-*/_search", False),
    ("es:ESHttpPost", "logs-cluster/_search", False),
    ("es:ESHttpPost", "_search", False),
    ("es:ESHttpPost", "_all/_search", False),
    ("es:ESHttpPost", "_msearch", False),
    ("es:ESHttpPost", "logs-tenant-acme/_search/point_in_time", False),
    ("es:ESHttpPost", "logs-tenant-acme/_delete_by_query", False),
    ("es:ESHttpPost", "logs-tenant-acme/_doc", False),
    ("es:ESHttpPost", "_reindex", False),
    ("es:ESHttpPut", "logs-tenant-acme/_search", False),
    ("es:ESHttpDelete", "_data_stream/logs-tenant-acme", False),
    ("es:ESHttpGet", "_cat/indices", False),
    ("es:ESHttpPut", "_plugins/_security/api/roles/tenant-acme", False),
    ("es:UpdateDomainConfig", "", False),
]


@pytest.mark.parametrize(("action", "path", "may"), SEARCHES)
def test_people_search_one_stream_and_a_wrong_grant_lets_them_search_only(
    action: str, path: str, may: bool
) -> None:
    resource = f"{DOMAIN}/{path}" if path else DOMAIN
    own = tenant_policies.search_logs(domain_arn=DOMAIN, stream="logs-tenant-acme")
    assert within(BOUNDARY, [own], action, resource, {}) is may
    everything = policy(allow("Everything", ["es:*"], ["*"]))
    searches = action == "es:ESHttpPost" and path.startswith("logs-tenant-") and path.endswith("/_search")
    assert within(BOUNDARY, [everything], action, resource, {}) is searches
    other = resource.replace("lightwork-dev", "lightwork-prod")
    assert not within(BOUNDARY, [everything], action, other, {}), "another environment"


@pytest.mark.parametrize("account", LAKE_ACCOUNTS)
def test_pods_with_the_tenants_code_can_assume_its_role(account: str) -> None:
    assert trusted("tenant-acme", account), "otherwise no pipeline reaches its lake"


@pytest.mark.parametrize(
    ("namespace", "account", "cluster"),
    [
        ("tenant-globex", "driver", "lightwork-dev"),
        ("tenant-acme-2", "driver", "lightwork-dev"),
        ("tenant-acme", "default", "lightwork-dev"),
        ("tenant-acme", "step", "lightwork-dev"),
        ("tenant-acme", "scaler", "lightwork-dev"),
        ("tenant-acme", "scheduler", "lightwork-dev"),
        ("argo", "driver", "lightwork-dev"),
        ("tenant-acme", "driver", "lightwork-prod"),
    ],
)
def test_no_other_pod_can_assume_the_tenants_role(namespace: str, account: str, cluster: str) -> None:
    assert not trusted(namespace, account, cluster), "it would get the tenant's data"


def trusted(namespace: str, account: str, cluster: str = "lightwork-dev") -> bool:
    document = pods.trust(
        cluster_arn=NAMES.cluster_arn, namespace="tenant-acme", accounts=list(LAKE_ACCOUNTS)
    )
    context = {
        "aws:RequestTag/eks-cluster-arn": NAMES.cluster_arn.replace(NAMES.cluster, cluster),
        "aws:RequestTag/kubernetes-namespace": namespace,
        "aws:RequestTag/kubernetes-service-account": account,
    }
    service = {"Service": "pods.eks.amazonaws.com"}
    actions = ("sts:AssumeRole", "sts:TagSession")
    return all(decide([document], action, "role", context, principal=service) for action in actions)


def test_only_the_operator_can_assume_the_secrets_role() -> None:
    operator = NAMES.role_arn("lightwork-dev-secrets")
    document = tenant_policies.trust_operator(role_arn=operator)
    for action in ("sts:AssumeRole", "sts:TagSession"):
        assert decide([document], action, "role", {}, principal={"AWS": operator}), (
            "a pod's session passes its tags on, so it needs both actions"
        )
        for other in (
            NAMES.role_arn(pods_role(NAMES, "globex"), tenant=True),
            f"arn:aws:iam::{ACCOUNT}:root",
        ):
            assert not decide([document], action, "role", {}, principal={"AWS": other}), (
                f"{other} is not the operator"
            )


def test_role_names_never_collide() -> None:
    names = [
        role(NAMES, tenant)
        for role in (pods_role, steps_role, controller_role, secrets_role)
        for tenant in ("acme", "pods-acme", "secrets", "steps", "controller-acme")
    ]
    assert len(set(names)) == 20, "role names are unique in an account, whatever their paths"


def test_the_longest_tenant_has_roles_in_every_environment() -> None:
    names = Names(environment="staging", account=ACCOUNT, region=REGION)
    assert len(secrets_role(names, "a" * 20)) <= 64, "the tenant's model allows twenty characters"
    with pytest.raises(InputError, match="too long"):
        secrets_role(names, "a" * 60)

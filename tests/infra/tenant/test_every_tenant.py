"""What holds for every tenant in each of its environments: isolation, protection, tags, its file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from parliament import analyze_policy_string

from infra.config.sizes import DEFAULTS
from infra.estate.outputs import READ
from infra.offline.answers import estate as pretended
from infra.policies import resources
from infra.policies import tenant as tenant_policies
from lightwork.kube.contract import LABEL_TENANT, LAKE_ACCOUNTS
from lightwork.tenants import Environment
from tests.infra.conftest import STACKS, TENANTS, Deployed, deploy, plain
from tests.infra.engine import ACCOUNT, REGION

if TYPE_CHECKING:
    from pathlib import Path

BUCKET, KEY = "aws:s3/bucket:Bucket", "aws:kms/key:Key"
ROLE, GRANT = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
SECRET = "aws:secretsmanager/secret:Secret"
NAMESPACE = "kubernetes:core/v1:Namespace"
CALLER = "aws:index/getCallerIdentity:getCallerIdentity"
SEARCH = ("core/v1:ConfigMap", "batch/v1:Job")
UNTAGGED = ("aws:kms/alias:", "aws:iam/rolePolicy:")
"""AWS has no tags for these; a bucket's settings have none either."""


def of_kind(deployed: Deployed, kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    return {o["metadata"]["name"]: o for o in deployed.objects().values() if o["kind"] == kind}


def test_there_are_two_tenants_and_one_of_them_is_in_every_environment() -> None:
    found = {name: {env for env, other in TENANTS if other == name} for _, name in TENANTS}
    assert len(found) >= 2, "isolation is between two"
    assert set(get_args(Environment)) in found.values(), "environments are compared by one tenant"


def test_the_account_and_the_estate_are_all_that_a_tenants_stack_asks_for(deployed: Deployed) -> None:
    assert [token for token, _ in deployed.run.invokes] == [CALLER, READ], "and the account comes first"
    _, read = deployed.run.asked
    assert read["name"].endswith(f"/lightwork/{deployed.environment}"), "its own environment's estate"


def test_the_lake_is_closed_encrypted_and_guarded(deployed: Deployed) -> None:
    run, bucket = deployed.run, deployed.names.lake_bucket(deployed.tenant.name)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"
    assert run.one(BUCKET).inputs["bucket"] == bucket, "its name is whose and where it is"
    assert run.one(BUCKET).inputs["forceDestroy"] is False, "a bucket with data is not deleted"
    block = run.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert {value for name, value in block.items() if name != "bucket"} == {True}, "public in some way"
    (rule,) = run.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    ).inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
    guard = json.loads(run.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    assert guard == resources.bucket_guard(
        bucket_arn=f"arn:aws:s3:::{bucket}", key_arn=key, account=ACCOUNT
    ), "TLS only, this account only, this key only: tests/infra/policies/test_lake.py shows what it refuses"
    assert run.one(KEY).inputs["enableKeyRotation"] is True, "a key that never rotates"
    assert (
        run.one("aws:s3/bucketLogging:BucketLogging").inputs["targetBucket"]
        == (pretended(deployed.environment)["logs_bucket"])
    ), "who read what is written down in the estate's own bucket"


def test_what_was_deleted_can_be_brought_back_for_as_long_as_the_file_says(deployed: Deployed) -> None:
    versioning = deployed.run.one("aws:s3/bucketVersioning:BucketVersioning").inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}, "else a delete is final"
    replaced, _ = deployed.run.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs[
        "rules"
    ]
    assert replaced["noncurrentVersionExpiration"] == {"noncurrentDays": deployed.tenant.data_retention_days}
    assert "days" not in replaced["expiration"], "current data never expires"


@pytest.mark.parametrize("type_", [BUCKET, KEY, SECRET, NAMESPACE])
def test_what_is_precious_is_protected_and_kept(deployed: Deployed, type_: str) -> None:
    found = deployed.run.all(type_)
    assert len(found) == (len(deployed.tenant.secrets) if type_ == SECRET else 1), f"too few or many {type_}"
    for resource in found:
        assert resource.protect, f"{resource.name}: a destroy must refuse"
        assert resource.retain_on_delete, f"{resource.name}: out of the program, it must stay where it is"


def test_whatever_takes_tags_says_whose_it_is(deployed: Deployed) -> None:
    wanted = {
        "project": "lightwork",
        "environment": deployed.environment,
        "tenant": deployed.tenant.name,
    }
    for resource in deployed.run.resources:
        setting = resource.type.startswith("aws:s3/bucket") and resource.type != BUCKET
        if not resource.type.startswith("aws:") or resource.type.startswith(UNTAGGED) or setting:
            continue
        assert resource.inputs.get("tags") == wanted, f"{resource.type} {resource.name}: its cost is nobody's"
    for name, found in deployed.objects().items():
        assert found["metadata"]["labels"][LABEL_TENANT] == deployed.tenant.name, f"{name} is nobody's"


def test_nothing_speaks_of_another_tenant_or_another_environment(deployed: Deployed) -> None:
    text = json.dumps([resource.inputs for resource in deployed.run.resources])
    for other in {name for _, name in TENANTS} - {deployed.tenant.name}:
        assert other not in text, f"{other} is none of its business"
    for other in set(get_args(Environment)) - {deployed.environment}:
        for form in (f"lightwork-{other}", f"lightwork/{other}/", f"lw-{other}-"):
            assert form not in text, f"{form} is another environment's"


def test_each_role_is_bounded_and_becomes_somebody_by_its_own_pods_alone(deployed: Deployed) -> None:
    names, tenant = deployed.names, deployed.tenant
    roles = {role.name: role.inputs for role in deployed.run.all(ROLE)}
    assert set(roles) == {"identity-role", "secrets-role"}, "its pods, and who brings its secrets"
    for name, role in roles.items():
        assert role["permissionsBoundary"] == names.boundary_arn("tenant"), f"{name}: a wrong grant holds"
    trust = tenant_policies.trust_pods(
        cluster_arn=names.cluster_arn, namespace=tenant.namespace, accounts=LAKE_ACCOUNTS
    )
    assert json.loads(roles["identity-role"]["assumeRolePolicy"]) == trust, (
        "tests/infra/policies/test_tenant.py shows whom it refuses"
    )
    bound = {
        (b.inputs["clusterName"], b.inputs["namespace"], b.inputs["serviceAccount"])
        for b in deployed.run.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    assert bound == {(names.cluster, tenant.namespace, account) for account in LAKE_ACCOUNTS}, (
        "who runs its code"
    )


def test_what_its_roles_are_granted_is_its_own_and_the_linter_agrees(deployed: Deployed) -> None:
    bucket = f"arn:aws:s3:::{deployed.names.lake_bucket(deployed.tenant.name)}"
    prefix = deployed.names.secret_prefix(deployed.tenant.name)
    own = {
        bucket,
        f"{bucket}/*",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{prefix}*",
    }
    grants = deployed.run.all(GRANT)
    assert len(grants) == 3, "lake and secrets for the pods, secrets for who brings them"
    for grant in grants:
        for statement in json.loads(grant.inputs["policy"])["Statement"]:
            assert set(statement["Resource"]) <= own, f"{grant.name}: {statement['Resource']}"
            assert not any("*" in action for action in statement["Action"]), f"{grant.name}: {statement}"
        found = analyze_policy_string(grant.inputs["policy"]).findings
        assert not found, f"{grant.name}: {[(f.issue, f.detail) for f in found]}"


def test_the_budget_is_what_the_file_says_and_somebody_is_told(deployed: Deployed) -> None:
    budget = deployed.run.one("aws:budgets/budget:Budget").inputs
    assert budget["limitAmount"] == str(deployed.tenant.budget), "US dollars a month"
    counted = {part["tags"]["key"]: part["tags"]["values"] for part in budget["filterExpression"]["ands"]}
    assert counted == {"tenant": [deployed.tenant.name], "environment": [deployed.environment]}
    kinds = {(notice["notificationType"], notice["threshold"]) for notice in budget["notifications"]}
    assert kinds == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 110)}, "before, at, and foreseen"
    for notice in budget["notifications"]:
        assert notice["subscriberSnsTopicArns"] == [pretended(deployed.environment)["alarm_topic_arn"]]


def test_the_namespace_is_restricted_closed_and_as_large_as_the_file_says(deployed: Deployed) -> None:
    quota, namespace = deployed.tenant.quota, deployed.run.one(NAMESPACE).inputs["metadata"]
    assert namespace["name"] == deployed.tenant.namespace
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", (
        "every pod of a run fits"
    )
    (limits,) = [found["spec"]["hard"] for found in of_kind(deployed, "ResourceQuota").values()]
    agreed = {
        "requests.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "limits.memory": quota.memory,
        "limits.ephemeral-storage": quota.storage,
        "pods": str(quota.pods),
        "services.loadbalancers": "0",
    }
    assert limits.items() >= agreed.items(), "no more than was agreed, and no way out of the namespace"
    assert of_kind(deployed, "LimitRange"), "what says nothing of its size gets one"
    deny = of_kind(deployed, "NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, (
        "whatever is not opened is closed"
    )


def test_each_pipeline_has_its_template_and_each_schedule_its_time_zone(deployed: Deployed) -> None:
    entries = deployed.tenant.pipelines
    assert set(of_kind(deployed, "WorkflowTemplate")) == set(entries), "what `lightwork submit` starts"
    schedules = of_kind(deployed, "CronWorkflow")
    assert set(schedules) == {name for name, entry in entries.items() if entry.schedule}, (
        "what runs by itself"
    )
    for name, found in schedules.items():
        assert found["spec"]["schedules"] == [entries[name].schedule], f"{name}: when"
        assert found["spec"]["timezone"] == entries[name].timezone, f"{name}: by whose clock"
        assert found["spec"]["suspend"] is entries[name].suspended, f"{name}: as the file says"


def test_its_logs_are_an_index_of_its_own_that_ends_as_the_environment_says(deployed: Deployed) -> None:
    name, days = deployed.tenant.name, DEFAULTS[deployed.environment]["log_days"]
    config = of_kind(deployed, "ConfigMap")[f"search-{name}"]
    bodies = {found["path"]: found["body"] for found in json.loads(config["data"]["requests.json"])}
    (mine,) = bodies[f"_plugins/_security/api/roles/tenant-{name}"]["index_permissions"]
    assert mine == {"index_patterns": [f"logs-{name}.*"], "allowed_actions": ["read", "get"]}, (
        "and reads it alone"
    )
    kept, _ = bodies["_plugins/_ism/policies/lightwork-retention"]["policy"]["states"]
    assert kept["transitions"][0]["conditions"] == {"min_index_age": f"{days}d"}, "logs end"


def test_every_image_is_named_by_its_digest(deployed: Deployed) -> None:
    repository = pretended(deployed.environment)["image_repository_url"]
    images = [
        container["image"]
        for found in deployed.objects().values()
        for pod in _pods(found)
        for container in pod["containers"]
    ]
    assert images, "the certificates' jobs at least"
    assert set(images) == {f"{repository}@sha256:{'a' * 64}"}, (
        "what a tag means may change between two stages"
    )


def test_every_workload_that_the_stack_makes_has_requests_and_limits(deployed: Deployed) -> None:
    for name, found in deployed.objects().items():
        for pod in _pods(found):
            for container in pod["containers"]:
                for kind in ("requests", "limits"):
                    assert set(container["resources"][kind]) >= {"cpu", "memory"}, (
                        f"{name} may take a whole node"
                    )


def _pods(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The pods of a Job or a CronJob; those of runs are the scaler's and are tested with it."""
    if found["kind"] == "Job":
        return [found["spec"]["template"]["spec"]]
    if found["kind"] == "CronJob":
        return [found["spec"]["jobTemplate"]["spec"]["template"]["spec"]]
    return []


def test_a_tenant_is_the_same_in_every_environment_but_for_addresses_and_log_days(
    deployments: dict[tuple[str, str], Deployed],
) -> None:
    differ = {
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networkpolicy-api"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networkpolicy-aws"),
        *(
            (f"kubernetes:{kind}", f"{kind.rpartition(':')[2].lower()}-search-{name}")
            for kind in SEARCH
            for _, name in TENANTS
        ),
    }
    for name in {name for _, name in TENANTS}:
        found = {env: plain(deployments[env, name].run, env) for env, other in TENANTS if other == name}
        first, *others = found
        for other in others:
            assert set(found[other]) == set(found[first]), f"{name}: {other} has other resources than {first}"
            for resource, inputs in found[other].items():
                if resource not in differ:
                    assert inputs == found[first][resource], f"{name}: {resource} of {other} and of {first}"


@pytest.mark.parametrize(("environment", "name"), TENANTS, ids=STACKS)
def test_leaving_suspends_every_schedule_and_changes_nothing_else(
    deployments: dict[tuple[str, str], Deployed], root: Path, environment: Environment, name: str
) -> None:
    path = root / "tenants" / f"{name}.yaml"
    path.write_text(path.read_text().replace(f"name: {name}\n", f"name: {name}\nstate: leaving\n"))
    leaving, staying = deploy(root, environment, name), deployments[environment, name]
    assert leaving.tenant.leaving, "the sample changed the file"

    def state(deployed: Deployed) -> list[tuple[str, str, bool, bool, dict[str, Any]]]:
        found = []
        for r in deployed.run.resources:
            inputs = json.loads(json.dumps(r.inputs))
            if inputs.get("kind") == "CronWorkflow":
                inputs["spec"].pop("suspend")
            found.append((r.type, r.name, r.protect, r.retain_on_delete, inputs))
        return sorted(found, key=lambda entry: entry[:2])

    assert state(leaving) == state(staying), "leaving deletes nothing: that is a second step"
    schedules = of_kind(leaving, "CronWorkflow").values()
    assert schedules, f"{name} has schedules"
    assert all(found["spec"]["suspend"] is True for found in schedules), "a run of a tenant that has left"

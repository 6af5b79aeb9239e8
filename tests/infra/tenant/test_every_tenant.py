"""Rules for every tenant in each of its environments: isolation, protection, tags, its file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from parliament import analyze_policy_string

from infra.config.sizes import DEFAULTS
from infra.estate.outputs import READ
from infra.offline.answers import estate as pretended
from infra.policies import pods, resources
from lightwork.kube.contract import ACCOUNT_CONTROLLER, ACCOUNT_STEP, LABEL_TENANT, LAKE_ACCOUNTS
from lightwork.tenants import Environment, fit
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
"""Types that do not take tags; neither do a bucket's settings."""


def of_kind(deployed: Deployed, kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by name."""
    return {o["metadata"]["name"]: o for o in deployed.objects().values() if o["kind"] == kind}


def test_there_are_two_tenants_and_one_of_them_is_in_every_environment() -> None:
    environments = {name: {env for env, other in TENANTS if other == name} for _, name in TENANTS}
    assert len(environments) >= 2, "isolation needs two"
    assert set(get_args(Environment)) in environments.values(), (
        "comparing environments needs a tenant in all of them"
    )


def test_a_tenants_stack_only_reads_the_account_and_its_estate(deployed: Deployed) -> None:
    assert [token for token, _ in deployed.run.invokes] == [CALLER, READ], (
        "the account first, and nothing else"
    )
    _, read = deployed.run.asked
    assert read["name"].endswith(f"/lightwork/{deployed.environment}"), "its own environment's estate"


def test_the_lake_is_closed_encrypted_and_guarded(deployed: Deployed) -> None:
    run, bucket = deployed.run, deployed.names.lake_bucket(deployed.tenant.name)
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key"
    assert run.one(BUCKET).inputs["bucket"] == bucket, (
        "the name contains tenant, environment, account and region"
    )
    assert run.one(BUCKET).inputs["forceDestroy"] is False, "a bucket with data must not be deleted"
    block = run.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert {value for name, value in block.items() if name != "bucket"} == {True}, "all four switches"
    (rule,) = run.one(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    ).inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key}
    guard = json.loads(run.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])
    assert guard == resources.bucket_guard(
        bucket_arn=f"arn:aws:s3:::{bucket}", key_arn=key, account=ACCOUNT
    ), "tests/infra/policies/test_lake.py shows what this policy refuses"
    assert run.one(KEY).inputs["enableKeyRotation"] is True, "the key must rotate"
    assert (
        run.one("aws:s3/bucketLogging:BucketLogging").inputs["targetBucket"]
        == (pretended(deployed.environment)["logs_bucket"])
    ), "access logs go to the estate's own bucket"


def test_deleted_objects_can_be_restored_for_as_long_as_the_file_says(deployed: Deployed) -> None:
    versioning = deployed.run.one("aws:s3/bucketVersioning:BucketVersioning").inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}, (
        "without versions a delete is final"
    )
    replaced, _ = deployed.run.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs[
        "rules"
    ]
    assert replaced["noncurrentVersionExpiration"] == {"noncurrentDays": deployed.tenant.data_retention_days}
    assert "days" not in replaced["expiration"], "current data must never expire"


@pytest.mark.parametrize("type_", [BUCKET, KEY, SECRET, NAMESPACE])
def test_precious_resources_are_protected_and_retained(deployed: Deployed, type_: str) -> None:
    resources = deployed.run.all(type_)
    assert len(resources) == (len(deployed.tenant.secrets) if type_ == SECRET else 1), (
        f"too few or many {type_}"
    )
    for resource in resources:
        assert resource.protect, f"{resource.name}: `pulumi destroy` must refuse"
        assert resource.retain_on_delete, f"{resource.name}: removed from the program, it must stay"


def test_everything_that_takes_tags_has_the_tenants(deployed: Deployed) -> None:
    expected = {
        "project": "lightwork",
        "environment": deployed.environment,
        "tenant": deployed.tenant.name,
    }
    for resource in deployed.run.resources:
        setting = resource.type.startswith("aws:s3/bucket") and resource.type != BUCKET
        if not resource.type.startswith("aws:") or resource.type.startswith(UNTAGGED) or setting:
            continue
        assert resource.inputs.get("tags") == expected, (
            f"{resource.type} {resource.name}: its cost would not be allocated"
        )
    for name, manifest in deployed.objects().items():
        assert manifest["metadata"]["labels"][LABEL_TENANT] == deployed.tenant.name, (
            f"{name} lacks the tenant's label"
        )


def test_nothing_refers_to_another_tenant_or_environment(deployed: Deployed) -> None:
    text = json.dumps([resource.inputs for resource in deployed.run.resources])
    for other in {name for _, name in TENANTS} - {deployed.tenant.name}:
        assert other not in text, f"{other} is another tenant"
    for other in set(get_args(Environment)) - {deployed.environment}:
        for form in (f"lightwork-{other}", f"lightwork/{other}/", f"lw-{other}-"):
            assert form not in text, f"{form} is another environment's"


def test_each_role_has_its_boundary_and_only_its_own_pods_assume_it(deployed: Deployed) -> None:
    names, tenant = deployed.names, deployed.tenant
    roles = {role.name: role.inputs for role in deployed.run.all(ROLE)}
    of_accounts = {
        "identity-role": LAKE_ACCOUNTS,
        "identity-steps-role": (ACCOUNT_STEP,),
        "identity-controller-role": (ACCOUNT_CONTROLLER,),
    }
    people = {"people-role"} if tenant.people else set()
    assert set(roles) == {*of_accounts, "secrets-role", *people}, "for its pods, its secrets and its people"
    for name, role in roles.items():
        assert role["permissionsBoundary"] == names.boundary_arn("tenant"), (
            f"{name}: a wrong grant would take effect"
        )
    for role, accounts in of_accounts.items():
        trust = pods.trust(cluster_arn=names.cluster_arn, namespace=tenant.namespace, accounts=list(accounts))
        assert json.loads(roles[role]["assumeRolePolicy"]) == trust, (
            "tests/infra/policies/test_tenant.py shows which pods it refuses"
        )
    bound = {
        (b.inputs["clusterName"], b.inputs["namespace"], b.inputs["serviceAccount"])
        for b in deployed.run.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    accounts = (*LAKE_ACCOUNTS, ACCOUNT_STEP, ACCOUNT_CONTROLLER)
    assert bound == {(names.cluster, tenant.namespace, account) for account in accounts}, (
        "the accounts that run its code, and the controller's"
    )


def test_its_roles_are_granted_only_its_own_resources_and_the_linter_agrees(deployed: Deployed) -> None:
    bucket = f"arn:aws:s3:::{deployed.names.lake_bucket(deployed.tenant.name)}"
    prefix = deployed.names.secret_prefix(deployed.tenant.name)
    folder = f"{bucket}/{deployed.tenant.name}/"
    domain = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/{deployed.names.search_domain}"
    own = {
        bucket,
        f"{bucket}/*",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/lake-key",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{prefix}*",
        deployed.names.cluster_arn,
        f"{domain}/logs-tenant-{deployed.tenant.name}/_search",
    }
    grants = deployed.run.all(GRANT)
    of_people = 3 if deployed.tenant.people else 0
    assert len(grants) == 6 + of_people, (
        "lake and secrets for pods and steps, the lake for the controller, secrets, three for people"
    )
    for grant in grants:
        for statement in json.loads(grant.inputs["policy"])["Statement"]:
            wide = {resource for resource in statement["Resource"] if not resource.startswith(folder)}
            assert wide <= own, f"{grant.name}: {statement['Resource']}"
            assert not any("*" in action for action in statement["Action"]), f"{grant.name}: {statement}"
        findings = analyze_policy_string(grant.inputs["policy"]).findings
        assert not findings, f"{grant.name}: {[(f.issue, f.detail) for f in findings]}"


def test_the_budget_is_the_files_and_notifies_the_topic(deployed: Deployed) -> None:
    budget = deployed.run.one("aws:budgets/budget:Budget").inputs
    assert budget["limitAmount"] == str(deployed.tenant.budget), "US dollars a month"
    counted = {part["tags"]["key"]: part["tags"]["values"] for part in budget["filterExpression"]["ands"]}
    assert counted == {"tenant": [deployed.tenant.name], "environment": [deployed.environment]}
    kinds = {(notice["notificationType"], notice["threshold"]) for notice in budget["notifications"]}
    assert kinds == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 110)}, (
        "before the limit, at it, and by forecast"
    )
    for notice in budget["notifications"]:
        assert notice["subscriberSnsTopicArns"] == [pretended(deployed.environment)["alarm_topic_arn"]]


def test_the_namespace_is_restricted_closed_and_limited_by_the_files_quota(deployed: Deployed) -> None:
    namespace = deployed.run.one(NAMESPACE).inputs["metadata"]
    quota = fit.limit(deployed.tenant.quota) + fit.CONTROLLER + fit.HISTORY
    assert namespace["name"] == deployed.tenant.namespace
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", "the strictest level"
    (limits,) = [manifest["spec"]["hard"] for manifest in of_kind(deployed, "ResourceQuota").values()]
    agreed = {
        "requests.cpu": quota.text("cpu"),
        "requests.memory": quota.text("memory"),
        "limits.memory": quota.text("memory"),
        "limits.ephemeral-storage": quota.text("storage"),
        "pods": quota.text("pods"),
        "services.loadbalancers": "0",
    }
    assert limits.items() >= agreed.items(), "the file's, beside what is not the tenant's; no load balancers"
    assert of_kind(deployed, "LimitRange"), "pods without a size get a default"
    deny = of_kind(deployed, "NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, (
        "all traffic is closed by default"
    )


def test_each_pipeline_has_its_template_and_each_schedule_its_time_zone(deployed: Deployed) -> None:
    entries = deployed.tenant.pipelines
    assert set(of_kind(deployed, "WorkflowTemplate")) == set(entries), "`lightwork submit` needs a template"
    schedules = of_kind(deployed, "CronWorkflow")
    assert set(schedules) == {name for name, entry in entries.items() if entry.schedule}, (
        "pipelines with a schedule"
    )
    for name, schedule in schedules.items():
        assert schedule["spec"]["schedules"] == [entries[name].schedule], f"{name}: the file's schedule"
        assert schedule["spec"]["timezone"] == entries[name].timezone, f"{name}: the file's time zone"
        assert schedule["spec"]["suspend"] is entries[name].suspended, f"{name}: as the file says"


def test_its_logs_have_a_stream_of_their_own_with_the_environments_retention(deployed: Deployed) -> None:
    name, days = deployed.tenant.name, DEFAULTS[deployed.environment]["log_days"]
    config = of_kind(deployed, "ConfigMap")[f"search-{name}"]
    bodies = {request["path"]: request["body"] for request in json.loads(config["data"]["requests.json"])}
    (mine,) = bodies[f"_plugins/_security/api/roles/tenant-{name}"]["index_permissions"]
    assert mine == {
        "index_patterns": [f"logs-tenant-{name}"],
        "allowed_actions": ["indices:data/read/search"],
    }, "its own stream only, and only by a search"
    kept, _ = bodies["_plugins/_ism/policies/lightwork-retention"]["policy"]["states"]
    assert kept["transitions"][0]["conditions"] == {"min_rollover_age": f"{days}d"}, (
        "the environment's log_days"
    )


def test_every_image_is_named_by_its_digest(deployed: Deployed) -> None:
    repository = pretended(deployed.environment)["image_repository_url"]
    images = [
        container["image"]
        for manifest in deployed.objects().values()
        for pod in _pods(manifest)
        for container in pod["containers"]
    ]
    assert images, "at least the certificates' jobs"
    assert set(images) == {f"{repository}@sha256:{'a' * 64}"}, "a tag may move between two environments"


def test_every_workload_that_the_stack_makes_has_requests_and_limits(deployed: Deployed) -> None:
    for name, manifest in deployed.objects().items():
        for pod in _pods(manifest):
            for container in pod["containers"]:
                for kind in ("requests", "limits"):
                    assert set(container["resources"][kind]) >= {"cpu", "memory"}, (
                        f"{name} could use a whole node"
                    )


def _pods(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pod of a Job or a CronJob; runs' pods belong to the scaler and are tested with it."""
    if manifest["kind"] == "Job":
        return [manifest["spec"]["template"]["spec"]]
    if manifest["kind"] == "CronJob":
        return [manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]]
    return []


def test_a_tenant_is_the_same_in_every_environment_but_for_addresses_log_days_and_prices(
    deployments: dict[tuple[str, str], Deployed],
) -> None:
    differ = {
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networkpolicy-api"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networkpolicy-aws"),
        ("kubernetes:batch/v1:CronJob", "cronjob-history"),  # the prices of the environment's nodes
        *(
            (f"kubernetes:{kind}", f"{kind.rpartition(':')[2].lower()}-search-{name}")
            for kind in SEARCH
            for _, name in TENANTS
        ),
    }
    for name in {name for _, name in TENANTS}:
        recorded = {env: plain(deployments[env, name].run, env) for env, other in TENANTS if other == name}
        first, *others = recorded
        for other in others:
            assert set(recorded[other]) == set(recorded[first]), (
                f"{name}: {other} has different resources than {first}"
            )
            for resource, inputs in recorded[other].items():
                if resource not in differ:
                    assert inputs == recorded[first][resource], (
                        f"{name}: {resource} differs between {other} and {first}"
                    )


@pytest.mark.sample(2)
@pytest.mark.parametrize(("environment", "name"), TENANTS, ids=STACKS)
def test_leaving_suspends_every_schedule_and_changes_nothing_else(
    deployments: dict[tuple[str, str], Deployed], root: Path, environment: Environment, name: str
) -> None:
    path = root / "tenants" / f"{name}.yaml"
    path.write_text(path.read_text().replace(f"name: {name}\n", f"name: {name}\nstate: leaving\n"))
    leaving, staying = deploy(root, environment, name), deployments[environment, name]
    assert leaving.tenant.leaving, "the file must have changed"

    def state(deployed: Deployed) -> list[tuple[str, str, bool, bool, dict[str, Any]]]:
        states = []
        for r in deployed.run.resources:
            inputs = json.loads(json.dumps(r.inputs))
            if inputs.get("kind") == "CronWorkflow":
                inputs["spec"].pop("suspend")
                inputs["metadata"].pop("annotations", None)
            states.append((r.type, r.name, r.protect, r.retain_on_delete, inputs))
        return sorted(states, key=lambda entry: entry[:2])

    assert state(leaving) == state(staying), "leaving deletes nothing; that is a later step"
    schedules = of_kind(leaving, "CronWorkflow").values()
    assert schedules, f"{name} must have schedules"
    assert all(schedule["spec"]["suspend"] is True for schedule in schedules), (
        "a tenant that leaves must not run"
    )

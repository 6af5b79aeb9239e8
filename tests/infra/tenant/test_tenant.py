"""A tenant's stack: complete, isolated, and safe to deploy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra import manifests as infra_manifests
from infra.config import image, prices, settings
from infra.config.naming import Names
from infra.config.sizes import DEFAULTS, Sizes
from infra.estate.outputs import EstateOutputs
from infra.offline.answers import estate
from infra.policies import tenant as tenant_policies
from infra.tenant import search, secrets, target
from lightwork import manifests
from lightwork.errors import InputError
from lightwork.functions import discovery
from tests.estate import files
from tests.infra.engine import ACCOUNT, REGION, Run, run_program

if TYPE_CHECKING:
    from pathlib import Path

ACME = files.load("acme")
NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
ESTATE = EstateOutputs.parse(estate("dev"), "here")
IMAGE = f"{ESTATE.image_repository_url}@sha256:{'a' * 64}"
ROLE, GRANT, SECRET = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy", "aws:secretsmanager/secret:Secret"


def changed(root: Path, old: str, new: str) -> Run:
    """Record the stack after a change to acme's file."""
    path = root / "tenants" / "acme.yaml"
    assert old in path.read_text(), "the sample does not change the file"
    path.write_text(path.read_text().replace(old, new, 1))
    return run_program(root, "dev.acme")


def objects(run: Run) -> dict[str, dict[str, Any]]:
    return {r.name: r.inputs for r in run.resources if r.type.startswith("kubernetes:")}


def test_the_deployed_objects_are_those_of_the_cluster_tests(acme: Run, root: Path) -> None:
    of_workers = prices.of_workers(settings.load(root, "dev").sizes, prices.load())
    dev = target.target(ACME, "dev", NAMES, ESTATE, IMAGE, of_workers)
    deployed = objects(acme)
    for built in manifests.tenant_objects(ACME, dev, discovery.pipelines()):
        kind, object_name = built["kind"], built["metadata"]["name"]
        name = "namespace" if kind == "Namespace" else f"{kind.lower()}-{object_name}"
        expected = json.loads(json.dumps(built))
        if kind == "Job":
            expected["spec"].pop("ttlSecondsAfterFinished")
        assert deployed[name] == expected, f"{kind} {object_name} differs from the builder's"


def test_a_job_is_not_deleted_by_kubernetes(acme: Run) -> None:
    for name, job in objects(acme).items():
        if job["kind"] == "Job":
            assert "ttlSecondsAfterFinished" not in job["spec"], (
                f"{name} would show up as missing in every preview"
            )


def test_a_job_comes_after_everything_that_it_needs(acme: Run) -> None:
    job = acme.named("kubernetes:batch/v1:Job", "job-certificates")
    needed = " ".join(job.depends_on)
    for name in ("serviceaccount-certificates", "role-certificates", "rolebinding-certificates", "namespace"):
        assert f"::{name}" in needed, f"without its {name} the Job never gets a pod, and `up` waits for it"


def test_every_object_waits_for_its_namespace(acme: Run) -> None:
    for resource in acme.resources:
        if resource.type.startswith("kubernetes:") and resource.name != "namespace":
            assert any(urn.endswith("::namespace") for urn in resource.depends_on), (
                f"{resource.name} would be refused"
            )


def test_a_retained_namespace_keeps_its_quota_and_policies(acme: Run) -> None:
    kept = {r.name for r in acme.resources if r.type.startswith("kubernetes:") and r.retain_on_delete}
    bounds = {n for n, o in objects(acme).items() if o["kind"] in infra_manifests.GUARDS}
    assert len(bounds) == 10, "eight network policies, a quota, a limit range"
    assert kept == {"namespace"}, "one that the program drops must go, or tightening would never arrive"
    for resource in acme.resources:
        if resource.name in bounds:
            assert resource.deleted_with.endswith("::namespace"), (
                "a retained namespace would be open without it"
            )
    protected = {r.name for r in acme.resources if r.type.startswith("kubernetes:") and r.protect}
    assert protected == {"namespace"}, "other objects can be created again"


def test_the_provider_changes_objects_in_place(acme: Run) -> None:
    provider = acme.one("pulumi:providers:kubernetes").inputs
    for switch in ("enableConfigMapMutable", "enableSecretMutable", "enableServerSideApply"):
        assert provider[switch] == "true", f"without {switch} a change would delete the semaphores first"
    assert provider["clusterIdentifier"] == "lightwork-dev", "a new certificate would replace every object"


def test_the_provider_gets_a_token_for_each_call_and_stores_none(acme: Run) -> None:
    config = json.loads(acme.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    (user,) = config["users"]
    assert set(user["user"]) == {"exec"}, "a token or key in the state would open the cluster"
    run = user["user"]["exec"]
    assert [run["command"], *run["args"][:2]] == ["aws", "eks", "get-token"], (
        "with the deployer's credentials"
    )
    assert "lightwork-dev" in run["args"], "a token for another cluster"


def test_only_pods_with_the_tenants_code_have_its_role(acme: Run) -> None:
    bound = acme.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    roles = {b.inputs["serviceAccount"]: b.inputs["roleArn"].rpartition("-dev-")[2] for b in bound}
    of_code = {"driver": "pods-acme", "worker": "pods-acme", "step": "steps-acme"}
    assert roles == {**of_code, "controller": "controller-acme"}, "the accounts that run its code"
    for association in bound:
        assert association.inputs["namespace"] == "tenant-acme", "another tenant's pods"
        assert association.inputs["clusterName"] == "lightwork-dev", "another cluster's pods"
        assert ":role/lightwork/dev/tenants/lightwork-dev-" in association.inputs["roleArn"]


def test_every_role_of_a_tenant_is_bounded(acme: Run) -> None:
    assert len(acme.all(ROLE)) == 5, "for its pods, its steps, its controller, its secrets and its people"
    for role in acme.all(ROLE):
        assert role.inputs["permissionsBoundary"] == ESTATE.tenant_boundary_arn, (
            f"{role.name}: a wrong grant would take effect"
        )
        assert role.inputs["path"] == "/lightwork/dev/tenants/", f"{role.name}: policies refer to this path"


def test_each_role_is_granted_what_it_needs_and_nothing_else(acme: Run) -> None:
    grants = {g.name: g.inputs["role"].removeprefix("lightwork-dev-") for g in acme.all(GRANT)}
    operators = [name for name, role in grants.items() if role == "secrets-acme"]
    assert len(operators) == 1, "the secrets operator's role"
    assert {name: role for name, role in grants.items() if name not in operators} == {
        "lake-of-pods": "pods-acme",
        "secrets-of-pods": "pods-acme",
        "lake-of-steps": "steps-acme",
        "secrets-of-steps": "steps-acme",
        "lake-of-controller": "controller-acme",
        "lake-of-people": "people-acme",
        "people-cluster": "people-acme",
        "people-logs": "people-acme",
    }, "no other grant"
    policies = {g.name: json.loads(g.inputs["policy"]) for g in acme.all(GRANT)}
    (whole, _, key) = (statement["Resource"] for statement in policies["lake-of-pods"]["Statement"])
    assert policies["lake-of-steps"] == tenant_policies.lake_of_steps(
        bucket_arn=whole[0], key_arn=key[0], tenant="acme"
    ), "tests/infra/policies/test_steps.py shows what it refuses"
    assert policies["lake-of-controller"] == tenant_policies.lake_of_controller(
        bucket_arn=whole[0], key_arn=key[0], tenant="acme"
    ), "tests/infra/policies/test_controller.py shows what it refuses"
    text = " ".join(g.inputs["policy"] for g in acme.all(GRANT))
    assert "globex" not in text, "another tenant's"
    assert "secret:lightwork/dev/acme/*" in text, "its own secrets"


def test_no_secrets_value_is_in_the_stack(acme: Run) -> None:
    (secret,) = acme.all(SECRET)
    assert secret.inputs["name"] == "lightwork/dev/acme/weather-api", "under the tenant's prefix"
    assert secret.inputs["kmsKeyId"].endswith(":key/lake-key"), "under the tenant's key"
    assert secret.protect, "deleting a secret breaks its pipelines"
    assert secret.retain_on_delete, "removed from the file, it must stay"
    types = {r.type for r in acme.resources}
    for kind in ("secretVersion", "core/v1:Secret", "random", "tls:", "accessKey"):
        assert not any(kind in t for t in types), f"a {kind} would put its value into the state"


def test_secrets_are_copied_with_the_tenants_own_role(acme: Run) -> None:
    deployed = objects(acme)
    aws = deployed["secretstore-tenant"]["spec"]["provider"]["aws"]
    assert aws["role"] == f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/tenants/lightwork-dev-secrets-acme", (
        "the operator's own role must not read tenants' secrets"
    )
    assert "auth" not in aws, "it assumes the role from its pod's identity, without a key"
    spec = deployed["externalsecret-lightwork-secrets"]["spec"]
    assert spec["target"]["name"] == "lightwork-secrets", "the pods take their environment from it"
    assert spec["data"] == [
        {"secretKey": "WEATHER_API", "remoteRef": {"key": "lightwork/dev/acme/weather-api"}}
    ], "the secrets of the file, as variables"


def test_a_tenant_without_secrets_has_no_store(root: Path) -> None:
    run = changed(root, "secrets: [weather-api]", "secrets: []")
    kinds = {o["kind"] for o in objects(run).values()}
    assert not kinds & {"SecretStore", "ExternalSecret"}, "an unused store"
    assert not run.all(SECRET), "an unused secret"


def test_two_secrets_with_the_same_variable_are_refused() -> None:
    twice = ACME.model_copy(update={"secrets": ("a-b", "a_b")})
    with pytest.raises(
        InputError, match=r"acme\.yaml: secrets: found 'a_b'; a-b becomes A_B too; rename one"
    ):
        secrets.secret_objects(twice, prefix="p/", role_arn="arn", region=REGION)


def test_a_budget_counts_only_the_tenants_costs_in_this_environment(root: Path) -> None:
    run = changed(root, "data_retention_days: 90", "data_retention_days: 90\nbudget: 1234")
    budget = run.one("aws:budgets/budget:Budget").inputs
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("1234", "USD", "MONTHLY"), (
        "the file's amount"
    )
    counted = {part["tags"]["key"]: part["tags"]["values"] for part in budget["filterExpression"]["ands"]}
    assert counted == {"tenant": ["acme"], "environment": ["dev"]}, "no other tenant's or environment's costs"
    for notice in budget["notifications"]:
        assert notice["subscriberSnsTopicArns"] == [ESTATE.alarm_topic_arn], "the topic must be notified"


def test_everything_on_aws_that_takes_tags_has_the_tenants(acme: Run) -> None:
    tagged = [r for r in acme.resources if r.type.startswith("aws:") and "tags" in r.inputs]
    assert len(tagged) == 14, "bucket, key, five roles, four associations, an entry, a secret, the budget"
    for resource in tagged:
        assert resource.inputs["tags"]["tenant"] == "acme", (
            f"{resource.name}: its cost would not be allocated"
        )


def test_pods_reach_the_api_and_aws_but_nothing_else_in_the_network(acme: Run) -> None:
    deployed = objects(acme)
    (rule,) = deployed["networkpolicy-api"]["spec"]["egress"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["to"]] == [
        "172.20.0.1/32",
        *ESTATE.api_cidrs,
    ], "the API as pods dial it, and its interfaces"
    outside = deployed["networkpolicy-aws"]["spec"]["egress"][1]["to"][0]["ipBlock"]
    for inside in (ESTATE.vpc_cidr, ESTATE.service_cidr):
        assert inside in outside["except"], "AWS must not mean the database, or another tenant's pod"


def test_the_image_is_named_by_its_digest(acme: Run) -> None:
    job = objects(acme)["job-certificates"]["spec"]["template"]["spec"]["containers"][0]
    assert job["image"] == IMAGE, "a tag may move between two environments"


@pytest.mark.parametrize(
    ("digest", "expected"), [(None, "not set"), ("latest", "'latest'"), ("sha256:12", "64")]
)
def test_an_image_without_a_digest_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None, expected: str
) -> None:
    monkeypatch.setenv(image.DIGEST, digest or "")
    run = run_program(root, "dev.acme")
    assert image.DIGEST in str(run.error), "the message must name the variable"
    assert expected in str(run.error), f"{run.error}"
    assert "\n" not in str(run.error), "the message must be one line"
    assert not [r for r in run.resources if r.type.startswith(("aws:s3", "kubernetes:"))], "refused too late"


def test_a_tenant_that_leaves_keeps_its_data_and_runs_nothing(root: Path, acme: Run) -> None:
    run = changed(root, "name: acme", "name: acme\nstate: leaving")
    assert run.error is None, f"{run.error}"
    schedules = [o for o in objects(run).values() if o["kind"] == "CronWorkflow"]
    assert len(schedules) == 2, "they stay, and can be resumed"
    assert all(s["spec"]["suspend"] is True for s in schedules), "a tenant that leaves must not run"
    assert not any(o["spec"].get("suspend") for o in objects(acme).values() if o["kind"] == "CronWorkflow"), (
        "otherwise the test proves nothing"
    )
    assert {(r.type, r.name) for r in run.resources} == {(r.type, r.name) for r in acme.resources}, (
        "leaving deletes nothing; that is a later step"
    )


def test_an_unknown_state_is_refused(root: Path) -> None:
    run = changed(root, "name: acme", "name: acme\nstate: left")
    assert "state" in str(run.error), "the message must name the field"
    assert not [r for r in run.resources if r.type.startswith("aws:s3")], "refused too late"


def test_opensearch_lets_a_tenant_read_only_its_own_lines(acme: Run) -> None:
    config = objects(acme)["configmap-search-acme"]
    assert config["metadata"]["namespace"] == "logging", "the namespace of the master user's account"
    assert config["metadata"]["labels"]["lightwork/tenant"] == "acme", "the tenant's label"
    *others, role, _ = json.loads(config["data"]["requests.json"])
    bodies = {request["path"]: request["body"] for request in others}
    shipper = f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/lightwork-dev-log-shipper"
    assert bodies["_plugins/_security/api/rolesmapping/log-shipper"] == {"backend_roles": [shipper]}
    assert "_data_stream/logs-tenant-acme" in bodies, "otherwise no line is accepted"
    assert role["path"] == "_plugins/_security/api/roles/tenant-acme", "one role per tenant"
    (index,) = role["body"]["index_permissions"]
    assert index["index_patterns"] == ["logs-tenant-acme"], "acme-2 has another stream"
    assert index["allowed_actions"] == ["indices:data/read/search"], "logs are searched only"
    assert role["body"]["cluster_permissions"] == [], "no rights on the domain itself"


def test_changed_requests_start_a_new_job() -> None:
    def template(name: str) -> dict[str, Any]:
        tenant = ACME.model_copy(update={"name": name})
        _, job = search.objects(
            tenant,
            endpoint="search.example",
            region=REGION,
            image=IMAGE,
            shipper_role_arn="arn:shipper",
            people_role_arn="arn:people",
            sizes=Sizes.model_validate(DEFAULTS["dev"]),
        )
        return job["spec"]["template"]

    assert template("acme") == template("acme"), "unchanged requests are not sent again"
    assert template("acme")["metadata"]["annotations"] != template("acme-2")["metadata"]["annotations"], (
        "a changed ConfigMap alone starts nothing"
    )


def test_two_objects_with_the_same_logical_name_are_refused() -> None:
    same = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": namespace}}
        for namespace in ("one", "two")
    ]
    with pytest.raises(ValueError, match=r"duplicate.*configmap-a"):
        infra_manifests.make(same, None)  # type: ignore[arg-type]

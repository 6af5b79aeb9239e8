"""A tenant's stack: everything of it, and nothing that a deployment could lose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra import manifests as infra_manifests
from infra.config import image
from infra.config.naming import Names
from infra.estate.outputs import EstateOutputs
from infra.offline.answers import estate
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
KNOWN = EstateOutputs.parse(estate("dev"), "here")
IMAGE = f"{KNOWN.image_repository_url}@sha256:{'a' * 64}"
ROLE, GRANT, SECRET = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy", "aws:secretsmanager/secret:Secret"


@pytest.fixture
def acme(root: Path) -> Run:
    run = run_program(root, "dev.acme")
    assert run.error is None, f"the example tenant must deploy: {run.error}"
    return run


def changed(root: Path, old: str, new: str) -> Run:
    """The run after a change of acme's file."""
    path = root / "tenants" / "acme.yaml"
    assert old in path.read_text(), "the sample does not change the file"
    path.write_text(path.read_text().replace(old, new, 1))
    return run_program(root, "dev.acme")


def objects(run: Run) -> dict[str, dict[str, Any]]:
    return {r.name: r.inputs for r in run.resources if r.type.startswith("kubernetes:")}


def test_what_the_cluster_tests_prove_is_what_is_deployed(acme: Run) -> None:
    goal = target.target(ACME, "dev", NAMES, KNOWN, IMAGE)
    found = objects(acme)
    for built in manifests.tenant_objects(ACME, goal, discovery.pipelines()):
        kind, own = built["kind"], built["metadata"]["name"]
        name = "namespace" if kind == "Namespace" else f"{kind.lower()}-{own}"
        expected = json.loads(json.dumps(built))
        if kind == "Job":
            expected["spec"].pop("ttlSecondsAfterFinished")
        assert found[name] == expected, f"{kind} {own} is another than the builder's"


def test_a_job_does_not_vanish_from_under_its_stack(acme: Run) -> None:
    for name, job in objects(acme).items():
        if job["kind"] == "Job":
            assert "ttlSecondsAfterFinished" not in job["spec"], f"{name} would be drift in every preview"


def test_what_starts_something_comes_after_all_that_it_needs(acme: Run) -> None:
    job = acme.named("kubernetes:batch/v1:Job", "job-certificates")
    needed = " ".join(job.depends_on)
    for name in ("serviceaccount-certificates", "role-certificates", "rolebinding-certificates", "namespace"):
        assert f"::{name}" in needed, f"a Job without its {name} never gets a pod, and `up` waits for it"


def test_every_object_waits_for_its_namespace(acme: Run) -> None:
    for resource in acme.resources:
        if resource.type.startswith("kubernetes:") and resource.name != "namespace":
            assert any(urn.endswith("::namespace") for urn in resource.depends_on), (
                f"{resource.name} is refused"
            )


def test_a_namespace_that_is_kept_keeps_what_bounds_it(acme: Run) -> None:
    kept = {r.name for r in acme.resources if r.type.startswith("kubernetes:") and r.retain_on_delete}
    bounds = {n for n, o in objects(acme).items() if o["kind"] in infra_manifests.GUARDS}
    assert len(bounds) == 10, "eight network policies, a quota, a limit range"
    assert kept == bounds | {"namespace"}, "a retained namespace without them is open to all"
    protected = {r.name for r in acme.resources if r.type.startswith("kubernetes:") and r.protect}
    assert protected == {"namespace"}, "what can be made again may be deleted"


def test_the_provider_never_deletes_what_it_can_change(acme: Run) -> None:
    provider = acme.one("pulumi:providers:kubernetes").inputs
    for switch in ("enableConfigMapMutable", "enableSecretMutable", "enableServerSideApply"):
        assert provider[switch] == "true", f"without {switch} the semaphores vanish while they are changed"
    assert provider["clusterIdentifier"] == "lightwork-dev", "a new certificate would replace every object"


def test_the_provider_asks_for_a_token_each_time_and_keeps_none(acme: Run) -> None:
    config = json.loads(acme.one("pulumi:providers:kubernetes").inputs["kubeconfig"])
    (user,) = config["users"]
    assert set(user["user"]) == {"exec"}, "a token or a key in the state opens the cluster"
    run = user["user"]["exec"]
    assert [run["command"], *run["args"][:2]] == ["aws", "eks", "get-token"], (
        "by the credentials of who deploys"
    )
    assert "lightwork-dev" in run["args"], "a token for another cluster"


def test_the_pods_of_the_tenants_code_and_no_others_have_its_role(acme: Run) -> None:
    bound = acme.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    assert {b.inputs["serviceAccount"] for b in bound} == {"driver", "worker", "step"}, "who runs its code"
    for association in bound:
        assert association.inputs["namespace"] == "tenant-acme", "another tenant's pods"
        assert association.inputs["clusterName"] == "lightwork-dev", "another cluster's pods"
        assert association.inputs["roleArn"].endswith(":role/lightwork/dev/tenants/lightwork-dev-pods-acme")


def test_every_role_of_a_tenant_is_bounded(acme: Run) -> None:
    assert len(acme.all(ROLE)) == 2, "its pods, and who brings its secrets"
    for role in acme.all(ROLE):
        assert role.inputs["permissionsBoundary"] == KNOWN.tenant_boundary_arn, (
            f"{role.name}: a wrong grant holds"
        )
        assert role.inputs["path"] == "/lightwork/dev/tenants/", f"{role.name}: policies speak of this path"


def test_the_pods_role_is_granted_lake_and_secrets_and_nothing_else(acme: Run) -> None:
    grants = [g for g in acme.all(GRANT) if g.inputs["role"] == "lightwork-dev-pods-acme"]
    assert {g.name for g in grants} == {"lake-of-pods", "secrets-of-pods"}, "whatever else it may is too much"
    other = [g for g in acme.all(GRANT) if g not in grants]
    assert [g.inputs["role"] for g in other] == ["lightwork-dev-secrets-acme"], "the operator's"
    text = " ".join(g.inputs["policy"] for g in acme.all(GRANT))
    assert "globex" not in text, "the neighbour's"
    assert "secret:lightwork/dev/acme/*" in text, "its own secrets"


def test_no_value_of_a_secret_is_in_the_stack(acme: Run) -> None:
    (secret,) = acme.all(SECRET)
    assert secret.inputs["name"] == "lightwork/dev/acme/weather-api", "under the tenant's prefix"
    assert secret.inputs["kmsKeyId"].endswith(":key/lake-key"), "under the tenant's key"
    assert secret.protect, "a secret that is deleted is gone for its pipelines"
    assert secret.retain_on_delete, "taken out of the file, it is still there"
    types = {r.type for r in acme.resources}
    for kind in ("secretVersion", "core/v1:Secret", "random", "tls:", "accessKey"):
        assert not any(kind in t for t in types), f"a {kind} puts what it holds into the state"


def test_secrets_come_into_the_namespace_by_the_tenants_own_role(acme: Run) -> None:
    found = objects(acme)
    aws = found["secretstore-tenant"]["spec"]["provider"]["aws"]
    assert aws["role"] == f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/tenants/lightwork-dev-secrets-acme", (
        "the operator's own role would read every tenant's"
    )
    assert "auth" not in aws, "it becomes that role from its own pod's identity; there is no key"
    wanted = found["externalsecret-lightwork-secrets"]["spec"]
    assert wanted["target"]["name"] == "lightwork-secrets", "the pods take their environment from it"
    assert wanted["data"] == [
        {"secretKey": "WEATHER_API", "remoteRef": {"key": "lightwork/dev/acme/weather-api"}}
    ], "the secrets of the file, as variables"


def test_a_tenant_without_secrets_has_no_store(root: Path) -> None:
    run = changed(root, "secrets: [weather-api]", "secrets: []")
    kinds = {o["kind"] for o in objects(run).values()}
    assert not kinds & {"SecretStore", "ExternalSecret"}, "a store that nobody uses"
    assert not run.all(SECRET), "a secret that nobody reads"


def test_two_secrets_that_are_one_variable_are_refused() -> None:
    twice = ACME.model_copy(update={"secrets": ("a-b", "a_b")})
    with pytest.raises(InputError, match=r"tenants/acme\.yaml: secrets: a-b and a_b.*A_B.*rename"):
        secrets.secret_objects(twice, prefix="p/", role_arn="arn", region=REGION)


def test_a_budget_counts_what_is_the_tenants_in_this_environment(root: Path) -> None:
    run = changed(root, "data_retention_days: 90", "data_retention_days: 90\nbudget: 1234")
    budget = run.one("aws:budgets/budget:Budget").inputs
    assert (budget["limitAmount"], budget["limitUnit"], budget["timeUnit"]) == ("1234", "USD", "MONTHLY"), (
        "what the file says"
    )
    counted = {part["tags"]["key"]: part["tags"]["values"] for part in budget["filterExpression"]["ands"]}
    assert counted == {"tenant": ["acme"], "environment": ["dev"]}, (
        "another's costs, or another environment's"
    )
    for notice in budget["notifications"]:
        assert notice["subscriberSnsTopicArns"] == [KNOWN.alarm_topic_arn], "nobody is told"


def test_everything_on_aws_that_takes_tags_says_whose_it_is(acme: Run) -> None:
    tagged = [r for r in acme.resources if r.type.startswith("aws:") and "tags" in r.inputs]
    assert len(tagged) == 9, "bucket, key, two roles, three associations, a secret, the budget"
    for resource in tagged:
        assert resource.inputs["tags"]["tenant"] == "acme", f"{resource.name}: its cost is nobody's"


def test_pods_reach_the_api_and_aws_but_nothing_in_the_network(acme: Run) -> None:
    found = objects(acme)
    (rule,) = found["networkpolicy-api"]["spec"]["egress"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["to"]] == list(KNOWN.api_cidrs), "the API's interfaces"
    outside = found["networkpolicy-aws"]["spec"]["egress"][1]["to"][0]["ipBlock"]
    for inside in (KNOWN.vpc_cidr, KNOWN.service_cidr):
        assert inside in outside["except"], "AWS must not mean the database, or another tenant's pod"


def test_the_image_is_named_by_its_digest(acme: Run) -> None:
    job = objects(acme)["job-certificates"]["spec"]["template"]["spec"]["containers"][0]
    assert job["image"] == IMAGE, "what a tag means may change between two stages"


@pytest.mark.parametrize(
    ("digest", "said"), [(None, "is not set"), ("latest", "found 'latest'"), ("sha256:12", "64")]
)
def test_an_image_without_a_digest_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None, said: str
) -> None:
    monkeypatch.setenv(image.DIGEST, digest or "")
    run = run_program(root, "dev.acme")
    assert said in str(run.error), f"a floating image: {run.error}"
    assert "\n" not in str(run.error), "one line is read"
    assert not [r for r in run.resources if r.type.startswith(("aws:s3", "kubernetes:"))], "refused too late"


def test_a_tenant_that_leaves_keeps_its_data_and_runs_nothing(root: Path, acme: Run) -> None:
    run = changed(root, "name: acme", "name: acme\nstate: leaving")
    assert run.error is None, f"{run.error}"
    schedules = [o for o in objects(run).values() if o["kind"] == "CronWorkflow"]
    assert len(schedules) == 2, "they are kept, and can be taken up again"
    assert all(s["spec"]["suspend"] is True for s in schedules), "a run of a tenant that has left"
    assert not any(o["spec"].get("suspend") for o in objects(acme).values() if o["kind"] == "CronWorkflow"), (
        "the sample changed nothing"
    )
    assert {(r.type, r.name) for r in run.resources} == {(r.type, r.name) for r in acme.resources}, (
        "leaving deletes nothing: that is a second step"
    )


def test_a_state_that_there_is_not_is_refused(root: Path) -> None:
    run = changed(root, "name: acme", "name: acme\nstate: left")
    assert "state" in str(run.error), "the message names the field"
    assert not [r for r in run.resources if r.type.startswith("aws:s3")], "refused too late"


def test_opensearch_lets_a_tenant_read_its_own_indexes(acme: Run) -> None:
    config = objects(acme)["configmap-search-acme"]
    assert config["metadata"]["namespace"] == "logging", "where the domain's master has its account"
    assert config["metadata"]["labels"]["lightwork/tenant"] == "acme", "whose it is"
    *domain, role, mapping = json.loads(config["data"]["requests.json"])
    shipper = f"arn:aws:iam::{ACCOUNT}:role/lightwork/dev/lightwork-dev-log-shipper"
    assert domain[1]["body"] == {"backend_roles": [shipper]}, "else no line is taken"
    assert role["path"] == "_plugins/_security/api/roles/tenant-acme", "one role a tenant"
    (index,) = role["body"]["index_permissions"]
    assert index["index_patterns"] == ["logs-acme.*"], "acme-2 has other indexes"
    assert index["allowed_actions"] == ["read", "get"], "a log is not changed"
    assert role["body"]["cluster_permissions"] == [], "nothing of the domain's own"
    assert mapping["body"] == {"backend_roles": ["tenant-acme"]}, "who comes with that group"


def test_a_changed_request_is_another_job() -> None:
    def job(name: str) -> dict[str, Any]:
        tenant = ACME.model_copy(update={"name": name})
        _, made = search.objects(
            tenant,
            endpoint="search.example",
            region=REGION,
            image=IMAGE,
            shipper_role_arn="arn:shipper",
            kept_days=30,
        )
        return made["spec"]["template"]

    assert job("acme") == job("acme"), "the same requests are sent once"
    assert job("acme")["metadata"]["annotations"] != job("acme-2")["metadata"]["annotations"], (
        "a ConfigMap that changes starts nothing by itself"
    )


def test_objects_are_told_apart_by_kind_and_name() -> None:
    twice = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": space}}
        for space in ("one", "two")
    ]
    with pytest.raises(ValueError, match=r"duplicate.*configmap-a"):
        infra_manifests.make(twice, None)  # type: ignore[arg-type]

"""What runs in the cluster for everybody: pinned, kept, watched, and no mightier than it has to be."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra import manifests as infra_manifests
from infra.config import versions
from infra.config.naming import Names
from infra.policies import ci, pods
from infra.policies.scope import Scope
from infra.services import alerts, dashboards
from infra.services import objects as services_objects
from infra.services.charts import argo
from infra.tenant import search as tenant_search
from lightwork import manifests
from lightwork.manifests import argo_config
from tests.estate import files
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide, within

if TYPE_CHECKING:
    from tests.infra.engine import Resource, Run

RELEASE = "kubernetes:helm.sh/v3:Release"
NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
ARCHIVE = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/archive"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:lightwork-dev-alarms"
ACME = files.load("acme")


def objects(run: Run) -> dict[str, Resource]:
    return {r.name: r for r in run.resources if r.type.startswith("kubernetes:")}


def releases(run: Run) -> dict[str, Resource]:
    return {r.name: r for r in run.all(RELEASE)}


def test_every_chart_that_is_pinned_is_installed_in_that_version(estate: Run) -> None:
    found = releases(estate)
    assert set(found) == set(versions.CHARTS), "a chart that nobody installs, or one that nobody pins"
    for name, release in found.items():
        pinned = versions.CHARTS[name]
        assert release.inputs["version"] == pinned.version, f"{name} floats"
        assert release.inputs["repositoryOpts"] == {"repo": pinned.repository}, f"{name} is from elsewhere"
        assert release.inputs["name"] == name, "a name of Helm's choice changes with each replacement"
        assert release.inputs["createNamespace"] is False, f"{name}: its namespace would be nobody's"


def test_the_charts_as_they_are_installed_are_those_that_their_tests_look_at(estate: Run) -> None:
    values = {name: release.inputs["values"] for name, release in releases(estate).items()}
    argo_values = values["argo-workflows"]
    assert argo_values["server"]["authModes"] == ["sso", "client"], (
        "never `server`: all would be as mighty as it"
    )
    assert argo_values["controller"]["configMap"]["create"] is False, (
        "the ConfigMap is ours, and tested as ours"
    )
    assert argo_values["images"]["tag"] == versions.CHARTS["argo-workflows"].image_tag, "what the tests run"
    assert values["cluster-autoscaler"]["image"]["tag"] == versions.CHARTS["cluster-autoscaler"].image_tag
    assert values["fluent-bit"]["kind"] == "DaemonSet", "logs of every node leave it"
    endpoint = estate.outputs["search_endpoint"]
    assert f"Host {endpoint}\n" in values["fluent-bit"]["config"]["outputs"], "and go to the domain"


def test_prometheus_asks_argo_the_autoscaler_the_shipper_and_the_secrets_operator(estate: Run) -> None:
    values = {name: release.inputs["values"] for name, release in releases(estate).items()}
    controller = values["argo-workflows"]["controller"]
    assert controller["metricsConfig"]["enabled"] is True, "the pipelines' own metrics are the controller's"
    for name, found in (
        ("argo-workflows", controller["serviceMonitor"]),
        *(
            (name, values[name]["serviceMonitor"])
            for name in ("cluster-autoscaler", "fluent-bit", "external-secrets")
        ),
    ):
        assert found["enabled"] is True, f"nobody asks {name}"
    assert estate.all("kubernetes:monitoring.coreos.com/v1:PodMonitor"), "and Dask's pods"


def test_an_alert_names_commands_that_there_are() -> None:
    from lightwork.cli.main import COMMANDS

    (group,) = alerts.tenant_rules(ACME)["spec"]["groups"]
    for rule in [*ALERTS.values(), *group["rules"]]:
        for command in re.findall(r"`lightwork ([a-z]+)", rule["annotations"]["description"]):
            assert command in COMMANDS, (
                f"{rule['alert']}: lightwork {command}: at night nobody looks for another"
            )


def test_every_namespace_is_kept_and_says_what_its_pods_may(estate: Run) -> None:
    spaces = {r.inputs["metadata"]["name"]: r for r in estate.all("kubernetes:core/v1:Namespace")}
    assert set(spaces) == {"argo", "external-secrets", "monitoring", "logging"}, "the platform's namespaces"
    for name, space in spaces.items():
        assert space.protect, f"{name}: `pulumi destroy` must refuse"
        assert space.retain_on_delete, f"{name}: all that is in it would go with it"
        label = space.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        wanted = "privileged" if name in {"monitoring", "logging"} else "restricted"
        assert label == wanted, f"{name}: only what looks at nodes may be more"


def test_what_needs_another_comes_after_it(estate: Run) -> None:
    found = objects(estate)
    for later, earlier in (
        ("argo-workflows", "configmap-workflow-controller-configmap"),
        ("argo-workflows", "externalsecret-argo-archive"),
        ("externalsecret-argo-archive", "external-secrets"),
        ("clusterworkflowtemplate-lightwork-scaler", "argo-workflows"),
        ("prometheusrule-lightwork", "kube-prometheus-stack"),
        ("podmonitor-dask", "kube-prometheus-stack"),
        ("cluster-autoscaler", "kube-prometheus-stack"),
        ("kube-prometheus-stack", "storageclass-lightwork-encrypted"),
        ("fluent-bit", "kube-prometheus-stack"),
    ):
        assert any(urn.endswith(f"::{earlier}") for urn in found[later].depends_on), (
            f"{later} before {earlier}"
        )
    group = "nodes-system"
    for space in estate.all("kubernetes:core/v1:Namespace"):
        assert any(urn.endswith(f"::{group}") for urn in space.depends_on), (
            "no node, no pod, no end of waiting"
        )


def test_the_scalers_template_is_the_one_that_the_cluster_tests_prove(estate: Run) -> None:
    (built,) = manifests.cluster_objects()
    found = objects(estate)["clusterworkflowtemplate-lightwork-scaler"].inputs
    assert found == json.loads(json.dumps(built)), "another template than the tested one"


def test_argo_finds_its_archive_and_its_people(estate: Run) -> None:
    config = yaml.safe_load(
        objects(estate)["configmap-workflow-controller-configmap"].inputs["data"]["config"]
    )
    database = config["persistence"]["postgresql"]
    assert database["host"].endswith(".rds.example"), (
        f"the archive's host has not arrived: {database['host']}"
    )
    assert database["passwordSecret"] == {"name": "argo-archive", "key": "password"}, "no password is in it"
    assert config["persistence"]["archiveTTL"] == "365d", "the archive grows for ever by default"
    assert config["workflowRestrictions"] == {"templateReferencing": "Strict"}, "pods of their own"
    sso = config["sso"]
    assert sso["issuer"] == "https://gitlab.com", "who knows the people"
    assert sso["redirectUrl"].startswith("https://argo."), "people are sent back here"
    assert sso["redirectUrl"].endswith("/oauth2/callback"), "Argo takes no other"
    assert sso["rbac"] == {"enabled": True}, "else whoever logs in is the server itself"


def test_the_archives_password_comes_from_where_rds_keeps_it(estate: Run) -> None:
    found = objects(estate)["externalsecret-argo-archive"].inputs["spec"]
    assert found["target"]["name"] == "argo-archive", "the name in Argo's settings"
    keys = {item["secretKey"]: item["remoteRef"] for item in found["data"]}
    assert set(keys) == {"username", "password"}, "what Argo asks for"
    for name, reference in keys.items():
        assert reference == {"key": ARCHIVE, "property": name}, "RDS changes it every week; nobody copies it"


def test_no_object_with_a_secret_or_a_token_is_in_the_stack(estate: Run) -> None:
    assert not estate.all("kubernetes:core/v1:Secret"), "Pulumi would read it back into its state"


def test_the_logins_secret_is_empty_and_kept(estate: Run) -> None:
    secret = estate.one("aws:secretsmanager/secret:Secret")
    assert secret.inputs["name"].endswith("/_platform/argo-sso"), "no tenant's name begins with an underscore"
    assert secret.protect, "nobody could log in"
    assert secret.retain_on_delete, "as above"
    assert "secretString" not in secret.inputs, "its value would be in the state"


def test_somebody_is_told_when_the_archive_is_down(estate: Run) -> None:
    alarm = estate.one("aws:cloudwatch/metricAlarm:MetricAlarm").inputs
    database = estate.one("aws:rds/instance:Instance").inputs["identifier"]
    assert alarm["dimensions"] == {"DBInstanceIdentifier": database}, "another database"
    assert alarm["treatMissingData"] == "breaching", "a database that is gone says nothing"
    topic = estate.one("aws:sns/topic:Topic").inputs["name"]
    assert alarm["alarmActions"] == [f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"], "nobody is told"


OPERATOR = pods.operator(names=NAMES, secret_arn=ARCHIVE, key_arn=KEY)


def test_the_secrets_operator_becomes_the_tenants_roles_of_this_environment_alone() -> None:
    own = NAMES.role_arn("lightwork-dev-secrets-acme", tenant=True)
    assert decide([OPERATOR], "sts:AssumeRole", own, {}), "else no tenant's secret comes"
    prod = Names(environment="prod", account=ACCOUNT, region=REGION)
    for other in (
        NAMES.role_arn("lightwork-dev-pods-acme", tenant=True),
        NAMES.role_arn("lightwork-dev-secrets"),
        prod.role_arn("lightwork-prod-secrets-acme", tenant=True),
    ):
        assert not decide([OPERATOR], "sts:AssumeRole", other, {}), f"{other} is none of its business"


def test_the_secrets_operator_reads_no_tenants_secret_by_itself() -> None:
    prefix = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/dev"
    action = "secretsmanager:GetSecretValue"
    assert decide([OPERATOR], action, f"{prefix}/_platform/argo-sso-AbCdEf", {}), "the login's"
    assert decide([OPERATOR], action, ARCHIVE, {}), "the archive's"
    for other in (
        f"{prefix}/acme/weather-api-AbCdEf",
        f"{prefix.replace('dev', 'prod')}/_platform/argo-sso-A",
    ):
        assert not decide([OPERATOR], action, other, {}), f"{other} is read by a role of its own"


def test_alertmanager_publishes_alarms_and_nothing_else() -> None:
    grant = pods.publish(topic_arn=TOPIC, names=NAMES)
    context = {
        "kms:ViaService": f"sns.{REGION}.amazonaws.com",
        "kms:ResourceAliases": ["alias/lightwork/dev/alarms"],
    }
    assert decide([grant], "sns:Publish", TOPIC, {}), "else nobody is told"
    assert decide([grant], "kms:GenerateDataKey", KEY, context), "the topic is encrypted"
    assert not decide([grant], "sns:Publish", TOPIC.replace("alarms", "other"), {}), "another topic"
    for name, value in (
        ("kms:ViaService", f"s3.{REGION}.amazonaws.com"),
        ("kms:ResourceAliases", ["alias/lightwork/dev/acme/lake"]),
    ):
        assert not decide([grant], "kms:Decrypt", KEY, {**context, name: value}), f"with {name} {value}"


ALERTS = {
    rule["alert"]: rule for group in alerts.rules("monitoring")["spec"]["groups"] for rule in group["rules"]
}


def test_there_is_an_alert_for_everything_that_somebody_has_to_know() -> None:
    assert set(ALERTS) == {
        "RunFailed",
        "SemaphoresStuck",
        "WorkersPending",
        "ArgoDown",
        "ArgoErrors",
        "CertificateExpiry",
    }, "and the archive, which CloudWatch watches, and the deadlines, which are the tenants' own"
    for name, rule in ALERTS.items():
        assert rule["labels"]["part_of"] == "lightwork", f"{name}: Alertmanager sends on what is ours"
        assert rule["labels"]["severity"] in {"warning", "critical"}, f"{name}: how urgent is it"
        for part in ("summary", "description"):
            assert rule["annotations"][part], f"{name}: what has happened, and what to do"


def test_alerts_ask_for_the_metrics_that_the_templates_send() -> None:
    sent = {
        f"argo_workflows_{metric['name']}"
        for built in manifests.tenant_objects(ACME, _target(), {})
        if built["kind"] == "WorkflowTemplate"
        for metric in built["spec"]["metrics"]["prometheus"]
    }
    assert alerts.RUNS in sent, f"{alerts.RUNS} is sent by nobody: {sent}"
    assert dashboards.RUN_SECONDS in sent, f"{dashboards.RUN_SECONDS} is sent by nobody"


def _target() -> Any:
    from lightwork.manifests.base import Target

    return Target(environment="dev", image="image", lake="s3://lake")


def test_each_pipeline_has_an_alert_at_its_own_deadline() -> None:
    (group,) = alerts.tenant_rules(ACME)["spec"]["groups"]
    found = {rule["labels"]["pipeline"]: rule for rule in group["rules"]}
    assert set(found) == set(ACME.pipelines), "a pipeline whose deadline nobody watches"
    assert found["windy-city"]["expr"].endswith("> 7500"), "two hours, and five minutes to clear up"
    assert found["battery-health"]["expr"].endswith("> 21900"), "six hours, and five minutes"
    for rule in found.values():
        assert 'namespace="tenant-acme"' in rule["expr"], "another tenant's runs"
        assert rule["labels"]["tenant"] == "acme", "who is told"


def test_prometheus_asks_schedulers_and_workers_by_the_port_that_they_have() -> None:
    monitor = alerts.dask_monitor("monitoring")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    from lightwork.manifests import dask

    for built in (dask.scheduler(), dask.workers()):
        pod = built["spec"]["template"]
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert endpoint["port"] in ports, "no such port: nothing is asked"
        role = pod["metadata"]["labels"]["lightwork/role"]
        assert role in monitor["selector"]["matchExpressions"][0]["values"], f"{role} is not asked"
    labels = {item["targetLabel"] for item in endpoint["relabelings"]}
    assert labels == {"tenant", "pipeline", "run", "role"}, "the dashboards pick by these"


@pytest.mark.parametrize(
    "manifest", dashboards.config_maps("monitoring"), ids=lambda m: m["metadata"]["name"]
)
def test_a_dashboard_is_json_that_grafana_finds(manifest: dict[str, Any]) -> None:
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1", "Grafana's sidecar looks for this"
    ((name, text),) = manifest["data"].items()
    board = json.loads(text)
    assert name == f"{board['uid']}.json", "the file's name is the dashboard's own"
    assert board["editable"] is False, "what is changed by hand is lost"
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) == 8, "each panel once"
    for panel in board["panels"]:
        for target in panel["targets"]:
            used = set(platform_words(target["expr"]))
            assert used <= variables, f"{panel['title']}: {used - variables} is asked of nobody"
            assert target["expr"].count("(") == target["expr"].count(")"), f"{panel['title']}: does not close"
            assert target["expr"].count("{") == target["expr"].count("}"), f"{panel['title']}: does not close"


def platform_words(expression: str) -> list[str]:
    return re.findall(r"\$(\w+)", expression)


def test_the_domain_lets_the_shipper_add_and_not_read() -> None:
    requests = tenant_search.domain_requests(shipper_role_arn="arn:shipper", kept_days=30)
    by_path = {request["path"]: request["body"] for request in requests}
    role = by_path["_plugins/_security/api/roles/log-shipper"]
    (index,) = role["index_permissions"]
    assert index["index_patterns"] == ["logs-*"], "only logs"
    allowed = [*index["allowed_actions"], *role["cluster_permissions"]]
    assert not any("read" in a or "search" in a or "get" in a or "*" in a for a in allowed), (
        "it adds, it reads not"
    )
    assert by_path["_plugins/_security/api/rolesmapping/log-shipper"] == {"backend_roles": ["arn:shipper"]}
    states = {s["name"]: s for s in by_path["_plugins/_ism/policies/lightwork-retention"]["policy"]["states"]}
    (transition,) = states["kept"]["transitions"]
    assert transition == {"state_name": "gone", "conditions": {"min_index_age": "30d"}}, (
        "as long as was asked"
    )


def test_text_that_is_known_later_is_filled_in_and_nothing_else_changes(estate: Run) -> None:
    assert "<<" not in json.dumps([r.inputs for r in estate.resources]), "a mark that nobody has filled in"
    plain = [{"kind": "ConfigMap", "data": {"a": "b {{ .Values.c }}"}}]
    assert infra_manifests.filled(plain, {}) == plain, "Argo's and Helm's own marks stay"


def test_disks_are_encrypted_and_argo_without_an_archive_says_so() -> None:
    assert services_objects.storage_class()["parameters"]["encrypted"] == "true", "metrics name tenants"
    config = argo_config.settings(argo_config.Argo(database=None, cluster="local"))
    assert "persistence" not in config, "there is no database to wait for"
    assert "sso" not in config, "nobody knows the people"
    assert argo.NAMESPACE == "argo", "the tenants' network policies name it"


ACCOUNTS = {
    "external-secrets": ("serviceAccount", "name"),
    "cluster-autoscaler": ("rbac", "serviceAccount", "name"),
    "fluent-bit": ("serviceAccount", "name"),
    "kube-prometheus-stack": ("alertmanager", "serviceAccount", "name"),
}
"""Where each chart is told the name of the account whose pods have a role on AWS."""


def test_the_pods_that_have_a_role_are_those_of_the_charts(estate: Run) -> None:
    bound = {
        (found.inputs["namespace"], found.inputs["serviceAccount"])
        for found in estate.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    for name, path in ACCOUNTS.items():
        release = releases(estate)[name].inputs
        account = release["values"]
        for key in path:
            account = account[key]
        assert (release["namespace"], account) in bound, f"{name}: {account} is nobody on AWS"
    search = objects(estate)["serviceaccount-search-admin"].inputs["metadata"]
    assert (search["namespace"], search["name"]) in bound, "nobody sets OpenSearch up"


def test_the_boundary_lets_the_platforms_roles_do_their_work() -> None:
    scope = Scope(
        names=NAMES,
        estate_boundary=NAMES.boundary_arn("estate"),
        tenant_boundary=NAMES.boundary_arn("tenant"),
    )
    boundary = ci.estate_boundary(scope)
    publish = pods.publish(topic_arn=TOPIC, names=NAMES)
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/dev/_platform/argo-sso-AbCdEf"
    role = NAMES.role_arn("lightwork-dev-secrets-acme", tenant=True)
    for grant, action, resource in (
        (OPERATOR, "secretsmanager:GetSecretValue", secret),
        (OPERATOR, "secretsmanager:GetSecretValue", ARCHIVE),
        (OPERATOR, "sts:AssumeRole", role),
        (OPERATOR, "sts:TagSession", role),
        (publish, "sns:Publish", TOPIC),
    ):
        assert within(boundary, [grant], action, resource, {}), f"{action} is granted and bounded away"
    everything = {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
    for action, resource in (
        ("secretsmanager:GetSecretValue", secret.replace("_platform", "acme")),
        ("sts:AssumeRole", NAMES.role_arn("lightwork-dev-pods-acme", tenant=True)),
        ("iam:CreateUser", "*"),
    ):
        assert not within(boundary, [everything], action, resource, {}), f"{action}: whatever is granted"

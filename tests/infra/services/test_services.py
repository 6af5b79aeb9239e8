"""The shared services in the cluster: pinned, retained, monitored, and with the least privileges."""

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
from infra.services import alerts, archive_login, dashboards, monitors
from infra.services import objects as services_objects
from infra.services.charts import argo
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


def test_every_pinned_chart_is_installed_in_its_version(estate: Run) -> None:
    installed = releases(estate)
    assert set(installed) == set(versions.CHARTS), "every pinned chart is installed, and no other"
    for name, release in installed.items():
        pinned = versions.CHARTS[name]
        assert release.inputs["version"] == pinned.version, f"{name} floats"
        assert release.inputs["chart"] == f"../.cache/charts/{name}-{pinned.version}.tgz", (
            f"{name}: a preview must not ask a repository"
        )
        assert release.inputs["name"] == name, "a generated name would change with each replacement"
        assert release.inputs["createNamespace"] is False, (
            f"{name}: its namespace must be Pulumi's own resource"
        )


def test_the_installed_charts_have_the_tested_values(estate: Run) -> None:
    values = {name: release.inputs["values"] for name, release in releases(estate).items()}
    argo_values = values["argo-workflows"]
    assert argo_values["server"]["authModes"] == ["sso", "client"], (
        "`server` would give everybody the server's rights"
    )
    assert argo_values["controller"]["configMap"]["create"] is False, "lightwork has its own tested ConfigMap"
    assert argo_values["images"]["tag"] == versions.CHARTS["argo-workflows"].image_tag, (
        "the version that the tests run"
    )
    assert values["cluster-autoscaler"]["image"]["tag"] == versions.CHARTS["cluster-autoscaler"].image_tag
    assert values["fluent-bit"]["kind"] == "DaemonSet", "it must run on every node"
    endpoint = estate.outputs["search_endpoint"]
    assert f"Host {endpoint}\n" in values["fluent-bit"]["config"]["outputs"], "logs go to the domain"


def test_prometheus_scrapes_argo_the_autoscaler_the_shipper_and_the_secrets_operator(estate: Run) -> None:
    values = {name: release.inputs["values"] for name, release in releases(estate).items()}
    controller = values["argo-workflows"]["controller"]
    assert controller["metricsConfig"]["enabled"] is True, "the controller exports the pipelines' metrics"
    for name, monitor in (
        ("argo-workflows", controller["serviceMonitor"]),
        *(
            (name, values[name]["serviceMonitor"])
            for name in ("cluster-autoscaler", "fluent-bit", "external-secrets")
        ),
    ):
        assert monitor["enabled"] is True, f"{name} is not scraped"
    assert estate.all("kubernetes:monitoring.coreos.com/v1:PodMonitor"), "and Dask's pods"


def test_the_commands_in_alerts_exist() -> None:
    from lightwork.cli.main import COMMANDS

    (group,) = alerts.tenant_rules(ACME)["spec"]["groups"]
    for rule in [*ALERTS.values(), *group["rules"]]:
        for command in re.findall(r"`lightwork ([a-z]+)", rule["annotations"]["description"]):
            assert command in COMMANDS, f"{rule['alert']}: `lightwork {command}` does not exist"


def test_every_namespace_is_retained_and_sets_a_pod_security_level(estate: Run) -> None:
    namespaces = {r.inputs["metadata"]["name"]: r for r in estate.all("kubernetes:core/v1:Namespace")}
    assert set(namespaces) == {"argo", "external-secrets", "monitoring", "logging"}, (
        "the platform's namespaces"
    )
    for name, namespace in namespaces.items():
        assert namespace.protect, f"{name}: `pulumi destroy` must refuse"
        assert namespace.retain_on_delete, f"{name}: deleting it would delete everything in it"
        label = namespace.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        expected = "privileged" if name in {"monitoring", "logging"} else "restricted"
        assert label == expected, f"{name}: only services that need the node may be privileged"


def test_resources_come_after_those_that_they_need(estate: Run) -> None:
    deployed = objects(estate)
    for later, earlier in (
        ("argo-workflows", "configmap-workflow-controller-configmap"),
        ("argo-workflows", "externalsecret-argo-server-sso"),
        ("externalsecret-argo-server-sso", "external-secrets"),
        ("argo-workflows", "job-archive-login"),
        ("job-archive-login", "configmap-workflow-controller-configmap"),
        ("job-archive-login", "rolebinding-archive-login"),
        ("clusterworkflowtemplate-lightwork-scaler", "argo-workflows"),
        ("prometheusrule-lightwork", "kube-prometheus-stack"),
        ("podmonitor-dask", "kube-prometheus-stack"),
        ("servicemonitor-watch", "kube-prometheus-stack"),
        ("cluster-autoscaler", "kube-prometheus-stack"),
        ("kube-prometheus-stack", "storageclass-lightwork-encrypted"),
        ("fluent-bit", "kube-prometheus-stack"),
    ):
        assert any(urn.endswith(f"::{earlier}") for urn in deployed[later].depends_on), (
            f"{later} must wait for {earlier}"
        )
    group = "nodes-system-a"
    for namespace in estate.all("kubernetes:core/v1:Namespace"):
        assert any(urn.endswith(f"::{group}") for urn in namespace.depends_on), (
            "without nodes, pods would wait for ever"
        )


def test_what_all_tenants_share_is_that_of_the_cluster_tests(estate: Run) -> None:
    for built in manifests.cluster_objects():
        deployed = objects(estate)[f"{built['kind'].lower()}-{built['metadata']['name']}"].inputs
        assert deployed == json.loads(json.dumps(built)), "not the tested object"


def test_argo_has_its_archive_and_its_login(estate: Run) -> None:
    config = yaml.safe_load(
        objects(estate)["configmap-workflow-controller-configmap"].inputs["data"]["config"]
    )
    database = config["persistence"]["postgresql"]
    assert database["host"].endswith(".rds.example"), f"not the archive's host: {database['host']}"
    assert database["passwordSecret"] == {"name": archive_login.SECRET, "key": "password"}, (
        "the password must not be in it"
    )
    assert config["persistence"]["archiveTTL"] == "365d", "by default the archive grows for ever"
    assert config["workflowRestrictions"] == {"templateReferencing": "Strict"}, (
        "users must not submit their own pods"
    )
    sso = config["sso"]
    assert sso["issuer"] == "https://gitlab.com", "the identity provider"
    assert sso["redirectUrl"].startswith("https://argo."), "Argo's own page"
    assert sso["redirectUrl"].endswith("/oauth2/callback"), "Argo accepts no other path"
    assert sso["rbac"] == {"enabled": True}, "otherwise everybody who logs in has the server's rights"


def test_no_object_with_a_secret_or_a_token_is_in_the_stack(estate: Run) -> None:
    assert not estate.all("kubernetes:core/v1:Secret"), "Pulumi would read it back into its state"


def test_the_logins_secret_is_empty_and_retained(estate: Run) -> None:
    secret = estate.one("aws:secretsmanager/secret:Secret")
    assert secret.inputs["name"].endswith("/_platform/argo-sso"), "no tenant's name begins with an underscore"
    assert secret.protect, "without it nobody could log in"
    assert secret.retain_on_delete, "without it nobody could log in"
    assert "secretString" not in secret.inputs, "its value would be in the state"


def test_an_alarm_is_raised_when_the_archive_is_down(estate: Run) -> None:
    alarm = estate.named("aws:cloudwatch/metricAlarm:MetricAlarm", "platform-aws-archive-down").inputs
    database = estate.one("aws:rds/instance:Instance").inputs["identifier"]
    assert alarm["dimensions"] == {"DBInstanceIdentifier": database}, "it must watch the archive"
    assert alarm["treatMissingData"] == "breaching", "a database that is down sends no data"
    topic = estate.one("aws:sns/topic:Topic").inputs["name"]
    assert alarm["alarmActions"] == [f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"], (
        "the alarms' topic must be notified"
    )


OPERATOR = pods.operator(names=NAMES)


def test_the_secrets_operator_assumes_only_this_environments_secrets_roles() -> None:
    own = NAMES.role_arn("lightwork-dev-secrets-acme", tenant=True)
    assert decide([OPERATOR], "sts:AssumeRole", own, {}), "otherwise no tenant gets its secrets"
    prod = Names(environment="prod", account=ACCOUNT, region=REGION)
    for other in (
        NAMES.role_arn("lightwork-dev-pods-acme", tenant=True),
        NAMES.role_arn("lightwork-dev-secrets"),
        prod.role_arn("lightwork-prod-secrets-acme", tenant=True),
    ):
        assert not decide([OPERATOR], "sts:AssumeRole", other, {}), (
            f"{other} is not a role for secrets of dev"
        )


def test_the_secrets_operator_cannot_read_tenants_secrets_itself() -> None:
    prefix = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/dev"
    action = "secretsmanager:GetSecretValue"
    assert decide([OPERATOR], action, f"{prefix}/_platform/argo-sso-AbCdEf", {}), "the login's"
    for other in (
        ARCHIVE,
        f"{prefix}/acme/weather-api-AbCdEf",
        f"{prefix.replace('dev', 'prod')}/_platform/argo-sso-A",
    ):
        assert not decide([OPERATOR], action, other, {}), f"{other} needs another role"


def test_alertmanager_can_only_publish_alarms() -> None:
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


def test_the_alerts_are_complete_and_labelled() -> None:
    assert set(ALERTS) == {
        *("PipelineFailing", "ScheduleLate", "RunSlow", "RunsWaiting", "SemaphoresStuck"),
        *("BudgetSpent", "HistoryStuck", "CertificateEnds", "WatchDown", "FiguresStale", "FiguresUnread"),
        *("WorkersPending", "PodsRefused", "PodsUnseen", "ArgoDown", "ArgoErrors", "RunsUnwatched"),
        *("CertificateExpiry", "ArchiveLoginStuck", "ShipperDrops", "ShipperRetries", "ShipperDown"),
        "AlertsWork",
    }, "CloudWatch watches the archive, and tenants have alerts for deadlines"
    for name, rule in ALERTS.items():
        assert rule["labels"]["part_of"] == "lightwork", f"{name}: Alertmanager routes by this label"
        severities = {"none"} if name == alerts.SWITCH else {"warning", "critical"}
        assert rule["labels"]["severity"] in severities, f"{name}: the severity is missing"
        for part in ("summary", "description", "runbook"):
            assert rule["annotations"][part], f"{name}: say what happened and what to do"


def test_each_pipeline_has_an_alert_at_its_own_deadline() -> None:
    (group,) = alerts.tenant_rules(ACME)["spec"]["groups"]
    rules = {rule["labels"]["pipeline"]: rule for rule in group["rules"]}
    assert set(rules) == set(ACME.pipelines), "every pipeline has an alert"
    assert rules["windy-city"]["expr"].endswith("> 7500"), "two hours plus five minutes of grace"
    assert rules["battery-health"]["expr"].endswith("> 21900"), "six hours plus five minutes of grace"
    for rule in rules.values():
        assert 'namespace="tenant-acme"' in rule["expr"], "another tenant's runs"
        assert rule["labels"]["tenant"] == "acme", "the tenant's label"


def test_prometheus_scrapes_schedulers_and_workers_at_their_port() -> None:
    monitor = monitors.dask("monitoring")["spec"]
    assert monitor["sampleLimit"] == monitors.SAMPLES, "a tenant's pod could fill Prometheus up"
    (endpoint,) = monitor["podMetricsEndpoints"]
    from lightwork.manifests import dask

    for built in (dask.scheduler(), dask.workers()):
        pod = built["spec"]["template"]
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert endpoint["port"] in ports, "the port must exist"
        role = pod["metadata"]["labels"]["lightwork/role"]
        assert role in monitor["selector"]["matchExpressions"][0]["values"], f"{role} is not scraped"
    labels = {item["targetLabel"] for item in endpoint["relabelings"]}
    assert labels == {"tenant", "pipeline", "run", "role"}, "the dashboards select by these"


@pytest.mark.parametrize(
    "manifest", dashboards.config_maps("monitoring"), ids=lambda m: m["metadata"]["name"]
)
def test_a_dashboard_is_valid_and_has_grafanas_label(manifest: dict[str, Any]) -> None:
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1", "Grafana's sidecar looks for this"
    ((name, text),) = manifest["data"].items()
    board = json.loads(text)
    assert name == f"{board['uid']}.json", "the file's name is the dashboard's own"
    assert board["editable"] is False, "manual changes would be lost"
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 8, (
        "each panel has its own number"
    )
    for panel in board["panels"]:
        for target in panel["targets"]:
            used = set(variables_in(target["expr"]))
            assert used <= variables, f"{panel['title']}: {used - variables} is not a variable"
            assert target["expr"].count("(") == target["expr"].count(")"), (
                f"{panel['title']}: unbalanced brackets"
            )
            assert target["expr"].count("{") == target["expr"].count("}"), (
                f"{panel['title']}: unbalanced brackets"
            )


def variables_in(expression: str) -> list[str]:
    return re.findall(r"\$(\w+)", expression)


def test_placeholders_are_filled_in_and_nothing_else_changes(estate: Run) -> None:
    text = json.dumps([r.inputs for r in estate.resources])
    assert re.findall(r"<<[a-z-]+>>", text) == [], "an unfilled placeholder"
    plain = [{"kind": "ConfigMap", "data": {"a": "b {{ .Values.c }}"}}]
    assert infra_manifests.filled(plain, {}) == plain, "Argo's and Helm's own placeholders stay"


def test_disks_are_encrypted_and_argo_works_without_an_archive() -> None:
    assert services_objects.storage_class()["parameters"]["encrypted"] == "true", (
        "metrics contain tenants' names"
    )
    config = argo_config.settings(argo_config.Argo(database=None, cluster="local"))
    assert "persistence" not in config, "there is no database"
    assert "sso" not in config, "there is no identity provider"
    assert argo.NAMESPACE == "argo", "the tenants' network policies name it"


ACCOUNTS = {
    "external-secrets": ("serviceAccount", "name"),
    "cluster-autoscaler": ("rbac", "serviceAccount", "name"),
    "fluent-bit": ("serviceAccount", "name"),
    "kube-prometheus-stack": ("alertmanager", "serviceAccount", "name"),
}
"""The path, in each chart's values, of the service account that has an AWS role."""


def test_the_charts_use_the_service_accounts_that_have_roles(estate: Run) -> None:
    bound = {
        (association.inputs["namespace"], association.inputs["serviceAccount"])
        for association in estate.all("aws:eks/podIdentityAssociation:PodIdentityAssociation")
    }
    for name, path in ACCOUNTS.items():
        release = releases(estate)[name].inputs
        account = release["values"]
        for key in path:
            account = account[key]
        assert (release["namespace"], account) in bound, f"{name}: {account} has no role"
    search = objects(estate)["serviceaccount-search-admin"].inputs["metadata"]
    assert (search["namespace"], search["name"]) in bound, (
        "the account that configures OpenSearch needs its role"
    )


def test_the_boundary_allows_what_the_platforms_roles_need() -> None:
    scope = Scope(
        names=NAMES,
        estate_boundary=NAMES.boundary_arn("estate"),
        tenant_boundary=NAMES.boundary_arn("tenant"),
    )
    boundary = ci.estate_boundary(scope)
    publish = pods.publish(topic_arn=TOPIC, names=NAMES)
    login = pods.read_secret(secret_arn=ARCHIVE, key_arn=KEY, region=REGION)
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:lightwork/dev/_platform/argo-sso-AbCdEf"
    role = NAMES.role_arn("lightwork-dev-secrets-acme", tenant=True)
    for grant, action, resource in (
        (OPERATOR, "secretsmanager:GetSecretValue", secret),
        (login, "secretsmanager:GetSecretValue", ARCHIVE),
        (OPERATOR, "sts:AssumeRole", role),
        (OPERATOR, "sts:TagSession", role),
        (publish, "sns:Publish", TOPIC),
    ):
        assert within(boundary, [grant], action, resource, {}), f"the boundary blocks {action}"
    everything = {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
    for action, resource in (
        ("secretsmanager:GetSecretValue", secret.replace("_platform", "acme")),
        ("sts:AssumeRole", NAMES.role_arn("lightwork-dev-pods-acme", tenant=True)),
        ("iam:CreateUser", "*"),
    ):
        assert not within(boundary, [everything], action, resource, {}), (
            f"the boundary must block {action}, whatever is granted"
        )

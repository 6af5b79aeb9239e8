"""The exporter of the pipelines' metrics: its program, its rights, who reaches it, what it tells AWS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.config import versions
from infra.config.naming import Names
from infra.policies import pods
from infra.rules.versions import image_problem
from infra.services import alerts, monitors, watch
from infra.services.charts import argo, monitoring
from infra.services.charts.common import Placement
from lightwork.kube import contract
from lightwork.manifests import figures
from lightwork.manifests.base import Target
from lightwork.pods import watch as package
from lightwork.pods.watch.switch import DIMENSION, METRIC
from tests.estate import files
from tests.infra.engine import ACCOUNT, REGION
from tests.infra.iam import decide

if TYPE_CHECKING:
    from tests.infra.engine import Run

NAMES = Names(environment="dev", account=ACCOUNT, region=REGION)
ARGS = watch.WatchArgs(
    image=versions.PYTHON_IMAGE,
    cluster=NAMES.cluster,
    region=REGION,
    metric_namespace=pods.metric_namespace(NAMES),
    placement=Placement(),
)
OBJECTS = {item["kind"]: item for item in watch.objects(ARGS)}
POD = OBJECTS["Deployment"]["spec"]["template"]["spec"]
ACME = files.load("acme")
TARGET = Target(environment="dev", image="i", lake="s3://lake")


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    """The image has no library of ours: what the ConfigMap holds is run by a Python without packages."""
    for item in POD["volumes"][0]["configMap"]["items"]:
        file = tmp_path / item["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(OBJECTS["ConfigMap"]["data"][item["key"]])
    code = (
        f"import sys; sys.path[:] = [{str(tmp_path)!r}, *(p for p in sys.path if 'site-packages' not in p)]"
        "; sys.argv[0] = ''; import runpy; runpy.run_module('lightwork.pods.watch', run_name='__main__')"
    )
    words = [sys.executable, "-I", "-S", "-c", code, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--metric-namespace" in done.stdout


def test_every_file_of_the_program_is_in_the_config_map() -> None:
    data = OBJECTS["ConfigMap"]["data"]
    names = {file.stem for file in Path(package.__file__).parent.glob("*.py")}
    assert {name.split(".")[-2] for name in data if ".watch." in name} == names
    assert len(json.dumps(data)) < 500_000, "a ConfigMap holds 1 MiB"
    assert image_problem(POD["containers"][0]["image"]) is None


def test_it_lists_namespaces_and_reads_one_config_map_of_a_tenant_and_nothing_else() -> None:
    assert OBJECTS["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}
    ]
    config_map, role, binding = figures.objects(ACME, TARGET)
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": [contract.FIGURES],
            "verbs": ["get"],
        }
    ]
    for item in (OBJECTS["ClusterRoleBinding"], binding):
        assert item["subjects"] == [
            {
                "kind": "ServiceAccount",
                "name": POD["serviceAccountName"],
                "namespace": OBJECTS["Deployment"]["metadata"]["namespace"],
            }
        ], "a stranger gets nothing of it"
    assert "data" not in config_map, "what the tenant's processes leave must stay when it is deployed again"
    assert config_map["metadata"]["annotations"] == {
        contract.ANNOTATION_PIPELINES: ",".join(sorted(ACME.pipelines)),
        contract.ANNOTATION_BUDGET: str(ACME.budget),
    }


def test_only_prometheus_and_alertmanager_reach_it() -> None:
    (rule,) = OBJECTS["NetworkPolicy"]["spec"]["ingress"]
    (peer,) = rule["from"]
    assert "namespaceSelector" not in peer, "pods of its own namespace"
    (expression,) = peer["podSelector"]["matchExpressions"]
    assert expression["values"] == ["prometheus", "alertmanager"]
    assert [port["port"] for port in rule["ports"]] == [watch.PORT]


def test_prometheus_scrapes_it_and_a_new_pod_begins_no_new_series() -> None:
    monitor = monitors.pipelines("monitoring")["spec"]
    assert monitor["selector"]["matchLabels"] == OBJECTS["Service"]["metadata"]["labels"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == OBJECTS["Service"]["spec"]["ports"][0]["name"]
    (relabeling,) = endpoint["metricRelabelings"]
    for label in ("pod", "instance", "namespace", "container", "endpoint", "service"):
        assert re.fullmatch(relabeling["regex"], label), label
    for label in ("tenant", "pipeline", "job", "run"):
        assert not re.fullmatch(relabeling["regex"], label), label


def test_argo_says_itself_which_namespace_a_metric_is_about() -> None:
    values = argo.values(argo.ArgoValues(image_tag="v3", archive_secret="a", placement=Placement()))
    assert values["controller"]["metricsConfig"]["honorLabels"] is True


def test_alertmanager_sends_the_alert_that_always_fires_to_it_and_to_nobody_else() -> None:
    arguments = monitoring.MonitoringValues(
        retention_days=1, storage="10Gi", placement=Placement(), region=REGION, topic_arn="arn:topic"
    )
    config = monitoring.values(arguments)["alertmanager"]["config"]
    first = config["route"]["routes"][0]
    assert first["matchers"] == [f'alertname = "{alerts.SWITCH}"']
    assert "continue" not in first
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    (hook,) = receivers[first["receiver"]]["webhook_configs"]
    assert hook["url"] == watch.ADDRESS
    assert first["repeat_interval"] == "1m"


def test_it_may_write_to_one_namespace_of_metrics_and_do_nothing_else() -> None:
    grant = pods.beat(names=NAMES)
    own = {"cloudwatch:namespace": "lightwork/dev"}
    assert decide([grant], "cloudwatch:PutMetricData", "*", own)
    for namespace in ("lightwork/prod", "lightwork/dev/x", "AWS/RDS"):
        assert not decide([grant], "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": namespace})
    assert not decide([grant], "cloudwatch:PutMetricData", "*", {})
    for action in ("cloudwatch:DeleteAlarms", "cloudwatch:SetAlarmState", "sns:Publish", "s3:GetObject"):
        assert not decide([grant], action, "*", own), action


def test_its_silence_raises_the_alarm(estate: Run) -> None:
    alarm = estate.named("aws:cloudwatch/metricAlarm:MetricAlarm", "platform-aws-alerts-silent").inputs
    deployed = estate.named("kubernetes:apps/v1:Deployment", "deployment-watch").inputs
    arguments = deployed["spec"]["template"]["spec"]["containers"][0]["args"]
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert alarm["namespace"] == given["--metric-namespace"]
    assert alarm["metricName"] == METRIC
    assert alarm["dimensions"] == {DIMENSION: given["--cluster"]}
    assert alarm["treatMissingData"] == "breaching", "its absence is what it waits for"
    assert alarm["period"] * alarm["evaluationPeriods"] == 600
    assert alarm["alarmActions"], "it is published to the topic"
    assert alarm["alarmActions"] == alarm["okActions"]

"""The alerts, evaluated by Prometheus' own tool: they fire when they should, and only then.

Needs `promtool` from Debian's package `prometheus`; without it these tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.services import alerts, dashboards
from tests.estate import files

if TYPE_CHECKING:
    from pathlib import Path

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
ACME = files.load("acme")

SERIES = {
    # The first failure ever, in the eleventh minute.
    'argo_workflows_lightwork_runs_total{tenant="acme",pipeline="windy-city",status="Failed"}': "_x10 1x400",
    'argo_workflows_lightwork_runs_total{tenant="acme",pipeline="windy-city",status="Succeeded"}': "1+1x400",
    'argo_workflows_gauge{status="Running"}': "2x400",
    'kube_pod_status_phase{phase="Running",namespace="tenant-acme",pod="r-driver"}': "1x60 0x400",
    'kube_pod_status_phase{phase="Running",namespace="tenant-acme",pod="controller-6b8f-x7k2p"}': "1x400",
    'kube_pod_status_phase{phase="Running",namespace="argo",pod="workflow-controller"}': "1x400",
    'kube_pod_status_phase{phase="Pending",namespace="tenant-acme",pod="r-workers-a"}': "0x30 1x400",
    'kube_pod_status_phase{phase="Pending",namespace="kube-system",pod="r-workers-a"}': "1x400",
    'kube_deployment_status_replicas_available{namespace="argo",deployment="argo-workflow-controller"}': (
        "2x30 0x400"
    ),
    'kube_deployment_created{namespace="tenant-acme",deployment="r-scheduler"}': "0x400",
    'kube_deployment_labels{namespace="tenant-acme",deployment="r-scheduler",'
    'label_lightwork_pipeline="windy-city"}': "1x400",
    'kube_deployment_status_replicas_available{namespace="tenant-acme",deployment="controller"}': (
        "1x30 0x400"
    ),
    'kube_deployment_status_replicas_available{namespace="other",deployment="controller"}': "0x400",
    # Checked in time in one namespace, too long ago in another, never in a third.
    'kube_cronjob_status_last_successful_time{namespace="tenant-good",cronjob="certificates"}': "0x400",
    'kube_cronjob_status_last_successful_time{namespace="tenant-old",cronjob="certificates"}': "-300000x400",
    'kube_cronjob_created{namespace="tenant-good",cronjob="certificates"}': "-900000x400",
    'kube_cronjob_created{namespace="tenant-never",cronjob="certificates"}': "-300000x400",
    # Two days without a success are over after an hour.
    'kube_cronjob_status_last_successful_time{namespace="argo",cronjob="archive-login"}': "-169200x400",
    'kube_cronjob_created{namespace="argo",cronjob="archive-login"}': "-900000x400",
    'kube_cronjob_status_last_successful_time{namespace="argo",cronjob="another"}': "-900000x400",
}
RUN = {"tenant": "acme", "pipeline": "windy-city"}
LATE = {
    **RUN,
    "namespace": "tenant-acme",
    "deployment": "r-scheduler",
    "label_lightwork_pipeline": "windy-city",
}
CERTIFICATES = [{"namespace": f"tenant-{name}", "cronjob": "certificates"} for name in ("never", "old")]


def promtool(*words: str, folder: Path) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def plain(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of a rule object without their annotations, so that tests need not repeat these."""
    return [
        {**group, "rules": [{k: v for k, v in rule.items() if k != "annotations"} for rule in group["rules"]]}
        for group in manifest["spec"]["groups"]
    ]


@pytest.mark.parametrize(
    ("alert", "minute", "expected"),
    [
        ("RunFailed", 9, []),
        ("RunFailed", 12, [RUN]),
        ("RunFailed", 40, []),
        ("SemaphoresStuck", 60, []),
        ("SemaphoresStuck", 120, [{}]),
        ("WorkersPending", 40, []),
        ("WorkersPending", 60, [{"namespace": "tenant-acme"}]),
        ("ArgoDown", 30, []),
        ("ArgoDown", 40, [{}]),
        ("RunOverItsDeadline", 120, []),
        ("RunOverItsDeadline", 140, [LATE]),
        ("RunsUnwatched", 40, []),
        ("RunsUnwatched", 50, [{"namespace": "tenant-acme", "deployment": "controller"}]),
        ("CertificateExpiry", 90, CERTIFICATES),
        ("ArchiveLoginStuck", 110, []),
        ("ArchiveLoginStuck", 130, [{"namespace": "argo", "cronjob": "archive-login"}]),
    ],
)
def test_an_alert_fires_when_it_should_and_not_before(
    tmp_path: Path, alert: str, minute: int, expected: list[dict[str, str]]
) -> None:
    groups = [*plain(alerts.rules("monitoring")), *plain(alerts.tenant_rules(ACME))]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    labels = next(rule["labels"] for group in groups for rule in group["rules"] if rule["alert"] == alert)
    case = {
        "eval_time": f"{minute}m",
        "alertname": alert,
        "exp_alerts": [{"exp_labels": {**labels, **extra}} for extra in expected],
    }
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": [case]}
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(document))
    promtool("test", "rules", "test.yaml", folder=tmp_path)


def test_every_query_of_a_dashboard_is_valid_promql(tmp_path: Path) -> None:
    queries = [
        target["expr"].replace("$tenant", "acme").replace("$run", "run")
        for board in (dashboards.runs(), dashboards.dask_run())
        for panel in board["panels"]
        for target in panel["targets"]
    ]
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(queries)]
    document = {"groups": [{"name": "dashboards", "rules": rules}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    output = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert f"{len(queries)} rules found" in output, output

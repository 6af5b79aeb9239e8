"""The alerts, evaluated by Prometheus' own tool: they fire when they should, and only then.

Needs `promtool` from Debian's package `prometheus` (`python -m tests.cluster tools`); without it these tests
are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.services import alerts, dashboards
from tests.estate import files
from tests.infra.services.alert_cases import CASES, FAILING, OF_PIPELINE, Case

if TYPE_CHECKING:
    from pathlib import Path

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
ACME = files.load("acme")

LATE = {
    "namespace": "tenant-acme",
    "deployment": "r-scheduler",
    "label_lightwork_pipeline": "windy-city",
    "tenant": "acme",
    "pipeline": "windy-city",
}
DEADLINE = Case(
    "RunOverItsDeadline",
    "a run's scheduler is still there after its deadline",
    {
        'kube_deployment_created{namespace="tenant-acme",deployment="r-scheduler"}': "0x400",
        'kube_deployment_labels{namespace="tenant-acme",deployment="r-scheduler",'
        'label_lightwork_pipeline="windy-city"}': "1x400",
    },
    {120: [], 140: [LATE]},
)
GROUPS = [*alerts.rules("monitoring")["spec"]["groups"], *alerts.tenant_rules(ACME)["spec"]["groups"]]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}


def promtool(*words: str, folder: Path) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def without_texts(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule without its annotations, so that tests need not repeat these."""
    return {key: value for key, value in rule.items() if key != "annotations"}


def unit_test(case: Case) -> dict[str, Any]:
    labels = RULES[case.alert]["labels"]
    return {
        "name": f"{case.alert}: {case.what}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{minute}m",
                "alertname": case.alert,
                "exp_alerts": [{"exp_labels": {**labels, **extra}} for extra in expected],
            }
            for minute, expected in (case.firing or {60: []}).items()
        ],
    }


def evaluate(folder: Path, tests: list[dict[str, Any]], rules: list[dict[str, Any]]) -> str:
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "alerts", "rules": rules}]}))
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "test.yaml").write_text(yaml.safe_dump(document))
    return promtool("test", "rules", "test.yaml", folder=folder)


@pytest.mark.parametrize("alert", sorted(RULES))
def test_an_alert_fires_when_it_should_and_only_then(tmp_path: Path, alert: str) -> None:
    cases = [case for case in [*CASES, DEADLINE] if case.alert == alert]
    assert any(any(case.firing.values()) for case in cases), f"{alert}: no case in which it fires"
    quiet = [minute for case in cases for minute, firing in (case.firing or {0: []}).items() if not firing]
    assert quiet or alert in ("AlertsWork", "CertificateExpiry"), f"{alert}: no case in which it does not"
    rules = [r for group in GROUPS for r in group["rules"] if r["alert"] == alert]
    evaluate(tmp_path, [unit_test(case) for case in cases], [without_texts(rule) for rule in rules])


def test_the_alert_of_a_failing_pipeline_says_what_failed_and_how_to_look(tmp_path: Path) -> None:
    outcome = 'lightwork_pipeline_outcome{tenant="acme",pipeline="sun",run="sun-1",error="no \\"data\\""}'
    case = Case("PipelineFailing", "one", {FAILING: "1x5", outcome: "1x5"}, {3: [OF_PIPELINE]})
    test = unit_test(case)
    (expected,) = test["alert_rule_test"][0]["exp_alerts"]
    expected["exp_annotations"] = {
        "summary": 'sun of acme fails: sun-1: no "data"',
        "description": "Look: `lightwork show sun-1 --env ENV --tenant acme`, then `lightwork logs` of the"
        " same run; once mended, `lightwork retry`. This alert ends with the next run that succeeds.",
        "runbook": "docs/operating.md#pipelinefailing",
    }
    evaluate(tmp_path, [test], [RULES["PipelineFailing"]])


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

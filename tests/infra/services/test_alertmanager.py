"""From a failed run to the messages that people get: the real Prometheus and Alertmanager, our exporter.

Their settings are the deployed ones, with shorter times. The Kubernetes API and SNS are the test's own.
"""

from __future__ import annotations

import contextlib
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from infra.services import alerts, monitors
from infra.services.charts import monitoring
from infra.services.charts.common import Placement
from lightwork.pods.watch import __main__ as program
from tests.infra.services import alarming
from tests.infra.services.alarming import Exporter
from tests.unit.lightwork.pods.watch.test_metrics import FIGURES, config_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(alarming.MISSING), reason=f"not installed: {', '.join(alarming.MISSING)}"),
]
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
RUNBOOK = "More: docs/operating.md#pipelinefailing"
QUIET = 4.0
"""Seconds in which a message that must not come would have come: several evaluations and intervals."""


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exporter]:
    monkeypatch.setattr(program, "REFRESH", 0.0)
    own = Exporter()
    own.api.maps = {}
    own.ends("sun-1", "succeeded")
    own.start()
    yield own
    own.stop()


@pytest.fixture
def topic() -> Iterator[alarming.Topic]:
    with alarming.Topic().listening() as own:
        yield own


def routes(topic: alarming.Topic, exporter: Exporter) -> dict[str, Any]:
    """Return the deployed settings of Alertmanager, with shorter times and the test's addresses."""
    values = monitoring.values(
        monitoring.MonitoringValues(
            retention_days=1,
            storage="10Gi",
            placement=Placement(),
            region="eu-central-1",
            topic_arn=TOPIC,
        )
    )
    config: dict[str, Any] = values["alertmanager"]["config"]
    config["route"] |= {"group_wait": "500ms", "group_interval": "1s"}
    for receiver in config["receivers"]:
        for sns in receiver.get("sns_configs", ()):
            sns["api_url"] = topic.url
        for hook in receiver.get("webhook_configs", ()):
            hook["url"] = f"http://127.0.0.1:{exporter.port}{program.ALARM_PATH}"
    return config


def scraping(exporter: Exporter, alertmanager: alarming.Process) -> dict[str, Any]:
    (endpoint,) = monitors.pipelines("monitoring")["spec"]["endpoints"]
    relabelings = [{"action": one["action"], "regex": one["regex"]} for one in endpoint["metricRelabelings"]]
    return {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "scrape_configs": [
            {
                "job_name": "watch",
                "honor_labels": endpoint["honorLabels"],
                "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"], "labels": {"pod": "watch-1"}}],
                "metric_relabel_configs": relabelings,
            }
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager.url.removeprefix("http://")]}]}]
        },
    }


@contextlib.contextmanager
def running(
    folder: Path, exporter: Exporter, topic: alarming.Topic
) -> Iterator[tuple[alarming.Process, alarming.Process]]:
    named = {
        rule["alert"]: rule
        for group in alerts.rules("monitoring")["spec"]["groups"]
        for rule in group["rules"]
    }
    rules = [named[name] for name in ("PipelineFailing", alerts.SWITCH)]
    with (
        alarming.alertmanager(folder / "alertmanager", routes(topic, exporter)) as manager,
        alarming.prometheus(folder / "prometheus", scraping(exporter, manager), rules) as prometheus,
    ):
        yield prometheus, manager


def seen(prometheus: alarming.Process, run: str) -> bool:
    query = f'lightwork_pipeline_outcome{{run="{run}"}}'
    url = f"{prometheus.url}/api/v1/query?query={urllib.request.quote(query)}"  # type: ignore[attr-defined]
    with urllib.request.urlopen(url, timeout=30) as answer:
        return run in answer.read().decode()


def test_two_messages_for_failed_failed_again_restarted_and_mended(
    tmp_path: Path, exporter: Exporter, topic: alarming.Topic
) -> None:
    with running(tmp_path, exporter, topic) as (prometheus, manager):
        alarming.wait_for("the first scrape", lambda: seen(prometheus, "sun-1"))
        time.sleep(QUIET)
        assert topic.messages == []
        exporter.ends("sun-2", "failed", "no data for 3 November")
        alarming.wait_for("the message that it fails", lambda: len(topic.messages) == 1)
        exporter.ends("sun-3", "failed", "no data for 4 November")
        alarming.wait_for("the second failure is scraped", lambda: seen(prometheus, "sun-3"))
        time.sleep(QUIET)
        exporter.stop()
        time.sleep(QUIET)
        exporter.start()
        alarming.wait_for("the exporter is back", lambda: seen(prometheus, "sun-3"))
        prometheus.stop()
        manager.stop()
        manager.start()
        prometheus.start()
        alarming.wait_for("Prometheus is back", lambda: seen(prometheus, "sun-3"))
        time.sleep(QUIET)
        assert len(topic.messages) == 1, "nobody is told again, and nobody is told that it is over"
        exporter.ends("sun-4", "succeeded")
        alarming.wait_for("the message that it is over", lambda: len(topic.messages) == 2)
        time.sleep(QUIET)
    first, second = topic.messages
    assert first["Subject"].strip() == "[firing] PipelineFailing acme sun"
    assert first["TopicArn"] == TOPIC
    for part in ("sun-2", "no data for 3 November", "lightwork show sun-2 --env ENV --tenant acme", RUNBOOK):
        assert part in first["Message"], first["Message"]
    assert "This is over." not in first["Message"]
    assert second["Subject"].strip() == "[resolved] PipelineFailing acme sun"
    assert "This is over." in second["Message"]
    assert exporter.switch._heard is not None, "the alert that always fires has arrived"


def test_nothing_is_said_of_a_run_that_is_stopped(
    tmp_path: Path, exporter: Exporter, topic: alarming.Topic
) -> None:
    stopped = {**FIGURES["ended"], "stopped": 3}
    with running(tmp_path, exporter, topic) as (prometheus, _):
        alarming.wait_for("the first scrape", lambda: seen(prometheus, "sun-1"))
        last = {"run": "sun-1", "status": "succeeded", "finished": time.time(), "error": ""}
        exporter.api.maps["acme"] = config_map(sun={**FIGURES, "ended": stopped, "last": last})
        alarming.wait_for("the alert that always fires", lambda: exporter.switch._heard is not None)
        time.sleep(QUIET)
    assert topic.messages == []

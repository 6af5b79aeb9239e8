"""The metrics of pipelines, read by Prometheus' own client library; and a tenant that lies."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lightwork.kube import contract
from lightwork.kube.api import KubeApi, RefusedError
from lightwork.pods.watch import gathering, metrics
from lightwork.pods.watch.__main__ import REFRESH, Watch

NOW = 1_795_851_600.0  # 28 November 2026, 7:40
OUTCOME = {"run": "sun-7", "status": "failed", "finished": NOW - 60, "error": "no data"}
FIGURES: dict[str, Any] = {
    "ended": {"succeeded": 6, "failed": 1, "lost": 0, "stopped": 2, "skipped": 0},
    "succeeded": NOW - 86_400,
    "seconds": 61.5,
    "last": OUTCOME,
    "running": {"runs": 2, "run": "sun-8", "since": NOW - 30},
    "waiting": None,
    "schedule": {
        "state": "on time",
        "why": "",
        "suspended": False,
        "next": NOW + 100,
        "last": NOW - 86_300,
        "interval": 86_400,
    },
    "usual": 60.0,
    "month": "2026-11",
    "spend": 12.5,
}


def config_map(budget: str = "100", **pipelines: object) -> dict[str, Any]:
    data = {contract.FIGURES_OF + name: json.dumps(document) for name, document in pipelines.items()}
    return {
        "metadata": {"annotations": {contract.ANNOTATION_BUDGET: budget}},
        "data": {
            contract.FIGURES_UPDATED: f"{NOW - 5:.0f}",
            contract.FIGURES_CERTIFICATE: "1800000000",
            **data,
        },
    }


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def sample(found: dict[Any, float], name: str, **labels: str) -> float | None:
    return found.get((f"lightwork_{name}", frozenset(labels.items())))


def text(*tenants: tuple[str, dict[str, Any]]) -> str:
    return metrics.text([gathering.read(name, item) for name, item in tenants], NOW)


def test_the_metrics_say_what_the_figures_say() -> None:
    found = parsed(text(("acme", config_map(sun=FIGURES))))
    own = {"tenant": "acme", "pipeline": "sun"}
    for name, value, more in (
        ("pipeline_failing", 1.0, {}),
        ("pipeline_outcome", 1.0, {"run": "sun-7", "status": "failed", "error": "no data"}),
        ("pipeline_last_success_seconds", NOW - 86_400, {}),
        ("pipeline_last_success_duration_seconds", 61.5, {}),
        ("pipeline_usual_seconds", 60.0, {}),
        ("pipeline_runs", 2.0, {"state": "running"}),
        ("pipeline_runs", 0.0, {"state": "waiting"}),
        ("pipeline_longest_seconds", 30.0, {"state": "running"}),
        ("pipeline_longest_seconds", 0.0, {"state": "waiting"}),
        ("pipeline_longest", 1.0, {"state": "running", "run": "sun-8"}),
        ("pipeline_ended_total", 6.0, {"status": "succeeded"}),
        ("pipeline_ended_total", 0.0, {"status": "skipped"}),
        ("pipeline_spend_dollars", 12.5, {}),
        ("schedule_late", 0.0, {}),
        ("schedule_suspended", 0.0, {}),
        ("schedule_next_seconds", NOW + 100, {}),
        ("schedule_interval_seconds", 86_400.0, {}),
    ):
        assert sample(found, name, **own, **more) == value, name
    assert sample(found, "tenant_budget_dollars", tenant="acme") == 100.0
    assert sample(found, "tenant_certificate_end_seconds", tenant="acme") == 1_800_000_000.0
    assert sample(found, "tenant_figures_seconds", tenant="acme") == round(NOW - 5)
    assert sample(found, "watch_seconds") == NOW


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ({"last": {**OUTCOME, "status": "lost"}}, "pipeline_failing", 1.0),
        ({"last": {**OUTCOME, "status": "succeeded"}}, "pipeline_failing", 0.0),
        ({"last": None}, "pipeline_failing", 0.0),
        ({"month": "2026-10"}, "pipeline_spend_dollars", 0.0),
        ({"spend": None}, "pipeline_spend_dollars", None),
        ({"usual": None}, "pipeline_usual_seconds", None),
        ({"schedule": None}, "schedule_late", None),
        *(
            ({"schedule": {"state": state, "suspended": state == "suspended"}}, "schedule_late", late)
            for state, late in (
                *((state, 1.0) for state in ("late", "missed", "never started", "broken", "unreadable")),
                *((state, 0.0) for state in ("on time", "not due yet", "suspended")),
            )
        ),
    ],
)
def test_what_is_late_or_fails_or_is_not_known(
    change: dict[str, Any], name: str, value: float | None
) -> None:
    found = parsed(text(("acme", config_map(sun=FIGURES | change))))
    assert sample(found, name, tenant="acme", pipeline="sun") == value


def test_a_schedules_states_are_those_of_the_command_line() -> None:
    from typing import get_args

    from lightwork.kube.schedules import State

    assert set(metrics.LATE) <= {*get_args(State), "unreadable"}
    assert {*get_args(State)} - {*metrics.LATE} == {"on time", "not due yet", "suspended"}


LIES: list[object] = [
    *(None, 1, "x", [], {}, {"last": "x"}, {"ended": 3}, {"running": [1]}),
    {
        "last": {
            "run": 'a"} 1\nlightwork_pipeline_failing{tenant="globex",pipeline="sun"} 1\n#',
            "status": "failed",
        }
    },
    {"last": {"run": "a\\", "status": "failed", "error": "x\x1b[31m\u202e" + "y" * 100_000}},
    {"ended": {"failed": math.inf, "succeeded": -1, "lost": "1", "stopped": True}},
    {"usual": 1e300, "spend": [1], "succeeded": {"tenant": "globex"}, "month": "2026-11"},
    {"schedule": {"state": "late" * 1000, "next": "soon", "suspended": "no"}},
    {"tenant": "globex", "pipeline": "moon", "last": {"status": "failed", "tenant": "globex"}},
]


@pytest.mark.parametrize("lie", LIES, ids=[str(number) for number in range(len(LIES))])
def test_a_forged_summary_changes_only_its_own_tenants_figures(lie: object) -> None:
    globex = ("globex", config_map(sun=FIGURES))
    alone = parsed(text(globex))
    forged = config_map(sun=lie)
    forged["data"] |= {
        contract.FIGURES_OF + 'x",tenant="globex': json.dumps(FIGURES),
        contract.FIGURES_OF + "globex.sun": json.dumps(FIGURES),
        contract.FIGURES_OF + "broken": '{"a":' * 100_000,
        contract.FIGURES_UPDATED: "nan",
        contract.FIGURES_CERTIFICATE: "1e999",
    }
    forged["metadata"]["annotations"][contract.ANNOTATION_BUDGET] = "lots"
    both = parsed(text(("acme", forged), globex))
    added = {key: value for key, value in both.items() if key not in alone}
    assert {key: both.get(key) for key in alone} == alone
    assert all(("tenant", "acme") in labels for _, labels in added), added
    assert all(math.isfinite(value) for value in added.values())
    pipelines = {dict(labels).get("pipeline", "") for _, labels in added}
    assert pipelines <= {"", "sun", "broken"}, "names that are no names"
    assert all(len(label) <= 4 * gathering.TEXT for _, labels in added for _, label in labels)


def test_prometheus_reads_any_text_as_it_is() -> None:
    """One line that it cannot read, and the metrics of all tenants would be lost."""
    odd = 'a"} 1 \\ {x="y"} \\n #'
    found = parsed(text(("acme", config_map(sun=FIGURES | {"last": {**OUTCOME, "error": odd}}))))
    labels = {"tenant": "acme", "pipeline": "sun", "run": "sun-7", "status": "failed", "error": odd}
    assert sample(found, "pipeline_outcome", **labels) == 1.0


def test_a_tenant_has_only_so_many_pipelines() -> None:
    many = config_map(**{f"p{number}": FIGURES for number in range(3 * gathering.PIPELINES)})
    assert len(gathering.read("acme", many).pipelines) == gathering.PIPELINES


class Api(KubeApi):
    """Namespaces, and the ConfigMaps of those that may be read."""

    def __init__(self) -> None:
        self.maps = {"acme": config_map(sun=FIGURES), "globex": config_map(moon=FIGURES)}
        self.refused: dict[str, int] = {}
        self.requests: list[str] = []

    def _request(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any] | None = None
    ) -> str:
        assert (method, body) == ("GET", None), "it only reads"
        self.requests.append(path)
        if path == "/api/v1/namespaces":
            if "list" in self.refused:
                raise RefusedError(self.refused["list"], "no", "")
            names = [*self.maps, "initech", "evil"]
            start = int(query.get("continue", 0))
            items = [
                {
                    "metadata": {
                        "name": "tenant-x" if name == "evil" else f"tenant-{name}",
                        "labels": {contract.LABEL_TENANT: "acme" if name == "evil" else name},
                    }
                }
                for name in names[start : start + 2]
            ]
            more = str(start + 2) if start + 2 < len(names) else ""
            return json.dumps({"metadata": {"continue": more}, "items": items})
        name = path.split("/")[4].removeprefix("tenant-")
        if name in self.refused or name not in self.maps:
            raise RefusedError(self.refused.get(name, 404), "no", "")
        return json.dumps(self.maps[name])


def test_it_reads_one_config_map_of_each_tenant_and_tells_which_cannot_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    api, clock = Api(), [NOW]
    watch = Watch(api, lambda: clock[0])
    found = parsed(watch.text())
    assert {dict(labels)["tenant"] for name, labels in found if name.endswith("failing")} == {
        "acme",
        "globex",
    }
    assert sample(found, "watch_unread") == 1.0
    assert "initech" in capsys.readouterr().err
    assert set(api.requests) == {
        "/api/v1/namespaces",
        *(
            f"/api/v1/namespaces/tenant-{name}/configmaps/run-figures"
            for name in ("acme", "globex", "initech")
        ),
    }, "a namespace that calls itself another tenant's is not read"
    api.refused, api.maps["acme"] = {"globex": 403}, config_map(sun=FIGURES | {"last": None})
    clock[0] += REFRESH - 1
    assert sample(parsed(watch.text()), "pipeline_failing", tenant="acme", pipeline="sun") == 1.0
    clock[0] += 2
    found = parsed(watch.text())
    assert sample(found, "pipeline_failing", tenant="acme", pipeline="sun") == 0.0
    assert sample(found, "pipeline_failing", tenant="globex", pipeline="moon") == 1.0, "as it was read last"
    assert sample(found, "watch_unread") == 2.0


def test_without_the_api_there_are_no_metrics_rather_than_old_ones() -> None:
    api, clock = Api(), [NOW]
    watch = Watch(api, lambda: clock[0])
    watch.text()
    api.refused = {"list": 503}
    clock[0] += REFRESH + 1
    with pytest.raises(RefusedError):
        watch.text()

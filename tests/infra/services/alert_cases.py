"""What alerts are to do, minute by minute, in the notation of promtool.

`_` is a minute without a sample, `1x9` ten times a 1, `0+1x9` 0 to 9. Each case is one life: what Prometheus
sees, and at which minutes which alerts fire.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PIPELINE = 'tenant="acme",pipeline="sun"'
OF_PIPELINE = {"tenant": "acme", "pipeline": "sun"}
OF_TENANT = {"tenant": "acme"}
FAILING = f"lightwork_pipeline_failing{{{PIPELINE}}}"
LATE = f"lightwork_schedule_late{{{PIPELINE}}}"
USUAL = f"lightwork_pipeline_usual_seconds{{{PIPELINE}}}"
RUNNING = f'lightwork_pipeline_longest_seconds{{{PIPELINE},state="running"}}'
WAITING = f'lightwork_pipeline_longest_seconds{{{PIPELINE},state="waiting"}}'
AT_WORK = f'lightwork_pipeline_runs{{{PIPELINE},state="running"}}'
OTHER_AT_WORK = 'lightwork_pipeline_runs{tenant="globex",pipeline="sun",state="running"}'
WORKER = 'namespace="tenant-acme",pod="r-workers-a"'
CREATED, PENDING = f"kube_pod_created{{{WORKER}}}", f'kube_pod_status_phase{{phase="Pending",{WORKER}}}'
REFUSED = (
    'kube_deployment_status_condition{condition="ReplicaFailure",status="true",namespace="tenant-acme",'
    'deployment="r-workers"}'
)
ARGO = 'kube_deployment_status_replicas_available{namespace="argo",deployment="argo-workflow-controller"}'
CONTROLLER = 'kube_deployment_status_replicas_available{{namespace="{}",deployment="controller"}}'
CHECKED = 'kube_cronjob_status_last_successful_time{{namespace="{}",cronjob="{}"}}'
MADE = 'kube_cronjob_created{{namespace="{}",cronjob="{}"}}'
PACKED, BORN, PAUSED = (
    f'kube_cronjob_{name}{{namespace="tenant-acme",cronjob="history"}}'
    for name in ("status_last_successful_time", "created", "spec_suspend")
)
UNPACKED = [{"namespace": "tenant-acme", "cronjob": "history"}]
FLUENT = 'fluentbit_output_{}_total{{pod="fluent-bit-a",name="opensearch.0"}}'


@dataclass(frozen=True)
class Case:
    """A life of one alert.

    Attributes:
        alert: the alert's name.
        what: what happens.
        series: what Prometheus sees, a sample a minute.
        firing: the labels of the alerts that fire, besides the rule's own, by minute.
    """

    alert: str
    what: str
    series: dict[str, str]
    firing: dict[int, list[dict[str, str]]] = field(default_factory=dict)


ON, OFF = [OF_PIPELINE], []
CASES = [
    Case(
        "PipelineFailing",
        "the first run of all fails, and a later one succeeds",
        {FAILING: "0x10 1x30 0x20"},
        {10: OFF, 11: ON, 41: ON, 42: OFF},
    ),
    Case("PipelineFailing", "it fails again and again", {FAILING: "1x600"}, {0: ON, 600: ON}),
    Case(
        "PipelineFailing",
        "it was failing long before anybody looked, and is told once",
        {FAILING: "_x30 1x30"},
        {29: OFF, 30: ON, 60: ON},
    ),
    Case(
        "PipelineFailing",
        "the exporter, or Prometheus, pauses while it fails, and nothing is mended by that",
        {FAILING: "1x10 _x40 1x10 0x5"},
        {5: ON, 20: ON, 49: ON, 55: ON, 62: OFF},
    ),
    Case(
        "PipelineFailing",
        "it is mended while nobody looks",
        {FAILING: "1x10 _x20 0x10"},
        {20: ON, 31: OFF},
    ),
    Case("PipelineFailing", "runs are stopped: the gauge stays as it was", {FAILING: "0x60"}, {60: OFF}),
    Case(
        "PipelineFailing",
        "the pipeline is removed while it fails",
        {FAILING: "1x10 stale"},
        {30: ON, 75: OFF},
    ),
    Case(
        "ScheduleLate",
        "a run is late, then it starts",
        {LATE: "0x10 1x20 0x10"},
        {10: OFF, 13: OFF, 17: ON, 35: OFF},
    ),
    Case("ScheduleLate", "it never started a run", {LATE: "1x60"}, {4: OFF, 6: ON}),
    Case("ScheduleLate", "it is suspended", {LATE: "0x60"}, {60: OFF}),
    Case("ScheduleLate", "the exporter starts anew", {LATE: "1x10 _x5 1x10"}, {8: ON, 13: ON, 20: ON}),
    Case(
        "RunSlow",
        "a run that takes ten minutes takes forty",
        {RUNNING: "0+60x60 0x20", USUAL: "600x80"},
        {20: OFF, 30: OFF, 33: ON, 60: ON, 63: OFF},
    ),
    Case("RunSlow", "a short run takes three times as long", {RUNNING: "0+60x8 0x9", USUAL: "60x20"}),
    Case("RunSlow", "nothing is known of what is usual", {RUNNING: "0+60x600"}, {600: OFF}),
    Case(
        "RunSlow",
        "a gap",
        {RUNNING: "3600+60x10 _x10 4800+60x10", USUAL: "600x30"},
        {5: ON, 15: ON, 25: ON},
    ),
    Case(
        "RunsWaiting",
        "a run waits for more than an hour, whatever another tenant's do",
        {
            WAITING: "0+60x90 0x20",
            'lightwork_pipeline_longest_seconds{tenant="globex",pipeline="sun",state="waiting"}': "60x110",
        },
        {50: OFF, 60: OFF, 63: [OF_TENANT], 95: OFF},
    ),
    Case(
        "RunsWaiting",
        "the exporter pauses",
        {WAITING: "7200x10 _x10 7200x10"},
        {5: [OF_TENANT], 15: [OF_TENANT]},
    ),
    Case(
        "SemaphoresStuck",
        "runs wait, and none of this tenant is at work",
        {WAITING: "0+60x90", AT_WORK: "0x90", OTHER_AT_WORK: "3x90"},
        {30: OFF, 40: [OF_TENANT]},
    ),
    Case(
        "SemaphoresStuck",
        "runs wait for others of the tenant",
        {WAITING: "0+60x90", AT_WORK: "1x90"},
        {40: OFF, 90: OFF},
    ),
    Case(
        "WorkersPending",
        "a worker waits for half an hour",
        {CREATED: "600x60", PENDING: "1x45 0x15"},
        {25: OFF, 33: [{"namespace": "tenant-acme", **OF_TENANT}], 50: OFF},
    ),
    Case(
        "WorkersPending",
        "always one waits, and never the same for long",
        {
            name.replace("-a", f"-{n}"): text
            for n in range(4)
            for name, text in (
                (CREATED, f"_x{n * 15} {n * 900}x15 stale" if n else "0x15 stale"),
                (PENDING, f"_x{n * 15} 1x15 stale" if n else "1x15 stale"),
            )
        },
        {20: OFF, 35: OFF, 55: OFF},
    ),
    Case(
        "WorkersPending",
        "a gap, and another namespace's pods",
        {
            CREATED: "0x10 _x30 0x10",
            PENDING: "1x10 _x30 1x10",
            CREATED.replace("tenant-acme", "kube-system"): "0x60",
            PENDING.replace("tenant-acme", "kube-system"): "1x60",
        },
        {30: OFF, 43: [{"namespace": "tenant-acme", **OF_TENANT}]},
    ),
    Case(
        "PodsRefused",
        "the quota is used up",
        {REFUSED: "0x5 1x20 0x10"},
        {10: OFF, 17: [{"namespace": "tenant-acme", "deployment": "r-workers", **OF_TENANT}], 30: OFF},
    ),
    Case("PodsRefused", "for a moment", {REFUSED: "0x5 1x5 0x30"}, {12: OFF, 30: OFF}),
    Case(
        "BudgetSpent",
        "two pipelines spend it together, and a new month begins",
        {
            f"lightwork_pipeline_spend_dollars{{{PIPELINE}}}": "0+1x60 0x20",
            'lightwork_pipeline_spend_dollars{tenant="acme",pipeline="moon"}': "30x60 0x20",
            'lightwork_tenant_budget_dollars{tenant="acme"}': "100x80",
        },
        {50: OFF, 57: [OF_TENANT], 70: OFF},
    ),
    Case(
        "BudgetSpent",
        "nobody knows prices",
        {'lightwork_tenant_budget_dollars{tenant="acme"}': "100x60"},
        {60: OFF},
    ),
    Case(
        "CertificateEnds",
        "it has thirteen days left, then it is renewed",
        {'lightwork_tenant_certificate_end_seconds{tenant="acme"}': "1123200x90 5184000x30"},
        {30: OFF, 65: [OF_TENANT], 95: OFF},
    ),
    Case(
        "CertificateEnds",
        "it has thirty days left",
        {'lightwork_tenant_certificate_end_seconds{tenant="acme"}': "2592000x90"},
        {90: OFF},
    ),
    Case(
        "WatchDown",
        "the exporter is gone for a while",
        {"lightwork_watch_seconds{}": "0+60x20 _x30 3060+60x30"},
        {20: OFF, 28: OFF, 40: [{}], 55: OFF},
    ),
    Case("WatchDown", "it was never there", {"up{}": "1x30"}, {9: OFF, 11: [{}]}),
    Case(
        "WatchDown",
        "it starts anew",
        {"lightwork_watch_seconds{}": "0+60x20 _x4 1500+60x30"},
        {24: OFF, 30: OFF},
    ),
    Case(
        "WatchDown",
        "it answers, and reads nothing",
        {"lightwork_watch_seconds{}": "0x40"},
        {15: OFF, 25: [{}]},
    ),
    Case(
        "FiguresStale",
        "a tenant's controller has stopped, and starts again",
        {'lightwork_tenant_figures_seconds{tenant="acme"}': "0+60x10 600x40 3000+60x20"},
        {30: OFF, 45: [OF_TENANT], 55: OFF},
    ),
    Case(
        "FiguresUnread",
        "a tenant's stack is of before",
        {"lightwork_watch_unread{}": "0x5 1x70 0x5"},
        {50: OFF, 70: [{}], 80: OFF},
    ),
    Case(
        "ArgoDown",
        "its last controller stops",
        {ARGO: "2x30 0x30"},
        {30: OFF, 40: [{}]},
    ),
    Case("ArgoDown", "it was never there", {"up{}": "1x30"}, {4: OFF, 6: [{}]}),
    Case("PodsUnseen", "kube-state-metrics is gone", {PENDING: "0x10 _x30"}, {10: OFF, 20: OFF, 35: [{}]}),
    Case(
        "ArgoErrors",
        "error after error, also when its pod is new",
        {'argo_workflows_log_messages{level="error"}': "0x10 0+10x30"},
        {10: OFF, 35: [{"level": "error"}]},
    ),
    Case(
        "ArgoErrors",
        "old errors after a gap",
        {'argo_workflows_log_messages{level="error"}': "900x5 _x40 900x30"},
        {60: OFF},
    ),
    Case(
        "RunsUnwatched",
        "a tenant's controller is down",
        {CONTROLLER.format("tenant-acme"): "1x30 0x40", CONTROLLER.format("other"): "0x70"},
        {40: OFF, 50: [{"namespace": "tenant-acme", "deployment": "controller"}]},
    ),
    Case(
        "CertificateExpiry",
        "checked in time in one namespace, too long ago in another, never in a third",
        {
            CHECKED.format("tenant-good", "certificates"): "0x400",
            CHECKED.format("tenant-old", "certificates"): "-300000x400",
            MADE.format("tenant-good", "certificates"): "-900000x400",
            MADE.format("tenant-never", "certificates"): "-300000x400",
        },
        {90: [{"namespace": f"tenant-{name}", "cronjob": "certificates"} for name in ("never", "old")]},
    ),
    Case(
        "HistoryStuck",
        "it fails for hours, then it succeeds",
        {BORN: "-900000x400", PACKED: "0x300 18000x100", PAUSED: "0x400"},
        {120: OFF, 190: OFF, 200: UNPACKED, 300: UNPACKED, 301: OFF},
    ),
    Case(
        "HistoryStuck",
        "it succeeds every hour, but for one",
        {
            BORN: "-900000x400",
            PACKED: " ".join(f"{minute * 60}x59" for minute in (0, 60, 120, 120, 240, 300)),
            PAUSED: "0x400",
        },
        dict.fromkeys((60, 230, 250, 359), OFF),
    ),
    Case(
        "HistoryStuck",
        "it never succeeds in a tenant that is new",
        {BORN: "0x300"},
        {100: OFF, 190: OFF, 200: UNPACKED},
    ),
    Case(
        "HistoryStuck",
        "what tells it pauses, and starts anew as another pod",
        {
            BORN: "-900000x400",
            PACKED: "0x205 _x40 stale",
            PACKED.replace("}", ',instance="b"}'): "_x245 0x100",
        },
        {200: UNPACKED, 230: UNPACKED, 260: UNPACKED, 340: UNPACKED},
    ),
    Case(
        "HistoryStuck",
        "nobody tells anything for hours, while it goes on every hour",
        {BORN: "-900000x100 _x300 -900000x100", PACKED: "3600x100 _x300 21600x100"},
        {90: OFF, 250: OFF, 402: OFF, 460: OFF},
    ),
    Case(
        "HistoryStuck",
        "somebody has suspended it",
        {BORN: "-900000x400", PACKED: "0x400", PAUSED: "1x400"},
        {200: OFF, 400: OFF},
    ),
    Case(
        "HistoryStuck",
        "another CronJob, and one outside the tenants",
        {
            PACKED.replace("history", "certificates"): "0x400",
            PACKED.replace("tenant-acme", "argo"): "0x400",
        },
        {400: OFF},
    ),
    Case(
        "ArchiveLoginStuck",
        "two days without a success are over after an hour",
        {
            CHECKED.format("argo", "archive-login"): "-169200x400",
            MADE.format("argo", "archive-login"): "-900000x400",
            CHECKED.format("argo", "another"): "-900000x400",
        },
        {110: OFF, 130: [{"namespace": "argo", "cronjob": "archive-login"}]},
    ),
    Case(
        "ShipperDrops",
        "lines are dropped",
        {FLUENT.format("dropped_records"): "0x10 5x40"},
        {10: OFF, 12: [{}], 40: OFF},
    ),
    Case(
        "ShipperDrops",
        "its pod starts anew, and a gap after lines were dropped",
        {FLUENT.format("dropped_records"): "9x5 _x20 9x5 0x20", FLUENT.format("retries_failed"): "0x50"},
        {3: OFF, 27: OFF, 45: OFF},
    ),
    Case(
        "ShipperDrops",
        "it has given up",
        {FLUENT.format("retries_failed"): "0x10 1x20"},
        {12: [{}]},
    ),
    Case(
        "ShipperRetries",
        "it tries for an hour",
        {FLUENT.format("retries"): "0x10 0+1x60 60x30"},
        {30: OFF, 45: [{}], 95: OFF},
    ),
    Case("ShipperRetries", "once", {FLUENT.format("retries"): "0x10 1x60"}, {15: OFF, 30: OFF, 50: OFF}),
    Case("ShipperDown", "no pod answers", {"fluentbit_uptime{}": "1x10 _x40"}, {12: OFF, 35: [{}]}),
    Case("AlertsWork", "always", {"up{}": "1x30"}, {0: [{}], 30: [{}]}),
]

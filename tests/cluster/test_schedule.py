"""Scheduled runs, and runs that wait for others."""

from __future__ import annotations

import datetime as dt
import json
import time
import zoneinfo
from typing import Any

from tests.cluster import argo, tenants
from tests.cluster.binaries import program
from tests.cluster.kube import get, items, kubectl
from tests.cluster.progress import run, say, wait_for
from tests.cluster.settings import kubeconfig

PIPELINE = "windy-city"


def scheduled_runs(tenant: str) -> list[str]:
    """Return the names of the CronWorkflow's existing Workflows."""
    label = f"workflows.argoproj.io/cron-workflow={PIPELINE}"
    workflows = get("-n", tenants.namespace(tenant), "workflows", "-l", label)["items"]
    return [item["metadata"]["name"] for item in workflows]


def set_schedule(tenant: str, **spec: object) -> None:
    where = ["-n", tenants.namespace(tenant), "patch", "cronworkflow", PIPELINE]
    kubectl(*where, "--type=merge", "-p", json.dumps({"spec": spec}))


def at(moment: dt.datetime) -> str:
    return f"{moment.minute} {moment.hour} * * *"


def next_minute(zone: dt.tzinfo, least: float) -> dt.datetime:
    """Return the next full minute at least so many seconds ahead, in a time zone."""
    ahead = dt.datetime.now(zone) + dt.timedelta(seconds=60 + least)
    return ahead.replace(second=0, microsecond=0)


def new_run(tenant: str, before: list[str], seconds: float) -> str:
    wait_for(
        "a run of the schedule", lambda: set(scheduled_runs(tenant)) - set(before), seconds=seconds, every=1
    )
    (name,) = set(scheduled_runs(tenant)) - set(before)
    say(f"the schedule has started {name}")
    return name


def succeeded(tenant: str, name: str) -> None:
    ended = tenants.wait_for_end(tenant, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(tenant, name)


def at_work(end: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a run's pods, without that of the exit handler."""
    return [n for n in end["nodes"].values() if n["type"] == "Pod" and "onExit" not in n["name"]]


def test_a_schedule_fires_in_the_tenants_time_zone_and_a_missed_run_is_caught_up(acme):
    (job,) = (
        item
        for item in items("-n", tenants.namespace(acme), "cronworkflows")
        if item["metadata"]["name"] == PIPELINE
    )
    zone = zoneinfo.ZoneInfo(job["spec"]["timezone"])
    assert dt.datetime.now(zone).utcoffset() != dt.timedelta(0), "UTC would prove nothing"
    try:
        # Set both at once: Argo does not catch up missed runs after a change of the schedule.
        moment = next_minute(zone, 5)
        missed = moment + dt.timedelta(minutes=2)
        set_schedule(acme, schedules=[at(moment), at(missed)], suspend=False)
        name = new_run(acme, [], (moment - dt.datetime.now(zone)).total_seconds() + 30)
        succeeded(acme, name)

        before = scheduled_runs(acme)
        kubectl("-n", argo.NAMESPACE, "scale", "deployment/workflow-controller", "--replicas=0")
        assert dt.datetime.now(zone) < missed, "the first run took too long for this test"
        time.sleep((missed - dt.datetime.now(zone)).total_seconds() + 10)
        assert not set(scheduled_runs(acme)) - set(before), "a run was started without the controller"
        kubectl("-n", argo.NAMESPACE, "scale", "deployment/workflow-controller", "--replicas=1")
        succeeded(acme, new_run(acme, before, 90))
    finally:
        kubectl("-n", argo.NAMESPACE, "scale", "deployment/workflow-controller", "--replicas=1")
        set_schedule(acme, suspend=True)
        argo.wait_until_ready()


def test_a_second_run_waits_for_the_first(acme):
    first, second = (tenants.submit(acme, PIPELINE, max_timestamps="500") for _ in range(2))
    ends = [tenants.wait_for_end(acme, name, seconds=300) for name in (first, second)]
    assert [end["phase"] for end in ends] == ["Succeeded", "Succeeded"]
    # Whichever had the first turn, its pods (but that of the exit handler) ended before the other's started.
    spans = sorted(
        (min(node["startedAt"] for node in pods), max(node["finishedAt"] for node in pods))
        for pods in (at_work(end) for end in ends)
    )
    assert spans[0][1] <= spans[1][0]


def test_argos_own_command_line_starts_a_run(acme):
    words = [str(program("argo")), "-n", tenants.namespace(acme), "--kubeconfig", str(kubeconfig())]
    words += ["submit", "--from", f"workflowtemplate/{PIPELINE}", "-p", "max_timestamps=300"]
    succeeded(acme, run([*words, "-o", "name"]).strip())

"""Runs that nobody starts by hand, and runs that wait for others."""

from __future__ import annotations

import json

from tests.cluster import tenants
from tests.cluster.kube import get, kubectl
from tests.cluster.progress import run, wait_for
from tests.cluster.settings import kubeconfig


def of_schedule(tenant: str, pipeline: str) -> list[str]:
    """The Workflows that a CronWorkflow has made."""
    label = f"workflows.argoproj.io/cron-workflow={pipeline}"
    found = get("-n", tenants.namespace(tenant), "workflows", "-l", label)["items"]
    return [item["metadata"]["name"] for item in found]


def set_schedule(tenant: str, pipeline: str, **spec: object) -> None:
    patch = json.dumps({"spec": spec})
    where = ["-n", tenants.namespace(tenant), "patch", "cronworkflow", pipeline]
    kubectl(*where, "--type=merge", "-p", patch)


def test_a_schedule_starts_a_run(acme):
    try:
        set_schedule(acme, "windy-city", suspend=False, schedules=["* * * * *"])
        wait_for("a run of the schedule", lambda: of_schedule(acme, "windy-city"), seconds=90, every=1)
    finally:
        set_schedule(acme, "windy-city", suspend=True)
    (name,) = of_schedule(acme, "windy-city")
    ended = tenants.wait_for_end(acme, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)


def test_a_second_run_waits_for_the_first(acme):
    first, second = (tenants.submit(acme, "windy-city", max_timestamps="500") for _ in range(2))
    ends = [tenants.wait_for_end(acme, name, seconds=300) for name in (first, second)]
    assert [end["phase"] for end in ends] == ["Succeeded", "Succeeded"]
    # Whichever took the semaphore first: the pods of one all ended before the other's started.
    spans = sorted(
        (min(node["startedAt"] for node in pods), max(node["finishedAt"] for node in pods))
        for pods in ([n for n in end["nodes"].values() if n["type"] == "Pod"] for end in ends)
    )
    assert spans[0][1] <= spans[1][0]


def test_argos_own_command_line_starts_a_run(acme):
    from tests.cluster.binaries import program

    words = [str(program("argo")), "-n", tenants.namespace(acme), "--kubeconfig", str(kubeconfig())]
    words += ["submit", "--from", "workflowtemplate/windy-city", "-p", "max_timestamps=300"]
    name = run([*words, "-o", "name"])
    ended = tenants.wait_for_end(acme, name.strip(), seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name.strip())

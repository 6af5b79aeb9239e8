"""Runs with several steps: values pass from step to step, and a step's cluster is deleted when it ends."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster import probes, tenants
from tests.cluster.kube import get, kubectl
from tests.cluster.progress import say, wait_for

ELEMENTS = 600
"""The first step halves this number, so half as many elements are computed."""
SQUARES = sum(number * number for number in range(ELEMENTS // 2))


def cluster_objects(tenant: str, run_name: str, step: str) -> list[str]:
    """Return the names of the objects that a step's Dask cluster has now."""
    label = f"lightwork/run={run_name},lightwork/step={step},lightwork/role in (scheduler,worker)"
    objects = get("-n", tenants.namespace(tenant), "deployments,services,pods", "-l", label)["items"]
    return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in objects)


def node(tenant: str, run_name: str, step: str) -> dict[str, Any]:
    """Return a step's node in the Workflow's status; empty before it has one."""
    nodes = tenants.status(tenant, run_name).get("nodes", {}).values()
    return next((item for item in nodes if item["displayName"] == step), {})


def output(step_node: dict[str, Any], name: str) -> str:
    """Return one of a node's output parameters."""
    return next(item["value"] for item in step_node["outputs"]["parameters"] if item["name"] == name)


def log(tenant: str, run_name: str, step: str) -> list[str]:
    """Return a container step's log, without Argo's own lines."""
    label = f"lightwork/run={run_name},lightwork/step={step},lightwork/role=step"
    text = kubectl("-n", tenants.namespace(tenant), "logs", "-l", label, "-c", "main", "--tail=-1")
    return [line for line in text.splitlines() if line.strip() and '"argo":' not in line]


def test_values_pass_from_step_to_step_and_a_steps_cluster_ends_with_it(acme):
    label = probes.new_label()
    name = tenants.submit(acme, "probe-steps", elements=str(ELEMENTS), label=label)

    # `later`, which uses the first step's result, runs beside `second`, which has a cluster of its own.
    wait_for(
        f"the step `later` of {name}",
        lambda: any(
            pod["status"]["phase"] == "Running" and pod["metadata"]["labels"].get("lightwork/step") == "later"
            for pod in tenants.pods(acme, name, "step")
        ),
        seconds=300,
        every=1,
    )
    wait_for("nothing left of `first`", lambda: not cluster_objects(acme, name, "first"), seconds=45, every=1)
    assert node(acme, name, "later")["phase"] == "Running", "`later` ended too early for this test"
    wait_for(
        "a cluster of `second`",
        lambda: f"Deployment/{name}-second-workers" in cluster_objects(acme, name, "second"),
        seconds=60,
        every=1,
    )
    assert not cluster_objects(acme, name, "first"), "the first step's cluster was created again"

    ended = tenants.wait_for_end(acme, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    nodes = {item["displayName"]: item for item in ended["nodes"].values()}
    assert output(nodes["halve"], "elements") == str(ELEMENTS // 2)
    result = json.loads(output(nodes["first"], "result"))
    assert result["sum"] == SQUARES
    (line,) = log(acme, name, "later")
    passed, text = json.loads(line)["argv"]
    assert json.loads(passed) == result
    assert text == f'a "quoted" {label}'
    for step_label in (label, f"{label}-2"):
        assert set(probes.computed(acme, step_label)) == set(range(ELEMENTS // 2))
    took = tenants.wait_until_clear(acme, name, seconds=120)
    say(f"figure: several steps: nothing left {took:.1f} s after the end")


def test_the_example_runs_with_the_platforms_own_image(globex):
    name = tenants.submit(globex, "whole-days", hours="60")
    ended = tenants.wait_for_end(globex, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(globex, name)
    (line,) = log(globex, name, "report")
    report = json.loads(line)
    assert report["hours"] == 48, "two whole days of the 60 hours"
    assert report["places"]
    tenants.wait_until_clear(globex, name, seconds=120)


def test_a_step_that_fails_ends_the_run_and_leaves_nothing(acme):
    label = probes.new_label()
    name = tenants.submit(acme, "probe-steps", elements="many", label=label)
    ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] == "Failed"
    phases = {item["displayName"]: item["phase"] for item in ended["nodes"].values()}
    assert phases["halve"] == "Failed"
    assert phases.get("first", "Omitted") == "Omitted"
    assert not probes.computed(acme, label), "a step after the failed one was run"
    tenants.wait_until_clear(acme, name, seconds=120)

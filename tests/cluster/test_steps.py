"""Several steps in one run: values go from one to the next, and what a step made goes when it has ended."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster import probes, tenants
from tests.cluster.kube import get, kubectl
from tests.cluster.progress import say, wait_for

ELEMENTS = 600
"""Half of them are computed: the first step says so."""
SQUARES = sum(number * number for number in range(ELEMENTS // 2))


def made(tenant: str, run_name: str, step: str) -> list[str]:
    """The objects and pods of the scaler that a step has at this moment."""
    label = f"lightwork/run={run_name},lightwork/step={step},lightwork/role in (scheduler,worker)"
    found = get("-n", tenants.namespace(tenant), "deployments,services,pods", "-l", label)["items"]
    return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in found)


def node(tenant: str, run_name: str, step: str) -> dict[str, Any]:
    """A step's part of the Workflow's status; empty before it is looked at."""
    nodes = tenants.status(tenant, run_name).get("nodes", {}).values()
    return next((one for one in nodes if one["displayName"] == step), {})


def output(found: dict[str, Any], name: str) -> str:
    """One of a node's output parameters."""
    return next(item["value"] for item in found["outputs"]["parameters"] if item["name"] == name)


def log(tenant: str, run_name: str, step: str) -> list[str]:
    """What a container step has written, without the lines of Argo's own in between."""
    label = f"lightwork/run={run_name},lightwork/step={step},lightwork/role=step"
    text = kubectl("-n", tenants.namespace(tenant), "logs", "-l", label, "-c", "main", "--tail=-1")
    return [line for line in text.splitlines() if line.strip() and '"argo":' not in line]


def test_values_go_from_step_to_step_and_a_steps_cluster_goes_with_it(acme):
    label = probes.new_label()
    name = tenants.submit(acme, "probe-steps", elements=str(ELEMENTS), label=label)

    # While `later` runs, which has the first step's result, `second` has a cluster of its own.
    wait_for(
        f"the step `later` of {name}",
        lambda: any(
            pod["status"]["phase"] == "Running" and pod["metadata"]["labels"].get("lightwork/step") == "later"
            for pod in tenants.pods(acme, name, "step")
        ),
        seconds=300,
        every=1,
    )
    wait_for("nothing left of `first`", lambda: not made(acme, name, "first"), seconds=45, every=1)
    assert node(acme, name, "later")["phase"] == "Running", "it was still going on"
    wait_for(
        "a cluster of `second`",
        lambda: f"Deployment/{name}-second-workers" in made(acme, name, "second"),
        seconds=60,
        every=1,
    )
    assert not made(acme, name, "first"), "nobody makes it again"

    ended = tenants.wait_for_end(acme, name, seconds=300)
    assert ended["phase"] == "Succeeded", tenants.describe(acme, name)
    nodes = {one["displayName"]: one for one in ended["nodes"].values()}
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
    said = json.loads(line)
    assert said["hours"] == 48, "two whole days of the 60 hours"
    assert said["places"]
    tenants.wait_until_clear(globex, name, seconds=120)


def test_a_step_that_fails_ends_the_run_and_leaves_nothing(acme):
    label = probes.new_label()
    name = tenants.submit(acme, "probe-steps", elements="many", label=label)
    ended = tenants.wait_for_end(acme, name, seconds=180)
    assert ended["phase"] == "Failed"
    phases = {one["displayName"]: one["phase"] for one in ended["nodes"].values()}
    assert phases["halve"] == "Failed"
    assert phases.get("first", "Omitted") == "Omitted"
    assert not probes.computed(acme, label), "what comes after the step that failed never began"
    tenants.wait_until_clear(acme, name, seconds=120)

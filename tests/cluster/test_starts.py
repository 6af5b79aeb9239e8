"""Runs whose pods cannot start are ended by the reason, and every run has a record in the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lightwork.kube import contract
from tests.cluster import pod_identity, probes, stores, tenants
from tests.cluster.kube import get, kubectl, kubectl_wait
from tests.cluster.progress import run, say, wait_for

BOUND = 180.0
"""Seconds after the submission within which a run that cannot start has ended, on an idle machine."""


def ended(tenant: str, name: str, submitted: float) -> dict[str, Any]:
    """Wait until a run has failed; return its Workflow."""
    status = tenants.wait_for_end(tenant, name, seconds=BOUND)
    say(f"figure: {name}: ended after {time.monotonic() - submitted:.0f} s")
    assert status["phase"] == "Failed", status
    return get("-n", tenants.namespace(tenant), "workflow", name)


def check(tenant: str, name: str, submitted: float, *expected: str) -> None:
    """Check that a run has ended by a reason, with a record that has it, and that nothing is left."""
    workflow = ended(tenant, name, submitted)
    reason = workflow["metadata"]["annotations"][contract.ANNOTATION_REASON]
    for text in expected:
        assert text in reason
    record = probes.ended_record(tenant, name)
    assert (record["status"], record["error"]) == ("failed", reason), record
    tenants.wait_until_clear(tenant, name, seconds=60)


@pytest.mark.core
def test_a_missing_image_ends_its_run_by_its_name_and_the_next_one_gets_its_place(acme):
    submitted = time.monotonic()
    first = probes.submit(acme, probes.new_label(), "probe-no-image")
    second = probes.submit(acme, probes.new_label(), "probe-no-image")
    check(acme, first, submitted, "the driver did not start within 2 minutes", tenants.NO_IMAGE)
    wait_for("the place", lambda: tenants.pods(acme, second, "driver"), seconds=60, every=1)
    where = ["-n", tenants.namespace(acme)]
    kubectl(*where, "delete", "workflow", second, "--wait=false")
    assert probes.ended_record(acme, second)["error"] == "its Workflow was deleted"
    archive = probes.archived(first)
    assert archive[0] == "Failed", archive


@pytest.fixture
def variant(globex) -> Iterator[Any]:
    """A function that makes a pipeline of one container with other settings of its pod; its name."""
    made = []

    def make(name: str, change: dict[str, Any]) -> str:
        template = get("-n", tenants.namespace(globex), "workflowtemplate", "queue-c")
        template["metadata"] = {"name": name, "namespace": tenants.namespace(globex)}
        for item in template["spec"]["templates"]:
            item.pop("synchronization", None)  # the runs do not wait for each other
        (step,) = [item for item in template["spec"]["templates"] if "container" in item]
        step["container"] |= change.pop("container", {})
        step |= change
        kubectl("apply", "-f", "-", stdin=json.dumps(template))
        made.append(name)
        return name

    yield make
    for name in made:
        kubectl("-n", tenants.namespace(globex), "delete", "workflowtemplate", name, "--ignore-not-found")


def test_what_is_missing_ends_a_run_by_its_name(globex, variant):
    changes = {
        "no-secret": (
            {"container": {"envFrom": [{"secretRef": {"name": "not-there"}}]}},
            'secret "not-there"',
        ),
        "no-map": (
            {"container": {"envFrom": [{"configMapRef": {"name": "not-there"}}]}},
            'configmap "not-there"',
        ),
        "no-volume": (
            {
                "volumes": [{"name": "v", "configMap": {"name": "not-there"}}],
                "container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            },
            'configmap "not-there" not found',
        ),
        "no-node": ({"nodeSelector": {"disk": "of-gold"}}, "no node fits: 0/1 nodes are available"),
    }
    submitted = time.monotonic()
    runs = {variant(name, change): text for name, (change, text) in changes.items()}
    names = {tenants.submit(globex, name): text for name, text in runs.items()}
    for name, text in names.items():
        check(globex, name, submitted, "the step pause did not start within 2 minutes", text)


def test_workers_that_no_node_fits_end_their_run(acme):
    submitted = time.monotonic()
    name = probes.submit(acme, probes.new_label())
    where = ["-n", tenants.namespace(acme)]

    def of_workers() -> str:
        return kubectl(*where, "get", "deployment", f"{name}-workers", "-o", "name", check=False)

    wait_for("the workers' Deployment", of_workers, seconds=60, every=0.2)
    change = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "of-gold"}}}}}
    kubectl(*where, "patch", "deployment", f"{name}-workers", "-p", json.dumps(change))
    check(acme, name, submitted, "no worker started within 2 minutes: no node fits")


def test_a_run_that_is_terminated_while_it_waits_has_a_record(globex):
    first = tenants.submit(globex, "queue-a", seconds="60")
    second = tenants.submit(globex, "queue-a", seconds="1")
    wait_for("the queue", lambda: tenants.status(globex, second).get("nodes"), seconds=30)
    for name in (second, first):
        words = [*tenants.LIGHTWORK, "stop", name, "--terminate", *tenants.WHERE, globex]
        run(words, env=tenants.environment())
    record = probes.ended_record(globex, second)
    assert (record["status"], record["error"]) == (
        "stopped",
        "terminated by hand while it waited for its turn",
    )
    assert (record["pipeline"], record["parameters"]) == ("queue-a", {"seconds": "1"})
    record = probes.ended_record(globex, first)
    assert (record["status"], record["error"]) == ("stopped", "terminated by hand")


def test_a_run_whose_lake_refuses_it_has_a_record(acme):
    account = contract.ACCOUNT_DRIVER
    pod_identity.associate(tenants.namespace(acme), account, stores.steps_of("globex"))
    try:
        name = probes.submit(acme, probes.new_label())
        tenants.wait_for_end(acme, name, seconds=120)
    finally:
        pod_identity.associate(tenants.namespace(acme), account, acme)
    record = probes.ended_record(acme, name)
    assert record["status"] == "failed", record
    assert "enied" in record["error"], record


def test_a_workflow_that_was_gone_while_nobody_watched_is_lost(globex):
    where = ["-n", tenants.namespace(globex)]
    name = tenants.submit(globex, "queue-a", seconds="30")
    wait_for(
        "its submission",
        lambda: [item for item in probes.records(globex) if item.get("workflow") == name],
        seconds=30,
    )
    kubectl(*where, "scale", "deployment", "controller", "--replicas=0")
    try:
        gone = ("wait", "--for=delete", "pod", "-l", "lightwork/role=controller")
        kubectl_wait(*where, *gone, seconds=60)
        kubectl(*where, "delete", "workflow", name)
    finally:
        kubectl(*where, "scale", "deployment", "controller", "--replicas=1")
    record = probes.ended_record(globex, name)
    assert record["status"] == "lost", record

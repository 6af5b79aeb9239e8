"""However a run ends, nothing of it is left two minutes later, and the archive says what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.cluster import probes, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import run, say, wait_for

CLEAR = 120
"""Seconds after the end within which everything must be deleted."""


@dataclass(frozen=True)
class Running:
    """A run at work, with many minutes to go."""

    tenant: str
    name: str
    label: str


@pytest.fixture
def running(acme) -> Running:
    return start(acme)


def start(tenant: str, entry: str = "probe", **parameters: object) -> Running:
    label = probes.new_label()
    name = probes.submit(tenant, label, entry, **{"elements": 50_000, **parameters})
    probes.wait_until_at_work(tenant, name, label, 50)
    return Running(tenant, name, label)


def stop(running: Running, *options: str) -> None:
    words = [*tenants.LIGHTWORK, "stop", running.name, *options, *tenants.WHERE, running.tenant]
    run(words, env=tenants.environment())


def check(
    ended: Running, what: str, *, phase: str, message: str, status: str, error: str, archived: bool = True
) -> None:
    """Check that nothing is left, that archive and record say what happened, and that the log is saved."""
    took = tenants.wait_until_clear(ended.tenant, ended.name, seconds=CLEAR)
    say(f"figure: {what}: nothing left after {took:.0f} s")
    if archived:
        wait_for("the archive", lambda: probes.archived(ended.name)[0], seconds=60, every=1)
        archive = probes.archived(ended.name)
        assert archive[0] == phase, archive
        assert message in archive[1], archive
    else:
        assert probes.archived(ended.name) == ("", ""), "Argo does not archive deleted Workflows"
    record = probes.ended_record(ended.tenant, ended.name)
    assert (record["status"], record["error"]) == (status, error), record
    assert record["finished"], record
    log = probes.log_in_bucket(ended.tenant, ended.name)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(line.get("run") == ended.name or line.get("pipeline") == "probe" for line in lines), log


@pytest.mark.core
def test_terminate(running):
    stop(running, "--terminate")
    check(
        running,
        "terminate",
        phase="Failed",
        message="Terminate",
        status="stopped",
        error="terminated by hand",
    )


def test_stop(running):
    stop(running)
    check(running, "stop", phase="Failed", message="Stop", status="stopped", error="stopped by hand")


def test_delete(running):
    where = ["-n", tenants.namespace(running.tenant)]
    kubectl(*where, "delete", "workflow", running.name, "--wait=false")
    error = "its Workflow was deleted"
    check(running, "delete", phase="", message="", status="stopped", error=error, archived=False)


def test_deadline(acme):
    # On a busy machine it may be over before there is much work done.
    label = probes.new_label()
    running = Running(acme, probes.submit(acme, label, "probe-brief", elements=50_000), label)
    ended = tenants.wait_for_end(acme, running.name, seconds=300)
    assert ended["phase"] == "Failed"
    error = "its `deadline` of 100s was over"
    check(running, "deadline", phase="Failed", message="deadline", status="failed", error=error)


def test_a_pipeline_that_raises(acme):
    running = start(acme, elements=500, fail="the sensor is upside down")
    ended = tenants.wait_for_end(acme, running.name, seconds=180)
    assert ended["phase"] == "Failed"
    message = "the sensor is upside down"
    record = probes.ended_record(acme, running.name)
    assert message in record["error"], record
    assert (record["elements"]["total"], record["elements"]["failed"]) == (500, 0)
    check(running, "raised", phase="Failed", message=message, status="failed", error=record["error"])


def test_a_pipeline_that_takes_too_much_memory(acme):
    running = start(acme, elements=500, megabytes=2000)
    ended = tenants.wait_for_end(acme, running.name, seconds=180)
    assert ended["phase"] == "Failed"
    error = "main: OOMKilled (exit code 137)"
    check(running, "killed for memory", phase="Failed", message="OOMKilled", status="failed", error=error)

"""However a run ends: two minutes later nothing of it is left, and it is known what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.cluster import probes, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import run, say, wait_for

CLEAR = 120
"""Seconds after the end within which everything is gone."""


@dataclass(frozen=True)
class Running:
    """A run that is at work, of many minutes."""

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


def stop(one: Running, *how: str) -> None:
    run([*tenants.LIGHTWORK, "stop", one.name, *how, *tenants.WHERE, one.tenant], env=tenants.environment())


def check(one: Running, what: str, *, phase: str, message: str, status: str, archived: bool = True) -> None:
    """Nothing is left, the archive and the record say what happened, and the log is in the bucket."""
    took = tenants.wait_until_clear(one.tenant, one.name, seconds=CLEAR)
    say(f"figure: {what}: nothing left after {took:.0f} s")
    if archived:
        wait_for("the archive", lambda: probes.archived(one.name)[0], seconds=60, every=1)
        found = probes.archived(one.name)
        assert found[0] == phase, found
        assert message in found[1], found
    else:
        assert probes.archived(one.name) == ("", ""), "Argo does not archive what is deleted"
    record = probes.record(one.tenant, one.label)
    assert record["status"] == status, record
    kept = probes.log_in_bucket(one.tenant, one.name)
    lines = [json.loads(line) for line in kept.splitlines() if line.startswith("{")]
    assert any(line.get("run") == one.name or line.get("pipeline") == "probe" for line in lines), kept


@pytest.mark.core
def test_terminate(running):
    stop(running, "--terminate")
    check(running, "terminate", phase="Failed", message="Terminate", status="stopped")


def test_stop(running):
    stop(running)
    check(running, "stop", phase="Failed", message="Stop", status="stopped")


def test_delete(running):
    where = ["-n", tenants.namespace(running.tenant)]
    kubectl(*where, "delete", "workflow", running.name, "--wait=false")
    check(running, "delete", phase="", message="", status="stopped", archived=False)


def test_deadline(acme):
    one = start(acme, "probe-brief")
    ended = tenants.wait_for_end(acme, one.name, seconds=300)
    assert ended["phase"] == "Failed"
    check(one, "deadline", phase="Failed", message="deadline", status="stopped")


def test_a_pipeline_that_raises(acme):
    one = start(acme, elements=500, fail="the sensor is upside down")
    ended = tenants.wait_for_end(acme, one.name, seconds=180)
    assert ended["phase"] == "Failed"
    check(one, "raised", phase="Failed", message="the sensor is upside down", status="failed")


def test_a_pipeline_that_takes_too_much_memory(acme):
    one = start(acme, elements=500, megabytes=2000)
    ended = tenants.wait_for_end(acme, one.name, seconds=180)
    assert ended["phase"] == "Failed"
    check(one, "killed for memory", phase="Failed", message="OOMKilled", status="running")

"""A run that exceeds its tenant's quota fails soon and says so, instead of waiting forever."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

import pytest

from tests.cluster import probes, tenants
from tests.cluster.kube import apply, kubectl
from tests.cluster.progress import HarnessError, run, say

NAME = "tight"


@pytest.fixture
def no_room_for_workers(acme) -> Iterator[str]:
    """Add a quota to the tenant's namespace that fits driver and scheduler, but no worker."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": NAME, "namespace": tenants.namespace(acme)},
        "spec": {"hard": {"requests.memory": "1700Mi"}},
    }
    apply([quota])
    yield acme
    kubectl("-n", tenants.namespace(acme), "delete", "resourcequota", NAME)


def test_a_run_whose_workers_are_refused_fails_and_names_the_quota(no_room_for_workers):
    tenant = no_room_for_workers
    label = probes.new_label()
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "probe-", "namespace": tenants.namespace(tenant)},
        "spec": {
            "workflowTemplateRef": {"name": "probe"},
            "arguments": {"parameters": [{"name": "label", "value": label}]},
        },
    }
    created = json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(workflow)))
    name = created["metadata"]["name"]
    ended = tenants.wait_for_end(tenant, name, seconds=180)
    assert ended["phase"] == "Failed"
    message = tenants.messages(ended)
    assert "quota" in message, message
    assert "1700Mi" in message, message
    start, end = (dt.datetime.fromisoformat(ended[key]) for key in ("startedAt", "finishedAt"))
    say(f"figure: quota: failed after {(end - start).total_seconds():.0f} s")
    tenants.wait_until_clear(tenant, name, seconds=120)


def test_a_run_that_cannot_fit_is_refused_at_submit(no_room_for_workers):
    tenant = no_room_for_workers
    before = tenants.names(tenant, "probe")
    words = [*tenants.LIGHTWORK, "submit", "probe", *tenants.WHERE, tenant]
    with pytest.raises(HarnessError, match="exit code 2") as raised:
        run(words, env=tenants.environment())
    say(str(raised.value).splitlines()[-1])
    assert "quota" in str(raised.value)
    assert tenants.names(tenant, "probe") == before

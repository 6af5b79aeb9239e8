"""Runs of the tests' own pipeline: what they have computed so far, and what came out."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from typing import Any

from tests.cluster import stores, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import HarnessError, wait_for

ELEMENTS = 3000
"""In a run that is disturbed: half a minute of work for three workers."""
SECONDS = 0.02


def new_label() -> str:
    """A label that no run has had: its elements are computed, whatever is in the lake."""
    return uuid.uuid4().hex[:8]


def submit(tenant: str, label: str, entry: str = "probe", **parameters: object) -> str:
    """Submit a run; the Workflow's name."""
    given = {"elements": ELEMENTS, "seconds": SECONDS, **parameters}
    return tenants.submit(tenant, entry, label=label, **{key: str(value) for key, value in given.items()})


def computed(tenant: str, label: str) -> Counter[int]:
    """How often each element was computed, as the elements themselves have written down."""
    pages = stores.client("root").get_paginator("list_objects_v2")
    found: Counter[int] = Counter()
    for page in pages.paginate(Bucket=tenants.bucket(tenant), Prefix=f"probe/{label}/"):
        found.update(int(item["Key"].split("/")[2]) for item in page.get("Contents", ()))
    return found


def twice(counts: Counter[int]) -> int:
    """How many computations were of an element that had been computed already."""
    return counts.total() - len(counts)


def wait_until_at_work(tenant: str, run_name: str, label: str, elements: int = 300) -> None:
    """Wait until so many elements are computed."""

    def there() -> bool:
        phase = tenants.status(tenant, run_name).get("phase")
        if phase in ("Succeeded", "Failed", "Error"):
            raise AssertionError(f"ended early: {tenants.describe(tenant, run_name)}")
        return len(computed(tenant, label)) >= elements

    try:
        wait_for(f"{elements} elements of {run_name}", there, seconds=180, every=0.5)
    except HarnessError as error:
        raise HarnessError(f"{error}\n{tenants.describe(tenant, run_name)}") from error


def record(tenant: str, label: str) -> dict[str, Any]:
    """The run's own record in the lake, by its label: the newest if several have it."""
    found = [one for one in records(tenant) if one["parameters"].get("label") == label]
    return max(found, key=lambda one: one["started"]) if found else {}


def records(tenant: str) -> list[dict[str, Any]]:
    """The records of a tenant's runs in its lake."""
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{tenant}/runs/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return [
        json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        for key in keys
        if key.endswith("/run.json")
    ]


def log_in_bucket(tenant: str, run_name: str) -> str:
    """What Argo has kept of the driver's log in the tenant's bucket; empty if nothing."""
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{tenant}/argo/{run_name}/").get("Contents", [])
    logs = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode() for item in listed]
    return "".join(logs)


def archived(run_name: str) -> tuple[str, str]:
    """The phase and the messages of a Workflow in the archive; empty if it is not there."""
    found = stores.sql(f"select phase, workflow from argo_archived_workflows where name = '{run_name}'")
    phase, _, workflow = found.partition("|")
    return phase, tenants.messages(json.loads(workflow)["status"]) if workflow else ""


def kill(tenant: str, pods: list[str]) -> None:
    """End pods as a lost node does: at once, without a word."""
    where = ["-n", tenants.namespace(tenant)]
    kubectl(*where, "delete", "pod", *pods, "--grace-period=0", "--force", "--wait=false")


def running(tenant: str, run_name: str, role: str) -> list[str]:
    """The names of a run's pods of one role that run."""
    return [
        pod["metadata"]["name"]
        for pod in tenants.pods(tenant, run_name, role)
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]

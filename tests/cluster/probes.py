"""Runs of the tests' own pipeline: their progress and their results."""

from __future__ import annotations

import contextlib
import gzip
import json
import tempfile
import uuid
from collections import Counter
from typing import Any

from lightwork.lake import open_lake
from lightwork.store.records import ended, recent
from tests.cluster import stores, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import HarnessError, wait_for

ELEMENTS = 3000
"""Elements of a run with a fault: half a minute of work for three workers."""
SECONDS = 0.02


def new_label() -> str:
    """Return an unused label, so that its elements are computed whatever is in the lake."""
    return uuid.uuid4().hex[:8]


def submit(tenant: str, label: str, entry: str = "probe", **parameters: object) -> str:
    """Submit a run; return the Workflow's name."""
    values = {"elements": ELEMENTS, "seconds": SECONDS, **parameters}
    return tenants.submit(tenant, entry, label=label, **{key: str(value) for key, value in values.items()})


def computed(tenant: str, label: str) -> Counter[int]:
    """Count how often each element was computed, from the elements' own records."""
    pages = stores.client("root").get_paginator("list_objects_v2")
    counts: Counter[int] = Counter()
    for page in pages.paginate(Bucket=tenants.bucket(tenant), Prefix=f"probe/{label}/"):
        counts.update(int(item["Key"].split("/")[2]) for item in page.get("Contents", ()))
    return counts


def repeated(counts: Counter[int]) -> int:
    """Count the computations of elements that had been computed before."""
    return counts.total() - len(counts)


def wait_until_at_work(tenant: str, run_name: str, label: str, elements: int = 300) -> None:
    """Wait until a run has computed so many elements."""

    def working() -> bool:
        phase = tenants.status(tenant, run_name).get("phase")
        if phase in ("Succeeded", "Failed", "Error"):
            raise AssertionError(f"ended early: {tenants.describe(tenant, run_name)}")
        return len(computed(tenant, label)) >= elements

    try:
        wait_for(f"{elements} elements of {run_name}", working, seconds=180, every=0.5)
    except HarnessError as error:
        raise HarnessError(f"{error}\n{tenants.describe(tenant, run_name)}") from error


def record(tenant: str, label: str) -> dict[str, Any]:
    """Return a run's record in the lake by its label: the newest if there are several, or empty."""
    matching = [item for item in records(tenant) if item["parameters"].get("label") == label]
    return matching[0] if matching else {}


def records(tenant: str, run_name: str = "") -> list[dict[str, Any]]:
    """Return the records of a tenant's runs in its lake, or that of one run, newest first.

    They are derived from a copy of the runs' folders, as the tests have no AWS settings of their own.
    """
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    start = f"{tenant}/runs/{f'{run_name}/' if run_name else ''}"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    with tempfile.TemporaryDirectory() as folder:
        lake = open_lake(folder, tenant=tenant)
        for key in keys:
            if key.endswith(".json") or "/retries/" in key:
                with contextlib.suppress(s3.exceptions.NoSuchKey):
                    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                    lake.write(key.removeprefix(f"{tenant}/"), data, durable=False)
        return recent(lake)


def failures(tenant: str, run_name: str) -> list[dict[str, Any]]:
    """Return the failed elements of a run that its lake keeps."""
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{tenant}/runs/{run_name}/failures/").get(
        "Contents", []
    )
    files = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed]
    return [json.loads(line) for data in files for line in gzip.decompress(data).decode().splitlines()]


def ended_record(tenant: str, run_name: str, *, seconds: float = 60) -> dict[str, Any]:
    """Wait until the record of a run says how it ended, and return it."""
    found: list[dict[str, Any]] = []

    def has_ended() -> bool:
        found[:] = records(tenant, run_name)
        return bool(found) and ended(found[0])

    wait_for(f"the record of {run_name}", has_ended, seconds=seconds, every=1)
    return found[0]


def log_in_bucket(tenant: str, run_name: str, pod: str = "") -> str:
    """Return the logs of a run that Argo saved in the tenant's bucket; empty if there are none.

    Args:
        tenant: the tenant.
        run_name: the run's name.
        pod: only those of pods with this in their names; by default all, which is the driver's in most runs.
    """
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    start = f"{tenant}/argo/{run_name}/"
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=start).get("Contents", [])
    keys = [item["Key"] for item in listed if pod in item["Key"].removeprefix(start)]
    return "".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys)


def archived(run_name: str) -> tuple[str, str]:
    """Return the phase and the messages of an archived Workflow; empty if it is not in the archive."""
    row = stores.sql(f"select phase, workflow from argo_archived_workflows where name = '{run_name}'")
    phase, _, workflow = row.partition("|")
    return phase, tenants.messages(json.loads(workflow)["status"]) if workflow else ""


def kill(tenant: str, pods: list[str]) -> None:
    """Kill pods at once and without notice, as the loss of a node does."""
    where = ["-n", tenants.namespace(tenant)]
    kubectl(*where, "delete", "pod", *pods, "--grace-period=0", "--force", "--wait=false")


def running(tenant: str, run_name: str, role: str) -> list[str]:
    """Return the names of a run's running pods of one role."""
    return [
        pod["metadata"]["name"]
        for pod in tenants.pods(tenant, run_name, role)
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]

"""Tenants besides those of the tests: added to the running cluster by their files, and removed again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightwork import tenants as files
from lightwork.errors import InputError
from tests.cluster import stores, tenants
from tests.cluster.kube import kubectl
from tests.cluster.progress import HarnessError, phase, say
from tests.cluster.settings import kubeconfig, run_folder


def add(file: Path) -> str:
    """Set up the tenant of a file, with small pods and suspended schedules; return its name.

    Raises:
        HarnessError: no cluster is up, the file has mistakes, or the tenant is not in `dev`.
    """
    if not kubeconfig().exists():
        raise HarnessError("no cluster is up: make cluster-up")
    try:
        loaded = files.read(files.find(str(file)))
    except InputError as error:
        raise HarnessError(str(error)) from None
    tenant = loaded.tenant
    if tenants.ENVIRONMENT not in tenant.environments:
        raise HarnessError(f"{loaded.place('environments')}: should list {tenants.ENVIRONMENT}")
    with phase(f"tenant {tenant.name}"):
        document = tenants.small(loaded.path.read_text(encoding="utf-8"))
        copy = tenants.keep(tenant.name, document)
        _copy_descriptions(document, loaded.path.parent, copy.parent)
        tenants.set_up(tenant.name, str(copy))
    return tenant.name


def _copy_descriptions(document: dict[str, Any], origin: Path, target: Path) -> None:
    """Copy the descriptions that a tenant's file names, to the same places beside its copy."""
    for entry in document.get("pipelines", {}).values():
        for step in (entry, *entry.get("steps", {}).values()):
            if name := step.get("description"):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin / name, target / name)


def remove(tenant: str) -> None:
    """Delete a tenant's namespace with everything in it, and what its bucket holds."""
    kubectl("delete", "namespace", tenants.namespace(tenant), "--ignore-not-found", timeout=180)
    s3, bucket = stores.client("root"), tenants.bucket(tenant)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
    (run_folder() / "tenants" / f"{tenant}.yaml").unlink(missing_ok=True)


def say_what_next(tenant: str) -> None:
    """Print the commands that submit a run of a tenant's first pipeline, and show its pods' logs."""
    file = run_folder() / "tenants" / f"{tenant}.yaml"
    names = list(files.load(file).pipelines) or ["PIPELINE"]
    lightwork = f"KUBECONFIG={kubeconfig()} .venv/bin/lightwork"
    where = " ".join((*tenants.WHERE, tenant))
    say(f"tenant {tenant} is set up, with small pods and suspended schedules; its lake is {lake(tenant)}")
    say(f"submit a run:  {lightwork} submit {names[0]} {where} --wait")
    say(f"its logs:      {lightwork} logs RUN {where}")


def lake(tenant: str) -> str:
    """Return where a tenant's lake is, for people."""
    return f"s3://{tenants.bucket(tenant)} on {stores.s3_url()}"

"""A schedule that is not suspended, unlike all of the tests' tenants."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from lightwork import tenants as tenant_files
from lightwork.manifests import workflows
from tests.cluster import tenants
from tests.cluster.kube import apply, kubectl
from tests.cluster.settings import run_folder


@contextlib.contextmanager
def active(pipeline: str, tenant: str = "acme") -> Iterator[dict[str, Any]]:
    """Let a pipeline's schedule be active, and never fire in the time of a test; yield its CronWorkflow."""
    space = ("-n", tenants.namespace(tenant))
    found = tenant_files.load(run_folder() / "tenants" / f"{tenant}.yaml")
    entry = found.pipelines[pipeline].model_copy(update={"suspended": False, "schedule": "0 0 29 2 *"})
    item = workflows.cron_workflow(found.model_copy(update={"pipelines": {pipeline: entry}}), pipeline)
    assert item is not None
    kubectl(*space, "delete", "cronworkflow", pipeline, "--ignore-not-found")
    apply([item])
    try:
        yield item
    finally:
        kubectl(*space, "delete", "cronworkflow", pipeline)
        tenants.set_up(tenant)

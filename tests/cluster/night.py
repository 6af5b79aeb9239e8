"""The entry `night` of the first tenant: nightly runs over data that is in its bucket."""

from __future__ import annotations

import datetime as dt
import random

from lightwork import tenants as tenant_files
from lightwork.functions import parameters
from lightwork.functions.parameters import Described
from lightwork.manifests import workflows
from lightwork.manifests.base import Target
from tests.cluster import stores, tenants
from tests.cluster.images import platform_image
from tests.cluster.kube import apply
from tests.cluster.settings import run_folder

NAME = "night"
BAD = 77
"""The line that has no value, in a night that is bad."""
_FIRST = dt.date(2001, 1, 1) + dt.timedelta(days=random.randrange(8000))
MISSED = [_FIRST + dt.timedelta(days=n) for n in range(3)]
"""Days that have data; others in each session, as the lake outlasts it in a cluster that stays up."""
BAD_DAY = _FIRST + dt.timedelta(days=3)
"""The day after, whose data is bad at first."""
_TAKES = {
    "start": {"name": "start", "type": "date and time", "required": True},
    "end": {"name": "end", "type": "str", "required": True, "schema": {"type": "string"}},
}


def put(day: dt.date, *, bad: bool = False) -> None:
    """Put the data of a night into the tenant's bucket."""
    lines = [f"{day} {n // 20:02}:{n % 20 * 3:02} {3 + (7 * n + day.day) % 90 / 10:.1f}" for n in range(120)]
    if bad:
        lines[BAD] = f"{lines[BAD].rpartition(' ')[0]} ///"
    key = f"night/{day}.txt"
    stores.client("root").put_object(Bucket=tenants.bucket("acme"), Key=key, Body="\n".join(lines).encode())


def deploy() -> None:
    """Deploy the entry as if a description told what its image takes, and put its data into the bucket."""
    tenant = tenant_files.load(run_folder() / "tenants" / "acme.yaml")
    described = {name: parameters.from_json(item) for name, item in _TAKES.items()}
    pipeline = Described(NAME, "The strongest gust of a night.", described, ("start", "end"))
    target = Target(environment="dev", image=platform_image(), lake=f"s3://{tenants.bucket('acme')}")
    cron = workflows.cron_workflow(tenant, NAME, pipeline)
    assert cron is not None
    apply([workflows.workflow_template(tenant, NAME, target, pipeline), cron])
    for day in MISSED:
        put(day)
    put(BAD_DAY, bad=True)

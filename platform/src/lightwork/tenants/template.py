"""What an author of a tenant's file starts from: a commented file, and the JSON Schema that editors use."""

from __future__ import annotations

import json
from string import Template

from lightwork.tenants.model import Tenant

_FILE = Template("""\
# yaml-language-server: $$schema=$schema
# The tenant `$name`. This file is the whole change: check it with `lightwork tenant validate`.
name: $name
# Where the tenant exists: dev, staging, prod.
environments: [dev]
# Days for which data deleted or overwritten in the lake can be brought back.
data_retention_days: 90
# US dollars a month in each environment; whoever operates it is told when they are spent.
budget: 500
# leaving: the schedules stop, the data stays.
# state: active
# Of a tenant that is leaving, what may be deleted for good, one by one, by its name in the preview.
# destroy: {dev: [lake-bucket]}

# The most that all of the tenant's pods together may ask for.
quota:
  cpu: 16
  memory: 64Gi
  pods: 50
  storage: 200Gi

# Secrets that the pipelines read, by their names under the tenant's own prefix.
secrets: []

pipelines:$pipelines
""")

_ENTRY = Template("""
  # The name that the runs carry; the pipeline's own, unless `pipeline` says which.
  $pipeline:
    # pipeline: $pipeline
    # image: registry.example/team/image:1.0.0   # of all its pods; the platform's by default
    # Minute, hour, day of month, month, day of week, on this zone's clock. Without it, someone submits it.
    # schedule: 30 6 * * *
    # timezone: Europe/Berlin
    # suspended: false
    # How late a missed run may still start, and when one that goes on and on is ended.
    # starting_deadline: 10m
    # deadline: 6h
    # max_parallel_runs: 1
    # By the names in the function's signature; `lightwork list` shows them.
    parameters: {}
    # The most that a run may take; it starts with none, and takes as many as it has work for.
    workers: {count: 4, cpu: 1, memory: 2Gi, storage: 10Gi, spot: true}
    # scheduler: {cpu: 500m, memory: 1Gi, storage: 2Gi}
    # driver: {cpu: 1, memory: 2Gi, storage: 4Gi}""")


def render(name: str, pipelines: list[str], schema: str) -> str:
    """The text of a new tenant's file.

    Args:
        name: the tenant's name.
        pipelines: the pipelines that it runs.
        schema: where the JSON Schema is, as seen from the file; editors read it.
    """
    entries = "".join(_ENTRY.substitute(pipeline=pipeline) for pipeline in pipelines)
    return _FILE.substitute(name=name, schema=schema, pipelines=entries or " {}")


SCHEMA_NAME = "tenant.schema.json"


def json_schema() -> str:
    """The schema as it is in `tenants/tenant.schema.json`."""
    schema = Tenant.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A tenant of lightwork"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

"""The JSON Schema of a tenant's file, made from the model; editors complete from it."""

from __future__ import annotations

import json

from lightwork.tenants.model import Tenant

NAME = "tenant.schema.json"


def text() -> str:
    """The schema as it is in `tenants/tenant.schema.json`."""
    schema = Tenant.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A tenant of lightwork"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

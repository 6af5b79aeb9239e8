"""Starting points for writing a tenant's file: a commented template, and the JSON Schema for editors."""

from __future__ import annotations

import json
from importlib.resources import files

from lightwork.tenants.model import Tenant

SCHEMA_NAME = "tenant.schema.json"


def render(name: str, pipelines: list[str], schema: str) -> str:
    """Return the text of a new tenant's file.

    Args:
        name: the tenant's name.
        pipelines: the pipelines that it runs.
        schema: where the JSON Schema is, as seen from the file; editors read it.
    """
    import jinja2

    source = (files("lightwork.tenants") / "templates" / "tenant.yaml.jinja").read_text(encoding="utf-8")
    template = jinja2.Template(source, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    text: str = template.render(name=name, pipelines=pipelines, schema=schema)
    return text


def json_schema() -> str:
    """Return the text of `tenants/tenant.schema.json`."""
    schema = Tenant.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "A tenant of lightwork"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

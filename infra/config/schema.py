"""The JSON Schema of `Pulumi.<environment>.yaml`, generated from the model; editors use it for completion.

python -m infra.config.schema > infra/config/settings.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from infra.config.settings import PROJECT, Settings
from lightwork.cli.output import echo

NAME = "settings.schema.json"


def schema() -> dict[str, Any]:
    """Build the schema: keys below `lightwork:` are checked, those of other projects are not."""
    model = Settings.model_json_schema()
    definitions = model.pop("$defs")
    # A file holds only the sizes that differ from the defaults; its name gives the environment.
    definitions["Sizes"].pop("required")
    properties = {
        f"{PROJECT}:{key}": value for key, value in model["properties"].items() if key != "environment"
    }
    required = [f"{PROJECT}:{key}" for key in model["required"] if key not in {"environment", "sizes"}]
    config = {
        "type": "object",
        "description": model["description"],
        "properties": properties,
        "patternProperties": {f"^(?!{PROJECT}:)": {"description": "A setting of another project."}},
        "required": required,
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The settings of an environment of lightwork",
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
        "$defs": definitions,
    }


def text() -> str:
    """Return the content of `infra/config/settings.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    echo(text(), nl=False)

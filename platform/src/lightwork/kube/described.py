"""What the pipeline of a deployed WorkflowTemplate takes, if its code is only in an image of its own.

`manifests.workflows` keeps the parameters of the image's description with the template. `lightwork submit`
checks values by them, wherever it runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lightwork.functions import parameters
from lightwork.kube.contract import ANNOTATION_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping


def kept(described: parameters.Described) -> dict[str, str]:
    """Return the annotations that keep a pipeline's parameters with its template."""
    items = [parameters.to_json(item) for item in described.parameters.values()]
    return {ANNOTATION_PARAMETERS: json.dumps(items)}


def parameters_of(template: Mapping[str, Any]) -> dict[str, parameters.Parameter]:
    """Return the parameters that a template keeps, by name; none if this version cannot read them."""
    text = template["metadata"].get("annotations", {}).get(ANNOTATION_PARAMETERS)
    try:
        return {item["name"]: parameters.from_json(item) for item in json.loads(text or "[]")}
    except (ValueError, TypeError, LookupError):
        return {}


def check(name: str, template: Mapping[str, Any], values: Mapping[str, str]) -> None:
    """Check values against the types of the parameters that a template keeps.

    A template that keeps none, or in a form that this version cannot read, is not checked: the run does it.

    Raises:
        InputError: a value is not of its parameter's type.
    """
    items = parameters_of(template)
    for key, value in values.items():
        if key in items:
            parameters.value_of(name, items[key], value)

"""Check that an object has only the fields of its kind, by Pulumi's types for Kubernetes and Hera's for Argo.

Both are generated from the APIs' definitions.
"""

from __future__ import annotations

import re
import sys
import typing
from importlib import import_module
from typing import Any

from hera.workflows import models as argo
from pydantic import BaseModel

MODULES = {
    "v1": "core.v1",
    "admissionregistration.k8s.io/v1": "admissionregistration.v1",
    "apps/v1": "apps.v1",
    "batch/v1": "batch.v1",
    "networking.k8s.io/v1": "networking.v1",
    "rbac.authorization.k8s.io/v1": "rbac.v1",
}


def unknown_fields(manifest: dict[str, Any]) -> list[str]:
    """Return the paths of the fields that the object's kind does not have."""
    api, kind = manifest["apiVersion"], manifest["kind"]
    if api == "argoproj.io/v1alpha1":
        model = getattr(argo, kind)
        model.model_validate(manifest)
        return list(_argo(manifest, model, kind))
    module = import_module(f"pulumi_kubernetes.{MODULES[api]}")
    resource = getattr(module, kind)
    annotations = resource._internal_init.__annotations__
    names = {_camel(name): name for name in annotations}
    names |= {"apiVersion": "api_version", "kind": "kind", "metadata": "metadata"}
    unknown = [f"{kind}.{key}" for key in manifest if key not in names]
    for key, value in manifest.items():
        if names.get(key) in annotations:
            unknown += _kubernetes(value, str(annotations[names[key]]), resource.__module__, f"{kind}.{key}")
    return unknown


def _kubernetes(value: Any, annotation: str, module: str, path: str) -> list[str]:
    if isinstance(value, list):
        return [
            line
            for i, item in enumerate(value)
            for line in _kubernetes(item, annotation, module, f"{path}.{i}")
        ]
    match = re.search(r"([\w.]+)ArgsDict", annotation)
    if not isinstance(value, dict) or match is None:
        return []
    scope = vars(sys.modules[module])
    args = eval(f"{match[1]}Args", scope)
    typed = eval(f"{match[1]}ArgsDict", vars(sys.modules[args.__module__]) | scope)
    getters = {n: p for n, p in vars(args).items() if isinstance(p, property)}
    names = {p.fget._pulumi_name: n for n, p in getters.items()}
    unknown = []
    for key, item in value.items():
        if key not in names:
            unknown.append(f"{path}.{key}")
        else:
            unknown += _kubernetes(
                item, str(typed.__annotations__[names[key]]), args.__module__, f"{path}.{key}"
            )
    return unknown


def _argo(value: Any, annotation: Any, path: str) -> list[str]:
    if isinstance(value, list):
        return [line for i, item in enumerate(value) for line in _argo(item, annotation, f"{path}.{i}")]
    models = list(_models(annotation))
    if not isinstance(value, dict) or not models:
        return []
    if all(
        hasattr(model, "model_fields") and set(model.model_fields) <= {"root", "__root__"} for model in models
    ):
        return []
    fields = {
        name: field
        for model in models
        for key, field in model.model_fields.items()
        for name in (field.alias or key,)
    }
    unknown = []
    for key, item in value.items():
        if key not in fields:
            unknown.append(f"{path}.{key}")
        else:
            unknown += _argo(item, fields[key].annotation, f"{path}.{key}")
    return unknown


def _models(annotation: Any) -> typing.Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if typing.get_origin(annotation) is dict:
        return
    for item in typing.get_args(annotation):
        yield from _models(item)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)

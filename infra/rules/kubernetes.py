"""The containers of a Kubernetes object, wherever its kind keeps them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from infra.rules.subject import listed, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE: Final = "__known-when-it-runs__"
"""What stands for a value that Argo fills in: `{{inputs.parameters.image}}`."""

SEVERAL = frozenset({"containers", "initContainers", "sidecars", "ephemeralContainers"})
ALONE = frozenset({"container", "script"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container.

    Attributes:
        name: its name; Argo calls it `main` where a template gives it none.
        spec: what it is made from, with what a `podSpecPatch` beside it adds.
    """

    name: str
    spec: Mapping[str, Any]


class UnreadableError(ValueError):
    """A manifest within a template that is no YAML."""


def containers(value: Any) -> Iterator[Container]:
    """Every container in an object: a pod's, a workload's, those of Argo's templates, and of their manifests.

    Raises:
        UnreadableError: a manifest in a resource template, or a patch, cannot be read.
    """
    value = _filled(value)
    for path, item in walk(value):
        if not isinstance(item, Mapping):
            if path[-2:] == ("resource", "manifest") and isinstance(item, str):
                yield from containers(_parsed(item))
            continue
        patched = _patches(item)
        for key in SEVERAL & item.keys():
            for one in listed(item[key]):
                if isinstance(one, Mapping):
                    yield _container(one, patched)
        for key in ALONE & item.keys():
            one = item[key]
            if isinstance(one, Mapping) and ("image" in one or "command" in one):
                yield _container(one, patched)


def _container(spec: Mapping[str, Any], patched: Mapping[str, Mapping[str, Any]]) -> Container:
    name = str(spec.get("name") or "main")
    patch = patched.get(name, {})
    resources = {
        kind: {**(_mapping(_mapping(spec.get("resources")).get(kind))), **_mapping(patch.get(kind))}
        for kind in ("requests", "limits")
    }
    return Container(name=name, spec={**spec, "resources": resources})


def _patches(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The resources that a template's `podSpecPatch` gives, by container."""
    patch = template.get("podSpecPatch")
    found = _parsed(patch) if isinstance(patch, str) else {}
    return {
        str(one.get("name")): _mapping(one.get("resources"))
        for one in listed(_mapping(found).get("containers"))
        if isinstance(one, Mapping)
    }


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(_argo(text))
    except yaml.YAMLError as error:
        raise UnreadableError(str(error).splitlines()[0]) from None


def _filled(value: Any) -> Any:
    """A value in which `REFERENCE` stands for each text that Argo fills in."""
    if isinstance(value, Mapping):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item) for item in value]
    return _argo(value) if isinstance(value, str) else value


def _argo(text: str) -> str:
    return re.sub(r"\{\{.*?\}\}", REFERENCE, text, flags=re.DOTALL)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

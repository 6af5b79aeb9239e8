"""The containers of a Kubernetes object of any kind, and the objects within it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from infra.rules.subject import UNKNOWN, listed, mapping, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE: Final = "__known-when-it-runs__"
"""The replacement for a value that Argo fills in, such as `{{inputs.parameters.image}}`."""

SEVERAL = frozenset({"containers", "initContainers", "sidecars", "ephemeralContainers"})
ALONE = frozenset({"container", "script"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container.

    Attributes:
        name: its name; `main`, as in Argo, if a template gives it none.
        spec: its specification, including the resources from a `podSpecPatch`.
    """

    name: str
    spec: Mapping[str, Any]


class UnreadableError(ValueError):
    """A manifest or patch in a template that is not valid YAML."""


def containers(value: Any) -> Iterator[Container]:
    """Yield all containers of an object: of pods, workloads, Argo templates and the manifests in templates.

    Raises:
        UnreadableError: a manifest in a resource template, or a patch, cannot be read.
    """
    value = _filled(value)
    for path, item in walk(value):
        if not isinstance(item, Mapping):
            if path[-2:] == ("resource", "manifest") and isinstance(item, str):
                yield from containers(_parsed(item))
            continue
        patches = _patches(item)
        for key in SEVERAL & item.keys():
            for spec in listed(item[key]):
                if isinstance(spec, Mapping):
                    yield _container(spec, patches)
        for key in ALONE & item.keys():
            spec = item[key]
            if isinstance(spec, Mapping) and ("image" in spec or "command" in spec):
                yield _container(spec, patches)


def objects(value: Mapping[str, Any], type_: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield an object and those within it, each after its kind: in a List, in the manifests of templates.

    Args:
        value: the object.
        type_: its Pulumi type, which says the kind of an object that does not.

    Raises:
        UnreadableError: a manifest in a resource template cannot be read.
    """
    yield type_.rpartition(":")[2].removesuffix("Patch"), value
    for path, item in walk(_filled(value)):
        if path and isinstance(item, Mapping) and "kind" in item and "metadata" in item:
            yield str(item["kind"]), item
        elif path[-2:] == ("resource", "manifest") and isinstance(item, str):
            parsed = _parsed(item)
            if isinstance(parsed, Mapping):
                yield from objects(parsed, str(parsed.get("kind")))


def _container(spec: Mapping[str, Any], patches: Mapping[str, Mapping[str, Any]]) -> Container:
    name = str(spec.get("name") or "main")
    patch = patches.get(name, {})
    resources = {
        kind: {**_sizes(spec.get("resources"), kind), **mapping(patch.get(kind))}
        for kind in ("requests", "limits")
    }
    return Container(name=name, spec={**spec, "resources": resources})


def _sizes(resources: Any, kind: str) -> Mapping[str, Any]:
    """Return the requests or the limits of a container, each of them UNKNOWN if they are not known yet."""
    sizes = resources if resources is UNKNOWN else mapping(resources).get(kind)
    return dict.fromkeys(("cpu", "memory"), UNKNOWN) if sizes is UNKNOWN else mapping(sizes)


def _patches(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the resources in a template's `podSpecPatch`, by container."""
    text = template.get("podSpecPatch")
    patch = _parsed(text) if isinstance(text, str) else {}
    return {
        str(container.get("name")): mapping(container.get("resources"))
        for container in listed(mapping(patch).get("containers"))
        if isinstance(container, Mapping)
    }


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(_argo(text))
    except yaml.YAMLError as error:
        raise UnreadableError(str(error).splitlines()[0]) from None


def _filled(value: Any) -> Any:
    """Replace each text that Argo fills in by `REFERENCE`."""
    if isinstance(value, Mapping):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item) for item in value]
    return _argo(value) if isinstance(value, str) else value


def _argo(text: str) -> str:
    return re.sub(r"\{\{.*?\}\}", REFERENCE, text, flags=re.DOTALL)

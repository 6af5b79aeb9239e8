"""What a tenant's file says that workers offer to tasks with `resources`.

`nvidia.com/gpu: 1` is what Kubernetes calls an extended resource: each worker's pod requests it, and tasks
ask for it by the part after the slash in capitals, `resources={"GPU": 1}`. A name in capitals, as in
`LICENSE: 2`, is known to tasks alone: no pod requests it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEVICE = re.compile(
    r"(?=[^/]{1,253}/)[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_OWN = re.compile(r"[A-Z][A-Z0-9._-]{0,62}")
_LARGEST = 10**15


def is_device(name: str) -> bool:
    """Return whether a resource is one of nodes, which pods request."""
    return "/" in name


def asked_as(name: str) -> str:
    """Return the name by which tasks ask for a resource.

    >>> asked_as("nvidia.com/gpu"), asked_as("LICENSE")
    ('GPU', 'LICENSE')
    """
    return name.rpartition("/")[2].upper()


def offered(resources: Mapping[str, float]) -> dict[str, float]:
    """Return what tasks may ask of each worker, by the names that they use."""
    return {asked_as(name): number for name, number in resources.items()}


def devices(resources: Mapping[str, float]) -> dict[str, int]:
    """Return what each worker's pod requests of its node."""
    return {name: int(number) for name, number in resources.items() if is_device(name)}


def as_text(resources: Mapping[str, float]) -> str:
    """Return resources as `dask worker --resources` takes them: `GPU=1 LICENSE=2`."""
    return " ".join(f"{name}={number:g}" for name, number in resources.items())


def _device(value: Any) -> str:
    if not isinstance(value, str) or not _DEVICE.fullmatch(value):
        raise ValueError("should be the name of a resource of nodes, for example nvidia.com/gpu")
    if value.partition("/")[0].rpartition("kubernetes.io")[1:] == ("kubernetes.io", ""):
        raise ValueError("should be a resource of nodes that Kubernetes itself does not define")
    return value


def _name(value: Any) -> str:
    if isinstance(value, str) and is_device(value):
        return _device(value)
    if isinstance(value, str) and _OWN.fullmatch(value):
        return value
    own = (
        " (cpu, memory and storage have fields of their own)" if value in ("cpu", "memory", "storage") else ""
    )
    raise ValueError(
        "should be a resource of nodes such as nvidia.com/gpu, or a name in capitals that only tasks know,"
        f" such as LICENSE{own}"
    )


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise ValueError("should be a whole number, 1 or more")
    return value


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LARGEST:
        raise ValueError("should be a number above 0")
    return value


def _checked(value: dict[str, float]) -> dict[str, float]:
    names: dict[str, str] = {}
    for name, number in value.items():
        other = names.setdefault(asked_as(name), name)
        if other != name:
            raise ValueError(f"{other} and {name} are both {asked_as(name)} to tasks; keep one of them")
        if is_device(name) and not float(number).is_integer():
            raise ValueError(f"{name}: {number:g} should be a whole number, since a pod requests it")
    return value


def _schema(description: str, example: dict[str, float], *, least: float) -> WithJsonSchema:
    number = (
        {"type": "number", "exclusiveMinimum": 0} if least == 0 else {"type": "integer", "minimum": least}
    )
    return WithJsonSchema(
        {"type": "object", "title": description, "additionalProperties": number, "examples": [example]}
    )


Offers = Annotated[
    dict[Annotated[str, BeforeValidator(_name)], Annotated[float, BeforeValidator(_amount)]],
    AfterValidator(_checked),
    _schema("Resources that workers offer", {"nvidia.com/gpu": 1}, least=0),
]
"""What each worker offers: numbers by the names of resources."""

Devices = Annotated[
    dict[Annotated[str, BeforeValidator(_device)], Annotated[int, BeforeValidator(_count)]],
    _schema("Resources of nodes", {"nvidia.com/gpu": 4}, least=1),
]
"""Numbers by the names of resources of nodes."""

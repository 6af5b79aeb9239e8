"""Remote components in the engine's protocol: inputs, registrations of what they make, outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import resource_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.offline.expected import Child

SIGNATURE = "4dabf18193072939515e22adb298388d"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
"""The key of a value that is not plain, and its value for a reference to a resource."""


def plain(inputs: struct_pb2.Struct, of: Callable[[str], Any]) -> dict[str, Any]:
    """Return inputs with the result of `of` in place of each reference, called with its URN."""
    return resolved(json_format.MessageToDict(inputs), of)


def resolved(values: Mapping[str, Any], of: Callable[[str], Any]) -> dict[str, Any]:
    """Return values with the result of `of` in place of each reference, called with its URN."""

    def converted(value: Any) -> Any:
        if isinstance(value, list):
            return [converted(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get(SIGNATURE) == RESOURCE:
            return of(value["urn"])
        return {key: converted(item) for key, item in value.items()}

    return {key: converted(value) for key, value in values.items()}


def reference(urn: str) -> dict[str, str]:
    """Return a reference to a resource."""
    return {SIGNATURE: RESOURCE, "urn": urn, "packageVersion": ""}


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return plain values in the protocol's form."""
    message = struct_pb2.Struct()
    message.update(dict(values))
    return message


def request(child: Child, urns: Mapping[str, str], providers: Mapping[str, str]) -> Any:
    """Return the registration of a resource that a component makes.

    Args:
        child: the resource.
        urns: the URNs of the component's resources so far, by name; that of the component by the empty name.
        providers: the component's providers, by package.
    """
    return resource_pb2.RegisterResourceRequest(
        type=child.type,
        name=child.name,
        parent=urns[child.parent],
        custom=True,
        object=struct(child.inputs),
        provider=providers.get(child.type.partition(":")[0], ""),
        dependencies=[urns[name] for name in child.depends_on],
        ignoreChanges=child.ignore_changes,
    )


def response(urn: str, outputs: Mapping[str, Any], references: Mapping[str, str]) -> Any:
    """Return the answer to the registration of a component.

    Args:
        urn: its URN.
        outputs: its outputs.
        references: those that are resources, as their URNs.
    """
    dependencies = resource_pb2.RegisterResourceResponse.PropertyDependencies
    return resource_pb2.RegisterResourceResponse(
        urn=urn,
        object=struct(outputs),
        propertyDependencies={name: dependencies(urns=[child]) for name, child in references.items()},
    )


def type_and_name(urn: str) -> tuple[str, str]:
    """Return type and name of the resource of a URN."""
    kind, _, name = urn.rpartition("::")
    return kind.rpartition("::")[2].rpartition("$")[2], name

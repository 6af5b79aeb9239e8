"""Every resource of a stack as plain data, without an account, credentials or an engine.

    lightwork-estate dump --env prod --tenant acme

For checkov, jq and people. The program runs as under Pulumi, with simulated responses of AWS: values that
only AWS knows are the simulated ones. The same files give the same text.

A component of pulumi-eks is followed by what its provider is expected to make of it, as told by
`infra/offline/expected.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from infra.config.stack import StackName
from infra.offline.preview import checked, copied, preview

if TYPE_CHECKING:
    from pathlib import Path

    from infra.offline.recording import Resource, Run


class Entry(TypedDict):
    """One resource.

    Attributes:
        type: its type token, such as `aws:s3/bucket:Bucket`.
        name: its logical name.
        inputs: its inputs, by the provider's names.
        options: its options, by the names of Pulumi's YAML; those that are not set are left out.
        expected: true if a remote component is expected to make it; otherwise left out.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    options: dict[str, Any]
    expected: NotRequired[bool]


def dump(root: Path, environment: str, tenant: str | None) -> list[Entry]:
    """Run the program for a stack, and return its resources.

    Args:
        root: the repository's root.
        environment: the environment.
        tenant: the tenant; None for the estate.

    Raises:
        InputError: there is no such environment or tenant, or the program refuses a file.
    """
    with copied(root) as copy:
        name = StackName(environment=checked(copy, environment, tenant), tenant=tenant)
        return entries(preview(copy, str(name)))


def entries(run: Run) -> list[Entry]:
    """Return a recorded run's resources by type and name, a remote component before what it would make."""

    def place(resource: Resource) -> tuple[tuple[str, str], ...]:
        own = (resource.type, resource.name)
        return (*place(run.parent(resource)), own) if resource.expected else (own,)

    return [_entry(resource) for resource in sorted(run.resources, key=place)]


def _entry(resource: Resource) -> Entry:
    options = {
        "additionalSecretOutputs": sorted(resource.secret_outputs),
        "customTimeouts": resource.timeouts,
        "deletedWith": resource.deleted_with,
        "dependsOn": sorted(resource.depends_on),
        "ignoreChanges": sorted(resource.ignore_changes),
        "parent": resource.parent,
        "protect": resource.protect,
        "provider": resource.provider,
        "retainOnDelete": resource.retain_on_delete,
    }
    entry: Entry = {
        "type": resource.type,
        "name": resource.name,
        "inputs": _whole(resource.inputs),
        "options": {name: value for name, value in options.items() if value},
    }
    return {**entry, "expected": True} if resource.expected else entry


def _whole(value: Any) -> Any:
    """Return a value with whole numbers as integers; the engine's protocol has only floats."""
    if isinstance(value, dict):
        return {key: _whole(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""What a recorded program makes before what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.offline.expected import KNOWN
from infra.offline.remote import type_and_name

if TYPE_CHECKING:
    from tests.infra.engine import Resource, Run


def waits_for(run: Run, resource: Resource) -> set[tuple[str, str]]:
    """Return type and name of all resources that are made before a resource is begun.

    What a remote component makes waits for all that the component waits for. What waits for a component waits
    for all that it makes.
    """
    urns = [*resource.depends_on, *(urn for outer in _around(run, resource) for urn in outer.depends_on)]
    awaited = {type_and_name(urn) for urn in urns}
    components = {(kind, name) for kind, name in awaited if kind in KNOWN}
    return awaited | {
        (made.type, made.name)
        for made in run.resources
        if made.expected and components & {(outer.type, outer.name) for outer in _around(run, made)}
    }


def _around(run: Run, resource: Resource) -> list[Resource]:
    """Return the parents of an expected resource, up to its component; none for any other resource."""
    if not resource.expected:
        return []
    outer = run.parent(resource)
    return [outer, *_around(run, outer)]

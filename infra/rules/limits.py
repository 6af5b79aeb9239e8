"""A container that may take a whole node, or is promised nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.rules.kubernetes import UnreadableError, containers
from infra.rules.subject import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.rules.subject import Subject


def unlimited(subject: Subject) -> Iterator[str]:
    """The containers of one Kubernetes object that lack a request or a limit, of processor or of memory.

    What a chart makes is not seen here; its values ask for it, and have tests of their own.
    """
    if not subject.type.startswith("kubernetes:") or subject.type.startswith("kubernetes:helm.sh/"):
        return
    try:
        found = list(containers(subject.inputs))
    except UnreadableError as error:
        yield f"a manifest in it cannot be read, so nobody knows its limits: {error}"
        return
    for container in found:
        resources = container.spec["resources"]
        lacking = [
            f"{kind}.{what}"
            for kind in ("requests", "limits")
            for what in ("cpu", "memory")
            if resources[kind].get(what) is not UNKNOWN and str(resources[kind].get(what) or "0") == "0"
        ]
        if lacking:
            yield f"container {container.name!r} has no {', '.join(lacking)}; give it resources"

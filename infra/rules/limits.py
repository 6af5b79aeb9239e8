"""The rule `unlimited`: every container has requests and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.rules.kubernetes import UnreadableError, containers
from infra.rules.subject import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.rules.subject import Subject


def unlimited(subject: Subject) -> Iterator[str]:
    """Yield the containers of a Kubernetes object that lack a request or a limit of CPU or memory.

    A chart's own objects are not visible here. Tests check that its values set requests and limits.
    """
    if not subject.type.startswith("kubernetes:") or subject.type.startswith("kubernetes:helm.sh/"):
        return
    try:
        specified = list(containers(subject.inputs))
    except UnreadableError as error:
        yield f"a manifest in it cannot be read, so its limits are unknown: {error}"
        return
    for container in specified:
        resources = container.spec["resources"]
        missing = [
            f"{kind}.{unit}"
            for kind in ("requests", "limits")
            for unit in ("cpu", "memory")
            if resources[kind].get(unit) is not UNKNOWN and str(resources[kind].get(unit) or "0") == "0"
        ]
        if missing:
            yield f"container {container.name!r} has no {', '.join(missing)}; set them in its resources"

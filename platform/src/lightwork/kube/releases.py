"""The versions of Kubernetes and Argo Workflows that this release works with. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ARGO", "KUBERNETES", "Range", "argo_of_controllers", "argo_of_pods", "problem"]

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Versions of a program.

    Attributes:
        name: the program's name.
        oldest: the oldest version that works.
        newest: the first parts of the newest version that the tests ran.
    """

    name: str
    oldest: Version
    newest: Version

    def __str__(self) -> str:
        oldest, newest = _shown(self.oldest), _shown(self.newest)
        if self.oldest[: len(self.newest)] == self.newest:
            return f"{newest}, from {oldest} on"
        return f"{oldest} to {newest}"


KUBERNETES: Final = Range("Kubernetes", (1, 30), (1, 35))
"""Older versions have no admission policies, which limit what a tenant's people write."""
ARGO: Final = Range("Argo Workflows", (3, 7, 14), (3, 7))
"""Older versions have holes that 3.7.14 closes (CVE-2026-40886, CVE-2026-31892, CVE-2026-28229)."""
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?")
_EXECUTOR: Final = "wait"
"""The container of Argo's own in the pods of its runs, in an image of Argo's version."""


def parse(text: object) -> Version | None:
    """Return the numbers of a version such as `v1.35.4-eks-1a2b`; None if it is not one."""
    match = _VERSION.fullmatch(str(text))
    return tuple(int(part) for part in match.groups() if part is not None) if match else None


def _shown(version: Version) -> str:
    return ".".join(map(str, version))


def problem(supported: Range, found: Version) -> tuple[str, bool] | None:
    """Return what is wrong with a version, in one line, and whether it is too new; None if nothing is."""
    is_new = found[: len(supported.newest)] > supported.newest
    if not is_new and found >= supported.oldest:
        return None
    what = f"{supported.name} is {_shown(found)} in the cluster"
    return f"{what}; lightwork {__version__} works with {supported}", is_new


def argo_of_controllers(deployments: Iterable[Mapping[str, Any]]) -> Version | None:
    """Return the version of Argo's controller by the Deployments of its namespace; None if none tells."""
    for item in deployments:
        if str(item["metadata"]["name"]).endswith("workflow-controller"):
            return _of_images(item["spec"]["template"]["spec"]["containers"])
    return None


def argo_of_pods(pods: Iterable[Mapping[str, Any]]) -> Version | None:
    """Return the version of Argo by the newest pod of a run that has a container of Argo's own."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    for pod in newest:
        own = [item for item in pod["spec"].get("containers") or [] if item.get("name") == _EXECUTOR]
        if own and (version := _of_images(own)):
            return version
    return None


def _of_images(containers: Iterable[Mapping[str, Any]]) -> Version | None:
    """Return the first version among the tags of images; one that is named by its digest has none."""
    tags = (str(item.get("image")).partition("@")[0].rpartition(":")[2] for item in containers)
    return next((version for tag in tags if (version := parse(tag))), None)

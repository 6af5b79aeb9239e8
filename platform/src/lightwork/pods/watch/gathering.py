"""The figures of all tenants, as they have left them in their namespaces, checked field by field.

A tenant's figures count for this tenant only, whatever they say: tenant and namespace come from where the
ConfigMap is. A field that is not what it should be is left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line, visible
from lightwork.kube import contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.kube.api import KubeApi

PIPELINES = 500
"""The most pipelines of a tenant that have metrics."""
TEXT = 200
"""The most characters of a text."""
STATUSES = ("succeeded", "failed", "lost", "stopped", "skipped")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LARGEST = 1e13
"""Larger numbers are not times, counts or sums of money."""
_PAGE = "500"


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a tenant has left.

    Attributes:
        name: its name.
        updated: when its figures were last written (Unix seconds); None if they never were.
        certificate: when its certificate ends (Unix seconds), if that is known.
        budget: its monthly budget in US dollars, if that is known.
        pipelines: the figures of its pipelines, by name.
    """

    name: str
    updated: float | None = None
    certificate: float | None = None
    budget: float | None = None
    pipelines: Mapping[str, Figures] = field(default_factory=dict)


class Figures:
    """The figures of one pipeline, whose fields are checked as they are read.

    Args:
        document: the figures as they were left.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def number(self, *path: str) -> float | None:
        """Return a number; None if there is none."""
        return _number(self._at(path))

    def text(self, *path: str) -> str:
        """Return a text, in one line and not too long; empty if there is none."""
        value = self._at(path)
        return visible(one_line(value))[:TEXT] if isinstance(value, str) else ""

    def flag(self, *path: str) -> bool | None:
        """Return yes or no; None if there is neither."""
        value = self._at(path)
        return value if isinstance(value, bool) else None

    def has(self, *path: str) -> bool:
        """Return whether there is an object of this name."""
        return isinstance(self._at(path), dict)

    def _at(self, path: tuple[str, ...]) -> object:
        value: object = self._document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= _LARGEST else None


def _namespace(tenant: str) -> str:
    return f"tenant-{tenant}"


def tenants(api: KubeApi) -> list[str]:
    """Return the names of the tenants in the cluster.

    Raises:
        RefusedError: the API refused the request.
        OSError: the API cannot be reached.
    """
    names, more = [], ""
    while True:
        query = {"labelSelector": contract.LABEL_TENANT, "limit": _PAGE}
        page = api.get("/api/v1/namespaces", **query, **({"continue": more} if more else {}))
        for item in page["items"]:
            name = str(item["metadata"]["labels"][contract.LABEL_TENANT])
            if _NAME.fullmatch(name):
                names.append(name)
        more = str(page["metadata"].get("continue") or "")
        if not more:
            return sorted(set(names))


def of_tenant(api: KubeApi, name: str) -> Tenant:
    """Return what a tenant has left.

    Raises:
        RefusedError: the API refused the request, also where the tenant is only just being set up.
        OSError: the API cannot be reached.
    """
    return read(name, api.get(f"/api/v1/namespaces/{_namespace(name)}/configmaps/{contract.FIGURES}"))


def read(name: str, config_map: Mapping[str, Any]) -> Tenant:
    """Return what a tenant has left in its ConfigMap."""
    data = config_map.get("data") or {}
    annotations = config_map["metadata"].get("annotations") or {}
    keys = sorted(key for key in data if key.startswith(contract.FIGURES_OF))
    found = {key.removeprefix(contract.FIGURES_OF): _document(data[key]) for key in keys}
    return Tenant(
        name,
        _of_text(data.get(contract.FIGURES_UPDATED)),
        _of_text(data.get(contract.FIGURES_CERTIFICATE)),
        _of_text(annotations.get(contract.ANNOTATION_BUDGET)),
        {
            pipeline: Figures(document)
            for pipeline, document in list(found.items())[:PIPELINES]
            if document is not None and _NAME.fullmatch(pipeline)
        },
    )


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _of_text(text: object) -> float | None:
    try:
        return _number(float(str(text)))
    except ValueError:
        return None

"""Programs that run on a public Python image, from a ConfigMap.

The estate is deployed before the platform's own image is in the registry. So such a program uses Python's
standard library, and a list of modules of lightwork.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

FOLDER = "/program"
"""Where the program is mounted."""
USER = 10_001
ENVIRONMENT = (
    {"name": "PYTHONPATH", "value": FOLDER},
    {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
)
"""The environment variables of its container."""


def texts(modules: Iterable[ModuleType]) -> dict[str, str]:
    """Return the source of modules, by the names of their files, with dots for slashes."""
    found = {}
    for module in modules:
        file = Path(str(module.__file__))
        name = f"{module.__name__}.__init__" if file.stem == "__init__" else module.__name__
        found[f"{name}.py"] = file.read_text(encoding="utf-8")
    return found


def digest(data: Mapping[str, str]) -> str:
    """Return a digest for an annotation of its pods: changing the ConfigMap alone starts no new ones."""
    joined = "".join(f"{name}\n{text}" for name, text in data.items())
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def volume(config_map: str, data: Mapping[str, str]) -> dict[str, Any]:
    """Return the volume of a program in a ConfigMap."""
    items = [{"key": name, "path": f"{name.removesuffix('.py').replace('.', '/')}.py"} for name in data]
    return {"name": "program", "configMap": {"name": config_map, "items": items}}


def mount(name: str, folder: str) -> dict[str, Any]:
    """Return how a container mounts a volume."""
    return {"name": name, "mountPath": folder, "readOnly": True}

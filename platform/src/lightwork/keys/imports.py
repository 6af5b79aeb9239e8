"""Find the module that an import inside a function will give."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.keys.origin import Kind, module_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.keys.reads import Import


def find(item: Import, module_globals: Mapping[str, Any]) -> tuple[str, Kind, ModuleType | None]:
    """The module's full name, where it comes from, and the module itself if it is one's own.

    Only one's own modules are imported here: others may be large, or not installed on this machine.

    Raises:
        ImportError: there is no such module.
    """
    home = str(module_globals.get("__name__", ""))
    package = str(module_globals.get("__package__") or home.rpartition(".")[0])
    name = importlib.util.resolve_name("." * item.level + item.module, package)
    kind = _kind(name.partition(".")[0])
    if kind != "source":
        return name, kind, None
    module = importlib.import_module(name)
    if item.attribute not in {"", "."} and not hasattr(module, item.attribute):
        importlib.import_module(f"{name}.{item.attribute}")  # `from package import module`
    return name, kind, module


def _kind(top: str) -> Kind:
    module = sys.modules.get(top)
    if module is None:
        spec = importlib.util.find_spec(top)
        if spec is None:
            raise ModuleNotFoundError(top)
        module = ModuleType(top)
        module.__file__ = spec.origin if spec.has_location else None
        module.__path__ = list(spec.submodule_search_locations or ())
    return module_kind(module)

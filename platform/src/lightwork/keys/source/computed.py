"""Names that code computes at run time: what they may reach, or why that cannot be known."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

from lightwork.keys.components import Unkeyable

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {
    "builtins.globals": "globals",
    "builtins.eval": "text",
    "builtins.compile": "text",
    "builtins.exec": "exec",
    "builtins.getattr": "attribute",
    "_operator.attrgetter": "attribute",
    "operator.attrgetter": "attribute",
    "_operator.methodcaller": "attribute",
    "operator.methodcaller": "attribute",
    "builtins.__import__": "import",
    "importlib.import_module": "import",
    "importlib._bootstrap.__import__": "import",
    "_frozen_importlib.__import__": "import",
    "runpy.run_module": "unknown",
    "runpy.run_path": "unknown",
    "pkgutil.resolve_name": "unknown",
    "pydoc.locate": "unknown",
    "pydoc.safeimport": "unknown",
    "importlib.metadata.entry_points": "unknown",
    "importlib._bootstrap_external.spec_from_file_location": "unknown",
    "_frozen_importlib_external.spec_from_file_location": "unknown",
    "importlib._bootstrap_external.SourceFileLoader": "unknown",
    "_frozen_importlib_external.SourceFileLoader": "unknown",
    "importlib._bootstrap.module_from_spec": "unknown",
    "_frozen_importlib.module_from_spec": "unknown",
    "inspect.getmodule": "unknown",
    **{f"inspect.{name}": "source" for name in ("findsource", "getcomments", "getsource", "getsourcelines")},
    "inspect.getdoc": "source",
    "gc.get_objects": "unknown",
    "gc.get_referrers": "unknown",
}
COMPUTING = frozenset({name.rpartition(".")[0].lstrip("_") for name in _KINDS}) | {
    "importlib.machinery",
    "importlib.resources",
    "importlib.util",
}
"""Modules of the standard library that reach code or data by computed names, or hold what does."""
REVEALING = {
    "f_globals": "reads the names of a frame",
    "f_builtins": "reads the names of a frame",
    "f_back": "reads the frame of its caller",
    "exec_module": "executes a module by its loader",
    "load_module": "loads a module by its loader",
}
"""Attributes that lead to unknown names on any value, and what code that reads them does."""
_ADVICE = "name it in the code, or give the task a version=, which then replaces its code in the key"


@dataclass(frozen=True, slots=True)
class Reader:
    """The function, class or module whose names are followed.

    Attributes:
        name: as in components.
        file: where it was written.
        globals: the live names of its module.
    """

    name: str
    file: str
    globals: Mapping[str, Any]


def kind_of(value: object) -> str:
    """Return how an object reaches code by a computed name; empty if it does not.

    `globals`, `text` and `exec` evaluate names of the module that calls them; `modules` and `import` reach
    modules; `attribute` reads an attribute of an object; `source` reads source text, with its comments;
    `unknown` may reach anything.
    """
    if value is sys.modules:
        return "modules"
    if not isinstance(value, (FunctionType, BuiltinFunctionType, type)):
        return ""
    return _KINDS.get(f"{value.__module__}.{value.__qualname__}", "")


def refusal(
    reader: Reader, line: int, does: str, so: str = "so the code that it reaches is unknown"
) -> Unkeyable:
    """Return the error for code that cannot be followed; it names file and line."""
    place = f"{_shown(reader.file)}:{line}: " if reader.file and line else ""
    context = f"{place}{reader.name} {does}, {so}; {_ADVICE}"
    return Unkeyable(does, "", context.replace("{", "{{").replace("}", "}}"))


def _shown(file: str) -> str:
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return file
    return file if relative.startswith("..") or not Path(file).is_absolute() else relative

"""What counts of the libraries that code reads, and which of them are loaded for that."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.errors import one_line
from lightwork.functions.origins.origin import distribution_of, kind_of_import, locate, module_kind
from lightwork.keys.source.computed import COMPUTING
from lightwork.keys.source.originals import (
    PLAIN,
    alias,
    is_bound,
    is_compiled_in,
    is_original,
    is_original_of_class,
)
from lightwork.keys.values.canonical import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lightwork.functions.origins.origin import Kind
    from lightwork.keys.source.reads import Import


class Broken(Exception):  # noqa: N818 - the name describes the module
    """A module of the user's exists and cannot be imported here; the text says why."""


def counts(path: Sequence[tuple[ModuleType, str]], value: Any, *, inside: bool) -> bool:
    """Tell whether an object of a library counts, or is only what the library itself holds there.

    What is read through modules that the reading code's own module has imported always counts. Other modules
    may be loaded in one process and not in another: of these only what their source does not put there.

    Args:
        path: the modules that lead to the object, each with the name that is read of it.
        value: the object.
        inside: whether an `import` inside a function leads to it.
    """
    home, name = path[-1]
    shown = f"{home.__name__}.{name}"
    own = alias(shown, value)
    bears_its_name = own is None and not is_constant(home, value)
    if not inside and (bears_its_name or not _is_lazy(path)):
        return True
    if bears_its_name:  # a number or text of any kind may have been put there
        return type(value) in PLAIN and is_original(home, name, value) is False
    if (original := is_original(home, name, value)) is not None:
        return not original
    return _is_always_loaded(home) or (
        own is not None and own[1] != _top(shown) and "__getattr__" not in vars(home)
    )


def _is_lazy(path: Sequence[tuple[ModuleType, str]]) -> bool:
    """Tell whether a package on the way loads what is read of it when it is first read."""
    return any("__getattr__" in vars(package) and not is_bound(package, name) for package, name in path[:-1])


def counts_of_class(cls: type, name: str, value: Any, *, inside: bool) -> bool:
    """Tell the same of data of a library's class."""
    if not inside:
        return True
    if (original := is_original_of_class(cls, name, value)) is not None:
        return not original
    home = sys.modules.get(cls.__module__)
    return home is not None and _is_always_loaded(home)


def _is_always_loaded(module: ModuleType) -> bool:
    return module_kind(module) == "stdlib" and is_compiled_in(module)


def _top(name: str) -> str:
    return name.partition(".")[0]


def is_bound_method(value: Any) -> bool:
    """Tell whether a value is a method of an object, such as `numpy.random.rand`, which no module holds."""
    owner = getattr(value, "__self__", None)
    return owner is not None and not isinstance(owner, ModuleType)


def stand_in(shown: str, value: Any) -> list[bytes]:
    """Encode the name of a library's function or class that is not its own name there: it may be replaced."""
    return [text(part) for part in alias(shown, value) or ()]


def is_constant(home: ModuleType, value: object) -> bool:
    """Tell whether a library's value counts: a number or text, if no folder or machine changes it."""
    if module_kind(home) != "distribution":
        return type(value) in {float, complex}
    if type(value) is str:
        return not Path(value).is_absolute()
    return type(value) in {int, float, complex, bool}


def find(item: Import, module_globals: Mapping[str, Any]) -> tuple[str, Kind, ModuleType | None]:
    """Return the full name of an imported module, its origin, and the module if it is loaded or the user's.

    Libraries are not imported: they may be large, or missing on this machine. So the caller may not let a key
    depend on whether they are. Exceptions are the user's compiled modules, which count with what they hold,
    and modules of the standard library that are compiled or reach code by computed names.

    Raises:
        ImportError: the module does not exist.
        Broken: it is the user's, and cannot be imported here.
    """
    home = str(module_globals.get("__name__", ""))
    package = str(module_globals.get("__package__") or home.rpartition(".")[0])
    name = importlib.util.resolve_name("." * item.level + item.module, package)
    whole = f"{name}.{item.attribute}".rstrip(".")
    kind = kind_of_import(whole)
    if kind != "source":
        home, _ = locate(whole)
        for inner in {name, whole if kind == "stdlib" else name}:
            if inner not in sys.modules and _is_looked_at(inner, kind):
                with suppress(ImportError):
                    importlib.import_module(inner)
        return home, kind, sys.modules.get(name)
    module = _own(name)
    if item.attribute not in {"", "."} and not hasattr(module, item.attribute):
        _own(f"{name}.{item.attribute}")  # `from package import module`
    return name, kind, module


def _own(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module may raise anything when it is imported
        if isinstance(error, ImportError) and locate(name, inside=True)[0] != name:
            raise
        raise Broken(f"{name}, which fails here ({type(error).__name__}: {one_line(error)})") from None


def _is_looked_at(name: str, kind: Kind) -> bool:
    """Tell whether a library's module is imported for a look at what it holds."""
    if kind == "distribution":
        return distribution_of(name).is_compiled
    if name in COMPUTING or "." in name:
        return name in COMPUTING
    spec = importlib.util.find_spec(name)
    return spec is not None and (spec.origin or "").endswith(("built-in", *EXTENSION_SUFFIXES))

"""The names in live functions, classes and modules that count, and those that the interpreter puts there."""

from __future__ import annotations

import abc
import builtins
import dataclasses
import enum
import functools
import operator
import re
import sys
import types
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origins.origin import kind_of_function, kind_of_name
from lightwork.keys.source import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Names = list[tuple[str, Any]]

IMPORT_NAMES = frozenset(
    {
        "__annotations__",
        "__builtins__",
        "__cached__",
        "__debug__",
        "__doc__",
        "__file__",
        "__loader__",
        "__name__",
        "__package__",
        "__path__",
        "__spec__",
        "__warningregistry__",
    }
)
"""Globals that the import system and the interpreter set; they differ between folders and processes."""

# Set by the interpreter, `abc`, `typing` or `enum`, or a docstring.
_CLASS_NAMES = frozenset(
    {
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__callable_proto_members_only__",
        "__classdictcell__",
        "__conditional_annotations__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__match_args__",
        "__module__",
        "__non_callable_proto_members__",
        "__orig_bases__",
        "__parameters__",
        "__protocol_attrs__",
        "__qualname__",
        "__slotnames__",
        "__static_attributes__",
        "__type_params__",
        "__weakref__",
        "__wrapped__",
        "_abc_impl",
        "_is_protocol",
        "_is_runtime_protocol",
    }
)
# Set by libraries that make classes from annotations, which count with the source.
_LIBRARY_NAMES = re.compile(
    r"__(pydantic|attrs|dataclass|sqlalchemy)_|__(class_vars|fields|private_attributes|signature|pretty|rich_repr"
    r"|mapper|table)__$|_sa_|_pydantic_|model_(fields|computed_fields)$"
)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
# `functools.update_wrapper` copies these; a task or pipeline adds its own.
_WRAPPER_NAMES = frozenset(
    {
        "__annotations__",
        "__doc__",
        "__module__",
        "__name__",
        "__qualname__",
        "__type_params__",
        "__wrapped__",
    }
)
_OF_TASKS = frozenset({"fn", "name", "options", "binding", "instance_ignored"})
_OF_PIPELINES = frozenset({"fn", "name", "module", "doc", "signature"})
_UNREADABLE = frozenset(
    {
        "_thread.lock",
        "_thread.RLock",
        "threading._RLock",
        "threading.Condition",
        "threading.Semaphore",
        "threading.Barrier",
        "asyncio.locks.Lock",
        "asyncio.locks.Condition",
        "asyncio.locks.Semaphore",
        "multiprocessing.synchronize.SemLock",
        "weakref.ReferenceType",
        "weakref.WeakKeyDictionary",
        "weakref.WeakValueDictionary",
        "_weakrefset.WeakSet",
    }
)
# Modules of functions that are put into classes unasked.
_GENERATORS = frozenset({"abc", "collections", "dataclasses", "reprlib", "typing", "typing_extensions"})
_NOTEBOOK = re.compile(r"_{1,3}$|_i{1,3}$|_i?\d+$|_[iod]h$|In$|Out$|get_ipython$|exit$|quit$")


def is_unreadable(value: object) -> bool:
    """Tell whether a value is a lock or a weak reference: its state is not data, so it counts by its type."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in _UNREADABLE for kind in type(value).__mro__)


def attributes_of(value: Any) -> Names:
    """Return the attributes set on a function, task or wrapper, without those it copies from what it wraps.

    >>> def speed(x):
    ...     return x
    >>> speed.unit = "km/h"
    >>> attributes_of(speed)
    [('unit', 'km/h')]
    """
    own = getattr(value, "__dict__", None)
    if not own:
        return []
    inner = classify.wrapped(value)
    copied = getattr(inner, "__dict__", {}) if inner is not None else {}
    if isinstance(value, FunctionType):
        skipped = frozenset({"__wrapped__"})
    elif isinstance(value, TaskFunction):
        skipped = _WRAPPER_NAMES | _OF_TASKS
    else:
        skipped = _WRAPPER_NAMES | (_OF_PIPELINES if isinstance(value, Pipeline) else frozenset())
    return sorted(
        (name, held)
        for name, held in list(own.items())
        if name not in skipped and copied.get(name, skipped) is not held
    )


def registered_with(cls: type) -> list[type]:
    """Return the classes that were registered with an abstract class; with a library's, only one's own.

    >>> import abc
    >>> class Sensor(abc.ABC):
    ...     pass
    >>> Sensor.register(int)
    <class 'int'>
    >>> registered_with(Sensor)
    [<class 'int'>]
    """
    if not isinstance(cls, abc.ABCMeta):
        return []
    own = classify.kind_of_class(cls) == "source"
    registry: Iterable[Callable[[], type | None]] = vars(abc)["_get_dump"](cls)[0]
    held = [kind for reference in list(registry) if (kind := reference()) is not None]
    return [kind for kind in held if own or classify.kind_of_class(kind) == "source"]


def members_of(cls: type) -> Names:
    """Return the names in a class's own namespace that count, with their live values."""
    if isinstance(cls, enum.EnumMeta):
        return _enum_members(cls)
    members = [(name, value) for name, value in list(vars(cls).items()) if _counts(cls, name, value)]
    return sorted([*members, *_fields(cls)], key=lambda member: member[0])


def _counts(cls: type, name: str, value: object) -> bool:
    if name in _CLASS_NAMES or _LIBRARY_NAMES.match(name) or isinstance(value, _SLOTS):
        return False
    if name == "__hash__" and value is None:
        return False
    if type(value).__name__ == "_tuplegetter":
        return False
    if name == "__init__" and value is object.__init__ and hasattr(cls, "_is_protocol"):
        return False  # set by `typing` when a class of a protocol is called for the first time
    function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    return not (isinstance(function, FunctionType) and _is_generated(cls, function))


def _is_generated(cls: type, function: FunctionType) -> bool:
    """Tell whether a function was generated by `dataclass`, `namedtuple`, `attrs` or `typing`."""
    name = str(function.__globals__.get("__name__", ""))
    if name in {
        "typing",
        "typing_extensions",
        "abc",
        "collections",
        "dataclasses",
        "reprlib",
    } or name.startswith("namedtuple_"):
        return True
    if not function.__code__.co_filename.startswith("<"):
        return False
    made = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__", "_fields")
    code = function.__code__
    written = "." in code.co_qualname and not code.co_qualname.startswith("__create_fn__.")
    return not written and code.co_name.startswith("__") and any(hasattr(cls, mark) for mark in made)


def _fields(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the defaults of fields, which `slots=True` and `attrs` take out of the namespace."""
    if "__dataclass_fields__" in vars(cls):
        for field in dataclasses.fields(cls):
            yield (
                f"field {field.name}",
                _without_missing(str(field.type), field.default, field.default_factory),
            )
    for field in vars(cls).get("__attrs_attrs__", ()):
        yield f"field {field.name}", _without_missing(field.default, field.converter, field.validator)
    fields = vars(cls).get("__pydantic_fields__") or vars(cls).get("model_fields")
    for name, field in (fields if isinstance(fields, dict) else {}).items():
        default, factory = getattr(field, "default", None), getattr(field, "default_factory", None)
        yield f"field {name}", _without_missing(default, factory)


def _without_missing(*values: object) -> tuple[object, ...]:
    return tuple(None if type(value).__name__ in _MISSING_TYPES else value for value in values)


_MISSING_TYPES = frozenset({"_MISSING_TYPE", "_Nothing", "PydanticUndefinedType"})


def _enum_members(cls: enum.EnumMeta) -> Names:
    members: Names = []
    member: Any
    for name, member in cls.__members__.items():
        state = getattr(member, "__dict__", {})
        extra = [(n, v) for n, v in state.items() if n not in _MEMBER_NAMES]
        content = None if type(member._value_) is object else member._value_
        members.append((name, (str(member._name_), content, *sorted(extra, key=lambda item: item[0]))))
    for name, value in list(vars(cls).items()):
        made = name.startswith("_") and name.endswith("_")
        inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        own = isinstance(inner, FunctionType) and kind_of_function(inner) == "source"
        if name not in cls.__members__ and (own or (not made and _counts(cls, name, value))):
            members.append((name, value))
    return sorted(members, key=lambda member: member[0])


_MEMBER_NAMES = frozenset(
    {"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_", "__doc__", "_add_alias_"}
)


def globals_of(namespace: Mapping[str, Any]) -> Names:
    """Return the names in a module's namespace that count."""
    notebook = namespace.get("__name__") == "__main__" and "get_ipython" in namespace
    return sorted(
        (name, value)
        for name, value in list(namespace.items())
        if isinstance(name, str)
        and name not in IMPORT_NAMES
        and not (notebook and _NOTEBOOK.match(name))
        and not name.startswith("@")  # of pytest
    )


def module_of(namespace: Mapping[str, Any]) -> ModuleType | None:
    """Return the loaded module whose globals this dict is; None if it is not one's."""
    name = namespace.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return module if module is not None and vars(module) is namespace else None


def builtin(name: str, namespace: Mapping[str, Any]) -> tuple[Any] | None:
    """Return a builtin in a tuple, as code with these globals finds it; None if there is none."""
    scope = namespace.get("__builtins__", builtins)
    scope = vars(scope) if isinstance(scope, ModuleType) else scope
    return (scope[name],) if name in scope else None


def is_replaced(name: str, value: object) -> bool:
    """Tell whether a builtin is not the interpreter's own."""
    home = getattr(value, "__module__", None)
    if name == "_" or name in IMPORT_NAMES or name == "__IPYTHON__":  # of `gettext` and of notebooks
        return is_brought(value)
    if isinstance(value, types.BuiltinFunctionType):
        return value.__name__ != name or home not in {"builtins", "_io", "io"}
    if isinstance(value, type):
        return value is not OSError and (value.__module__ != "builtins" or value.__name__ != name)
    constants = (types.NoneType, types.NotImplementedType, types.EllipsisType)
    return type(value).__module__ != "_sitebuiltins" and not isinstance(value, constants)


def is_brought(value: Any, depth: int = 0) -> bool:
    """Tell whether an object that a library holds is, or leads to, the user's own function or class."""
    for layer in classify.layers(value):
        if isinstance(layer, FunctionType):
            if kind_of_function(layer) == "source":
                return True
        elif isinstance(layer, ModuleType):
            return False
        elif isinstance(layer, type):
            if _is_own_class(layer):
                return True
        elif (depth < 3 and any(is_brought(part, depth + 1) for part in _parts(layer))) or _is_own_class(
            type(layer)
        ):
            return True
    return False


def _parts(value: Any) -> tuple[Any, ...]:
    if isinstance(value, types.MethodType):
        return value.__func__, type(value.__self__)
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.cached_property):
        return (value.func,)
    if isinstance(value, functools.partialmethod):
        return value.func, *value.args
    if type(value).__name__ == "vectorize":
        return (getattr(value, "pyfunc", None),)
    return ()


def _is_own_class(cls: type) -> bool:
    """Tell whether a class is the user's: of a file of Python, or with a function of the user's."""
    if not cls.__flags__ & classify.HEAP_TYPE or kind_of_name(cls.__module__) != "source":
        return False
    module = sys.modules.get(cls.__module__)
    if cls.__module__ == "__main__" or getattr(module, "__file__", None):
        return True
    functions = (value for value in vars(cls).values() if isinstance(value, FunctionType))
    return any(kind_of_function(function) == "source" for function in functions)


def brought_into(scope: type | ModuleType) -> Names:
    """Return the names of a library's class or module that now hold the user's own functions or classes."""
    values = list(vars(scope).values())
    entry = _BROUGHT.get(id(scope))
    if entry is None or len(values) != len(entry[1]) or not all(map(operator.is_, values, entry[1])):
        entry = _BROUGHT[id(scope)] = (scope, values, _brought_into(scope))
    return entry[2]


# By identity, with the values that were looked through: a library's class or module may have hundreds.
_BROUGHT: dict[int, tuple[object, list[Any], Names]] = {}


def _brought_into(scope: type | ModuleType) -> Names:
    own: Any = vars(scope)
    found = []
    for name, value in list(own.items()):
        if isinstance(value, FunctionType):
            # Most functions are of the module itself, or of one known to be a library's.
            if value.__globals__ is own or _is_libraries(value) or _is_made_apart(name, value):
                continue
        elif isinstance(value, (types.BuiltinFunctionType, *_SLOTS, *classify.DESCRIPTORS, str, int, float)):
            continue
        if is_brought(value):
            found.append((name, value))
    return sorted(found, key=lambda item: item[0])


def _is_made_apart(name: str, function: FunctionType) -> bool:
    """Tell whether a library like `attrs` has generated a method, in a namespace without a module's name."""
    apart = "__name__" not in function.__globals__ and function.__code__.co_filename.startswith("<")
    return apart and name.startswith("__") and name == function.__name__


def _is_libraries(function: FunctionType) -> bool:
    return not hasattr(function, "__wrapped__") and kind_of_function(function) != "source"

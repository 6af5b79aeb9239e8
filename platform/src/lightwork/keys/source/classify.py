"""Classification of the objects that code refers to: functions, classes, tasks, loggers, plain values."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import functools
import logging
import sys
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, TypeGuard

from lightwork.functions.decorated import Pipeline, TaskFunction
from lightwork.functions.origins.origin import Kind, kind_of_function, kind_of_name, module_name

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTORS = (MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType)
CACHED = type(functools.lru_cache(len))
HEAP_TYPE = 1 << 9
_PLAIN = frozenset({int, str, float, bool, bytes, type(None)})


@dataclass(frozen=True, slots=True)
class Versioned:
    """A task whose `version` replaces its code in keys."""

    task: TaskFunction[Any, Any]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def version(self) -> str:
        """The version in place of its code."""
        return str(self.task.options.version)


def task_function(value: Any) -> Any:
    """Return the function of a task or pipeline (`Versioned` if it has a version); other values unchanged."""
    if isinstance(value, TaskFunction):
        return value.fn if value.options.version is None else Versioned(value)
    return value.fn if isinstance(value, Pipeline) else value


def is_code(value: object) -> bool:
    """Tell whether a value is a function, class or module."""
    if isinstance(value, BuiltinFunctionType):
        owner = value.__self__
        return owner is None or isinstance(owner, ModuleType) or type(owner).__name__ == "PyCapsule"
    return isinstance(value, (FunctionType, type, ModuleType, *DESCRIPTORS))


def is_foreign_wrapper(value: object) -> bool:
    """Tell whether a value wraps a function and is of a library's type, like `functools.lru_cache`."""
    return wrapped(value) is not None and kind_of_name(type(value).__module__) != "source"


def is_logger(value: object) -> bool:
    """Tell whether a value is a logger, which does not change a result."""
    return isinstance(value, (logging.Logger, logging.LoggerAdapter)) or _top(type(value)) == "structlog"


def is_lightwork(value: object) -> bool:
    """Tell whether a value is of one of lightwork's types."""
    return _top(type(value)) == "lightwork"


def is_named(value: object) -> bool:
    """Tell whether a value's name alone identifies it; its content is then recorded separately."""
    value = task_function(value)
    while not is_code(value) and is_foreign_wrapper(value):
        value = task_function(wrapped(value))
    if isinstance(value, FunctionType):
        return kind_of_function(value) != "source" or leads_to(value)
    if isinstance(value, type):
        return leads_to(value)
    if isinstance(value, Versioned) or type(value) is object:
        return True
    return is_code(value) or is_logger(value) or is_lightwork(value)


def _top(cls: type) -> str:
    return _top_name(str(cls.__module__))


def _top_name(module: str) -> str:
    return module.partition(".")[0]


def home_name(item: Any) -> str:
    """Return the name of the module that defines a function or class; for a module its own name."""
    if isinstance(item, FunctionType):
        return str(item.__globals__.get("__name__", ""))
    return str(item.__name__ if isinstance(item, ModuleType) else getattr(item, "__module__", ""))


def qualname(item: Any) -> str:
    """Return the qualified name of any object that has one."""
    owner = getattr(item, "__objclass__", None)
    name = getattr(item, "__qualname__", None) or getattr(item, "__name__", None) or type(item).__qualname__
    return f"{owner.__module__}.{name}" if isinstance(owner, type) else str(name)


def function_name(fn: FunctionType) -> str:
    """Return `module.qualname` of a function's code, regardless of decorators."""
    home = module_name(str(fn.__globals__.get("__name__", "?")))
    if fn.__module__ == "lightwork" and _top_name(home) == "lightwork":
        home = fn.__module__  # a public name, wherever its file is
    return f"{home}.{fn.__code__.co_qualname}".replace("<locals>.", "")


def class_name(cls: type) -> str:
    """Return `module.qualname` of a class."""
    return f"{module_name(cls.__module__)}.{cls.__qualname__}".replace("<locals>.", "")


def leads_to(item: FunctionType | type) -> bool:
    """Tell whether an item's name, looked up in its module, leads to it, with or without decorators."""
    if isinstance(item, type):
        home, names = item.__module__, item.__qualname__
    else:
        home, names = item.__globals__.get("__name__", ""), item.__code__.co_qualname
    if "<" in names:
        return False
    target: Any = sys.modules.get(home)
    if home == "lightwork":  # its names are loaded when first used
        return getattr(target, names, None) is item
    for name in names.split("."):  # in `vars`, as `getattr` would run descriptors
        target = vars(target).get(name) if isinstance(target, (type, ModuleType)) else None
    return any(layer is item for layer in layers(target))


def layers(value: Any) -> Iterator[Any]:
    """Yield a value and what its decorators wrap, layer by layer."""
    for _ in range(20):
        yield value
        inner = task_function(value)
        if inner is value:
            inner = wrapped(value)
        if inner is None:
            return
        value = inner


def wrapped(value: object) -> Any:
    """Return what a decorator wraps, by its `__wrapped__`; None without one."""
    if isinstance(value, (staticmethod, classmethod)):
        return value.__func__
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return attributes.get("__wrapped__") if isinstance(attributes, dict) else None


def cells(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the names and values that a function has captured, without empty cells."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def inside(fn: FunctionType) -> Iterator[FunctionType | type]:
    """Yield the user's functions that a library's wrapper has captured, or keeps in a table by type."""
    for value in [*dict(cells(fn)).values(), *vars(fn).values()]:
        pairs = value.items() if isinstance(value, (dict, MappingProxyType)) else [(None, value)]
        for key, held in list(pairs):
            inner = task_function(held)
            if isinstance(inner, FunctionType) and inner is not fn and kind_of_function(inner) == "source":
                if isinstance(key, type):
                    yield key
                yield inner


def defaults(fn: FunctionType) -> dict[str, Any]:
    """Return the defaults of the positional parameters, by name."""
    values = fn.__defaults__ or ()
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    return dict(zip(names[len(names) - len(values) :], values, strict=True))


def methods(cls: type) -> list[FunctionType]:
    """Return the functions written in a class, without their decorators."""
    functions: dict[int, FunctionType] = {}
    for value in list(vars(cls).values()):
        parts = [value]
        if isinstance(value, property):
            parts = [value.fget, value.fset, value.fdel]
        elif isinstance(value, functools.cached_property):
            parts = [value.func]
        for part in parts:
            functions |= {id(f): f for f in layers(part) if _is_own(f)}
    return list(functions.values())


def _is_own(value: object) -> bool:
    return _written(value) and kind_of_function(value) == "source"


def kind_of_class(cls: type) -> Kind:
    """Return the origin of a class; those of `make_dataclass` name the module `types`, whoever calls it."""
    if cls.__module__ == "types" and not leads_to(cls):
        return "source"
    return kind_of_name(cls.__module__)


def is_misnamed(cls: type) -> bool:
    """Tell whether a compiled class names the module `builtins` without being in it, as Rust's may."""
    return cls.__module__ == "builtins" and bool(cls.__flags__ & HEAP_TYPE) and not leads_to(cls)


def plain_attributes(cls: type) -> list[tuple[str, Any]]:
    """Return the class attributes that are simple values, with their current values."""
    return sorted((n, v) for n, v in vars(cls).items() if type(v) in _PLAIN and not _private(n))


def attributes(cls: type) -> list[tuple[str, Any]]:
    """Return the attributes that stand for a class without source."""
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = {"_fields", "_field_defaults"}
        return sorted((n, v) for n, v in vars(cls).items() if n in names or _written(v))
    if issubclass(cls, enum.Enum):
        return [(member.name or "", member.value) for member in cls]
    skipped = (MemberDescriptorType, GetSetDescriptorType)
    members = {
        name: value
        for name, value in vars(cls).items()
        if not isinstance(value, skipped) and (not _private(name) or _written(value))
    }
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            default = field.default if field.default is not dataclasses.MISSING else field.default_factory
            members[field.name] = (str(field.type), None if default is dataclasses.MISSING else default)
    return sorted(members.items(), key=lambda item: item[0])


def _written(value: object) -> TypeGuard[FunctionType]:
    """Tell whether a value is a function that was written, not generated by `dataclass` or the like."""
    if not isinstance(value, FunctionType):
        return False
    code = value.__code__
    generated = "." not in code.co_qualname or code.co_qualname.startswith("__create_fn__.")
    return not (generated and code.co_filename.startswith("<"))


def _private(name: str) -> bool:
    return (name.startswith("_") and name.endswith("_")) or name == "_abc_impl"


def data(cls: type, name: str) -> tuple[Any] | None:
    """Return a class attribute in a tuple, if the class has one of that name and it is data."""
    if isinstance(cls, enum.EnumMeta):
        return None
    for base in cls.__mro__:
        if name in vars(base):
            value = vars(base)[name]
            hooks = hasattr(type(value), "__get__") or isinstance(value, type)
            return None if hooks or base.__module__ == builtins.__name__ else (value,)
    return None

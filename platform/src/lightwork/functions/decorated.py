"""The objects that the decorators return: a pipeline, and the base of a task that keys and workers use."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Self, TypeVar

from lightwork.errors import InputError, LightworkError, near
from lightwork.functions.callables import (
    TRANSPARENT,
    is_coroutine,
    is_generator,
    is_lambda,
    name_of,
    names_of,
    own_signature,
    signature_of,
)
from lightwork.functions.checks import NAMES, TEXT, check, maybe
from lightwork.functions.options import TaskOptions as TaskOptions  # noqa: TC001 - named in old pickles
from lightwork.functions.pickling import is_held, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")

_Binding = Literal["", "static", "class"]


class TaskFunction(Generic[P, R]):
    """A function with the options of a task, as keys and workers use it.

    Attributes:
        fn: what a call calls: the function, or another callable such as a partial or a bound method.
        name: `module.qualname`, under which the lake keeps its results; a script's file is its module.
        options: how it runs.
        binding: what the first argument is when the task is an attribute of a class, by its decorators:
            the instance, with `static` nothing, with `class` the class.
        instance_ignored: whether `ignore` names the instance of a bound method, which then does not count.
    """

    fn: Callable[P, R]
    name: str
    options: TaskOptions
    binding: _Binding
    instance_ignored: bool

    def __init__(self, fn: Callable[P, R], options: TaskOptions) -> None:
        function, binding = _undecorated(fn)
        if not callable(function):
            kind = type(function).__name__
            raise InputError(
                f"@task: expected a function, got {kind}; write a function with def that calls it"
            )
        self._describe(function)
        self.fn = function
        self.name = name_of(function)
        self.options = options
        self.binding = binding
        self.instance_ignored = False
        _check(self)
        if _CLASSMETHOD_HIDES and not binding:
            _await_class(self)

    def _describe(self, fn: Any) -> None:
        """Take over the name, the docstring and the attributes of a function, as `functools.wraps` does."""
        if isinstance(fn, types.FunctionType):
            functools.update_wrapper(self, fn, updated=())
            mine = {name: value for name, value in vars(fn).items() if not hasattr(type(self), name)}
            vars(self).update(mine)
        else:
            self.__doc__ = getattr(fn, "__doc__", None)
            self.__module__, self.__qualname__ = names_of(fn)
            self.__name__ = self.__qualname__.rpartition(".")[2]
        self.__wrapped__ = fn

    @property
    def signature(self) -> inspect.Signature:
        """Its parameters; those of any call if it is a builtin that states none."""
        return signature_of(self.fn)

    def check_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Check that a call with these arguments fits the signature.

        Raises:
            TypeError: it does not.
            InputError: it is a class method that does not know its class.
        """
        if _CLASSMETHOD_HIDES and not self.binding:
            _refuse_hidden(self)
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            # A decorator of `(*args, **kwargs)` may supply some arguments, and have parameters of its own.
            own = own_signature(self.fn)
            if own == self.signature or not (
                "missing" in str(error) or own.parameters.keys() & kwargs.keys()
            ):
                raise
            own.bind(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - the class says it
        return self.fn(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # A method bound to this instance can be called, mapped and submitted like any task.
        if self.binding == "class":
            return self._bound(types.MethodType(self.fn, type(instance) if owner is None else owner))
        bind = getattr(type(self.fn), "__get__", None)
        if instance is None or self.binding == "static" or bind is None:
            return self
        bound = bind(self.fn, instance, owner)
        return self if bound is self.fn else self._bound(bound)

    def _bound(self, method: Any) -> Any:
        bound = object.__new__(type(self))
        vars(bound).update(vars(self))
        bound.fn, bound.__wrapped__, bound.binding = method, method, ""
        if self.options.ignore:  # a bound method has no parameter for the instance
            first, left = next(iter(self.signature.parameters), ""), signature_of(method).parameters
            bound.instance_ignored = first in self.options.ignore and first not in left
            ignore = tuple(name for name in self.options.ignore if name in left)
            bound.options = dataclasses.replace(self.options, ignore=ignore)
        return bound

    def _with(self, options: TaskOptions) -> Self:
        """Return the same task with other options.

        Raises:
            InputError: one of them is invalid.
        """
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.options = options
        _check(other)
        return other

    def by_name(self) -> tuple[str, str] | None:
        """Return the module and name under which the task is pickled; None if it goes by value."""
        return (self.fn.__module__, self.fn.__qualname__) if _importable(self) else None

    def __reduce__(self) -> Any:
        # Like a function: by name if the name leads back to this task, otherwise by value.
        if _importable(self):
            return _named, (self.__module__, self.__qualname__)
        fn: Any = self.fn
        if type(fn) is types.MethodType and self._is_attribute(fn.__self__):
            return getattr, (fn.__self__, self.__name__)
        parts = (fn.__func__, fn.__self__) if type(fn) is types.MethodType else (fn,)
        return _rebuilt, (type(self), parts, self.options, self.name, self.binding, self.instance_ignored)

    def _is_attribute(self, owner: Any) -> bool:
        """Tell whether the name of a bound method leads to it, not to one that overrides it."""
        found = getattr(owner, self.__name__, None)
        fn = found.fn if isinstance(found, TaskFunction) else None
        return found is not None and fn == self.fn and found.options == self.options

    def __repr__(self) -> str:
        return f"<task {self.name}>"


TRANSPARENT.append(TaskFunction)


def _rebuilt(
    kind: type[TaskFunction[Any, Any]],
    parts: tuple[Any, ...],
    options: TaskOptions,
    name: str,
    binding: _Binding,
    instance_ignored: bool,
) -> Any:
    """Return a task from its pickled parts; its name is that in the process that made it."""
    task = object.__new__(kind)
    # By its function, not by its name on the object: a method may stand under another name, or be overridden.
    fn = types.MethodType(*parts) if len(parts) == 2 else parts[0]
    task._describe(fn)
    task.fn, task.name, task.options = fn, name, options
    task.binding, task.instance_ignored = binding, instance_ignored
    return task


def _undecorated(fn: Any) -> tuple[Any, _Binding]:
    """Return what a static method, class method, task or pipeline calls, and how it binds."""
    binding: _Binding = ""
    for _ in range(20):
        if isinstance(fn, (staticmethod, classmethod)):
            binding = binding or ("static" if isinstance(fn, staticmethod) else "class")
            fn = fn.__func__
        elif isinstance(fn, TaskFunction):
            binding = binding or fn.binding
            fn = fn.fn
        elif isinstance(fn, Pipeline):
            fn = fn.fn
        else:
            break
    return fn, binding


_CLASSMETHOD_HIDES = sys.version_info >= (3, 13)
"""Whether `classmethod` passes the class to a call only: the methods of what it wraps do not see it."""
_HOOK = "__lightwork_tasks__"
_DEEPEST = 10


def _await_class(task: TaskFunction[Any, Any]) -> None:
    """Have a task know its class if `@classmethod` is above it, when the class body that it is in ends."""
    outer = task.__qualname__.rpartition(".")[0]
    if not outer or outer.endswith("<locals>"):
        return
    frame: Any = sys._getframe(2)  # noqa: SLF001 - the class body has no other name
    for _ in range(_DEEPEST):
        if frame is None:
            return
        body = frame.f_locals if not frame.f_code.co_flags & inspect.CO_OPTIMIZED else {}
        if body.get("__qualname__") == outer and body.get("__module__") == task.__module__:
            with contextlib.suppress(Exception):  # a namespace of its own kind may refuse it
                body.setdefault(_HOOK, _ClassMethods(body))
            return
        frame = frame.f_back


class _ClassMethods:
    """An attribute that leaves a class as soon as it exists, and makes its class methods tasks."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def __set_name__(self, owner: type, name: str) -> None:
        type.__delattr__(owner, name)
        for key, value in list(self._body.items()):
            task = value.__func__ if isinstance(value, classmethod) else None
            if isinstance(task, TaskFunction):
                method: Any = classmethod(task.fn)
                made = type(task)(method, task.options)
                self._body[key] = made  # a named tuple is filled from it only now
                if key in vars(owner):
                    type.__setattr__(owner, key, made)


def _refuse_hidden(task: TaskFunction[Any, Any]) -> None:
    """Refuse a class method whose class a task does not know, so that no argument takes its place.

    Raises:
        InputError: `classmethod` was put around the task after its class was made.
    """
    owner: Any = sys.modules.get(task.__module__)
    for name in task.__qualname__.split("."):
        attribute = vars(owner).get(name) if isinstance(owner, (type, types.ModuleType)) else None
        owner = attribute
    if isinstance(owner, classmethod) and owner.__func__ is task:
        raise InputError(f"{task.name}: @classmethod hides the class from the task; write @task above it")


def _check(task: TaskFunction[Any, Any]) -> None:
    """Refuse wrong options, where the decorator is applied."""
    fn, options, where = task.fn, task.options, f"@task on {task.name}"
    options.check(where)
    if options.concurrency is not None and not is_coroutine(fn):
        raise InputError(
            f"{where}: concurrency={options.concurrency}: expected an async function, several calls of which"
            " can run in one thread"
        )
    if is_generator(fn):
        raise InputError(f"{where}: a generator cannot be a task; return the values instead")
    if options.version is not None and is_lambda(fn):
        raise InputError(
            f"{where}: version={options.version!r} on a lambda, which has no name that the results could be"
            " kept under; write a function with def"
        )
    unknown = [name for name in options.ignore if name not in task.signature.parameters]
    if unknown:
        raise InputError(f"{where}: ignore names {unknown[0]!r}, which is not one of its parameters")


def _importable(task: TaskFunction[Any, Any]) -> bool:
    module = task.__module__
    if module == "__main__" or is_held(module):
        return False
    return _find(module, task.__qualname__) is task


def _named(module: str, qualname: str) -> Any:
    """Return a task by its name, for the unpickler; pickles in lakes hold the name of this function.

    Raises:
        LightworkError: its module is not installed here.
    """
    task = _find(module, qualname)
    if task is None:
        raise LightworkError(f"no task {module}.{qualname} in this process; install its module")
    return task


def _find(module: str, qualname: str) -> Any:
    import importlib

    try:
        return resolve(importlib.import_module(module), qualname)
    except (ImportError, AttributeError):
        return None


class Pipeline(Generic[P, R]):
    """A function as a pipeline, as keys and parameters use it; a call runs the function directly.

    Attributes:
        fn: the function as written.
        name: its name on the command line and in the cluster; `windy_city` becomes `windy-city`.
        module: the module that defines it.
        doc: its docstring, dedented; empty if it has none.
        interval: the two parameters that take the start and the end of the interval of time that a run works
            on; None if it has none.
        signature: its signature, with annotations evaluated.
    """

    def __init__(
        self, fn: Callable[P, R], name: str | None = None, interval: tuple[str, str] | None = None
    ) -> None:
        _check_pipeline(fn, name, interval)
        functools.update_wrapper(self, fn)
        self.interval = interval
        self.fn = fn
        self.name = name or fn.__name__.replace("_", "-")
        self.module = fn.__module__
        self.doc = inspect.getdoc(fn) or ""

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The signature, with annotations that are strings evaluated."""
        return inspect.signature(self.fn, eval_str=True)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102 - the class says it
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name} ({self.module})>"


TRANSPARENT.append(Pipeline)


def _check_pipeline(fn: Any, name: object, interval: object) -> None:
    """Refuse what is not a function, where the decorator is applied."""
    if not callable(fn) or not isinstance(getattr(fn, "__name__", None), str):
        kind = type(fn).__name__
        raise InputError(
            f"@pipeline: expected a function, got {kind}; write a function with def that calls it"
        )
    where = f"@pipeline on {fn.__name__}"
    check(where, {"name": name}, {"name": maybe(TEXT)})
    if is_coroutine(fn):
        raise InputError(
            f"{where}: an async function cannot be a pipeline; write one with def that calls asyncio.run"
        )
    if is_generator(fn):
        raise InputError(f"{where}: a generator cannot be a pipeline; return a list of the values instead")
    if interval is not None:
        _check_interval(where, fn, interval)


def _check_interval(where: str, fn: Any, interval: Any) -> None:
    names = list(inspect.signature(fn).parameters)
    if not NAMES.accepts(interval) or len(set(interval)) != 2 or len(interval) != 2:
        raise InputError(
            f"{where}: interval={interval!r}; expected the names of two parameters, for the start and for the"
            ' end, such as interval=("start", "end")'
        )
    for name in interval:
        if name not in names:
            raise InputError(
                f"{where}: interval names {name!r}, which is not one of its parameters{near(name, names)}"
            )

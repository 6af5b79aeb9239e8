"""What can be called: its lasting name, its signature, and the modules that it comes from."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightwork.functions.origins.origin import holder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CACHED = type(functools.lru_cache(len))
ANY = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)
"""The signature of a builtin that states none."""
TRANSPARENT: list[type] = [CACHED]
"""The types of wrappers that pass the arguments on as they are; `decorated` adds its own."""
_MAIN = frozenset({"__main__", "__mp_main__"})


# Names


def name_of(fn: Callable[..., Any]) -> str:
    """Return `module.qualname` of a callable; it is the same in every process.

    A script's module is named after its file, and `python -m package.module` as others import it. A partial
    is named after its function, and an object after its class unless it has a name of its own.

    >>> name_of(str.upper), name_of(functools.partial(int, base=2))
    ('builtins.str.upper', 'builtins.int')
    """
    module, qualname = names_of(fn)
    return f"{_label(module, fn)}.{qualname}".replace("<locals>.", "")


def names_of(fn: Any) -> tuple[str, str]:
    """Return the names of a callable's module and of the callable in it."""
    if isinstance(fn, functools.partial):
        return names_of(fn.func)
    qualname = _text(fn, "__qualname__") or _text(fn, "__name__")
    if qualname is None:
        return type(fn).__module__, type(fn).__qualname__
    return _module(fn), qualname


def _text(value: Any, attribute: str) -> str | None:
    try:
        text = getattr(value, attribute, None)
    except Exception:  # noqa: BLE001 - an object's own `__getattr__` may raise anything
        return None
    return text if isinstance(text, str) and text else None


def _module(fn: Any) -> str:
    owner = getattr(fn, "__objclass__", None)
    if not isinstance(owner, type) and (stated := _text(fn, "__module__")):
        return stated
    owner = owner if isinstance(owner, type) else getattr(fn, "__self__", None)
    if isinstance(owner, types.ModuleType):
        return owner.__name__
    if owner is not None:
        return str((owner if isinstance(owner, type) else type(owner)).__module__)
    return holder_of(fn) or type(fn).__module__


def _label(module: str, fn: Any) -> str:
    return module if module not in _MAIN else _main_label(_globals(fn)) or "__main__"


def _globals(fn: Any) -> Mapping[str, Any]:
    """Return the globals of the script that defines a callable."""
    while fn is not None:
        scope: Mapping[str, Any] = getattr(fn, "__globals__", {})
        if scope.get("__name__") in _MAIN:
            return scope
        inner = [getattr(fn, name, None) for name in ("func", "__func__", "__wrapped__")]
        fn = next((item for item in inner if callable(item)), None)
    return vars(sys.modules["__main__"])


def _main_label(scope: Mapping[str, Any]) -> str | None:
    """Return the name of the module that runs as `__main__`; None if no file, module or notebook has it."""
    spec = _text(scope.get("__spec__"), "name")
    if spec is not None and spec not in _MAIN:
        return spec
    file = scope.get("__file__") or scope.get("__vsc_ipynb_file__")
    if not file and "ipykernel" in sys.modules:
        file = os.environ.get("JPY_SESSION_NAME")
    if not isinstance(file, str) or not file:
        return None
    path = Path(file)
    if path.stem == "__main__":  # `python folder`
        return f"{path.resolve().parent.name}.__main__"
    return path.stem


def is_lasting(fn: types.FunctionType) -> bool:
    """Tell whether a function's name is its own in every process: it has one, and a file defines it."""
    filename = fn.__code__.co_filename
    if filename.startswith("<") and not filename.startswith("<ipython"):
        return False
    module = str(fn.__globals__.get("__name__", ""))
    return not is_lambda(fn) and (module not in _MAIN or _main_label(_globals(fn)) is not None)


def is_lambda(fn: Any) -> bool:
    """Tell whether a callable is a lambda, or made from one."""
    while isinstance(fn, (functools.partial, types.MethodType)):
        fn = fn.func if isinstance(fn, functools.partial) else fn.__func__
    code = getattr(fn, "__code__", None)
    return "<lambda>" in (_text(fn, "__qualname__") or "") or getattr(code, "co_name", "") == "<lambda>"


# Signatures


def signature_of(fn: Any) -> inspect.Signature:
    """Return the signature as an author sees it: of a decorated function its own, whatever wraps it.

    A wrapper that names its parameters counts with these, since they are what a call must fit.
    """
    signature = _signature(fn, signature_of)
    wrapped = getattr(fn, "__wrapped__", None)
    return signature_of(wrapped) if callable(wrapped) and _takes_anything(signature) else signature


def own_signature(fn: Any) -> inspect.Signature:
    """Return the signature of exactly this object, not of a function that it wraps.

    A wrapper of `(*args, **kwargs)` may do with them what it likes, so its parameters are not those of the
    function. `TRANSPARENT` types pass them on as they are.
    """
    return _signature(fn, own_signature)


def _signature(fn: Any, of: Callable[[Any], inspect.Signature]) -> inspect.Signature:
    if isinstance(fn, tuple(TRANSPARENT)):
        return of(getattr(fn, "__wrapped__"))  # noqa: B009 - a type checker knows no such attribute
    try:
        if isinstance(fn, functools.partial):
            return inspect.signature(functools.partial(_stand_in(of(fn.func)), *fn.args, **fn.keywords))
        if isinstance(fn, types.MethodType):
            return inspect.signature(types.MethodType(_stand_in(of(fn.__func__)), fn.__self__))
        return inspect.signature(fn, follow_wrapped=False)
    except (ValueError, TypeError):
        return ANY


def _stand_in(signature: inspect.Signature) -> Callable[[], None]:
    def stand_in() -> None: ...

    stand_in.__signature__ = signature  # type: ignore[attr-defined]
    return stand_in


def _takes_anything(signature: inspect.Signature) -> bool:
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    return {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds


# Kinds


def is_coroutine(fn: Any) -> bool:
    """Tell whether a call returns a coroutine."""
    return any(map(inspect.iscoroutinefunction, _layers(fn)))


def is_generator(fn: Any) -> bool:
    """Tell whether a call returns a generator."""
    return any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in _layers(fn))


def _layers(fn: Any) -> Iterator[Any]:
    """Yield a callable and what a call of it calls in turn and returns the result of."""
    for _ in range(20):
        yield fn
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        elif isinstance(fn, CACHED):
            fn = fn.__wrapped__
        elif isinstance(fn, (types.FunctionType, types.BuiltinFunctionType, type)):
            return
        else:
            call = getattr(type(fn), "__call__", None)  # noqa: B004 - what a call runs, not whether it can
            if not isinstance(call, types.FunctionType):
                return
            fn = call


def modules_of(fn: Any) -> set[str]:
    """Return the names of the modules that define a callable, and what it is made from."""
    names = {names_of(fn)[0]}
    for layer in _layers(fn):
        names.add(str(getattr(layer, "__module__", None) or type(layer).__module__))
        if isinstance(layer, types.MethodType):
            owner = layer.__self__
            names.add(str((owner if isinstance(owner, type) else type(owner)).__module__))
    return names

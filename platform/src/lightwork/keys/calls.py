"""Keys of calls: the code's key and the arguments, as the function's signature binds them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lightwork.keys.components import Unkeyable
from lightwork.keys.values import SCALARS, WRITERS, Scope, encode_in_scope, text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lightwork.keys.components import CodeKey

_ANY = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)


@dataclass(frozen=True, slots=True)
class _Hole:
    """The place of a varying argument: its position in an element."""

    index: int


def call_key(
    fn: Callable[..., Any],
    code: CodeKey,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    ignore: Collection[str] = (),
) -> bytes:
    """The key of one call, 16 bytes; the same for positional and keyword arguments.

    Raises:
        Unkeyable: an argument has no stable key; the text names its parameter.
        TypeError: the arguments do not fit the function.
    """
    bound = _signature(fn).bind(*args, **kwargs)
    bound.apply_defaults()
    state = blake2b(bytes.fromhex(code.digest), digest_size=16)
    for name, value in bound.arguments.items():
        if name not in ignore:
            state.update(text(name) + _encode(name, value))
    return state.digest()


class ElementKeys:
    """Keys of the calls of one map: what does not vary is encoded once.

    Args:
        fn: the function.
        code: its code's key.
        varying: the names of the parameters that an element gives, or how many positional ones it gives.
        fixed: the other arguments, by name.
        ignore: names of parameters that are left out.

    Raises:
        Unkeyable: a fixed argument or a default has no stable key.
        TypeError: the arguments do not fit the function.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        code: CodeKey,
        *,
        varying: Sequence[str] | int,
        fixed: Mapping[str, object],
        ignore: Collection[str] = (),
    ) -> None:
        signature = _signature(fn)
        self._single = (varying if isinstance(varying, int) else len(varying)) == 1
        args, kwargs = _arguments(signature, varying, fixed)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # Static bytes, and between them the places that vary: (bytes before, parameter, what fills it).
        self._start = blake2b(bytes.fromhex(code.digest), digest_size=16)
        self._steps: list[tuple[str, object, bytes]] = []
        for name, value in bound.arguments.items():
            if name in ignore:
                continue
            if _varies(value):
                self._add(text(name))
                self._steps.append((name, value, b""))
            else:
                self._add(text(name) + _encode(name, value))

    def _add(self, data: bytes) -> None:
        if self._steps:
            name, value, after = self._steps[-1]
            self._steps[-1] = (name, value, after + data)
        else:
            self._start.update(data)

    def __call__(self, elements: Sequence[object]) -> list[bytes]:
        """The keys of elements, 16 bytes each, in their order.

        Args:
            elements: with one varying parameter the values themselves; with several a tuple for each.

        Raises:
            Unkeyable: an element has no stable key; the text names the parameter.
        """
        if not self._steps:
            return [self._start.digest()] * len(elements)
        with Scope():
            if self._single and len(self._steps) == 1 and isinstance(self._steps[0][1], _Hole):
                return self._one(elements)
            return [self._several((element,) if self._single else element) for element in elements]

    def _one(self, elements: Sequence[object]) -> list[bytes]:
        name, _, after = self._steps[0]
        copy, writers = self._start.copy, WRITERS
        keys: list[bytes] = []
        add = keys.append
        try:
            for element in elements:
                state = copy()
                state.update(writers[type(element)](element) + after)
                add(state.digest())
        except (Unkeyable, RecursionError):
            _encode(name, elements[len(keys)])
            raise
        return keys

    def _several(self, element: Any) -> bytes:
        state = self._start.copy()
        for name, hole, after in self._steps:
            value = element[hole.index] if isinstance(hole, _Hole) else _filled(hole, element)
            state.update(_encode(name, value) + after)
        return state.digest()


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(fn)
    except ValueError:  # some builtins do not tell
        return _ANY


def _encode(name: str, value: object) -> bytes:
    kind = type(value)
    try:
        return WRITERS[kind](value) if kind in SCALARS else encode_in_scope(value)
    except Unkeyable as error:
        context = error.context or f"argument {name}: {{}}; pass what it is made from, or name it in ignore="
        raise Unkeyable(error.what, error.where, context) from None


def _arguments(
    signature: inspect.Signature, varying: Sequence[str] | int, fixed: Mapping[str, object]
) -> tuple[list[object], dict[str, object]]:
    if isinstance(varying, int):
        return [_Hole(index) for index in range(varying)], dict(fixed)
    kwargs: dict[str, object] = {**fixed, **{name: _Hole(index) for index, name in enumerate(varying)}}
    args = []
    for parameter in signature.parameters.values():
        if parameter.kind is not parameter.POSITIONAL_ONLY or parameter.name not in kwargs:
            break
        args.append(kwargs.pop(parameter.name))
    return args, kwargs


def _varies(value: object) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(item, _Hole) for item in value)
    if isinstance(value, dict):
        return any(isinstance(item, _Hole) for item in value.values())
    return isinstance(value, _Hole)


def _filled(value: object, element: Any) -> object:
    if isinstance(value, tuple):
        return tuple(element[item.index] if isinstance(item, _Hole) else item for item in value)
    if isinstance(value, dict):
        return {k: element[v.index] if isinstance(v, _Hole) else v for k, v in value.items()}
    return value

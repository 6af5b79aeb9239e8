"""Keys of calls: the code's key and the arguments, bound to the function's signature."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lightwork.functions.callables import own_signature, signature_of
from lightwork.keys.components import Unkeyable
from lightwork.keys.values import slow
from lightwork.keys.values.canonical import SCALARS, WRITERS, Scope, encode_in_scope, text

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from lightwork.keys.components import CodeKey


@dataclass(frozen=True, slots=True)
class _Hole:
    """The placeholder of a varying argument: its position in an element."""

    index: int


def call_key(
    fn: Callable[..., Any],
    code: CodeKey,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    ignore: Collection[str] = (),
) -> bytes:
    """Return the key of one call, 16 bytes; positional and keyword arguments give the same key.

    >>> from lightwork.keys import code_key
    >>> def power(x, n=2):
    ...     return x**n
    >>> code = code_key(power)
    >>> call_key(power, code, (3,), {}) == call_key(power, code, (), {"x": 3, "n": 2})
    True

    Raises:
        Unkeyable: an argument has no stable key; the message names its parameter.
        TypeError: the arguments do not fit the function's signature.
    """
    state = blake2b(bytes.fromhex(code.digest), digest_size=16)
    for name, value in _bound(fn, own_signature(fn), args, kwargs, ignore):
        state.update(text(name) + _encode(name, value))
    return state.digest()


class ElementKeys:
    """Keys of the calls of one map; constant arguments are encoded once.

    Args:
        fn: the function.
        code: the key of its code.
        varying: the parameters that each element supplies: their names, or the number of positional ones.
        keywords: the names of further ones, which an element supplies after those.
        fixed: the other arguments, by name.
        ignore: the names of parameters that do not count.

    Raises:
        Unkeyable: a fixed argument or a default has no stable key.
        TypeError: the arguments do not fit the function's signature.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        code: CodeKey,
        *,
        varying: Sequence[str] | int,
        fixed: Mapping[str, object],
        keywords: Sequence[str] = (),
        ignore: Collection[str] = (),
    ) -> None:
        signature = own_signature(fn)
        width = varying if isinstance(varying, int) else len(varying)
        self._single = width + len(keywords) == 1
        args, kwargs = _arguments(signature, varying, fixed)
        kwargs |= {name: _Hole(index) for index, name in enumerate(keywords, width)}
        # The constant bytes at the start; then for each varying parameter: name, placeholder, bytes after it.
        self._start = blake2b(bytes.fromhex(code.digest), digest_size=16)
        self._steps: list[tuple[str, object, bytes]] = []
        for name, value in _bound(fn, signature, args, kwargs, ignore):
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
        """Return the keys of elements, 16 bytes each, in order.

        Args:
            elements: the values themselves for one varying parameter, tuples for several.

        Raises:
            Unkeyable: an element has no stable key; the message names the parameter.
        """
        if not self._steps:
            return [self._start.digest()] * len(elements)
        with Scope():
            if self._single and len(self._steps) == 1 and isinstance(self._steps[0][1], _Hole):
                return self._keys(elements)
            return [self._key((element,) if self._single else element) for element in elements]

    def _keys(self, elements: Sequence[object]) -> list[bytes]:
        """Return the keys for one varying parameter, by a fast path."""
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

    def _key(self, element: Any) -> bytes:
        state = self._start.copy()
        for name, hole, after in self._steps:
            value = element[hole.index] if isinstance(hole, _Hole) else _filled(hole, element)
            state.update(_encode(name, value) + after)
        return state.digest()


def _bound(
    fn: Callable[..., Any],
    signature: inspect.Signature,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    ignore: Collection[str],
) -> Iterator[tuple[str, object]]:
    """Yield the arguments that count, with defaults, by the names of a function's own parameters."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        if name in ignore:
            continue
        kind = signature.parameters[name].kind
        if ignore and kind is kind.VAR_POSITIONAL:
            value = _positional(fn, len(args), value, ignore)
        elif ignore and kind is kind.VAR_KEYWORD:
            value = {key: item for key, item in value.items() if key not in ignore}
        yield name, value


def _positional(
    fn: Callable[..., Any], given: int, values: tuple[object, ...], ignore: Collection[str]
) -> tuple[object, ...]:
    """Return the arguments of a decorator's `*args` without those that its function names in `ignore`."""
    parameters = signature_of(fn).parameters.values()
    names = [
        item.name for item in parameters if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)
    ]
    start = given - len(values)
    ignored = {at for at, name in enumerate(names[start:]) if name in ignore}
    return tuple(value for at, value in enumerate(values) if at not in ignored)


def _encode(name: str, value: object) -> bytes:
    kind = type(value)
    try:
        if kind in SCALARS:
            return WRITERS[kind](value)
        with slow.noticing(f"the argument {name}", slow.ARGUMENT):
            return encode_in_scope(value)
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

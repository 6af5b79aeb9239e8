"""Exceptions as they travel from a worker to the driver: with their chains, and as text where needed.

Exceptions are pickled one by one. Where one cannot be pickled, or not be loaded by the driver, its arguments
and attributes are, without those that cannot; and where that fails too, its text takes its place.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any, final

from lightwork.functions.pickling import dump
from lightwork.functions.raised import describe, members, raise_if_interrupted

_BYTES = 1 << 20
"""Bytes of one exception at most; a larger one is sent as text."""
_DEPTH = 12
"""Links of a chain that are sent, at most."""


class ErrorText(Exception):  # noqa: N818 - it stands for one
    """Stands for an exception that could not be sent or loaded; the text gives its type and text."""


@final
@dataclass(slots=True)
class Sent:
    """An exception that can be pickled.

    Attributes:
        text: its type and text in one line.
        pickled: the exception, pickled; empty if that fails.
        parts: its class, its arguments and its attributes, pickled; empty if that fails.
        suppress: whether its context is not shown.
        cause: what it was raised from.
        context: what was handled when it was raised.
        members: the exceptions of a group.
    """

    text: str
    pickled: bytes
    parts: bytes
    suppress: bool
    cause: Sent | None = None
    context: Sent | None = None
    members: list[Sent] = field(default_factory=list)


def send(error: BaseException | None, depth: int = _DEPTH) -> Sent | None:
    """Return an exception and its chain in a form that can be pickled; None if there is none."""
    if error is None or depth == 0:
        return None
    return Sent(
        describe(error),
        _dump(error),
        _dump_parts(error),
        bool(_read(error, "__suppress_context__")),
        send(_read(error, "__cause__"), depth - 1),
        # A chain has two ends at each link: following both to the end would double the work with each.
        send(_read(error, "__context__"), depth - 1) if _read(error, "__cause__") is None else None,
        [sent for member in members(error)[:_DEPTH] if (sent := send(member, depth // 2)) is not None],
    )


def receive(sent: Sent | None) -> BaseException | None:
    """Return the exception that `send` was given, or one that stands for it."""
    if sent is None:
        return None
    inside = [member for one in sent.members if (member := receive(one)) is not None]
    error = _load(sent, inside)
    _write(error, "__cause__", receive(sent.cause))
    _write(error, "__context__", receive(sent.context))
    _write(error, "__suppress_context__", sent.suppress)
    return error


def _load(sent: Sent, inside: list[BaseException]) -> BaseException:
    for data, build in ((sent.pickled, _as_pickled), (sent.parts, _from_parts)):
        if not data:
            continue
        try:
            error = build(pickle.loads(data))
        except BaseException as problem:  # noqa: BLE001 - unpickling runs code of the error's class
            raise_if_interrupted(problem)
            continue
        if issubclass(type(error), BaseException):
            for member, received in zip(members(error), inside, strict=False):
                for name in ("__cause__", "__context__", "__suppress_context__"):
                    _write(member, name, _read(received, name))
            return error
    return BaseExceptionGroup(sent.text, inside) if inside else ErrorText(sent.text)


def _as_pickled(error: BaseException) -> BaseException:
    return error


def _from_parts(parts: tuple[type[BaseException], tuple[Any, ...], dict[str, Any]]) -> BaseException:
    kind, args, attributes = parts
    error = BaseException.__new__(kind, *args)
    for name, value in attributes.items():
        object.__setattr__(error, name, value)
    return error


def _dump(error: BaseException) -> bytes:
    try:
        data = dump(error)
    except BaseException as problem:  # noqa: BLE001 - pickling runs code of the error's class
        raise_if_interrupted(problem)
        return b""
    return data if len(data) <= _BYTES else b""


def _dump_parts(error: BaseException) -> bytes:
    try:
        args = tuple(_sendable(value) for value in _read(error, "args"))
        attributes = _read(error, "__dict__")
        kept = {name: _sendable(value) for name, value in attributes.items()}
        return _dump_bounded((type(error), args, kept))
    except BaseException as problem:  # noqa: BLE001
        raise_if_interrupted(problem)
        return b""


def _dump_bounded(value: Any) -> bytes:
    data = dump(value)
    return data if len(data) <= _BYTES else b""


def _sendable(value: Any) -> Any:
    """Return a value, or its text if it cannot be sent."""
    try:
        pickle.loads(dump(value))
    except BaseException as problem:  # noqa: BLE001
        raise_if_interrupted(problem)
        return f"<{type(value).__name__}>"
    return value


def _read(error: BaseException, name: str) -> Any:
    return BaseException.__dict__[name].__get__(error)


def _write(error: BaseException, name: str, value: Any) -> None:
    # Past the class's own `__setattr__`, which raises for a frozen one.
    BaseException.__dict__[name].__set__(error, value)

"""Checked reading of the JSON files in a lake: each field has the right type, or there is one clear error."""

from __future__ import annotations

import datetime as dt
import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE = 1 << 63
_NUMBER = 1e12


_SEAL = "seal"


class OddError(ValueError):
    """A file that does not hold what it should; the text gives the reason."""


class TornError(OddError):
    """A file that holds no JSON object, such as an empty or a truncated one."""


def digest(data: bytes | memoryview) -> str:
    """Return the digest of a part of a file: 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


def seal(document: Mapping[str, object], indent: int | None = None) -> bytes:
    """Return a JSON object with the digest of its content in its last field, for `parse` to check."""
    plain = json.loads(json.dumps(document, default=str))
    plain[_SEAL] = _seal_of(plain)
    separators = (",", ":") if indent is None else None
    return json.dumps(plain, ensure_ascii=False, indent=indent, separators=separators).encode()


def _seal_of(plain: dict[str, Any]) -> str:
    return digest(json.dumps(plain, sort_keys=True).encode())


def parse(data: bytes) -> dict[str, Any]:
    """Read a JSON object, without its seal; files of earlier versions have none.

    Raises:
        TornError: there is no JSON object.
        OddError: it is not as it was written.
    """
    if not data:
        raise TornError("it is empty")
    try:
        document = json.loads(data)
        json.dumps(document, ensure_ascii=False).encode()  # half of a surrogate pair could not be shown
    except RecursionError:
        raise TornError("it is nested too deeply") from None
    except ValueError as error:
        raise TornError(f"it is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise TornError(f"it holds {type(document).__name__}, not an object")
    if _SEAL in document and document.pop(_SEAL) != _seal_of(document):
        raise OddError("it does not match its checksum")
    return document


def text(document: dict[str, Any], name: str) -> str:
    """Return a field that is text."""
    value = document.get(name)
    if not isinstance(value, str):
        raise _odd(name, "text", value)
    return value


def whole(document: dict[str, Any], name: str) -> int:
    """Return a field that is a whole number, at least 0 and below 2**63."""
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _WHOLE:
        raise _odd(name, "a whole number", value)
    return value


def number(document: dict[str, Any], name: str) -> float:
    """Return a field that is a number of at least 0, such as of seconds."""
    value = document.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _NUMBER:
        raise _odd(name, "a number", value)
    return float(value)


def moment(document: dict[str, Any], name: str) -> dt.datetime:
    """Return a field that is a moment with its time zone, as ISO text."""
    try:
        value = dt.datetime.fromisoformat(text(document, name))
        value.astimezone().isoformat()
    except (ValueError, OverflowError, OSError):
        raise _odd(name, "a date and time", document.get(name)) from None
    if value.tzinfo is None:
        raise _odd(name, "a date and time with its time zone", document.get(name))
    return value


def items(document: dict[str, Any], name: str, kind: type) -> list[Any]:
    """Return a field that is a list of items of one type."""
    value = document.get(name)
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise _odd(name, f"a list of {kind.__name__}", value)
    return value


def _odd(name: str, expected: str, value: object) -> OddError:
    shown = repr(value) if not isinstance(value, int) or abs(value) < _WHOLE else "a huge number"
    return OddError(f"{name}: expected {expected}, got {shown[:60]}")

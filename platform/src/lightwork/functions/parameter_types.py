"""Types of parameters: their description in words, example values, and the conversion from text."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import json
import re
import shlex
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic.types import PathType
from pydantic_core import to_jsonable_python

NONE_WORDS = ("none", "null")
_STRUCTURED = (list, tuple, set, frozenset, dict)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_PATHS = {"dir": "an existing folder", "file": "an existing file", "new": "a path that does not exist yet"}


@functools.cache
def adapter(annotation: Any) -> TypeAdapter[Any]:
    """Return the validator of a type with hashable annotations, cached."""
    return TypeAdapter(annotation)


def validator(annotation: Any) -> TypeAdapter[Any]:
    """Return the validator of a type.

    Raises:
        pydantic.errors.PydanticUserError: pydantic cannot check values against the type.
    """
    try:
        return adapter(annotation)
    except TypeError:  # unhashable metadata
        return TypeAdapter(annotation)


def describe(annotation: Any) -> str:
    """Describe a type with its constraints, in words.

    >>> describe(Annotated[int, at.Gt(0)])
    'int > 0'
    >>> describe(Literal["m/s", "km/h"])
    "'m/s' or 'km/h'"
    """
    base, metadata = split(annotation)
    for item in metadata:
        if isinstance(item, PathType):
            return _PATHS[item.path_type]
    constraints = [text for item in metadata if (text := _constraint(item))]
    return " ".join([_base(base), " and ".join(constraints)]).strip()


def examples(annotation: Any, name: str, default: Any) -> str:
    """Return `, for example name=value` with a value that the type accepts; empty if none is known."""
    for value in _candidates(annotation, default):
        try:
            validator(annotation).validate_python(value)
        except ValidationError:
            continue
        return f", for example {name}={shlex.quote(to_text(value))}"
    return ""


def to_text(value: Any) -> str:
    """Return a value as it is written on the command line after `name=`.

    >>> to_text(True), to_text(None), to_text([1, 2])
    ('true', 'none', '[1, 2]')
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | Path):
        return str(value)
    plain = to_jsonable_python(value, fallback=repr)
    return plain if isinstance(plain, str) else json.dumps(plain)


def from_text(annotation: Any, text: str) -> Any:
    """Convert a text to a value of a type: JSON for lists, dicts and models, words and numbers otherwise.

    >>> from_text(int, "10_000")
    10000
    >>> from_text(list[int], "[1, 2]")
    [1, 2]

    Raises:
        ValidationError: the text is not of the type.
        json.JSONDecodeError: the type expects JSON, and the text is not JSON.
    """
    base, metadata = split(annotation)
    if get_origin(base) in (Union, types.UnionType):
        return _union(annotation, base, text)
    if is_structured(base):
        return validator(annotation).validate_python(json.loads(text), strict=False)
    refused: Any = object()
    if base in (dt.date, dt.datetime, dt.time) and _NUMBER.fullmatch(text.strip()):
        return validator(annotation).validate_python(refused)  # pydantic would count seconds from 1970
    if base is Path or any(isinstance(item, PathType) for item in metadata):
        if not text.strip():
            return validator(annotation).validate_python(refused)
        text = str(Path(text).expanduser())
    try:
        return validator(annotation).validate_python(text)
    except ValidationError:
        if get_origin(base) is Literal or (isinstance(base, type) and issubclass(base, enum.Enum)):
            for choice in choices(base):
                if to_text(choice) == text:
                    return validator(annotation).validate_python(choice)
        raise


def is_structured(annotation: Any) -> bool:
    """Tell whether values of the type are given as JSON."""
    base, _ = split(annotation)
    if get_origin(base) in (Union, types.UnionType):
        return any(is_structured(arg) for arg in get_args(base))
    kind = get_origin(base) or base
    if not isinstance(kind, type):
        return False
    if issubclass(kind, str | bytes | enum.Enum):
        return False
    return (
        issubclass(kind, (*_STRUCTURED, BaseModel, Iterable))
        or dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
    )


def choices(annotation: Any) -> list[Any]:
    """Return the values of a Literal or Enum, also inside a union; empty for other types."""
    base, _ = split(annotation)
    if get_origin(base) is Literal:
        return list(get_args(base))
    if isinstance(base, type) and issubclass(base, enum.Enum):
        return [member.value for member in base]
    if get_origin(base) in (Union, types.UnionType):
        return [value for arg in get_args(base) for value in choices(arg)]
    return []


def _union(annotation: Any, base: Any, text: str) -> Any:
    """Convert a text by the first member that accepts it; `none` and `null` are None if that is a member."""
    members = get_args(base)
    if type(None) in members and text.strip().lower() in NONE_WORDS:
        return None
    first: Exception | None = None
    for member in members:
        if member is type(None):
            continue
        try:
            return validator(annotation).validate_python(from_text(member, text))
        except (ValidationError, json.JSONDecodeError) as error:
            first = first or error
    raise first or ValueError(text)


def split(annotation: Any) -> tuple[Any, list[Any]]:
    """Split a type into the type without `Annotated` and its flattened metadata."""
    if hasattr(annotation, "__value__"):  # `type Name = ...` of Python 3.12
        return split(annotation.__value__)
    if get_origin(annotation) is not Annotated:
        return annotation, []
    base, *items = get_args(annotation)
    metadata: list[Any] = []
    for item in items:
        if isinstance(item, FieldInfo):
            metadata += item.metadata
        elif isinstance(item, at.GroupedMetadata):
            metadata += list(item)
        else:
            metadata.append(item)
    return base, metadata


def _constraint(item: Any) -> str:
    match item:
        case at.Gt(gt=bound):
            return f"> {bound}"
        case at.Ge(ge=bound):
            return f">= {bound}"
        case at.Lt(lt=bound):
            return f"< {bound}"
        case at.Le(le=bound):
            return f"<= {bound}"
        case at.MultipleOf(multiple_of=step):
            return f"a multiple of {step}"
        case at.MinLen(min_length=length):
            return f"of length {length} or more"
        case at.MaxLen(max_length=length):
            return f"of length {length} or less"
    pattern = getattr(item, "pattern", None)
    return f"matching {pattern}" if isinstance(pattern, str) else ""


def _base(base: Any) -> str:
    if base is None or base is type(None):
        return "none"
    if get_origin(base) in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in get_args(base))
    if values := choices(base):
        return " or ".join(repr(value) if isinstance(value, str) else to_text(value) for value in values)
    if fields := _fields(base):
        return f"{base.__name__} {{{', '.join(f'{name}: {kind}' for name, kind in fields.items())}}}"
    if isinstance(base, type) and not get_args(base):
        words = {dt.date: "date", dt.datetime: "date and time", Path: "path"}
        return words.get(base, base.__name__)
    inner = ", ".join("..." if arg is ... else describe(arg) for arg in get_args(base))
    kind = getattr(get_origin(base), "__name__", str(base))
    return f"{kind}[{inner}]" if inner else kind


def _fields(base: Any) -> dict[str, str]:
    """Return the fields of a model or dataclass with their types in words."""
    if not isinstance(base, type):
        return {}
    if issubclass(base, BaseModel):
        return {name: describe(item.annotation) for name, item in base.model_fields.items()}
    if dataclasses.is_dataclass(base):
        hints = typing.get_type_hints(base, include_extras=True)
        return {item.name: describe(hints[item.name]) for item in dataclasses.fields(base)}
    return {}


def _candidates(annotation: Any, default: Any) -> list[Any]:
    """Return candidates for an example value, best first."""
    base, metadata = split(annotation)
    first = [] if default is None or default in ([], {}, (), set(), "") else [default]
    if get_origin(base) in (Union, types.UnionType):
        return first + [v for arg in get_args(base) for v in _candidates(arg, None)]
    kind = get_origin(base) or base
    bounds = [getattr(m, a) for m in metadata for a in ("gt", "ge", "lt", "le") if hasattr(m, a)]
    near_bounds = [bound + step for bound in bounds if isinstance(bound, int | float) for step in (1, 0, -1)]
    by_type: dict[Any, list[Any]] = {
        bool: [True],
        int: [10, *near_bounds],
        float: [1.5, *near_bounds],
        str: ["text", "a"],
        dt.date: [dt.date(2026, 1, 31)],
        dt.datetime: [dt.datetime(2026, 1, 31, 6, 0)],  # noqa: DTZ001  (an example in a message)
        Path: [Path("data")],
        list: [["a", "b"], [1, 2]],
        tuple: [["a", "b"], [1, 2]],
        set: [["a", "b"], [1, 2]],
        dict: [{"key": "value"}, {"key": 1}],
    }
    return first + (choices(base) or by_type.get(kind, []))

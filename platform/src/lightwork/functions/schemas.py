"""Types of parameters as JSON Schema: values can be checked where the pipeline's code is not installed.

pydantic writes the schema of a type. From that, `annotation` makes a type again, of which the functions in
`parameter_types` read texts. It never refuses a value that the original accepts: a type of which a schema
does not say enough has none. It may accept more, such as a date that is out of bounds; the run refuses that.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import types
import typing
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

import annotated_types as at
from pydantic import AfterValidator, BaseModel, Field, Strict
from pydantic.types import PathType
from typing_extensions import TypedDict, is_typeddict

from lightwork.functions import parameter_types as kinds

Schema = dict[str, Any]

_PLAIN = frozenset(
    {None, type(None), int, float, str, bool, list, dict, set, tuple, Any, object, Path, uuid.UUID}
    | {dt.date, dt.datetime, dt.time, dt.timedelta, decimal.Decimal}
)
_CONTAINERS = (Union, types.UnionType, list, dict, set, frozenset, tuple, Required, NotRequired)
_TYPES = {"integer": int, "number": float, "string": str, "boolean": bool, "null": type(None)}
# Whether a path exists is a question for the pod.
_FORMATS = {
    **dict.fromkeys(("path", "file-path", "directory-path"), Path),
    "date": dt.date,
    "date-time": dt.datetime,
    "time": dt.time,
    "duration": dt.timedelta,
    "uuid": uuid.UUID,
}
_BOUNDS: dict[str, Any] = {
    "exclusiveMinimum": at.Gt,
    "minimum": at.Ge,
    "exclusiveMaximum": at.Lt,
    "maximum": at.Le,
    **dict.fromkeys(("minLength", "minItems", "minProperties"), at.MinLen),
    **dict.fromkeys(("maxLength", "maxItems", "maxProperties"), at.MaxLen),
    "multipleOf": at.MultipleOf,
}
_OTHERS = frozenset({"type", "format", "items", "prefixItems", "uniqueItems", "properties", "required"}) | {
    *("additionalProperties", "anyOf", "enum", "const", "pattern", "$ref", "$defs"),
    *("title", "description", "default", "examples"),
}
_MOST = 200
"""Types in one schema at most, those inside each other included."""


def of(annotation_: Any) -> Schema | None:
    """Return the schema of a type; None if values cannot be checked by a schema.

    >>> of(Annotated[int, at.Gt(0)])
    {'exclusiveMinimum': 0, 'type': 'integer'}
    >>> of(range) is None
    True
    """
    if not _says_enough(annotation_, ()):
        return None
    schema = kinds.validator(annotation_).json_schema()
    try:
        annotation(schema)
    except ValueError:
        return None
    return schema


def annotation(schema: object) -> Any:
    """Return a type that accepts what a schema says.

    Raises:
        ValueError: it is not a schema of a type that parameters have.
    """
    try:
        kind = _Reader(schema).read(schema)
        kinds.validator(kind)
    except ValueError:
        raise
    except Exception as error:  # a bound or a pattern that pydantic cannot use
        raise ValueError(f"is not a schema of a parameter's type ({type(error).__name__})") from error
    return kind


def _says_enough(annotation_: Any, outer: tuple[Any, ...]) -> bool:
    """Return whether a schema refuses nothing that the type accepts: nothing converts a value first."""
    base, metadata = kinds.split(annotation_)
    if base in outer or not all(map(_only_refuses, metadata)):
        return False
    inner = [arg for arg in get_args(base) if arg is not ...]
    origin = get_origin(base)
    if origin is not Literal and origin is not None:
        return origin in _CONTAINERS and all(_says_enough(arg, outer) for arg in inner)
    if origin is Literal or base in _PLAIN:
        return True
    if not isinstance(base, type):
        return False
    if issubclass(base, enum.Enum):
        return base._missing_.__func__ is enum.Enum._missing_.__func__  # type: ignore[attr-defined]
    fields = _fields(base)
    return fields is not None and all(_says_enough(kind, (*outer, base)) for kind in fields)


def _only_refuses(item: Any) -> bool:
    """Return whether a type's metadata only refuses values, or does nothing, instead of converting them."""
    if isinstance(item, at.BaseMetadata):
        converts = ("strip_whitespace", "to_lower", "to_upper", "coerce_numbers_to_str")
        return not any(getattr(item, name, None) for name in converts)
    known = isinstance(item, AfterValidator | Strict | PathType)
    return known or not hasattr(item, "__get_pydantic_core_schema__")


def _fields(base: type) -> list[Any] | None:
    """Return the types of the fields of a dataclass, a TypedDict or a plain model; None for other classes."""
    if issubclass(base, BaseModel):
        decorators = base.__pydantic_decorators__
        steps = (decorators.validators, decorators.field_validators, decorators.root_validators)
        fields = base.model_fields.values()
        if any(steps) or decorators.model_validators or base.model_config.keys() - {"extra", "frozen"}:
            return None
        if any(field.validation_alias is not None for field in fields):
            return None
        return [Annotated[(field.annotation, None, *field.metadata)] for field in fields]
    plain = dataclasses.is_dataclass(base) and not hasattr(base, "__pydantic_validator__")
    if plain or is_typeddict(base):
        return list(typing.get_type_hints(base, include_extras=True).values())
    return None


class _Reader:
    """Makes types of one schema. What references repeat counts each time, so that the work is bounded."""

    def __init__(self, root: object) -> None:
        self._definitions = root.get("$defs", {}) if isinstance(root, dict) else {}
        self._left = _MOST

    def read(self, schema: object) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"holds more than {_MOST:,} types")
        if schema is True or schema == {}:
            return Any
        if not isinstance(schema, dict):
            raise ValueError("has a part that is not a schema")  # noqa: TRY004
        if unknown := [key for key in schema if key not in _OTHERS and key not in _BOUNDS]:
            raise ValueError(f"has the keyword {unknown[0]!r}, which no parameter's type has")
        if "$ref" in schema:
            return self.read(self._referred(schema["$ref"]))
        bounds = [_BOUNDS[key](value) for key, value in schema.items() if key in _BOUNDS]
        if "pattern" in schema and schema.get("type") != "string":
            raise ValueError("has a pattern for what is not a text")
        if "pattern" in schema:
            bounds.append(Field(pattern=schema["pattern"]))
        base = self._base(schema)
        if schema.get("uniqueItems"):  # bounds count the items of a set, after equal ones have become one
            return base
        return Annotated[(base, *bounds)] if bounds else base

    def _referred(self, reference: object) -> object:
        name = str(reference).removeprefix("#/$defs/")
        if not isinstance(self._definitions, dict) or name not in self._definitions:
            raise ValueError(f"refers to {reference!r}, which it does not define")
        return self._definitions[name]

    def _base(self, schema: Schema) -> Any:
        match schema:
            case {"const": str() | int() | float() | None as value}:
                return Literal[value]
            case {"enum": [_, *_] as values} if not any(isinstance(item, list | dict) for item in values):
                return Literal[tuple(values)]
            case {"anyOf": [_, *_] as parts}:
                return Union[tuple(map(self.read, parts))]  # noqa: UP007
            case {"type": "array", "prefixItems": [_, *_] as parts}:
                return tuple[tuple(map(self.read, parts))]  # type: ignore[misc]
            case {"type": "array"}:
                return list[self.read(schema.get("items", {}))]  # type: ignore[misc]
            case {"type": "object", "properties": dict() as fields}:
                return self._mapping(schema, fields)
            case {"type": "object"}:
                return dict[str, self.read(schema.get("additionalProperties", {}))]  # type: ignore[misc]
            case {"type": "string", "format": str() as name} if name in _FORMATS:
                return _FORMATS[name]
            case {"type": str() as name} if name in _TYPES:
                return _TYPES[name]
        raise ValueError("has no type that a parameter has")

    def _mapping(self, schema: Schema, fields: dict[str, object]) -> Any:
        """Return the type of a mapping with these fields."""
        required = schema.get("required", [])
        items = {
            name: (Required if name in required else NotRequired)[self.read(part)]
            for name, part in fields.items()
        }
        make: Any = TypedDict
        kind = make(str(schema.get("title", "object")), items)
        if schema.get("additionalProperties") is False:
            kind.__pydantic_config__ = {"extra": "forbid"}
        return kind

"""Types as JSON Schema: what a schema refuses, the type refuses too."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import json
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Len, MaxLen, MultipleOf, Predicate
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    DirectoryPath,
    Field,
    FilePath,
    FiniteFloat,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
)
from typing_extensions import TypedDict

from lightwork.functions import parameter_types, schemas


class Unit(enum.Enum):
    MS = "m/s"
    KNOTS = 2


class Lenient(enum.Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.A


@dataclasses.dataclass
class Place:
    name: str
    height: Annotated[float, Ge(0)] = 0.0


class Region(BaseModel):
    places: list[Place] = []
    since: dt.date | None = None


class Strict(BaseModel):
    model_config = {"extra": "forbid"}
    n: Annotated[int, Gt(0)]


class Spoken(BaseModel):
    n: int

    @field_validator("n", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return {"one": 1}.get(str(value), value)


class Bounds(TypedDict, total=False):
    low: int
    high: int


def halved(value: object) -> object:
    return value[1:-1] if isinstance(value, str) else value


CHECKED: list[Any] = [
    *(int, float, str, bool, Path, dt.date, dt.datetime, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal),
    *(
        Any,
        object,
        list,
        dict,
        FilePath | None,
        DirectoryPath,
        FiniteFloat,
        Unit,
        Place,
        Region,
        Strict,
        Bounds,
    ),
    *(Annotated[int, Gt(0)], Annotated[int, Ge(-3), Le(3)], Annotated[float, MultipleOf(0.5)]),
    *(Annotated[str, Len(1, 3)], Annotated[str, StringConstraints(pattern="^[a-c]+$")], int | None),
    *(Annotated[int, Field(gt=2, description="n")], Annotated[str, "a note"], Literal["a", "2", 2, True]),
    *(list[int], Annotated[list[str], MaxLen(1)], set[int], tuple[int, str], tuple[int, ...], dict[str, int]),
    *(
        dict[int, float],
        int | str,
        list[Place] | None,
        Literal[None, "x"],
        int | Literal["all"],
        frozenset[str],
    ),
    *(
        Annotated[set[int], Len(2, 2)],
        Annotated[int, AfterValidator(abs)],
        Annotated[str, Predicate(str.islower)],
    ),
]
UNCHECKED = [
    *(
        Spoken,
        list[Spoken],
        Lenient,
        SecretStr,
        bytes,
        Annotated[str, StringConstraints(to_lower=True, pattern="a")],
    ),
    *(Annotated[int, BeforeValidator(halved)], Annotated[str, Len(1, 3), BeforeValidator(halved)]),
]

TEXTS = st.one_of(
    st.sampled_from(
        [
            *("none", "null", "true", "yes", "off", "1", "0", "-3", "3", "2.5", "1e3"),
            *("nan", "a", "abc", "abcd", "2", "m/s", "~/x", "2026-01-31", "06:00", "P1D"),
            *("2026-01-31T06:00", "10_000", "12345678-1234-1234-1234-123456789abc", "[]", "{}", '"a"', "[1]"),
            *("[1,1]", "[1,2]", '["a"]', '[1,"a"]', '{"n":1}', '{"n":0}', '{"n":1,"x":1}', '{"low":1}'),
            *('{"name":"a"}', '{"name":"a","height":-1}', '[{"name":"a"}]', '{"places":[{"name":"a"}]}'),
            *('{"places":[{}]}', '{"1":2}', '{"a":1}', '{"since":null}', '{"since":"2026-01-31"}'),
        ]
    ),
    st.text(max_size=5),
    st.integers().map(str),
    st.floats().map(str),
    st.lists(st.integers(), max_size=3).map(json.dumps),
)  # fmt: skip


def accepts(annotation: Any, text: str) -> bool:
    try:
        parameter_types.from_text(annotation, text)
    except (ValidationError, ValueError):
        return False
    return True


@example(kind=Annotated[set[int], Len(2, 2)], text="[1,1,2]")
@given(kind=st.sampled_from(CHECKED), text=TEXTS)
def test_a_schema_refuses_nothing_that_the_type_accepts(kind: Any, text: str) -> None:
    schema = schemas.of(kind)
    assert schema is not None, "this type can be checked"
    again = schemas.annotation(json.loads(json.dumps(schema)))
    exists_is_for_the_pod = "-path" in str(schema)
    if accepts(kind, text) and not exists_is_for_the_pod:
        assert accepts(again, text), f"{schema} refuses {text!r}"
    assert schemas.of(again) is not None, "and what it makes can be kept once more"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Annotated[int, Gt(0)], "0"),
        (int, "ten"),
        (bool, "maybe"),
        (Literal["a", "b"], "c"),
        (Unit, "km/h"),
        (Annotated[str, StringConstraints(pattern="^[a-c]+$")], "d"),
        (dt.date, "soon"),
        (list[int], '["a"]'),
        (Place, '{"height": 1}'),
        (Place, '{"name": "a", "height": -1}'),
        (Strict, '{"n": 1, "m": 2}'),
        (Region, '{"places": [{"name": 1}]}'),
        (int | None, "some"),
        (tuple[int, str], "[1]"),
        (dict[str, int], '{"a": "b"}'),
    ],
)
def test_a_schema_refuses_values_of_another_type(kind: Any, text: str) -> None:
    assert not accepts(schemas.annotation(schemas.of(kind)), text)


@pytest.mark.parametrize("kind", UNCHECKED, ids=str)
def test_a_type_that_converts_values_first_has_no_schema(kind: Any) -> None:
    assert schemas.of(kind) is None


def billion() -> dict[str, Any]:
    names = [f"a{n}" for n in range(30)]
    pairs = itertools.pairwise(names)
    definitions = {name: {"anyOf": [{"$ref": f"#/$defs/{other}"}] * 2} for name, other in pairs}
    return {"$defs": {**definitions, names[-1]: {"type": "integer"}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    "schema",
    [
        *(None, 1, "int", [], {"type": "file"}, {"type": ["integer"]}, {"typ": "integer"}, {"anyOf": []}),
        *({"$ref": "#/$defs/a"}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, billion()),
        *({"type": "integer", "minimum": "a"}, {"type": "string", "pattern": "("}, {"const": [1]}),
        *(
            {"type": "string", "minLength": {}},
            {"type": "integer", "pattern": "a"},
            {"$defs": 1, "$ref": "a"},
        ),
        *({"type": "object", "properties": {"a": 1}}, {"enum": [{}]}, {"type": "array", "items": 3}),
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": 3},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_wrong_schema_is_a_value_error_at_once(schema: object) -> None:
    with pytest.raises(ValueError, match=r"^(has|holds|is|refers)"):
        schemas.annotation(schema)

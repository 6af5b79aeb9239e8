from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, MinLen
from pydantic import BaseModel, DirectoryPath, Field, FilePath

from lightwork import InputError, Pipeline, pipeline
from lightwork.functions import parameters as params


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Model(BaseModel):
    name: str
    sizes: list[int] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


@pipeline
def windy_city(max_timestamps: Annotated[int, Gt(0)] = 10_000, data: DirectoryPath | None = None) -> None: ...


def taking(annotation: Any, *default: Any) -> Pipeline[..., Any]:
    """A pipeline `p` with one parameter, `v`."""

    def p(v): ...

    p.__annotations__ = {"v": annotation}
    p.__defaults__ = default or None
    return pipeline(p)


def refusal(pipeline: Pipeline[..., Any], *items: str) -> str:
    with pytest.raises(InputError) as caught:
        params.parse(pipeline, items)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_message_names_the_parameter_the_value_and_what_is_expected() -> None:
    message = refusal(windy_city, "max_timestamps=ten")
    assert message.startswith("windy-city: parameter max_timestamps: 'ten' ")
    assert message.endswith("expected int > 0, for example max_timestamps=10000")


def test_values_have_the_order_of_the_signature_and_include_defaults(tmp_path: Path) -> None:
    values = params.parse(windy_city, [f"data={tmp_path}"])
    assert list(values.items()) == [("max_timestamps", 10_000), ("data", tmp_path)]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "-3", -3),
        (int, "10_000", 10_000),
        (float, "1e3", 1000.0),
        (str, "", ""),
        (str, "a=b", "a=b"),
        (str, "none", "none"),
        (str | None, "none", None),
        (int | None, "null", None),
        (int | None, "4", 4),
        (int | str, "4", 4),
        (int | str, "four", "four"),
        (bool, "yes", True),
        (bool, "off", False),
        (dt.date, "2026-01-31", dt.date(2026, 1, 31)),
        (dt.datetime, "2026-01-31T06:00", dt.datetime(2026, 1, 31, 6)),  # noqa: DTZ001
        (Path, "some/where", Path("some/where")),
        (Literal["fast", "slow"], "slow", "slow"),
        (Literal[1, 2], "2", 2),
        (Colour, "blue", Colour.BLUE),
        (list[str], '["a", "b"]', ["a", "b"]),
        (list[int] | None, "[1]", [1]),
        (list[int] | None, "none", None),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (dict[str, float], '{"a": 1}', {"a": 1.0}),
        (Model, '{"name": "n", "sizes": [1]}', Model(name="n", sizes=[1])),
        (Point, '{"x": 1}', Point(1.0)),
        (list[dt.date], '["2026-01-31"]', [dt.date(2026, 1, 31)]),
        (Annotated[list[int], MinLen(1)], "[1]", [1]),
    ],
)
def test_a_text_is_converted_to_the_type(annotation: Any, text: str, value: Any) -> None:
    parsed = params.parse(taking(annotation), [f"v={text}"])["v"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_path_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert params.parse(taking(Path), ["v=~/x"])["v"] == tmp_path / "x"


@pytest.mark.parametrize(
    ("annotation", "text", "words"),
    [
        (int, "1.5", ["'1.5' is not a whole number", "expected int"]),
        (int, "", ["'' is not a whole number"]),
        (float, "fast", ["is not a number", "expected float"]),
        (bool, "maybe", ["is not yes or no"]),
        (dt.date, "2026-13-01", ["is not a date", "for example v=2026-01-31"]),
        (dt.date, "20260131", ["is not a date"]),
        (dt.datetime, "5", ["is not a date and time"]),
        (Annotated[int, Ge(1)], "0", ["'0' is too small", "expected int >= 1"]),
        (Annotated[int, Field(gt=5, lt=8)], "8", ["is too large", "int > 5 and < 8", "v=6"]),
        (Annotated[float, Interval(ge=0, le=1)], "2", ["is too large", "float >= 0 and <= 1", "v="]),
        (DirectoryPath, "/no/such", ["'/no/such' is not a folder that exists", "an existing folder"]),
        (FilePath, "/no/such", ["'/no/such' is not a file that exists", "an existing file"]),
        (DirectoryPath | None, "/no/such", ["is not a folder that exists", "an existing folder or none"]),
        (Path, "", ["'' is not a path"]),
        (Literal["fast", "slow"], "fst", ["'fast' or 'slow'", "did you mean 'fast'?"]),
        (Literal["fast", "slow"] | None, "fst", ["did you mean 'fast'?"]),
        (Colour, "blu", ["'red' or 'blue'", "did you mean 'blue'?"]),
        (list[str], "a,b", ["is not JSON", "list[str] as JSON", """v='["a", "b"]'"""]),
        (list[int], '[1, "x"]', ["'x' is not a whole number (at [1])"]),
        (dict[str, int], "[]", ["dict[str, int] as JSON"]),
        (Model, "{}", ["field required", "(at name)", "Model {name: str, sizes: list[int]} as JSON"]),
        (Point, '{"x": "a"}', ["'a' is not a number (at x)"]),
        (Annotated[list[int], MinLen(1)], "[]", ["list[int] of length 1 or more"]),
        (int | dt.date, "x", ["expected int or date"]),
    ],
)
def test_a_text_of_another_type_is_refused(annotation: Any, text: str, words: list[str]) -> None:
    message = refusal(taking(annotation), f"v={text}")
    assert message.startswith("p: parameter v: ")
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["max_timestamp=1"], ["no parameter 'max_timestamp'", "did you mean 'max_timestamps'?"]),
        (["zzz=1"], ["no parameter 'zzz'", "available: data, max_timestamps"]),
        (["max_timestamps"], ["'max_timestamps' has no '='", "for example max_timestamps=10000"]),
        (["max_timestamps=1", "max_timestamps=2"], ["given twice, '1' and '2'"]),
    ],
)
def test_wrong_items_are_refused(items: list[str], words: list[str]) -> None:
    message = refusal(windy_city, *items)
    assert [word for word in words if word not in message] == []


def test_a_missing_parameter_is_named_with_its_type() -> None:
    message = refusal(taking(int))
    assert message.startswith("p: parameter v ")
    assert message.endswith("expected int, for example v=10")


def test_several_missing_parameters_are_named_together() -> None:
    @pipeline
    def p(a: int, b: list[str], c: int = 1) -> None: ...

    assert "expected a (int), b (list[str]), each as name=value" in refusal(p)


def test_a_default_is_checked_when_it_is_used() -> None:
    pipeline = taking(DirectoryPath, Path("/no/such"))
    assert "its default" in refusal(pipeline)
    assert params.parse(pipeline, ["v=/"])["v"] == Path("/")


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(refusal(taking(int), f"v={'x' * 10_000}")) < 250


def test_python_values_are_checked_too() -> None:
    assert params.check(windy_city, {"max_timestamps": "5"})["max_timestamps"] == 5
    with pytest.raises(InputError, match="0 is too small"):
        params.check(windy_city, {"max_timestamps": 0})
    with pytest.raises(InputError, match="did you mean 'data'"):
        params.check(windy_city, {"dat": 0})


def star(*args: int) -> None: ...


def stars(**options: int) -> None: ...


def positional(a: int, /) -> None: ...


def untyped(a): ...


def unknown(a: Missing) -> None: ...  # noqa: F821


def array(a: np.ndarray) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (star, "`*args` cannot be given by name"),
        (stars, "`**options` cannot be given by name"),
        (positional, "`a, /` cannot be given by name"),
        (untyped, "has no type; expected one, for example `a: int`"),
        (unknown, "NameError: name 'Missing' is not defined"),
        (array, "cannot be checked"),
    ],
)
def test_a_signature_that_the_command_line_cannot_fill_is_refused(function: Any, words: str) -> None:
    assert words in refusal(pipeline(function))


def test_the_error_of_a_pipelines_own_validator_is_one_line() -> None:
    from pydantic import AfterValidator

    def even(value: int) -> int:
        if value % 2:
            raise ValueError("an even\nnumber, please")
        return value

    assert "an even number, please" in refusal(taking(Annotated[int, AfterValidator(even)]), "v=3")

"""Parameters of a pipeline: `name=value` texts become values, checked by the types in its signature."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic.errors import PydanticUserError

from lightwork.errors import InputError, near, nearest, one_line
from lightwork.functions import given, schemas
from lightwork.functions import parameter_types as kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightwork.functions.decorated import Pipeline

REQUIRED: Any = inspect.Parameter.empty
AN_INSTANT = "2026-11-24T06:30:00+01:00"
"""What the start of an interval is like."""

_PHRASES = {
    "int": "is not a whole number",
    "float": "is not a number",
    "decimal": "is not a number",
    "bool": "is not yes or no (true, false, yes, no, 1, 0)",
    "date": "is not a date",
    "datetime": "is not a date and time",
    "timezone": "is not a date and time with the right zone",
    "literal": "is not one of the choices",
    "enum": "is not one of the choices",
    "path_not_directory": "is not a folder that exists",
    "path_not_file": "is not a file that exists",
    "path_type": "is not a path",
    "path_exists": "exists already",
    "greater_than": "is too small",
    "greater_than_equal": "is too small",
    "less_than": "is too large",
    "less_than_equal": "is too large",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a pipeline.

    Attributes:
        name: its name in the signature.
        annotation: its type, evaluated.
        default: its default, or REQUIRED.
        type: the type in words, with its constraints.
    """

    name: str
    annotation: Any
    default: Any
    type: str

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    def expected(self) -> str:
        """Return what to enter, with an example: `expected int > 0, for example n=10`."""
        as_json = " as JSON" if kinds.is_structured(self.annotation) else ""
        default = None if self.required else self.default
        return f"expected {self.type}{as_json}{kinds.examples(self.annotation, self.name, default)}"


@dataclass(frozen=True, slots=True)
class Described:
    """A pipeline in an image of its own, as the image's description has it; its code is not here.

    Attributes:
        name: its name.
        doc: the first line of its docstring.
        parameters: its parameters by name, in the order of its signature.
        interval: the parameters that take a run's interval, as those of a Pipeline.
        resources: what its tasks ask of workers, by their short names, as `wanted.resources` tells it.
        limits: the limits that they wait for, as `wanted.limits` tells it.
    """

    name: str
    doc: str
    parameters: Mapping[str, Parameter]
    interval: tuple[str, str] | None = None
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)


def of(pipeline: Pipeline[..., Any] | Described) -> dict[str, Parameter]:
    """Return the parameters of a pipeline by name, in the order of its signature.

    Raises:
        InputError: the signature has `*args` or `**kwargs`, or a parameter that is positional-only, has no
            type, or has a type that pydantic cannot check.
    """
    if isinstance(pipeline, Described):
        return dict(pipeline.parameters)
    try:
        signature = pipeline.signature
    except Exception as error:
        raise InputError(
            f"{pipeline.name}: its signature cannot be read ({_with_type(error)}); expected types that exist"
            f" when {pipeline.module} is imported"
        ) from error
    parameters: dict[str, Parameter] = {}
    for item in signature.parameters.values():
        where = f"{pipeline.name}: parameter {item.name}"
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
            shown = f"{item.name}, /" if item.kind is item.POSITIONAL_ONLY else str(item).partition(":")[0]
            raise InputError(f"{where}: `{shown}` cannot be given by name; expected a named parameter")
        if item.annotation is inspect.Parameter.empty:
            raise InputError(f"{where} has no type; expected one, for example `{item.name}: int`")
        try:
            kinds.validator(item.annotation)
        except PydanticUserError as error:
            raise InputError(
                f"{where} has the type {kinds.describe(item.annotation)}, which cannot be checked;"
                " expected a plain type, a dataclass or a pydantic model"
            ) from error
        parameters[item.name] = Parameter(
            item.name, item.annotation, item.default, kinds.describe(item.annotation)
        )
    return parameters


def interval(pipeline: Pipeline[..., Any] | Described) -> tuple[str, str] | None:
    """Return the parameters that take the start and the end of a run's interval; None if it has none.

    Raises:
        InputError: one of them cannot take a date with a time and an offset.
    """
    if pipeline.interval is None:
        return None
    taken = of(pipeline)
    for name in pipeline.interval:
        try:
            value_of(pipeline.name, taken[name], AN_INSTANT)
        except InputError:
            raise InputError(
                f"{pipeline.name}: parameter {name} takes the interval of a run, and its type"
                f" {taken[name].type} does not take {AN_INSTANT}; expected str or datetime"
            ) from None
    return pipeline.interval


def to_json(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter with the schema of its type, for JSON; without one if no schema says enough."""
    document: dict[str, Any] = {
        "name": parameter.name,
        "type": parameter.type,
        "required": parameter.required,
    }
    schema = schemas.of(parameter.annotation)
    if not parameter.required:
        document["default"] = kinds.to_text(parameter.default)
    if schema is not None and not parameter.required:
        try:
            value_of("", replace(parameter, annotation=schemas.annotation(schema)), document["default"])
        except InputError:
            schema = None
    return document if schema is None else document | {"schema": schema}


def from_json(document: Mapping[str, Any]) -> Parameter:
    """Return a parameter that `to_json` has written; without a schema it accepts every text.

    Raises:
        ValueError: the schema is wrong, or the default is not of it.
    """
    kind = schemas.annotation(document["schema"]) if "schema" in document else Any
    parameter = Parameter(document["name"], kind, REQUIRED, one_line(document["type"]))
    if document["required"]:
        return parameter
    return replace(parameter, default=value_of("its default", parameter, document["default"]))


def parse(pipeline: Pipeline[..., Any], items: Sequence[str]) -> dict[str, Any]:
    """Convert `name=value` texts to checked values, with defaults, in the order of the signature.

    >>> from lightwork import pipeline
    >>> @pipeline
    ... def windy_city(hours: int = 24, unit: str = "m/s") -> None: ...
    >>> parse(windy_city, ["hours=48"])
    {'hours': 48, 'unit': 'm/s'}

    Lists, dicts, dataclasses and models are given as JSON. `none` is None if the type allows it. Booleans are
    true, false, yes, no, on, off, 1 or 0. Dates (2026-01-31) and times (2026-01-31T06:00) are ISO 8601.
    `name=@FILE` gives the content of a file (see `given.texts`).

    Raises:
        InputError: a text is wrong; one line says what, where, and what is expected.
    """
    parameters = of(pipeline)
    texts = given.texts(pipeline.name, items, functools.partial(_form, parameters))
    return from_texts(pipeline, texts)


def from_texts(pipeline: Pipeline[..., Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Convert texts by name to checked values, as `parse` does.

    Raises:
        InputError: a text is wrong; one line says what, where, and what is expected.
    """
    parameters = of(pipeline)
    values = {
        name: value_of(pipeline.name, _parameter(pipeline, parameters, name), text)
        for name, text in texts.items()
    }
    return _complete(pipeline, parameters, values)


def check(pipeline: Pipeline[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Check Python values against the types, with defaults, in the order of the signature.

    Raises:
        InputError: a value is wrong; one line says what, where, and what is expected.
    """
    parameters = of(pipeline)
    checked = {
        name: _checked(pipeline.name, _parameter(pipeline, parameters, name), value)
        for name, value in values.items()
    }
    return _complete(pipeline, parameters, checked)


def _parameter(pipeline: Pipeline[..., Any], parameters: Mapping[str, Parameter], name: str) -> Parameter:
    if name in parameters:
        return parameters[name]
    hint = near(name, parameters) if parameters else "; it takes none"
    raise InputError(f"{pipeline.name}: there is no parameter {name!r}{hint}")


def _form(parameters: Mapping[str, Parameter], item: str) -> str:
    """Return what to enter in place of an item without `=`."""
    if not parameters:
        return "the pipeline takes no parameters"
    name = next(iter(difflib.get_close_matches(item, parameters, n=1)), next(iter(parameters)))
    default = None if parameters[name].required else parameters[name].default
    example = kinds.examples(parameters[name].annotation, name, default) or f", for example {name}=..."
    return f"expected name=value{example}"


def _complete(
    pipeline: Pipeline[..., Any], parameters: Mapping[str, Parameter], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Add the defaults, which are checked too."""
    missing = [p for name, p in parameters.items() if p.required and name not in values]
    if len(missing) == 1:
        raise InputError(f"{pipeline.name}: parameter {missing[0].name} is missing; {missing[0].expected()}")
    if missing:
        names = ", ".join(f"{parameter.name} ({parameter.type})" for parameter in missing)
        raise InputError(f"{pipeline.name}: parameters are missing; expected {names}, each as name=value")
    return {
        name: values[name]
        if name in values
        else _checked(pipeline.name, parameter, parameter.default, default=True)
        for name, parameter in parameters.items()
    }


def value_of(where: str, parameter: Parameter, text: str) -> Any:
    """Convert a text to a checked value.

    Raises:
        InputError: the text is wrong; the message begins with `where`.
    """
    return _converted(where, parameter, text, "", kinds.from_text)


def _checked(where: str, parameter: Parameter, value: Any, *, default: bool = False) -> Any:
    source = "its default " if default else ""
    return _converted(
        where, parameter, value, source, lambda kind, v: kinds.validator(kind).validate_python(v)
    )


def _converted(
    where: str, parameter: Parameter, value: Any, source: str, convert: Callable[[Any, Any], Any]
) -> Any:
    try:
        return convert(parameter.annotation, value)
    except ValidationError as error:
        problem = _problem(error, parameter, value)
    except json.JSONDecodeError as error:
        problem = f"{_short(value)} is not JSON ({error.msg.lower()} at character {error.pos + 1})"
    except Exception as error:  # noqa: BLE001  (from a validator that the pipeline's author wrote)
        problem = f"{_short(value)} is not accepted ({_with_type(error)})"
    choices = [] if source else [kinds.to_text(choice) for choice in kinds.choices(parameter.annotation)]
    hint = nearest(str(value), choices)
    raise InputError(f"{where}: parameter {parameter.name}: {source}{problem}; {parameter.expected()}{hint}")


def _problem(error: ValidationError, parameter: Parameter, value: Any) -> str:
    """Return pydantic's first objection in a few words."""
    first = error.errors(include_url=False)[0]
    kind = first["type"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    nested = bool(path) and kinds.is_structured(parameter.annotation)
    shown = _short(first["input"] if nested and kind != "missing" else value)
    at = f" (at {path.lstrip('.')})" if nested else ""
    phrase = _PHRASES.get(kind) or _PHRASES.get(kind.split("_")[0])
    if kind == "is_instance_of" or phrase is None:
        phrase = f"is not accepted ({first['msg'][:1].lower()}{first['msg'][1:]})"
    return one_line(f"{shown} {phrase}{at}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-15:]}"


def _with_type(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")

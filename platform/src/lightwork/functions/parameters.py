"""A pipeline's parameters: from `name=value` texts to checked values, by the types in its signature."""

from __future__ import annotations

import difflib
import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic.errors import PydanticUserError

from lightwork.errors import InputError, near
from lightwork.functions import parameter_types as kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lightwork.functions.decorated import Pipeline

REQUIRED: Any = inspect.Parameter.empty

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
        name: as in the signature.
        annotation: its type, resolved.
        default: the default as written, or REQUIRED.
        type: the type in words, constraints included.
    """

    name: str
    annotation: Any
    default: Any
    type: str

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        return self.default is REQUIRED

    def expected(self) -> str:
        """What would be right, with an example: `expected int > 0, for example n=10`."""
        as_json = " as JSON" if kinds.is_structured(self.annotation) else ""
        default = None if self.required else self.default
        return f"expected {self.type}{as_json}{kinds.examples(self.annotation, self.name, default)}"


def of(pipeline: Pipeline[..., Any]) -> dict[str, Parameter]:
    """The parameters of a pipeline by name, in the order of its signature.

    Raises:
        InputError: a signature that no command line can fill: `*args`, `**kwargs`, a parameter without a
            type, or with a type that values cannot be checked against.
    """
    try:
        signature = pipeline.signature
    except Exception as error:
        raise InputError(
            f"{pipeline.name}: its signature cannot be read ({_line(error)}); expected types that exist"
            f" when {pipeline.module} is imported"
        ) from error
    found: dict[str, Parameter] = {}
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
        found[item.name] = Parameter(
            item.name, item.annotation, item.default, kinds.describe(item.annotation)
        )
    return found


def parse(pipeline: Pipeline[..., Any], items: Sequence[str]) -> dict[str, Any]:
    """The checked values for `name=value` texts, defaults included, in the order of the signature.

    Lists, dicts, dataclasses and models are given as JSON; `none` is None where that is allowed; booleans
    are true, false, yes, no, on, off, 1, 0; dates are ISO (2026-01-31), times too (2026-01-31T06:00).

    Raises:
        InputError: one line that says what is wrong, where, and what would be right.
    """
    known = of(pipeline)
    texts: dict[str, str] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator:
            raise InputError(f"{pipeline.name}: {item!r} has no '='; {_form(known, item)}")
        parameter = _known(pipeline, known, name)
        if name in texts:
            both = f"{texts[name]!r} and {text!r}"
            raise InputError(f"{pipeline.name}: parameter {name} is given twice, {both}; expected once")
        texts[parameter.name] = text
    values = {name: value_of(pipeline.name, known[name], text) for name, text in texts.items()}
    return _complete(pipeline, known, values)


def check(pipeline: Pipeline[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The checked values for Python values, defaults included, in the order of the signature.

    Raises:
        InputError: one line that says what is wrong, where, and what would be right.
    """
    known = of(pipeline)
    checked = {
        name: _checked(pipeline.name, _known(pipeline, known, name), value) for name, value in values.items()
    }
    return _complete(pipeline, known, checked)


def _known(pipeline: Pipeline[..., Any], known: Mapping[str, Parameter], name: str) -> Parameter:
    if name in known:
        return known[name]
    rest = near(name, known) if known else "; it takes none"
    raise InputError(f"{pipeline.name}: there is no parameter {name!r}{rest}")


def _form(known: Mapping[str, Parameter], item: str) -> str:
    """What would be right where a `name=value` was expected."""
    if not known:
        return "the pipeline takes no parameters"
    name = next(iter(difflib.get_close_matches(item, known, n=1)), next(iter(known)))
    default = None if known[name].required else known[name].default
    example = kinds.examples(known[name].annotation, name, default) or f", for example {name}=..."
    return f"expected name=value{example}"


def _complete(
    pipeline: Pipeline[..., Any], known: Mapping[str, Parameter], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values with the defaults of what was not given, checked as well."""
    missing = [parameter for name, parameter in known.items() if parameter.required and name not in values]
    if len(missing) == 1:
        raise InputError(f"{pipeline.name}: parameter {missing[0].name} is missing; {missing[0].expected()}")
    if missing:
        names = ", ".join(f"{parameter.name} ({parameter.type})" for parameter in missing)
        raise InputError(f"{pipeline.name}: parameters are missing; expected {names}, each as name=value")
    return {
        name: values[name]
        if name in values
        else _checked(pipeline.name, parameter, parameter.default, default=True)
        for name, parameter in known.items()
    }


def value_of(where: str, parameter: Parameter, text: str) -> Any:
    """The checked value that a text stands for.

    Raises:
        InputError: one line that begins with `where`.
    """
    return _tried(where, parameter, text, "", kinds.from_text)


def _checked(where: str, parameter: Parameter, value: Any, *, default: bool = False) -> Any:
    source = "its default " if default else ""
    return _tried(where, parameter, value, source, lambda kind, v: kinds.validator(kind).validate_python(v))


def _tried(
    where: str, parameter: Parameter, value: Any, source: str, convert: Callable[[Any, Any], Any]
) -> Any:
    try:
        return convert(parameter.annotation, value)
    except ValidationError as error:
        what = _problem(error, parameter, value)
    except json.JSONDecodeError as error:
        what = f"{_short(value)} is not JSON ({error.msg.lower()} at character {error.pos + 1})"
    except Exception as error:  # noqa: BLE001  (a validator of the pipeline's own)
        what = f"{_short(value)} is not accepted ({_line(error)})"
    guess = "" if source else _guess(parameter, value)
    raise InputError(f"{where}: parameter {parameter.name}: {source}{what}; {parameter.expected()}{guess}")


def _problem(error: ValidationError, parameter: Parameter, value: Any) -> str:
    """What pydantic found, in a few words."""
    first = error.errors(include_url=False)[0]
    kind = first["type"]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    nested = bool(place) and kinds.is_structured(parameter.annotation)
    shown = _short(first["input"] if nested and kind != "missing" else value)
    at = f" (at {place.lstrip('.')})" if nested else ""
    phrase = _PHRASES.get(kind) or _PHRASES.get(kind.split("_")[0])
    if kind == "is_instance_of" or phrase is None:
        phrase = f"is not accepted ({first['msg'][:1].lower()}{first['msg'][1:]})"
    return " ".join(f"{shown} {phrase}{at}".split())


def _guess(parameter: Parameter, value: Any) -> str:
    """The nearest choice, where the parameter has choices and one is near."""
    named = [kinds.to_text(choice) for choice in kinds.choices(parameter.annotation)]
    text = near(str(value), named)
    return text if "did you mean" in text else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-15:]}"


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())

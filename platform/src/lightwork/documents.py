"""YAML files that people write: parsed into frozen pydantic models, with errors that name the line."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.nodes import MappingNode, Node, SequenceNode

from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

M = TypeVar("M", bound=BaseModel)


class Document(BaseModel):
    """The base of all models of such files: unknown fields are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read(path: Path) -> tuple[dict[str, Any], Node | None]:
    """Parse a YAML file that holds one mapping.

    Returns:
        The mapping, and the tree of YAML nodes with their lines (None for an empty file).

    Raises:
        InputError: the file is missing, is not YAML, is not a mapping, or names a field twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _refuse_duplicates(path, node)
        content = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{where}: this is not YAML: {problem}") from None
    if content is None:
        return {}, None
    if not isinstance(content, dict):
        raise InputError(f"{path}:1: found {reprlib.repr(content)}; expected a mapping of fields")
    return content, node


def child(node: Node | None, name: str) -> Node | None:
    """Return the node of one field of a mapping; None if there is no such field."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    return None


def parse(
    model: type[M], content: Mapping[str, Any], *, path: Path, node: Node | None, prefix: str = ""
) -> M:
    """Check a mapping against a model.

    Args:
        model: the model.
        content: the mapping.
        path: its file, for messages.
        node: its YAML node, for the lines in messages.
        prefix: a prefix of each field's name in the file.

    Raises:
        InputError: a field is wrong; one line for each: `file:line: field: found VALUE; what is allowed`.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        details = error.errors(include_url=False)
        for detail in details:
            # A list with a wrong item is also reported as too short: report the item only.
            if detail["type"] == "too_short" and any(
                _within(other["loc"], detail["loc"]) for other in details
            ):
                continue
            # pydantic marks a wrong key of a mapping by "[key]".
            location = [part for part in detail["loc"] if isinstance(part, str | int) and part != "[key]"]
            lines.append(f"{place(path, node, location, prefix)}: {_reason(model, detail, location)}")
        raise InputError("\n".join(lines)) from None


def place(path: Path, node: Node | None, location: Sequence[str | int], prefix: str = "") -> str:
    """Return the location of a field for a message: `file:line: the.field`.

    Args:
        path: the file.
        node: the YAML node of the whole content.
        location: the path to the field: names, and positions in lists.
        prefix: a prefix of the first name in the file.
    """
    field = prefix + ".".join(str(part) for part in location)
    return f"{path}:{_line(node, location, prefix)}: {field}"


def _reason(model: type[BaseModel], detail: Mapping[str, Any], location: list[str | int]) -> str:
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            fields = _fields_at(model, location[:-1])
            return "there is no such field" + (near(str(location[-1]), fields) if fields else "")
        case "too_short":
            message = f"should have at least {detail['ctx']['min_length']}"
        case "list_type" | "tuple_type":
            message = "should be a list"
        case "dict_type" | "model_type":
            message = "should be a mapping of fields"
        case _:
            message = str(detail["msg"])
            for start in ("Value error, ", "Input ", "String "):
                message = message.removeprefix(start)
    return f"found {reprlib.repr(detail['input'])}; {message}"


def _within(inner: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the fields that are allowed at a location inside a model."""
    kinds: list[Any] = [model]
    for part in location:
        models = _models(kinds)
        if models:
            # A union of models: continue with those that have the field.
            name = str(part)
            kinds = [item.model_fields[name].annotation for item in models if name in item.model_fields]
        else:
            # A mapping or a list: continue with its values.
            kinds = [item for kind in kinds for item in get_args(kind)]
            while kinds and not _models(kinds):
                kinds = [item for kind in kinds for item in get_args(kind)]
    return list(dict.fromkeys(name for item in _models(kinds) for name in item.model_fields))


def _models(kinds: Iterable[Any]) -> list[type[BaseModel]]:
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _line(node: Node | None, location: Sequence[str | int], prefix: str) -> int:
    """Return the line, from 1, of the deepest node in the file on the path to a location."""
    line = 1 if node is None else node.start_mark.line + 1
    for depth, part in enumerate(location):
        if isinstance(node, MappingNode):
            name = prefix + str(part) if depth == 0 else str(part)
            pairs = [(key, value) for key, value in node.value if key.value == name]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _refuse_duplicates(path: Path, node: Node) -> None:
    """Refuse two equal keys, of which YAML's parsers silently keep the last."""
    if isinstance(node, MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if key.value in seen:
                raise InputError(f"{path}:{key.start_mark.line + 1}: {key.value}: appears twice; keep one")
            seen.add(key.value if isinstance(key.value, str) else id(key))
            _refuse_duplicates(path, value)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            _refuse_duplicates(path, value)

"""Files that people write: YAML, parsed once into a frozen pydantic model, with errors that name the line."""

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
    """The base of what is written in such files: unknown fields are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read(path: Path) -> tuple[dict[str, Any], Node | None]:
    """Parse a YAML file that holds one mapping.

    Returns:
        The mapping, and the tree of YAML nodes it came from (None for an empty file), which knows the lines.

    Raises:
        InputError: the file is missing, no YAML, no mapping, or names a field twice.
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
        raise InputError(f"{path}:1: found {reprlib.repr(content)}; a mapping of fields belongs here")
    return content, node


def child(node: Node | None, name: str) -> Node | None:
    """The node of one field of a mapping; None if it has no such field."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    return None


def parse(
    model: type[M], content: Mapping[str, Any], *, path: Path, node: Node | None, prefix: str = ""
) -> M:
    """Check a mapping against a model.

    Args:
        model: what the mapping must be.
        content: the mapping.
        path: the file it came from, for messages.
        node: the YAML node it came from, for the lines in messages.
        prefix: what the file writes before each field's name.

    Raises:
        InputError: one line for each wrong field: `file:line: field: what was found; what is allowed`.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        wrong = error.errors(include_url=False)
        for found in wrong:
            # A list is too short as well when one of its items is refused: that is said once.
            if found["type"] == "too_short" and any(_within(other["loc"], found["loc"]) for other in wrong):
                continue
            # A mapping's key that is refused has "[key]" behind it.
            location = [part for part in found["loc"] if isinstance(part, str | int) and part != "[key]"]
            lines.append(f"{place(path, node, location, prefix)}: {_reason(model, found, location)}")
        raise InputError("\n".join(lines)) from None


def place(path: Path, node: Node | None, location: Sequence[str | int], prefix: str = "") -> str:
    """Where a field is, for a message: `file:line: the.field`.

    Args:
        path: the file.
        node: the YAML node of the whole.
        location: the way to the field: names, and positions in lists.
        prefix: what the file writes before the first name.
    """
    field = prefix + ".".join(str(part) for part in location)
    return f"{path}:{_line(node, location, prefix)}: {field}"


def _reason(model: type[BaseModel], found: Mapping[str, Any], location: list[str | int]) -> str:
    match found["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            known = _fields_at(model, location[:-1])
            return "there is no such field" + (near(str(location[-1]), known) if known else "")
        case "too_short":
            message = f"should have at least {found['ctx']['min_length']}"
        case "list_type" | "tuple_type":
            message = "should be a list"
        case "dict_type" | "model_type":
            message = "should be a mapping of fields"
        case _:
            message = str(found["msg"])
            for start in ("Value error, ", "Input ", "String "):
                message = message.removeprefix(start)
    return f"found {reprlib.repr(found['input'])}; {message}"


def _within(inner: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The fields of the model that stands at a location inside another, or of each that may stand there."""
    kinds: list[Any] = [model]
    for part in location:
        models = _models(kinds)
        if models:
            # Of several models, those that have the field.
            kinds = [
                one.model_fields[str(part)].annotation for one in models if str(part) in one.model_fields
            ]
        else:
            # The values of a mapping, or the elements of a list.
            kinds = [item for kind in kinds for item in get_args(kind)]
            while kinds and not _models(kinds):
                kinds = [item for kind in kinds for item in get_args(kind)]
    return list(dict.fromkeys(name for one in _models(kinds) for name in one.model_fields))


def _models(kinds: Iterable[Any]) -> list[type[BaseModel]]:
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _line(node: Node | None, location: Sequence[str | int], prefix: str) -> int:
    """The line, from 1, of the deepest node on the way to a location that the file has."""
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
    """YAML's parsers keep the last of two equal keys without a word."""
    if isinstance(node, MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if key.value in seen:
                raise InputError(
                    f"{path}:{key.start_mark.line + 1}: {key.value}: is here a second time; keep one"
                )
            seen.add(key.value if isinstance(key.value, str) else id(key))
            _refuse_duplicates(path, value)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            _refuse_duplicates(path, value)

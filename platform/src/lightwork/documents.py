"""YAML files that people write: parsed into frozen pydantic models, with errors that name the line."""

from __future__ import annotations

import math
import re
import reprlib
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lightwork.errors import InputError, near, one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

M = TypeVar("M", bound=BaseModel)
_SHOWN = 80
"""Characters of a text from a file that a message shows."""


class Document(BaseModel):
    """The base of all models of such files: unknown fields are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


LARGEST = 256 * 1024
"""Bytes of a file at most."""
MOST_NODES = 10_000
"""Keys and values of a file at most, counted as often as aliases repeat them."""
DEEPEST = 50
"""Levels of lists and mappings inside each other at most."""
_DIGITS = 40
"""Digits of a whole number at most."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_SAME_IN_ALL_YAML = {
    _TAG + "null": re.compile(r"~|null|Null|NULL|"),
    _TAG + "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    _TAG + "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    _TAG + "float": re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"),
}
"""By kind, the texts that all versions of YAML read alike."""


def read(path: Path) -> tuple[dict[str, Any], Node | None]:
    """Parse a YAML file that holds one mapping.

    Keys are the texts in the file, and so are dates. Time and memory are bounded, whatever the file holds.

    Returns:
        The mapping, and the tree of YAML nodes with their lines (None for an empty file).

    Raises:
        InputError: the file is missing, is not YAML, is not a mapping, names a field twice, is too large, or
            has a value that is not a plain one or that versions of YAML read differently.
    """
    text = read_text(path)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return {}, None
        _check(path, node)
        content = loader.construct_document(node)
    except InputError:
        raise
    except _TooMuch as error:
        raise InputError(f"{path}:{error.line}: {error}") from None
    except Exception as error:  # noqa: BLE001 - the parser does not expect every number in an escape
        raise InputError(f"{path}:{_not_yaml(error, text)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}:1: found {reprlib.repr(content)}; expected a mapping of fields")
    return content, node


def read_text(path: Path) -> str:
    """Return the text of a small file.

    Raises:
        InputError: it is missing, cannot be read, is not UTF-8 or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise InputError(f"{path}: has more than {LARGEST // 1024} KiB; expected a small file")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read: {one_line(reason)}") from None


def _not_yaml(error: Exception, text: str) -> str:
    """Return the line and the reason of a parser's error."""
    mark = getattr(error, "problem_mark", None)
    lines_before = mark.line if mark else text.count("\n", 0, getattr(error, "position", 0))
    line = lines_before + 1
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if problem == "but found another document":
        return f"{line}: a second document begins here; keep one"
    return f"{line}: this is not YAML: {one_line(problem)}"


class _TooMuch(Exception):  # noqa: N818 - not an error of the parser
    """More than a file may hold, at a line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Loader(yaml.SafeLoader):
    """A loader that stops at a depth and a number of nodes, and takes keys and dates as texts."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """Compose a node and all below it."""
        line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
        self._count += 1
        if self._count > MOST_NODES:
            raise _TooMuch(line, f"the file has more than {MOST_NODES:,} keys and values")
        if self._depth == DEEPEST:
            raise _TooMuch(line, f"lists and mappings are more than {DEEPEST} levels deep")
        self._depth += 1
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping, with the texts of its keys as they are in the file."""
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


DATES_AS_TEXTS = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG + "timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
"""What a loader of YAML takes a plain text for, without dates."""
_Loader.yaml_implicit_resolvers = DATES_AS_TEXTS


def _check(path: Path, root: Node) -> None:
    """Refuse what a file should not hold: see `read`."""
    sizes: dict[Node, int] = {}
    open_nodes: set[Node] = set()

    def visit(node: Node) -> int:
        """Return the number of nodes below a node and itself, counted as often as aliases repeat them."""
        line = node.start_mark.line + 1
        if node in open_nodes:
            raise InputError(f"{path}:{line}: an alias stands inside what it repeats; write it out")
        if node in sizes:
            return sizes[node]
        open_nodes.add(node)
        if isinstance(node, MappingNode):
            _check_tag(path, node, "map")
            _check_keys(path, node)
            size = 1 + sum(visit(value) for _, value in node.value) + len(node.value)
        elif isinstance(node, SequenceNode):
            _check_tag(path, node, "seq")
            size = 1 + sum(visit(value) for value in node.value)
        else:
            _check_scalar(path, node)
            size = 1
        if size > MOST_NODES:
            raise InputError(f"{path}:{line}: aliases make more than {MOST_NODES:,} keys and values of this")
        open_nodes.discard(node)
        sizes[node] = size
        return size

    visit(root)


def _check_tag(path: Path, node: Node, kind: str) -> None:
    if node.tag != _TAG + kind:
        tag = node.tag.replace(_TAG, "!!")
        line = node.start_mark.line + 1
        raise InputError(f"{path}:{line}: found the tag {_shortened(tag)}; expected a value without one")


def _check_keys(path: Path, node: MappingNode) -> None:
    """Refuse keys that are not texts, and two equal ones, of which parsers silently keep the last."""
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise InputError(f"{path}:{line}: found a list or a mapping as a key; expected a name")
        if key.tag == _MERGE:
            parts = value.value if isinstance(value, SequenceNode) else [value]
            if not all(isinstance(part, MappingNode) for part in parts):
                raise InputError(f"{path}:{line}: << merges mappings only; expected one, or a list of them")
        elif key.tag != _TAG + "str" and key.tag not in _SAME_IN_ALL_YAML:
            _check_tag(path, key, "str")
        if key.value in seen:
            raise InputError(f"{path}:{line}: {_shortened(key.value)}: appears twice; keep one")
        _check_text(path, key)
        seen.add(key.value)


def _check_scalar(path: Path, node: Node) -> None:
    line, text = node.start_mark.line + 1, node.value
    if node.tag == _TAG + "str":
        _check_text(path, node)
        return
    if node.tag not in _SAME_IN_ALL_YAML:
        _check_tag(path, node, "str")
    if not _SAME_IN_ALL_YAML[node.tag].fullmatch(text):
        kind = "true or false" if node.tag == _TAG + "bool" else "a finite decimal number"
        raise InputError(
            f"{path}:{line}: found {_shortened(text)}, which versions of YAML read differently;"
            f" expected {kind}, or a text in quotes"
        )
    if node.tag == _TAG + "int" and len(text) > _DIGITS:
        raise InputError(f"{path}:{line}: found a number of {len(text):,} digits; expected {_DIGITS} at most")
    if node.tag == _TAG + "float" and not math.isfinite(float(text)):
        raise InputError(f"{path}:{line}: found {_shortened(text)}; expected a finite decimal number")


def _check_text(path: Path, node: Node) -> None:
    """Refuse what no program can be given: a NUL, and halves of characters."""
    if re.search("[\\x00\ud800-\udfff]", node.value):
        raise InputError(
            f"{path}:{node.start_mark.line + 1}: found {reprlib.repr(node.value)}, which has a NUL or half a"
            " character"
        )


def _shortened(text: str) -> str:
    """Return a text from a file as a part of a message's one line."""
    return one_line(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def child(node: Node | None, name: str) -> Node | None:
    """Return the node of one field of a mapping; None if there is no such field."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == name), None)
    return None


def parse(
    model: type[M],
    content: Mapping[str, Any],
    *,
    path: Path,
    node: Node | None,
    prefix: str = "",
    context: Mapping[str, Any] | None = None,
) -> M:
    """Check a mapping against a model.

    Args:
        model: the model.
        content: the mapping.
        path: its file, for messages.
        node: its YAML node, for the lines in messages.
        prefix: a prefix of each field's name in the file.
        context: what the model's validators may need besides the mapping.

    Raises:
        InputError: a field is wrong; one line for each: `file:line: field: found VALUE; what is allowed`.
    """
    try:
        return model.model_validate(content, context=context)
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
    field = prefix + ".".join(_shortened(str(part)) for part in location)
    return f"{path}:{_line(node, location, prefix)}: {field}"


def _reason(model: type[BaseModel], detail: Mapping[str, Any], location: list[str | int]) -> str:
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            fields = _fields_at(model, location[:-1])
            return "there is no such field" + (near(_shortened(str(location[-1])), fields) if fields else "")
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
    """Return the models among types, optional ones included."""
    alone = [item for kind in kinds for item in (get_args(kind) if isinstance(kind, UnionType) else [kind])]
    return [item for item in alone if isinstance(item, type) and issubclass(item, BaseModel)]


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

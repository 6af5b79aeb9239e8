"""Values as people give them: NAME=VALUE, NAME=@FILE for what a file contains, and how long they may be."""

from __future__ import annotations

import json
import re
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONTROL = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON may have as they are, and that YAML does not allow or reads as line ends."""
LARGEST = 1_000_000
"""The most bytes of a file that is given as a value, and of all long values of a run in a cluster."""
LONGEST = 30_000
"""The most that one value may weigh in a Workflow; a longer one is kept beside it."""
LONGEST_TOGETHER = 60_000
"""The most that all values of a run, or all arguments of one container, may weigh together.

Linux gives a process no variable of more than 128 KiB, and Argo puts a container's whole template into one.
"""


def texts(
    where: str, items: Sequence[str], expected: Callable[[str], str] = lambda _: "expected name=value"
) -> dict[str, str]:
    """Return the values by name.

    A value that begins with `@` names a file, whose content is the value, to the byte. A value that itself
    begins with `@` is given with `@@`.

    >>> texts("windy-city", ["unit=mph", "at=@@noon"])
    {'unit': 'mph', 'at': '@noon'}

    Args:
        where: what messages begin with, such as the pipeline's name.
        items: such as `hours=24`.
        expected: returns what would be right in place of an item without `=`.

    Raises:
        InputError: an item is malformed or given twice, or its value is not a text; one line says which.
    """
    values: dict[str, str] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not name:
            raise InputError(f"{where}: {item!r} has no '='; {expected(item)}")
        if name in values:
            both = f"{reprlib.repr(values[name])} and {reprlib.repr(value)}"
            raise InputError(f"{where}: parameter {name} is given twice, {both}; expected once")
        values[name] = _text(f"{where}: parameter {name}", value)
    return values


def unusable(text: str) -> str:
    """Return why a text cannot be given to a process; empty if it can."""
    if "\0" in text:
        return f"has the character NUL at position {text.index(chr(0)) + 1}; expected a text"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"is not UTF-8 at position {error.start + 1}; expected a text"
    return ""


def weight(text: str) -> int:
    """Return how many bytes a text takes in Argo's template of a container, where it is JSON inside JSON.

    Go's JSON and `kube.texts` escape some more characters than Python's JSON.
    """
    quoted = json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False)
    escaped = 6 * sum(map(text.count, "$<>&")) + 19 * text.count("{{")
    return len(quoted.encode(errors="replace")) + escaped


def _text(where: str, value: str) -> str:
    text, source = value, where
    if value.startswith("@@"):
        text = value[1:]
    elif value.startswith("@"):
        text, source = _content(where, value[1:]), f"{where}: {value[1:]!r}"
    if reason := unusable(text):
        raise InputError(f"{source} {reason}")
    return text


def _content(where: str, path: str) -> str:
    """Return a file's content, unchanged.

    Raises:
        InputError: the file cannot be read, is too large, or is not UTF-8.
    """
    if not path:
        raise InputError(f"{where}: '@' names no file; expected @FILE, or @@ for a value that begins with @")
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"{where}: {path!r} cannot be read ({reason}); expected @FILE, or @@ for a value that begins"
            " with @"
        ) from None
    if len(data) > LARGEST:
        raise InputError(
            f"{where}: {path!r} has more than {LARGEST:,} bytes, the most for a value; write it into the lake"
            " and give its path"
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8 at byte {error.start + 1}; expected a text"
        raise InputError(f"{where}: {path!r} {reason}") from None

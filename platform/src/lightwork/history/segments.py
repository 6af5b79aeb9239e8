"""Segments of the history: the runs that ended on one day, or in one month, as compressed lines of JSON.

A segment never changes. Its name holds its period and the digest of its content, so two processes that write
the same one do no harm, and a reader that has a segment of a name needs it never again. A segment with more
runs replaces others: it is written first, then they are deleted, each by whoever has taken its content over.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lightwork.errors import LightworkError, one_line
from lightwork.logs import get_logger
from lightwork.store import marks
from lightwork.store.documents import OddError, digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightwork.history.source import Run
    from lightwork.lake import Lake

STATE = f"{marks.HISTORY}/looked-through"
"""The file that is written anew when a collector has looked at all runs of the lake."""
PRICES = f"{marks.HISTORY}/prices.json"
"""The file with the prices of workers, if the estate has given them."""
NOTED = "noted"
"""The field of a line with the time at which the run's record was read (Unix seconds)."""
_NAME = re.compile(rf"{marks.HISTORY}/(\d{{4}}-\d\d(?:-\d\d)?)-([0-9a-f]{{32}})\.jsonl\.gz")
_LEFT_OUT = ("result",)
"""The fields of a run that only its own record has: a table may be among them."""
_LONG_TEXT = 2_000
"""Characters of a text in a run, such as a parameter, beyond which the history keeps only its start."""
_LONG_LIST = 200
"""Items of a list in a run beyond which the history keeps only the first ones."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the history of a lake consists of.

    Attributes:
        segments: the period of each segment, by its path.
        marks: the paths of each run's marks, by its name.
        modified: when each file was written (Unix seconds), by its path.
        complete: whether all runs of the lake are in the segments or marked.
        priced: whether the lake has prices.
    """

    segments: dict[str, str] = field(default_factory=dict)
    marks: dict[str, list[str]] = field(default_factory=dict)
    modified: dict[str, float] = field(default_factory=dict)
    complete: bool = False
    priced: bool = False


def listing(lake: Lake) -> Listing:
    """List the history of a lake, by one listing."""
    periods: dict[str, str] = {}
    marked: dict[str, list[str]] = {}
    entries = lake.entries(marks.HISTORY)
    for entry in entries:
        if match := _NAME.fullmatch(entry.path):
            periods[entry.path] = match[1]
        elif name := marks.run_of(entry.path):
            marked.setdefault(name, []).append(entry.path)
    modified = {entry.path: entry.modified for entry in entries}
    return Listing(periods, marked, modified, STATE in modified, PRICES in modified)


def line_of(run: Run, noted: float) -> bytes:
    """Return a run as a line of a segment; what is very long in it is shortened."""
    values = {name: _bounded(value) for name, value in run.items() if name not in (NOTED, *_LEFT_OUT)}
    return json.dumps({**values, NOTED: noted}, ensure_ascii=False, separators=(",", ":")).encode()


def runs_of(lines: Iterable[bytes]) -> list[Run]:
    """Return the runs that lines of a segment describe."""
    return [json.loads(line) for line in lines]


def path_of(period: str, lines: Iterable[bytes]) -> tuple[str, bytes]:
    """Return the path of a segment with these lines, and its content.

    Args:
        period: `2026-11-28` or `2026-11`.
        lines: the lines, in the order of the runs' names.
    """
    content = b"".join(line + b"\n" for line in lines)
    path = f"{marks.HISTORY}/{period}-{digest(content)}.jsonl.gz"
    return path, gzip.compress(content, compresslevel=6, mtime=0)


def read(lake: Lake, path: str) -> list[bytes] | None:
    """Return the lines of a segment; None, with a warning, if it is damaged.

    Raises:
        FileNotFoundError: it was replaced meanwhile.
    """
    return lines_of(lake, path, fetch(lake, path))


def fetch(lake: Lake, path: str) -> bytes:
    """Return the content of a segment.

    Raises:
        FileNotFoundError: it was replaced meanwhile.
        LightworkError: the lake cannot be read.
    """
    try:
        return lake.read(path)
    except LightworkError:
        # S3 denies a missing file to those who may not list the whole bucket.
        if path in listing(lake).segments:
            raise
        raise FileNotFoundError(path) from None


def lines_of(lake: Lake, path: str, data: bytes) -> list[bytes] | None:
    """Return the lines of a segment's content; None, with a warning, if it is damaged."""
    try:
        return _checked(data, path)
    except OddError as error:
        get_logger("lightwork").warning(f"ignored a damaged file: {lake.uri(path)}: {one_line(error)}")
        return None


def _checked(data: bytes, path: str) -> list[bytes]:
    try:
        content = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise OddError(f"it cannot be decompressed: {error}") from None
    if (match := _NAME.fullmatch(path)) is None or digest(content) != match[2]:
        raise OddError("it does not match its checksum")
    return content.split(b"\n")[:-1]


def _bounded(value: Any) -> Any:
    """Return a JSON value with its long texts and lists cut, so that a run takes little room."""
    if isinstance(value, str):
        return value if len(value) <= _LONG_TEXT else f"{value[:_LONG_TEXT]}… ({len(value):,} characters)"
    if isinstance(value, list):
        return [_bounded(item) for item in value[:_LONG_LIST]]
    if isinstance(value, dict):
        return {key: _bounded(item) for key, item in list(value.items())[:_LONG_LIST]}
    return value

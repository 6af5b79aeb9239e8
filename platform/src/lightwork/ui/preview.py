"""The beginning of an artifact: of a Parquet table, a CSV, JSON or text file, in bounded time and memory."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lightwork.errors import one_line
from lightwork.store.commits import checked_commit
from lightwork.store.documents import OddError
from lightwork.store.kinds import VERSIONS
from lightwork.ui import parquet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.lake import Lake

TEXT = 64 << 10
"""Bytes of a file that is no table which are shown."""
_BYTES = 64 << 20
"""Bytes that are read of a table at most."""
_SECONDS = 30.0
"""Seconds after which a table is given up."""
_CELL = 200
_ASK = struct.Struct("<QQ")
_ANSWER = struct.Struct("<Q")
_TABLES = {".csv": ",", ".tsv": "\t"}
_TEXTS = (".json", ".jsonl", ".txt", ".log", ".md", ".yaml", ".yml", ".geojson", ".xml", ".html", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The beginning of an artifact.

    Attributes:
        columns: the names of a table's columns.
        types: their types, if they are known.
        numeric: whether each column holds numbers.
        rows: the first rows; None stands for a missing value.
        text: the beginning of a text; empty for a table.
        note: what is left out, or why nothing is shown.
    """

    columns: Sequence[str] = ()
    types: Sequence[str] = ()
    numeric: Sequence[bool] = ()
    rows: Sequence[Sequence[str | None]] = field(default=())
    text: str = ""
    note: str = ""


def preview(lake: Lake, name: str, version: str) -> Preview:
    """Return the beginning of a version of an artifact.

    Raises:
        FileNotFoundError: there is none, or no more.
        LightworkError: the lake cannot be read.
    """
    try:
        path = f"artifacts/{name}/{VERSIONS}/{version}.json"
        document = checked_commit(lake.read(path), name, version)
    except OddError as error:
        return Preview(note=f"Its commit file is damaged: {one_line(error)}")
    folder, files = f"artifacts/{name}/{version}", document["files"]
    if document["kind"] == "file":
        return _of_file(lake, f"{folder}/{name}", int(document["bytes"]))
    if not files:
        return Preview(columns=tuple(document.get("columns") or ()), note="It has no rows.")
    return _of_table(lake, folder, str(files[0][0]), document)


def _of_table(lake: Lake, folder: str, file: str, document: dict[str, Any]) -> Preview:
    """Return the first rows of a table's first file, with the columns that are in its path."""
    answer = _asked(lake, f"{folder}/{file}", int(document["files"][0][2]))
    if "problem" in answer:
        return Preview(note=f"Its first rows cannot be read: {one_line(answer['problem'])}")
    parts = [part.split("=", 1) for part in file.split("/")[:-1] if "=" in part]
    rows = [[*row, *(unquote(value) for _, value in parts)] for row in answer["rows"]]
    total, count = document.get("rows") or 0, len(rows)
    notes = [f"the first {count:,} of {total:,} rows"] if count < total else []
    notes += [f"{answer['more_columns']:,} more columns"] if answer["more_columns"] else []
    return Preview(
        columns=[*answer["columns"], *(name for name, _ in parts)],
        types=[*answer["types"], *("" for _ in parts)],
        numeric=[*answer["numeric"], *(False for _ in parts)],
        rows=rows,
        note="; ".join(notes),
    )


def _asked(lake: Lake, path: str, size: int) -> dict[str, Any]:
    """Return what the process that reads Parquet files says of one."""
    command = [sys.executable, "-I", "-m", parquet.__name__, str(size)]
    environment = {"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
    with subprocess.Popen(  # noqa: S603 - this interpreter, and a number
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        watch = threading.Timer(_SECONDS, process.kill)
        watch.start()
        try:
            return _answered(process, lake, path)
        except (OSError, ValueError, struct.error):
            return {"problem": "the process that reads it has ended; it is damaged, or too large"}
        finally:
            watch.cancel()
            process.kill()


def _answered(process: subprocess.Popen[bytes], lake: Lake, path: str) -> dict[str, Any]:
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    left = _BYTES
    while True:
        start, length = _ASK.unpack(process.stdout.read(_ASK.size))
        if start == 2**64 - 1:
            answer: dict[str, Any] = json.loads(process.stdout.read(min(length, _BYTES)))
            return answer
        if (left := left - length) < 0:
            return {"problem": f"its first rows take more than {_BYTES >> 20} MB"}
        data = lake.read_range(path, start, length)
        process.stdin.write(_ANSWER.pack(len(data)) + data)
        process.stdin.flush()


def _of_file(lake: Lake, path: str, size: int) -> Preview:
    """Return the beginning of a file, by the end of its name."""
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 - of an address in the lake
    if ending not in (*_TABLES, *_TEXTS):
        kinds = ", ".join(item.lstrip(".") for item in (*_TABLES, *_TEXTS))
        return Preview(note=f"No preview: only Parquet tables and files of these kinds have one: {kinds}.")
    data = lake.read_range(path, 0, TEXT)
    text = data.decode(errors="replace")
    is_cut = len(data) < size
    note = f"the first {len(data):,} of {size:,} bytes" if is_cut else ""
    if ending in _TABLES:
        return _of_csv(text, _TABLES[ending], note, is_cut=is_cut)
    if ending in (".json", ".geojson") and not is_cut:
        text = _indented(text)
    return Preview(text=text, note=note)


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)[:TEXT]
    except (ValueError, RecursionError):
        return text


def _of_csv(text: str, separator: str, note: str, *, is_cut: bool) -> Preview:
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        return Preview(text=text, note=f"not a table: {one_line(error)}")
    rows = [row for row in (rows[:-1] if is_cut and len(rows) > 1 else rows) if row]
    shown = [[cell[:_CELL] for cell in row[: parquet.COLUMNS]] for row in rows[: parquet.ROWS + 1]]
    if not shown:
        return Preview(note="It is empty.")
    width = max(map(len, shown))
    full = [[*row, *([""] * (width - len(row)))] for row in shown]
    numeric = [len(full) > 1 and all(_is_number(row[i]) for row in full[1:]) for i in range(width)]
    if len(rows) > len(shown) and not note:
        note = f"the first {len(shown) - 1:,} of {len(rows) - 1:,} rows"
    return Preview(columns=full[0], numeric=numeric, rows=full[1:], note=note)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text
    return True

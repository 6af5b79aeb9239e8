"""A table of the lake as one file, Parquet or CSV, written in bounded memory."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lightwork.store.tables_reading import pieces, whole_schema
from lightwork.store.tables_writing import PROVENANCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.store.tables_reading import Stored

_GROUP_BYTES = 32 << 20
"""Bytes in memory of the rows that become one row group of a Parquet file, about."""
_GROUP_ROWS = 1 << 20
_FORMULA, _NUMBER = r"^[=@\t\r+-]", r"^[+-][0-9][0-9 .,]*([eE][+-]?[0-9]+)?$"
"""How a text starts that a spreadsheet takes for a formula, unless it is a signed number."""


def write_parquet(stored: Stored, sink: BinaryIO, facts: bytes, *, padding: int = 0) -> None:
    """Write a table as one Parquet file, from which pandas reads the frame that was written.

    Args:
        stored: the table.
        sink: an open file.
        facts: what is recorded in the file, as in each part of the table.
        padding: unused bytes before the rows, which move them.

    Raises:
        LightworkError: the table cannot be read.
    """
    schema = whole_schema(stored)
    schema = schema.with_metadata({**(schema.metadata or {}), PROVENANCE: facts})
    stream = pa.PythonFile(sink, mode="w")  # which tells the writer where it is
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        stream.write(bytes(padding))
        for group in _groups(pieces(stored)):
            writer.write_table(group.cast(schema), row_group_size=_GROUP_ROWS)


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables; each row group costs its readers a little."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        size += table.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


def write_csv(stored: Stored, sink: BinaryIO) -> int:
    """Write a table as CSV in UTF-8, with a header; a missing value is empty, an empty text is `""`.

    Lists and structures are written as JSON, bytes in base64.

    Returns:
        The number of texts that a spreadsheet would take for a formula.

    Raises:
        LightworkError: the table cannot be read.
    """
    formulas = 0
    empty = _plain(whole_schema(stored).empty_table())
    with pyarrow.csv.CSVWriter(sink, empty.schema) as writer:
        for table in pieces(stored):
            plain = _plain(table)
            formulas += sum(_formulas(column) for column in plain.columns)
            writer.write_table(plain)
    return formulas


def _formulas(column: pa.ChunkedArray) -> int:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return 0
    starts, numbers = (pc.match_substring_regex(column, text) for text in (_FORMULA, _NUMBER))
    return int(pc.sum(pc.and_not(starts, numbers)).as_py() or 0)


def _plain(table: pa.Table) -> pa.Table:
    """Return a table whose columns CSV can hold."""
    columns = [_plain_column(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = column.cast(kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_nested(kind):
        return _texts(column, lambda value: json.dumps(value, ensure_ascii=False, default=str))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _texts(column, lambda value: base64.b64encode(value).decode())
    if pa.types.is_duration(kind):  # which Arrow writes as a number without its unit
        return _texts(column, str)
    try:
        return column if _is_simple(kind) else column.cast(pa.string())
    except pa.ArrowNotImplementedError:
        return _texts(column, str)


def _is_simple(kind: pa.DataType) -> bool:
    tests: list[Any] = [pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean]
    tests += [pa.types.is_string, pa.types.is_large_string]
    return any(test(kind) for test in tests)


def _texts(column: pa.ChunkedArray, text: Any) -> pa.ChunkedArray:
    values = [None if value is None else text(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])

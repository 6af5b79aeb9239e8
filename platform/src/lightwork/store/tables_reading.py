"""Reading the Parquet files of an artifact as a pandas or Dask DataFrame."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from lightwork.errors import LakeAway, LightworkError, near, one_line
from lightwork.lake.threads import in_threads
from lightwork.store.documents import digest
from lightwork.store.tables_writing import Part, footer_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lightwork.lake import Lake

_THREADS = 8
_FOOTER = 64 << 10
"""Bytes at the end of a file that are read for its footer; most footers are shorter."""
_ROWS = 16_384
"""Rows that are read at once where not all of them are to be in memory."""


class Stored(NamedTuple):
    """A table in the lake: its serialized Arrow schema, and its parts, each a file."""

    lake: Lake
    folder: str
    partition_by: tuple[str, ...]
    schema: bytes
    parts: tuple[Part, ...]


def stored_as(lake: Lake, document: Mapping[str, Any]) -> Stored:
    """Return the table that a commit file describes."""
    return Stored(
        lake=lake,
        folder=f"artifacts/{document['name']}/{document['version']}",
        partition_by=tuple(document["partition_by"]),
        schema=base64.b64decode(document["schema"]),
        parts=tuple(Part(*file) for file in document["files"]),
    )


def read_now(stored: Stored, columns: list[str] | None) -> pd.DataFrame:
    """Read the table, or some of its columns."""
    schema = _schema(stored)
    _check_columns(schema, columns)
    return _frame(stored, schema, stored.parts, 0, columns)


def read_lazily(stored: Stored, columns: list[str] | None) -> Any:
    """Return the table as a Dask DataFrame with one partition per file, read when computed."""
    import dask
    import dask.dataframe as dd
    from dask.dataframe.utils import clear_known_categories

    schema = _schema(stored)
    _check_columns(schema, columns)
    empty = clear_known_categories(_to_pandas(schema.empty_table(), None))
    bare = stored._replace(parts=())
    parts = stored.parts or (None,)
    starts = [0]
    for part in stored.parts[:-1]:
        starts.append(starts[-1] + part.rows)
    with dask.config.set({"dataframe.convert-string": False}):
        frame = dd.from_map(
            _read_part, parts, starts, stored=bare, meta=empty, enforce_metadata=False, label="artifact"
        )
    return frame if columns is None else frame[columns]


def whole_schema(stored: Stored) -> pa.Schema:
    """Return the schema of a file with all the rows, from which pandas reads the same frame."""
    schema = _schema(stored)
    index = _index_columns(schema)
    if not (len(index) == 1 and isinstance(index[0], dict) and index[0].get("kind") == "range"):
        return schema
    rows = sum(part.rows for part in stored.parts)
    described = dict(schema.pandas_metadata)
    described["index_columns"] = [{**index[0], "stop": index[0]["start"] + rows * index[0]["step"]}]
    return schema.with_metadata({**schema.metadata, b"pandas": json.dumps(described).encode()})


def head(stored: Stored, rows: int) -> pd.DataFrame:
    """Read the first rows, and not much more."""
    tables, left = [_schema(stored).empty_table()], rows
    for table in pieces(stored):
        if left <= 0:
            break
        tables.append(table.slice(0, left))
        left -= table.num_rows
    return _to_pandas(pa.concat_tables(tables).replace_schema_metadata(tables[0].schema.metadata), 0)


def pieces(stored: Stored) -> Iterator[pa.Table]:
    """Yield the rows in their order, some thousand at a time, in bounded memory.

    Raises:
        LightworkError: a file is missing or damaged.
    """
    schema = _schema(stored)
    for part in stored.parts:
        _check_footers(stored, (part,))
        rows = 0
        for table in _pieces_of(stored, schema, part):
            rows += table.num_rows
            yield table.cast(schema)
        if rows != part.rows:
            raise _other_rows(stored)


def _pieces_of(stored: Stored, schema: pa.Schema, part: Part) -> Iterator[pa.Table]:
    """Yield the rows of a file; when the lake is back after it was away, from where they were."""
    rows, reader = 0, None

    def attempt() -> pa.RecordBatch | None:
        nonlocal reader
        with _clear_errors(stored):
            try:
                reader = reader or _rows_from(_dataset(stored, schema, (part,)), schema.names, rows)
                return next(reader, None)
            except BaseException:
                reader = None
                raise

    while (batch := stored.lake.patiently(attempt)) is not None:
        rows += batch.num_rows
        yield pa.Table.from_batches([batch])


def _rows_from(dataset: ds.Dataset, names: Sequence[str], start: int) -> Iterator[pa.RecordBatch]:
    batches = dataset.to_batches(
        columns=list(names), batch_size=_ROWS, batch_readahead=1, fragment_readahead=1
    )
    for batch in batches:
        if start < batch.num_rows:
            yield batch.slice(start)
        start = max(0, start - batch.num_rows)


def _read_part(
    part: Part | None, start: int, *, stored: Stored, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    schema = _schema(stored)
    parts = () if part is None else (part,)
    return _frame(stored, schema, parts, start, None if columns is None else list(columns))


def _schema(stored: Stored) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(stored.schema))


def _index_columns(schema: pa.Schema) -> list[Any]:
    return list((schema.pandas_metadata or {}).get("index_columns", ()))


def _check_columns(schema: pa.Schema, columns: Sequence[str] | None) -> None:
    index = _index_columns(schema)
    names = [name for name in schema.names if name not in index]
    for column in columns or ():
        if column not in names:
            raise LightworkError(f"no column {column!r} in the artifact{near(str(column), names)}")


def _frame(
    stored: Stored,
    schema: pa.Schema,
    parts: Sequence[Part],
    start: int,
    columns: list[str] | None,
) -> pd.DataFrame:
    """Read the rows of some files, the first of which is row `start` of the table."""
    if columns is not None:
        index = [name for name in _index_columns(schema) if isinstance(name, str) and name not in columns]
        selected = pa.schema([schema.field(name) for name in [*columns, *index]], metadata=schema.metadata)
    else:
        selected = schema
    table = _table(stored, schema, parts, selected.names) if parts else selected.empty_table()
    return _to_pandas(table.cast(selected).replace_schema_metadata(selected.metadata), start)


def _table(stored: Stored, schema: pa.Schema, parts: Sequence[Part], names: Sequence[str]) -> pa.Table:
    _check_footers(stored, parts)

    def attempt() -> pa.Table:
        with _clear_errors(stored):
            return _dataset(stored, schema, parts).to_table(columns=list(names))

    table = stored.lake.patiently(attempt, sum(part.bytes for part in parts))
    if table.num_rows != sum(part.rows for part in parts):
        raise _other_rows(stored)
    return table


def _dataset(stored: Stored, schema: pa.Schema, parts: Sequence[Part]) -> ds.Dataset:
    system, base = stored.lake.arrow()
    folder = f"{base}/{stored.folder}"
    plain = pa.schema([_plain(field) if field.name in stored.partition_by else field for field in schema])
    partitioning = None
    if stored.partition_by:
        partitioning = ds.partitioning(
            pa.schema([plain.field(name) for name in stored.partition_by]), flavor="hive"
        )
    scanning = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.dataset(
        [f"{folder}/{part.path}" for part in parts],
        schema=plain,
        format=ds.ParquetFileFormat(default_fragment_scan_options=scanning),
        filesystem=system,
        partitioning=partitioning,
        partition_base_dir=folder,
    )


@contextlib.contextmanager
def _clear_errors(stored: Stored) -> Iterator[None]:
    """Turn an error of pyarrow into a LightworkError of one line."""
    where = stored.lake.uri(stored.folder)
    try:
        yield
    except FileNotFoundError as error:
        raise LightworkError(f"{where}: a file is missing: {one_line(error)}") from error
    except (OSError, pa.ArrowException) as error:
        kind = LakeAway if stored.lake.is_away(error) else LightworkError
        raise kind(f"cannot read {where}: {one_line(error)}") from error


def _other_rows(stored: Stored) -> LightworkError:
    where = stored.lake.uri(stored.folder)
    return LightworkError(f"cannot read {where}: a file is damaged: it has another number of rows")


def _check_footers(stored: Stored, parts: Sequence[Part]) -> None:
    """Check that the footers of files are as they were written; pages have checksums of their own.

    Raises:
        LightworkError: a file is missing or damaged.
    """
    whole = in_threads(lambda part: _has_footer(stored, part), parts, _THREADS)
    for part, is_whole in zip(parts, whole, strict=True):
        if not is_whole:
            where = stored.lake.uri(f"{stored.folder}/{part.path}")
            raise LightworkError(f"cannot read {where}: the file is damaged; write the artifact again")


def _has_footer(stored: Stored, part: Part) -> bool:
    path = f"{stored.folder}/{part.path}"
    if not part.footer:
        return True  # written by an earlier version
    start = max(0, part.bytes - _FOOTER)
    try:
        end = stored.lake.read_range(path, start, _FOOTER + 1)
        length = footer_bytes(end)
        if length > len(end) and length <= part.bytes:
            end = stored.lake.read_range(path, part.bytes - length, length)
    except FileNotFoundError:
        raise LightworkError(f"{stored.lake.uri(path)}: a file is missing") from None
    return start + len(end) == part.bytes and digest(end[len(end) - length :]) == part.footer


def _plain(field: pa.Field) -> pa.Field:
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _to_pandas(table: pa.Table, start: int | None) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    index = _index_columns(table.schema)
    if len(index) == 1 and isinstance(index[0], dict) and index[0].get("kind") == "range":
        step = index[0]["step"]
        first = index[0]["start"] + (start or 0) * step
        frame.index = pd.RangeIndex(first, first + len(frame) * step, step, name=index[0]["name"])
    elif not index and start:
        frame.index = pd.RangeIndex(start, start + len(frame))
    return frame

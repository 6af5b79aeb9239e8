"""Reading the Parquet files of an artifact as a pandas or Dask DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from lightwork.errors import LakeAway, LightworkError, near, one_line
from lightwork.lake.threads import in_threads
from lightwork.store.documents import digest
from lightwork.store.tables_writing import Part, footer_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.lake import Lake


_THREADS = 8
_FOOTER = 64 << 10
"""Bytes at the end of a file that are read for its footer; most footers are shorter."""


class Stored(NamedTuple):
    """A table in the lake: its serialized Arrow schema, and its parts, each a file."""

    lake: Lake
    folder: str
    partition_by: tuple[str, ...]
    schema: bytes
    parts: tuple[Part, ...]


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
    system, base = stored.lake.arrow()
    folder = f"{base}/{stored.folder}"
    plain = pa.schema([_plain(field) if field.name in stored.partition_by else field for field in schema])
    where = stored.lake.uri(stored.folder)
    partitioning = None
    if stored.partition_by:
        partitioning = ds.partitioning(
            pa.schema([plain.field(name) for name in stored.partition_by]), flavor="hive"
        )
    _check_footers(stored, parts)
    scanning = ds.ParquetFragmentScanOptions(page_checksum_verification=True)

    def attempt() -> pa.Table:
        try:
            return ds.dataset(
                [f"{folder}/{part.path}" for part in parts],
                schema=plain,
                format=ds.ParquetFileFormat(default_fragment_scan_options=scanning),
                filesystem=system,
                partitioning=partitioning,
                partition_base_dir=folder,
            ).to_table(columns=list(names))
        except FileNotFoundError as error:
            raise LightworkError(f"{where}: a file is missing: {one_line(error)}") from error
        except (OSError, pa.ArrowException) as error:
            kind = LakeAway if stored.lake.is_away(error) else LightworkError
            raise kind(f"cannot read {where}: {one_line(error)}") from error

    table = stored.lake.patiently(attempt, sum(part.bytes for part in parts))
    if table.num_rows != sum(part.rows for part in parts):
        raise LightworkError(f"cannot read {where}: a file is damaged: it has another number of rows")
    return table


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

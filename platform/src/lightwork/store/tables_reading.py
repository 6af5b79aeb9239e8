"""Parquet files of an artifact to a pandas or a Dask DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from lightwork.errors import LightworkError, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.lake import Lake


class Stored(NamedTuple):
    """A table in the lake; the schema is Arrow's, serialized, and a part is a file and its rows."""

    lake: Lake
    folder: str
    partition_by: tuple[str, ...]
    schema: bytes
    parts: tuple[tuple[str, int], ...]


def read_now(stored: Stored, columns: list[str] | None) -> pd.DataFrame:
    """The whole table, or some columns of it."""
    schema = _schema(stored)
    _check_columns(schema, columns)
    return _frame(stored, schema, stored.parts, 0, columns)


def read_lazily(stored: Stored, columns: list[str] | None) -> Any:
    """The table as a Dask DataFrame with one partition a file, read where it is needed."""
    import dask
    import dask.dataframe as dd
    from dask.dataframe.utils import clear_known_categories

    schema = _schema(stored)
    _check_columns(schema, columns)
    empty = clear_known_categories(_to_pandas(schema.empty_table(), None))
    bare = stored._replace(parts=())
    parts = stored.parts or ((None, 0),)
    starts = [0]
    for _, rows in parts[:-1]:
        starts.append(starts[-1] + rows)
    with dask.config.set({"dataframe.convert-string": False}):
        frame = dd.from_map(
            _read_part, parts, starts, stored=bare, meta=empty, enforce_metadata=False, label="artifact"
        )
    return frame if columns is None else frame[columns]


def _read_part(
    part: tuple[str | None, int], start: int, *, stored: Stored, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    schema = _schema(stored)
    parts = () if part[0] is None else ((part[0], part[1]),)
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
    parts: Sequence[tuple[str, int]],
    start: int,
    columns: list[str] | None,
) -> pd.DataFrame:
    """The rows of some files, of which the first is row `start` of the table."""
    if columns is not None:
        index = [name for name in _index_columns(schema) if isinstance(name, str) and name not in columns]
        wanted = pa.schema([schema.field(name) for name in [*columns, *index]], metadata=schema.metadata)
    else:
        wanted = schema
    table = _table(stored, schema, parts, wanted.names) if parts else wanted.empty_table()
    return _to_pandas(table.cast(wanted).replace_schema_metadata(wanted.metadata), start)


def _table(
    stored: Stored, schema: pa.Schema, parts: Sequence[tuple[str, int]], names: Sequence[str]
) -> pa.Table:
    system, base = stored.lake.arrow()
    folder = f"{base}/{stored.folder}"
    plain = pa.schema([_plain(field) if field.name in stored.partition_by else field for field in schema])
    partitioning = None
    if stored.partition_by:
        partitioning = ds.partitioning(
            pa.schema([plain.field(name) for name in stored.partition_by]), flavor="hive"
        )
    try:
        return ds.dataset(
            [f"{folder}/{path}" for path, _ in parts],
            schema=plain,
            format="parquet",
            filesystem=system,
            partitioning=partitioning,
            partition_base_dir=folder,
        ).to_table(columns=list(names))
    except FileNotFoundError as error:
        raise LightworkError(f"{stored.lake.uri(stored.folder)} has lost a file: {_line(error)}") from error
    except (OSError, pa.ArrowException) as error:
        raise LightworkError(f"cannot read {stored.lake.uri(stored.folder)}: {_line(error)}") from error


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

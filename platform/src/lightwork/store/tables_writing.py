"""Tables to Parquet files in a lake, in parts, by one writer or by the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.lake import Lake

PART_BYTES = 128 * 2**20
"""How much of a table, as it is in memory, goes into one file."""

_PROVENANCE = b"lightwork"
_THREADS = 8
_PATIENCE = 60.0
_abandoned: set[str] = set()  # folders of versions that failed in this process


class Part(NamedTuple):
    """One Parquet file: its path below the version's folder, its rows, its bytes."""

    path: str
    rows: int
    bytes: int


class Written(NamedTuple):
    """A table as it was written."""

    schema: pa.Schema
    parts: list[Part]


class _Place(NamedTuple):
    """Where a table goes, and what is recorded in each of its files."""

    lake: Lake
    name: str
    folder: str
    partition_by: tuple[str, ...]
    provenance: bytes


def write_table(
    lake: Lake, name: str, folder: str, table: Any, partition_by: Sequence[str], provenance: bytes
) -> Written:
    """Write a table's files into a folder of the lake; on failure, what was written stays."""
    place = _Place(lake, name, folder, tuple(partition_by), provenance)
    if _is_dask(table):
        return _write_partitions(place, table)
    writer = _Writer(place)
    for number, piece in enumerate(_pieces(name, table)):
        single = piece is table
        writer.add(_arrow(place, piece, _keeps_index(place, piece, single, writer.schema), number))
    return writer.finish()


def _is_dask(table: Any) -> bool:
    return type(table).__module__.startswith("dask.") and hasattr(table, "to_delayed")


def _pieces(name: str, table: Any) -> Iterator[Any]:
    if isinstance(table, pd.DataFrame | pa.Table | pa.RecordBatch):
        yield table
    elif isinstance(table, Iterable) and not isinstance(table, str | bytes | dict | pd.Series):
        yield from table
    else:
        raise _not_a_table(name, table)


def _not_a_table(name: str, table: Any) -> InputError:
    return InputError(
        f"artifact {name!r}: a {type(table).__name__} is no table; expected a pandas or Dask DataFrame, "
        "a pyarrow Table, or an iterable of tables"
    )


def _keeps_index(place: _Place, piece: Any, single: bool, before: pa.Schema | None) -> bool | None:
    """Whether a frame's index becomes a column; None: only if it is more than a range (which is recorded)."""
    if not isinstance(piece, pd.DataFrame):
        return False
    if single and not place.partition_by:
        return None
    plain = isinstance(piece.index, pd.RangeIndex) and piece.index.name is None
    if before is None:
        return not (plain and piece.index.equals(pd.RangeIndex(len(piece))))
    columns = (before.pandas_metadata or {}).get("index_columns", ())
    kept = any(isinstance(column, str) for column in columns)
    if not kept and any(name is not None for name in piece.index.names):
        raise InputError(
            f"artifact {place.name!r}: a piece has the index {list(piece.index.names)}, the first none"
        )
    return kept


def _arrow(place: _Place, piece: Any, keep_index: bool | None, number: int) -> pa.Table:
    """A piece as an Arrow table, its columns checked."""
    what = f"artifact {place.name!r}" + (f", piece {number}" if number else "")
    if isinstance(piece, pd.DataFrame):
        try:
            table = pa.Table.from_pandas(piece, preserve_index=keep_index)
        except (pa.ArrowException, ValueError, TypeError) as error:
            reason = "; ".join(str(part) for part in error.args) or type(error).__name__
            raise InputError(f"{what}: cannot be written as Parquet: {' '.join(reason.split())}") from error
    elif isinstance(piece, pa.RecordBatch):
        table = pa.Table.from_batches([piece])
    elif isinstance(piece, pa.Table):
        table = piece
    else:
        raise _not_a_table(place.name, piece)
    if len(set(table.column_names)) < len(table.column_names):
        raise InputError(f"{what}: two columns have the same name; each needs its own")
    index = {
        name
        for name in (table.schema.pandas_metadata or {}).get("index_columns", ())
        if isinstance(name, str)
    }
    for column in place.partition_by:
        if column not in table.column_names or column in index:
            raise InputError(
                f"{what}: partition_by names no column: {column!r}; there are: "
                f"{', '.join(name for name in table.column_names if name not in index)}"
            )
        if set(column) & set("/\\="):
            raise InputError(f"{what}: partition_by {column!r} cannot name a folder; rename the column")
        kind = table.schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_date32(kind)):
            raise InputError(
                f"{what}: partition_by takes text, whole numbers or dates; {column!r} is {kind}: convert it"
            )
        empty = table[column].null_count or (_is_text(kind) and pc.any(pc.equal(table[column], "")).as_py())
        if empty:
            raise InputError(
                f"{what}: partition_by {column!r} has missing or empty values; fill or drop them"
            )
    if not table.column_names:
        raise InputError(f"{what}: the table has no columns")
    if len(place.partition_by) >= len(table.column_names):
        raise InputError(f"{what}: partition_by leaves no column to store")
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _write_partitions(place: _Place, frame: Any) -> Written:
    """Write a Dask DataFrame, each partition by the worker that computed it."""
    import dask

    if not hasattr(frame, "columns") or getattr(frame, "ndim", 2) != 2:
        raise _not_a_table(place.name, frame)
    write = dask.delayed(_write_partition, pure=False, traverse=False)
    partitions = frame.to_delayed()
    done = _compute(place, [write(place, partition, number) for number, partition in enumerate(partitions)])
    files: list[tuple[pa.Schema, Part]] = []
    schema: pa.Schema | None = None
    for number, (serialized, parts) in enumerate(done):
        own = pa.ipc.read_schema(pa.py_buffer(serialized))
        schema = own if schema is None else _unified(place, schema, own, number)
        files += [(own, part) for part in parts]
    if schema is None:
        raise InputError(f"artifact {place.name!r}: a Dask DataFrame without partitions")
    return _uniform(place, schema, files)


def _compute(place: _Place, tasks: list[Any]) -> Sequence[Any]:
    """Compute on the scheduler in force; when one fails, none writes any more once this has returned."""
    import dask
    from dask.base import get_scheduler

    client: Any = getattr(get_scheduler(), "__self__", None)
    if not hasattr(client, "gather"):
        try:
            return tuple(dask.compute(*tasks))
        except BaseException:
            _abandoned.add(place.folder)  # other threads may still write: they see it and remove their file
            raise
    futures = client.compute(tasks)
    try:
        return tuple(client.gather(futures))
    except BaseException:
        _stop(client, futures)
        raise


def _stop(client: Any, futures: list[Any]) -> None:
    """Cancel what no worker has yet, and wait for the rest, which cannot be interrupted."""
    from distributed import wait

    started = {key for keys in client.processing().values() for key in keys}
    going = [future for future in futures if not future.done() and future.key in started]
    client.cancel([future for future in futures if not future.done() and future.key not in started])
    if going:
        with suppress(TimeoutError):
            wait(going, timeout=_PATIENCE)


def _write_partition(place: _Place, frame: pd.DataFrame, number: int) -> tuple[bytes, list[Part]]:
    table = _arrow(place, frame, True, number)
    parts = _write_part(place, table, number)
    if place.folder in _abandoned:
        place.lake.delete(f"{place.folder}/{part.path}" for part in parts)
    return table.schema.serialize().to_pybytes(), parts


class _Writer:
    """Collects tables and writes them in parts, holding about one part at a time."""

    def __init__(self, place: _Place) -> None:
        self.schema: pa.Schema | None = None
        self._place = place
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._files: list[tuple[pa.Schema, Part]] = []
        self._number = 0
        self._pieces = 0

    def add(self, table: pa.Table) -> None:
        """Take the next rows."""
        if self.schema is None:
            self.schema = table.schema
        elif not table.schema.equals(self.schema):
            schema = _unified(self._place, self.schema, table.schema, self._pieces)
            if not schema.equals(self.schema):
                self._flush()
                self.schema = schema
            table = _cast(table, schema)
        self._pieces += 1
        rows = max(1, int(PART_BYTES / max(table.nbytes / max(table.num_rows, 1), 1)))
        for start in range(0, max(table.num_rows, 1), rows):
            piece = table.slice(start, rows)
            if self._held and self._bytes + piece.nbytes > PART_BYTES:
                self._flush()
            self._held.append(piece)
            self._bytes += piece.nbytes

    def finish(self) -> Written:
        """Write what is held, and make all files alike."""
        if self.schema is None:
            raise InputError(
                f"artifact {self._place.name!r}: there is no table to write, not even an empty one"
            )
        self._flush()
        return _uniform(self._place, self.schema, self._files)

    def _flush(self) -> None:
        table = pa.concat_tables(self._held) if self._held else None
        self._held, self._bytes = [], 0
        if table is None or (table.num_rows == 0 and self._files):
            return
        self._files += [(table.schema, part) for part in _write_part(self._place, table, self._number)]
        self._number += 1


def _unified(place: _Place, first: pa.Schema, second: pa.Schema, number: int) -> pa.Schema:
    """A schema that holds both, with the pandas metadata of the first."""
    what = f"artifact {place.name!r}, piece {number}"
    if set(first.names) != set(second.names):
        missing = sorted(set(first.names) - set(second.names))
        more = sorted(set(second.names) - set(first.names))
        raise InputError(f"{what}: other columns than the pieces before: missing {missing}, new {more}")
    try:
        schema = pa.unify_schemas(
            [first.remove_metadata(), second.remove_metadata()], promote_options="permissive"
        )
    except pa.ArrowException as error:
        raise InputError(f"{what}: other types than the pieces before: {error}") from error
    keeps = any(
        pa.types.is_null(old.type) and not pa.types.is_null(schema.field(old.name).type) for old in first
    )
    return schema.with_metadata(second.metadata if keeps else first.metadata)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.select(schema.names).cast(schema)


def _uniform(place: _Place, schema: pa.Schema, files: list[tuple[pa.Schema, Part]]) -> Written:
    """Write those files again whose columns turned out to have other types than the whole."""
    stored = _stored(schema, place.partition_by)

    def check(item: tuple[pa.Schema, Part]) -> Part:
        own, part = item
        if _stored(own, place.partition_by).equals(stored):
            return part
        table = pq.read_table(pa.BufferReader(place.lake.read(f"{place.folder}/{part.path}")))
        return _write_file(place, part.path, _cast(table, stored))

    with ThreadPoolExecutor(_THREADS) as pool:
        return Written(schema, list(pool.map(check, files)))


def _stored(schema: pa.Schema, partition_by: Sequence[str]) -> pa.Schema:
    kept = [field for field in schema if field.name not in partition_by]
    return pa.schema(kept, metadata=schema.metadata)


def _write_part(place: _Place, table: pa.Table, number: int) -> list[Part]:
    """Write one part: a file, or one in each folder of the partitioning."""
    file = f"part-{number:05d}.parquet"
    if not place.partition_by:
        return [_write_file(place, file, table)]
    groups = _groups(table, place.partition_by)
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda group: _write_file(place, f"{group[0]}/{file}", group[1]), groups))


def _groups(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each combination of values, in their order, with the combination's folder."""
    import numpy as np
    import pyarrow.dataset as ds

    codes = np.zeros(table.num_rows, dtype=np.int64)
    dictionaries = []
    for column in columns:
        values = table[column].combine_chunks()
        values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        encoded = pc.dictionary_encode(values)
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        dictionaries.append(encoded.dictionary)
        codes = codes * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    data = table.drop_columns(list(columns)).take(order)
    schema = pa.schema([(name, values.type) for name, values in zip(columns, dictionaries, strict=True)])
    folders = ds.partitioning(schema, flavor="hive")
    found = []
    for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
        code, expression = int(codes[order[start]]), None
        for name, values in reversed(list(zip(columns, dictionaries, strict=True))):
            code, place = divmod(code, len(values))
            test = pc.field(name) == values[place]
            expression = test if expression is None else test & expression
        found.append((folders.format(expression)[0], data.slice(start, end - start)))
    found.sort(key=lambda group: group[0])
    return iter(found)


def _write_file(place: _Place, path: str, table: pa.Table) -> Part:
    stored = _stored(table.schema, place.partition_by)
    metadata = {**(stored.metadata or {}), _PROVENANCE: place.provenance}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    data = memoryview(sink.getvalue())
    place.lake.write(f"{place.folder}/{path}", data)
    return Part(path, table.num_rows, data.nbytes)

"""Writing tables as Parquet files, in parts, by one writer or by the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lightwork.errors import InputError, one_line
from lightwork.lake.threads import in_threads
from lightwork.store.documents import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.lake import Lake

PART_BYTES = 128 * 2**20
"""Size in memory of the part of a table that goes into one file."""

PROVENANCE = b"lightwork"
"""The key of the provenance in the metadata of a Parquet file."""
_TAIL = 8  # bytes at the end of a Parquet file: the length of its footer, and "PAR1"
_THREADS = 8
_PATIENCE = 60.0  # seconds for running tasks to finish after a failure
_abandoned: set[str] = set()  # folders of versions that failed in this process


class Part(NamedTuple):
    """One Parquet file of a table.

    Attributes:
        path: its path below the version's folder.
        rows: its number of rows.
        bytes: its size.
        footer: the digest of its footer, which describes the pages; these have checksums of their own. It is
            empty for a file of an earlier version.
    """

    path: str
    rows: int
    bytes: int
    footer: str = ""


class Written(NamedTuple):
    """A written table: its schema and its files."""

    schema: pa.Schema
    parts: list[Part]


class _Target(NamedTuple):
    """The folder a table is written to, and the provenance recorded in each of its files."""

    lake: Lake
    name: str
    folder: str
    partition_by: tuple[str, ...]
    provenance: bytes


def write_table(
    lake: Lake, name: str, folder: str, table: Any, partition_by: Sequence[str], provenance: bytes
) -> Written:
    """Write a table's files into a folder of the lake; after a failure, the caller deletes that folder."""
    target = _Target(lake, name, folder, tuple(partition_by), provenance)
    if _is_dask(table):
        return _write_partitions(target, table)
    writer = _Writer(target)
    for number, piece in enumerate(_pieces(name, table)):
        single = piece is table
        writer.add(_arrow(target, piece, _keeps_index(target, piece, single, writer.schema), number))
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
        f"artifact {name!r}: expected a pandas or Dask DataFrame, a pyarrow Table, or an iterable of tables, "
        f"got {type(table).__name__}"
    )


def _keeps_index(target: _Target, piece: Any, single: bool, before: pa.Schema | None) -> bool | None:
    """Return whether a frame's index becomes a column; None: unless it is a range, which is only recorded."""
    if not isinstance(piece, pd.DataFrame):
        return False
    if single and not target.partition_by:
        return None
    plain = isinstance(piece.index, pd.RangeIndex) and piece.index.name is None
    if before is None:
        return not (plain and piece.index.equals(pd.RangeIndex(len(piece))))
    columns = (before.pandas_metadata or {}).get("index_columns", ())
    kept = any(isinstance(column, str) for column in columns)
    if not kept and any(name is not None for name in piece.index.names):
        raise InputError(
            f"artifact {target.name!r}: a piece has the index {list(piece.index.names)}, the first has none"
        )
    return kept


def _arrow(target: _Target, piece: Any, keep_index: bool | None, number: int) -> pa.Table:
    """Convert a piece to an Arrow table, and check its columns."""
    what = f"artifact {target.name!r}" + (f", piece {number}" if number else "")
    if isinstance(piece, pd.DataFrame):
        try:
            table = pa.Table.from_pandas(piece, preserve_index=keep_index)
        except (pa.ArrowException, ValueError, TypeError) as error:
            reason = "; ".join(str(part) for part in error.args) or type(error).__name__
            raise InputError(f"{what}: cannot be written as Parquet: {one_line(reason)}") from error
    elif isinstance(piece, pa.RecordBatch):
        table = pa.Table.from_batches([piece])
    elif isinstance(piece, pa.Table):
        table = piece
    else:
        raise _not_a_table(target.name, piece)
    if len(set(table.column_names)) < len(table.column_names):
        raise InputError(f"{what}: two columns have the same name; each needs its own")
    index = {
        name
        for name in (table.schema.pandas_metadata or {}).get("index_columns", ())
        if isinstance(name, str)
    }
    for column in target.partition_by:
        if column not in table.column_names or column in index:
            raise InputError(
                f"{what}: partition_by: there is no column {column!r}; available: "
                f"{', '.join(name for name in table.column_names if name not in index)}"
            )
        if set(column) & set("/\\="):
            raise InputError(f"{what}: partition_by: {column!r} cannot name a folder; rename the column")
        kind = table.schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_date32(kind)):
            raise InputError(
                f"{what}: partition_by takes text, integers or dates, but {column!r} is {kind}; convert it"
            )
        empty = table[column].null_count or (_is_text(kind) and pc.any(pc.equal(table[column], "")).as_py())
        if empty:
            raise InputError(
                f"{what}: partition_by: {column!r} has missing or empty values; fill or drop them"
            )
    if not table.column_names:
        raise InputError(f"{what}: the table has no columns")
    if len(target.partition_by) >= len(table.column_names):
        raise InputError(f"{what}: partition_by leaves no column to store")
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _write_partitions(target: _Target, frame: Any) -> Written:
    """Write a Dask DataFrame, each partition by the worker that computes it."""
    import dask

    if not hasattr(frame, "columns") or getattr(frame, "ndim", 2) != 2:
        raise _not_a_table(target.name, frame)
    write = dask.delayed(_write_partition, pure=False, traverse=False)
    tasks = [write(target, partition, number) for number, partition in enumerate(frame.to_delayed())]
    written = _compute(target, tasks)
    files: list[tuple[pa.Schema, Part]] = []
    schema: pa.Schema | None = None
    for number, (serialized, parts) in enumerate(written):
        partition_schema = pa.ipc.read_schema(pa.py_buffer(serialized))
        schema = partition_schema if schema is None else _unified(target, schema, partition_schema, number)
        files += [(partition_schema, part) for part in parts]
    if schema is None:
        raise InputError(f"artifact {target.name!r}: the Dask DataFrame has no partitions")
    return _uniform(target, schema, files)


def _compute(target: _Target, tasks: list[Any]) -> Sequence[Any]:
    """Compute tasks on the current scheduler; if one fails, the others leave no file afterwards."""
    import dask
    from dask.base import get_scheduler

    scheduler: Any = getattr(get_scheduler(), "__self__", None)
    client: Any = getattr(scheduler, "session_client", scheduler)
    if not hasattr(client, "gather"):
        try:
            return tuple(dask.compute(*tasks))
        except BaseException:
            _abandoned.add(target.folder)  # threads that are still writing delete their own files
            raise
    futures = client.compute(tasks)
    try:
        return tuple(client.gather(futures))
    except BaseException:
        _stop(client, futures)
        raise


def _stop(client: Any, futures: list[Any]) -> None:
    """Cancel the tasks that no worker has started, and wait for the others, which cannot be interrupted."""
    started = {key for keys in client.processing().values() for key in keys}
    running = [future for future in futures if not future.done() and future.key in started]
    client.cancel([future for future in futures if not future.done() and future.key not in started])
    _wait(running)


def _wait(futures: list[Any]) -> None:
    """Wait for futures to end, without `distributed.wait`: it uses the newest client, of any session."""
    deadline = time.monotonic() + _PATIENCE
    while not all(future.done() for future in futures) and time.monotonic() < deadline:
        time.sleep(0.05)


def _write_partition(target: _Target, frame: pd.DataFrame, number: int) -> tuple[bytes, list[Part]]:
    table = _arrow(target, frame, True, number)
    parts = _write_part(target, table, number)
    if target.folder in _abandoned:
        target.lake.delete(f"{target.folder}/{part.path}" for part in parts)
    return table.schema.serialize().to_pybytes(), parts


class _Writer:
    """Collects tables and writes them in parts, holding about one part in memory."""

    def __init__(self, target: _Target) -> None:
        self.schema: pa.Schema | None = None
        self._target = target
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._files: list[tuple[pa.Schema, Part]] = []
        self._number = 0
        self._pieces = 0

    def add(self, table: pa.Table) -> None:
        """Add the next rows."""
        if self.schema is None:
            self.schema = table.schema
        elif not table.schema.equals(self.schema):
            schema = _unified(self._target, self.schema, table.schema, self._pieces)
            if not schema.equals(self.schema):
                self._flush()
                self.schema = schema
            table = _cast(table, schema)
        self._pieces += 1
        rows = max(1, int(PART_BYTES / max(table.nbytes / max(table.num_rows, 1), 1)))
        for start in range(0, max(table.num_rows, 1), rows):
            piece = table.slice(start, rows)
            if self._tables and self._bytes + piece.nbytes > PART_BYTES:
                self._flush()
            self._tables.append(piece)
            self._bytes += piece.nbytes

    def finish(self) -> Written:
        """Write the remaining rows, and give all files the same schema."""
        if self.schema is None:
            raise InputError(
                f"artifact {self._target.name!r}: there is no table to write; give at least an empty one"
            )
        self._flush()
        return _uniform(self._target, self.schema, self._files)

    def _flush(self) -> None:
        table = pa.concat_tables(self._tables) if self._tables else None
        self._tables, self._bytes = [], 0
        if table is None or (table.num_rows == 0 and self._files):
            return
        self._files += [(table.schema, part) for part in _write_part(self._target, table, self._number)]
        self._number += 1


def _unified(target: _Target, first: pa.Schema, second: pa.Schema, number: int) -> pa.Schema:
    """Return a schema that holds both, with the pandas metadata of the first if that is complete."""
    what = f"artifact {target.name!r}, piece {number}"
    if set(first.names) != set(second.names):
        missing = sorted(set(first.names) - set(second.names))
        added = sorted(set(second.names) - set(first.names))
        raise InputError(f"{what}: its columns differ from those before: missing {missing}, new {added}")
    try:
        schema = pa.unify_schemas(
            [first.remove_metadata(), second.remove_metadata()], promote_options="permissive"
        )
    except pa.ArrowException as error:
        raise InputError(f"{what}: its types differ from those before: {one_line(error)}") from error
    # The metadata of a piece with only nulls in a column does not describe that column.
    first_has_nulls_only = any(
        pa.types.is_null(old.type) and not pa.types.is_null(schema.field(old.name).type) for old in first
    )
    return schema.with_metadata(second.metadata if first_has_nulls_only else first.metadata)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.select(schema.names).cast(schema)


def _uniform(target: _Target, schema: pa.Schema, files: list[tuple[pa.Schema, Part]]) -> Written:
    """Write those files again whose column types differ from the final schema."""
    stored = _stored_schema(schema, target.partition_by)

    def conform(file: tuple[pa.Schema, Part]) -> Part:
        file_schema, part = file
        if _stored_schema(file_schema, target.partition_by).equals(stored):
            return part
        table = pq.read_table(pa.BufferReader(target.lake.read(f"{target.folder}/{part.path}")))
        return _write_file(target, part.path, _cast(table, stored))

    return Written(schema, in_threads(conform, files, _THREADS))


def _stored_schema(schema: pa.Schema, partition_by: Sequence[str]) -> pa.Schema:
    kept = [field for field in schema if field.name not in partition_by]
    return pa.schema(kept, metadata=schema.metadata)


def _write_part(target: _Target, table: pa.Table, number: int) -> list[Part]:
    """Write one part: a single file, or one per partition folder."""
    file = f"part-{number:05d}.parquet"
    if not target.partition_by:
        return [_write_file(target, file, table)]
    groups = _groups(table, target.partition_by)
    return in_threads(lambda group: _write_file(target, f"{group[0]}/{file}", group[1]), groups, _THREADS)


def _groups(table: pa.Table, columns: Sequence[str]) -> list[tuple[str, pa.Table]]:
    """Return, for each combination of values, its folder and its rows in their order."""
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
    groups = []
    for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
        code, expression = int(codes[order[start]]), None
        for name, values in reversed(list(zip(columns, dictionaries, strict=True))):
            code, position = divmod(code, len(values))
            test = pc.field(name) == values[position]
            expression = test if expression is None else test & expression
        groups.append((folders.format(expression)[0], data.slice(start, end - start)))
    groups.sort(key=lambda group: group[0])
    return groups


def _write_file(target: _Target, path: str, table: pa.Table) -> Part:
    stored = _stored_schema(table.schema, target.partition_by)
    metadata = {**(stored.metadata or {}), PROVENANCE: target.provenance}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata), sink, compression="zstd", write_page_checksum=True
    )
    data = memoryview(sink.getvalue())
    target.lake.write(f"{target.folder}/{path}", data)
    return Part(path, table.num_rows, data.nbytes, digest(data[-footer_bytes(data) :]))


def footer_bytes(end: bytes | memoryview) -> int:
    """Return the length of a Parquet file's footer, given its last bytes; 0 if it is not a Parquet file."""
    if len(end) < _TAIL or end[-4:] != b"PAR1":
        return 0
    return int.from_bytes(end[-_TAIL:-4], "little") + _TAIL

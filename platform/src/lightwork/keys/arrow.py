"""Canonical bytes of Arrow tables, arrays, scalars, types and schemas."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from lightwork.keys.arrays import array as numpy_array
from lightwork.keys.values import WRITERS, Writer, pack, sequence, text


def writer_of(kind: type) -> Writer | None:
    """Return the writer of an Arrow type; None for types that are encoded by their pickled form."""
    return next((writer for base, writer in _WRITERS.items() if issubclass(kind, base)), None)


def _table(value: Any) -> bytes:
    tag = b"AT" if isinstance(value, pa.Table) else b"AB"
    return pack(tag, _schema(value.schema), *(array(column) for column in value.columns))


def _schema(value: Any) -> bytes:
    fields = [_field(value.field(at)) for at in range(len(value))]
    return pack(b"AS", _pandas(value.metadata or {}), *fields)


def _pandas(metadata: dict[bytes, bytes]) -> bytes:
    """Encode the part of a schema's metadata that a pandas table is restored from, without versions."""
    try:
        pandas = json.loads(metadata.get(b"pandas", b"null"))
    except ValueError:
        return b"N"
    if not isinstance(pandas, dict):
        return b"N"
    names = ("index_columns", "column_indexes", "columns")
    return WRITERS[dict]({name: pandas.get(name) for name in names})


def _field(value: Any) -> bytes:
    return pack(b"AF", text(value.name), _type(value.type), b"T" if value.nullable else b"F")


def _type(value: Any) -> bytes:
    fields = [_field(value.field(at)) for at in range(value.num_fields)]
    return pack(b"AY", text(str(value)), *fields)


def _scalar(value: Any) -> bytes:
    return pack(b"AV", array(pa.array([value], type=value.type)))


def array(value: Any) -> bytes:
    """Encode an array by type, nulls, and the elements that are not null; chunks do not count."""
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
        if isinstance(value, pa.ChunkedArray):  # too large for one chunk
            return pack(b"AC", *(array(chunk) for chunk in value.chunks))
    kind = _type(value.type)
    if value.null_count:
        nulls = numpy_array(np.packbits(np.asarray(value.is_null(), dtype=bool)))
        value = value.drop_null()
    else:
        nulls = b"N"
    return pack(b"AA", kind, WRITERS[int](len(value)), nulls, _elements(value))


def _elements(value: Any) -> bytes:
    """Encode the elements of an array without nulls at its top level."""
    kind = value.type
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind):
        return numpy_array(value.to_numpy(zero_copy_only=False))
    if types.is_boolean(kind):
        return numpy_array(np.asarray(value, dtype=bool))
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or types.is_duration(kind):
        integer = pa.int32() if kind.bit_width == 32 else pa.int64()
        return numpy_array(value.view(integer).to_numpy())
    if (
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    ):
        return _text(value, wide=types.is_large_string(kind) or types.is_large_binary(kind))
    if types.is_dictionary(kind):
        return array(value.dictionary_decode())
    if types.is_struct(kind):
        return pack(b"l", *(array(value.field(at)) for at in range(kind.num_fields)))
    if types.is_list(kind) or types.is_large_list(kind):
        lengths = np.diff(np.asarray(value.offsets))
        return pack(b"l", numpy_array(lengths), array(value.flatten()))
    if isinstance(kind, pa.BaseExtensionType):
        return array(value.storage)
    return sequence(b"l", value.to_pylist())


def _text(value: Any, *, wide: bool) -> bytes:
    if len(value) == 0:
        return b"N"
    width = np.dtype(np.int64 if wide else np.int32)
    _, offsets_buffer, data = value.buffers()
    offsets = np.frombuffer(offsets_buffer, width)[value.offset : value.offset + len(value) + 1]
    lengths = numpy_array(np.diff(offsets).astype("<i8"))
    content = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
    return pack(b"l", lengths, numpy_array(content))


_WRITERS: dict[type, Writer] = {
    pa.Table: _table,
    pa.RecordBatch: _table,
    pa.ChunkedArray: array,
    pa.Array: array,
    pa.Scalar: _scalar,
    pa.Schema: _schema,
    pa.Field: _field,
    pa.DataType: _type,
}

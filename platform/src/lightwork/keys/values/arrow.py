"""Canonical bytes of Arrow tables, arrays, scalars, types and schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lightwork.keys.values.arrays import array as numpy_array
from lightwork.keys.values.canonical import WRITERS, Writer, pack, sequence, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW = 2048


def writer_of(kind: type) -> Writer | None:
    """Return the writer of an Arrow type; None for types that are encoded by their pickled form."""
    return next((writer for base, writer in _WRITERS.items() if issubclass(kind, base)), None)


def _table(value: Any) -> bytes:
    tag = b"AT" if isinstance(value, pa.Table) else b"AB"
    return pack(tag, _schema(value.schema), *(array(column) for column in value.columns))


def _schema(value: Any) -> bytes:
    fields = [_field(value.field(at)) for at in range(len(value))]
    return pack(b"AS", WRITERS[dict](value.metadata) if value.metadata else b"N", *fields)


def _field(value: Any) -> bytes:
    parts = [text(value.name), _type(value.type), b"T" if value.nullable else b"F"]
    if value.metadata:
        parts.append(WRITERS[dict](value.metadata))
    return pack(b"AF", *parts)


def _type(value: Any) -> bytes:
    fields = [_field(value.field(at)) for at in range(value.num_fields)]
    return pack(b"AY", text(str(value)), *fields, *_parameters(value))


def _parameters(value: Any) -> list[bytes]:
    """Encode what a type's text and fields leave out: an extension's parameters, a dictionary's values."""
    if isinstance(value, pa.BaseExtensionType):
        parts = [_type(value.storage_type)]
        if isinstance(value, pa.ExtensionType):
            parts += [WRITERS[type](type(value)), WRITERS[bytes](value.__arrow_ext_serialize__())]
        return parts
    if pa.types.is_dictionary(value):
        inner = value.value_type
        if inner.num_fields or isinstance(inner, pa.BaseExtensionType) or pa.types.is_dictionary(inner):
            return [_type(inner)]
    return []


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
        return _dictionary(value)
    if types.is_struct(kind):
        return pack(b"l", *(array(value.field(at)) for at in range(kind.num_fields)))
    if types.is_list(kind) or types.is_large_list(kind):
        lengths = np.diff(np.asarray(value.offsets))
        return pack(b"l", numpy_array(lengths), array(value.flatten()))
    if isinstance(kind, pa.BaseExtensionType):
        return array(value.storage)
    return sequence(b"l", value.to_pylist())


def _dictionary(value: Any) -> bytes:
    """Encode a dictionary array by its decoded elements if these determine it, else by its two parts."""
    indices, dictionary = np.asarray(value.indices), value.dictionary
    if _follows(indices, dictionary):
        return array(value.dictionary_decode())
    return pack(b"AD", array(dictionary), numpy_array(indices))


def _follows(indices: NDArray[Any], dictionary: Any) -> bool:
    """Tell whether a dictionary holds each element once, in the order of appearance, and nothing else."""
    size = len(dictionary)
    if dictionary.null_count or size > max(_FEW, len(indices) // 16):  # searching a large one is slow
        return False
    if not size:
        return not len(indices)
    highest = np.maximum.accumulate(indices[: int(indices.argmax()) + 1]) if len(indices) else indices
    if len(highest) < size or highest[0] or highest[-1] != size - 1 or (highest[1:] - highest[:-1] > 1).any():
        return False
    try:
        return len(dictionary.unique()) == size
    except pa.ArrowNotImplementedError:  # elements of a nested type
        return False


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

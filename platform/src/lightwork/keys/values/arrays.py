"""Canonical bytes of NumPy arrays, scalars and dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lightwork.keys.components import Unkeyable
from lightwork.keys.values.canonical import (
    WRITERS,
    Writer,
    finish,
    finish_parts,
    mapping,
    pack,
    sequence,
    text,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALL = 40


def writer_of(kind: type) -> Writer | None:
    """Return the writer of a NumPy type; None for types that are encoded by their pickled form."""
    if kind is np.ndarray or kind is np.memmap:
        return array
    if issubclass(kind, np.generic) and kind.__module__ == "numpy":
        return scalar
    if issubclass(kind, np.dtype):
        return dtype
    return None


def dtype(value: np.dtype[Any]) -> bytes:
    """Encode a dtype, with the names, titles and order of its fields, and its metadata."""
    return pack(b"nd", _shape_of(value))


def _shape_of(value: np.dtype[Any]) -> bytes:
    if not value.metadata:
        return _plain_shape_of(value)
    try:
        return pack(b"nm", _plain_shape_of(value), mapping(b"d", value.metadata.items()))
    except Unkeyable as error:
        raise error.under(".metadata") from None


def _plain_shape_of(value: np.dtype[Any]) -> bytes:
    if value.subdtype is not None:
        return pack(b"ns", _shape_of(value.subdtype[0]), sequence(b"t", value.subdtype[1]))
    if value.names is None:
        extra = str(value) if value.kind == "T" else ""
        return text(value.str + extra)
    fields: Any = value.fields
    parts = [text(name) + _shape_of(fields[name][0]) for name in value.names]
    layout = _layout(value)
    return pack(b"nf", *parts) if layout is None else pack(b"nl", *parts, layout)


def _layout(value: np.dtype[Any]) -> bytes | None:
    """Encode titles, offsets and the scalar type of a structured dtype; None for those of a plain one."""
    fields: Any = value.fields
    titles, offsets, packed, end = [], [], True, 0
    for name in value.names or ():
        kind, offset, *title = fields[name]
        titles.append(title[0] if title else None)
        offsets.append(offset)
        packed = packed and offset == end
        end = offset + kind.itemsize
    packed = packed and end == value.itemsize and not value.isalignedstruct
    if packed and value.type is np.void and not any(title is not None for title in titles):
        return None
    where = None if packed else (*offsets, value.itemsize, value.isalignedstruct)
    return sequence(b"t", (tuple(titles), where, value.type.__name__))


def scalar(value: np.generic) -> bytes:
    """Encode a NumPy scalar; it differs from the Python value and from other dtypes."""
    if value.dtype.kind in "biufmM" and value.dtype.itemsize <= 8:
        data = value.tobytes() if value == value else b"NaN"
        return b"ng%b;%d:%b" % (value.dtype.str.encode(), len(data), data)
    return pack(b"ng", array(np.asarray(value)))


def array(value: NDArray[Any]) -> bytes:
    """Encode an array by dtype, shape and elements; its memory layout does not count."""
    head = b"na" + pack(b"nh", _shape_of(value.dtype), sequence(b"t", value.shape))
    plain = value.view(np.ndarray)
    if plain.dtype.names is not None:
        # Field by field, as the padding between fields has no meaning.
        return finish(head + b"".join(array(plain[name]) for name in plain.dtype.names))
    if plain.dtype.kind in "OT":
        return finish(head + WRITERS[list](plain.ravel().tolist()))
    if plain.dtype.kind in "fc":
        plain = _with_one_nan(plain)
        if plain.dtype.itemsize > (8 if plain.dtype.kind == "f" else 16):
            # Longer floats contain padding bytes.
            return finish(head + WRITERS[list]([str(item) for item in plain.ravel()]))
    data = np.ascontiguousarray(plain)
    if data.nbytes <= _SMALL:
        return finish(b"%b%d:%b" % (head, data.nbytes, data.tobytes()))
    return finish_parts(b"%b%d:" % (head, data.nbytes), [data.reshape(-1).view(np.uint8).data])


def _with_one_nan(value: NDArray[Any]) -> NDArray[Any]:
    """Return the array with the same bytes for every NaN."""
    mask = np.isnan(value)
    if not mask.any():
        return value
    copy = np.array(value, order="C")
    if copy.dtype.kind == "c":
        parts = copy.reshape(-1).view(copy.real.dtype)
        parts[np.isnan(parts)] = np.nan
    else:
        copy[mask] = np.nan
    return copy

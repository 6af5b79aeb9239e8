"""Canonical bytes of NumPy's arrays, scalars and types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lightwork.keys.values import Writer, finish, finish_parts, pack, sequence, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALL = 40


def writer_of(kind: type) -> Writer | None:
    """The writer for a type of NumPy's; None for those that are encoded by what pickling keeps."""
    if kind is np.ndarray or kind is np.memmap:
        return array
    if issubclass(kind, np.generic) and kind.__module__ == "numpy":
        return scalar
    if issubclass(kind, np.dtype):
        return dtype
    return None


def dtype(value: np.dtype[Any]) -> bytes:
    """A dtype, with the names, titles and places of fields."""
    return pack(b"nd", _shape_of(value))


def _shape_of(value: np.dtype[Any]) -> bytes:
    if value.subdtype is not None:
        return pack(b"ns", _shape_of(value.subdtype[0]), sequence(b"t", value.subdtype[1]))
    if value.names is None:
        extra = str(value) if value.kind == "T" else ""
        return text(value.str + extra)
    fields: Any = value.fields
    parts = [text(name) + _shape_of(fields[name][0]) for name in value.names]
    return pack(b"nf", *parts)


def scalar(value: np.generic) -> bytes:
    """A NumPy scalar: not the same as the Python value, nor as one of another dtype."""
    if value.dtype.kind in "biufmM" and value.dtype.itemsize <= 8:
        data = value.tobytes() if value == value else b"NaN"
        return b"ng%b;%d:%b" % (value.dtype.str.encode(), len(data), data)
    return pack(b"ng", array(np.asarray(value)))


def array(value: NDArray[Any]) -> bytes:
    """An array: dtype, shape and elements; how it lies in memory does not count."""
    head = b"na" + pack(b"nh", _shape_of(value.dtype), sequence(b"t", value.shape))
    plain = value.view(np.ndarray)
    if plain.dtype.names is not None:
        # Field by field: what lies between them is not theirs.
        return finish(head + b"".join(array(plain[name]) for name in plain.dtype.names))
    if plain.dtype.kind in "OT":
        return finish(head + sequence(b"l", plain.ravel().tolist()))
    if plain.dtype.kind in "fc":
        plain = _with_one_nan(plain)
        if plain.dtype.itemsize > (8 if plain.dtype.kind == "f" else 16):
            # Longer floats have bytes that mean nothing.
            return finish(head + sequence(b"l", [str(item) for item in plain.ravel()]))
    data = np.ascontiguousarray(plain)
    if data.nbytes <= _SMALL:
        return finish(b"%b%d:%b" % (head, data.nbytes, data.tobytes()))
    return finish_parts(b"%b%d:" % (head, data.nbytes), [data.reshape(-1).view(np.uint8).data])


def _with_one_nan(value: NDArray[Any]) -> NDArray[Any]:
    """The array with every NaN written the same way."""
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

"""Canonical bytes of pandas tables, columns, indexes and scalars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from lightwork.keys.components import Unkeyable
from lightwork.keys.values.arrays import array as numpy_array
from lightwork.keys.values.arrays import dtype as numpy_dtype
from lightwork.keys.values.canonical import WRITERS, Writer, pack, sequence, text, zone


def writer_of(kind: type) -> Writer | None:
    """Return the writer of a pandas type; None for types that are encoded by their pickled form."""
    for base, writer in _WRITERS.items():
        if kind is base or (issubclass(kind, base) and kind.__module__.startswith("pandas.")):
            return writer
    return None


def _value(value: Any) -> bytes:
    return WRITERS[type(value)](value)


def _frame(value: pd.DataFrame) -> bytes:
    attributes = _attributes(value)
    if attributes:
        value = pd.DataFrame(value)  # pandas makes a deep copy of `attrs` for each column
    columns = [_array(value.iloc[:, at].array) for at in range(value.shape[1])]
    return pack(b"PF", _index(value.columns), _index(value.index), *columns, *attributes)


def _series(value: pd.Series[Any]) -> bytes:
    parts = (_value(value.name), _index(value.index), _array(value.array))
    return pack(b"PS", *parts, *_attributes(value))


def _attributes(value: pd.DataFrame | pd.Series[Any]) -> tuple[bytes, ...]:
    """Encode `attrs` and flags; empty if none is set."""
    unique = not value.flags.allows_duplicate_labels
    if not value.attrs and not unique:
        return ()
    try:
        return (pack(b"Pa", _value(dict(value.attrs)), _value(unique)),)
    except Unkeyable as error:
        raise error.under(".attrs") from None


def _index(value: pd.Index[Any]) -> bytes:
    names = sequence(b"l", value.names)
    if isinstance(value, pd.RangeIndex):
        return pack(b"PR", names, sequence(b"t", (value.start, value.stop, value.step)))
    if isinstance(value, pd.MultiIndex):
        levels = [_array(value.get_level_values(at).array) for at in range(value.nlevels)]
        return pack(b"PM", names, *levels, *_levels(value))
    frequency = text(str(getattr(value, "freqstr", None)))
    return pack(b"PI", names, frequency, _array(value.array), *_frequency(getattr(value, "freq", None)))


def _levels(value: pd.MultiIndex) -> tuple[bytes, ...]:
    """Encode levels, codes and sort order; empty if each level just holds the used values, sorted."""
    codes = [np.asarray(codes) for codes in value.codes]
    order = value.sortorder  # type: ignore[attr-defined]
    if order is None and all(map(_is_factorized, value.levels, codes)):
        return ()
    levels = map(_index, value.levels)
    return (pack(b"Pl", _value(order), *levels, *(numpy_array(c.astype("<i8")) for c in codes)),)


def _is_factorized(level: pd.Index[Any], codes: np.ndarray[Any, Any]) -> bool:
    used = np.bincount(codes[codes >= 0], minlength=len(level))
    has_frequency = getattr(level, "freq", None) is not None and not isinstance(level, pd.PeriodIndex)
    if has_frequency or not used.all():
        return False
    if isinstance(level, pd.CategoricalIndex):
        level = pd.Index(level.codes)
    return bool(level.is_unique and level.is_monotonic_increasing)


def _frequency(value: Any) -> tuple[bytes, ...]:
    """Encode a frequency whose text leaves a part of it out, such as the holidays."""
    if value is None:
        return ()
    try:
        if pd.tseries.frequencies.to_offset(value.freqstr) == value:
            return ()
    except ValueError:
        pass
    return (_value(value),)


def _array(value: Any) -> bytes:
    """Encode a pandas array by dtype and elements, regardless of their storage."""
    dtype = value.dtype
    if isinstance(dtype, np.dtype) and dtype.kind not in "mM":
        return numpy_array(np.asarray(value))
    kind = text(str(dtype))
    if isinstance(value, pd.Categorical):
        codes = np.asarray(value.codes, dtype="<i8")
        return pack(b"PC", kind, _index(value.categories), numpy_array(codes), _value(bool(value.ordered)))
    if isinstance(dtype, (np.dtype, pd.DatetimeTZDtype, pd.PeriodDtype)):
        return pack(b"PD", kind, numpy_array(value.asi8), *_zone(dtype))
    if isinstance(dtype, pd.IntervalDtype):
        return pack(b"PV", kind, _array(value.left.array), _array(value.right.array))
    if isinstance(dtype, pd.StringDtype):
        return pack(b"PX", kind, text(str(dtype.na_value)), _strings(value))
    if isinstance(dtype, pd.ArrowDtype):
        from lightwork.keys.values.arrow import array as arrow_array

        return pack(b"PA", kind, arrow_array(value.__arrow_array__()))
    if getattr(value, "_mask", None) is not None:
        mask = np.asarray(value.isna())
        filled = value.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
        return pack(b"PN", kind, numpy_array(mask), numpy_array(filled))
    if not type(value).__module__.startswith("pandas."):
        return pack(b"PO", kind, _value(value))  # parameters such as a unit may not be in the dtype's text
    metadata = getattr(getattr(dtype, "numpy_dtype", None), "metadata", None)
    parts = [numpy_dtype(dtype.numpy_dtype)] if metadata else []
    return pack(b"PE", kind, sequence(b"l", value), *parts)


def _zone(dtype: Any) -> tuple[bytes, ...]:
    """Encode a time zone that another one shares its text with, such as a fixed offset with a name."""
    tz = getattr(dtype, "tz", None)
    if tz is None:
        return ()
    try:
        default = pd.DatetimeTZDtype(dtype.unit, str(tz)).tz
        if type(default) is type(tz) and default == tz:
            return ()
    except (ValueError, KeyError, TypeError):
        pass
    return (zone(tz),)


def _strings(value: Any) -> bytes:
    try:
        import pyarrow as pa
    except ImportError:
        return sequence(b"l", [None if item is pd.NA or item != item else item for item in value])
    from lightwork.keys.values.arrow import array as arrow_array

    return arrow_array(pa.array(value, type=pa.large_string(), from_pandas=True))


def _timestamp(value: pd.Timestamp) -> bytes:
    moment = value.tz_convert(None) if value.tzinfo else value
    ticks = int(moment.asm8.astype("i8"))
    return pack(b"Pt", text(value.unit), _value(ticks), _value(value.fold), zone(value.tzinfo, value))


def _timedelta(value: pd.Timedelta) -> bytes:
    return pack(b"Pd", text(value.unit), _value(int(value.asm8.astype("i8"))))


def _period(value: pd.Period) -> bytes:
    return pack(b"Pp", text(value.freqstr), _value(value.ordinal))


def _interval(value: pd.Interval[Any]) -> bytes:
    return pack(b"Pi", text(value.closed), _value(value.left), _value(value.right))


_WRITERS: dict[type, Writer] = {
    pd.DataFrame: _frame,
    pd.Series: _series,
    pd.Index: _index,
    ExtensionArray: _array,
    pd.Timestamp: _timestamp,
    pd.Timedelta: _timedelta,
    pd.Period: _period,
    pd.Interval: _interval,
    type(pd.NaT): lambda _: b"Pn",
    type(pd.NA): lambda _: b"Pm",
}

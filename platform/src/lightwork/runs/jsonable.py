"""Converting any value that a pipeline returns to plain JSON values."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

RECORDS = 20
"""Number of rows of a table that are shown."""
_DEPTH = 40
_ARRAY = 1000

Tables = Callable[[str, Any], Mapping[str, Any]]


def jsonable(value: Any, *, name: str = "result", tables: Tables | None = None) -> Any:
    """Convert a value to plain JSON values.

    NaN and missing values become null, dates ISO texts; dataclasses, models, enums, paths and numpy's
    scalars become the plain values that they hold; anything else becomes its repr with a note.

    Args:
        value: any value.
        name: the name of tables in it, extended by the keys that lead to them.
        tables: called with a name and a table (a pandas or Dask DataFrame or Series, an Arrow table);
            returns the table's representation. By default that is its first records.
    """
    return _plain(value, name, tables or (lambda _, table: table_head(table)), 0)


def table_head(table: Any, records: int = RECORDS) -> dict[str, Any]:
    """Return a table's row count, columns and first records, with its index unless an unnamed range."""
    frame = to_frame(table)
    head = flat(frame.head(records))
    rows = [
        {str(column): jsonable(cell) for column, cell in zip(head.columns, row, strict=True)}
        for row in head.itertuples(index=False, name=None)
    ]
    return {"rows": len(frame), "columns": [str(column) for column in head.columns], "records": rows}


def flat(frame: Any) -> Any:
    """Return a data frame with its index as columns, unless the index is an unnamed range."""
    import pandas as pd

    if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        return frame
    taken = {str(column) for column in frame.columns}
    names = [name if name is not None else f"level_{i}" for i, name in enumerate(frame.index.names)]
    if frame.index.nlevels == 1 and frame.index.name is None:
        names = ["index"]
    names = [f"{name} (index)" if str(name) in taken else name for name in names]
    return frame.reset_index(names=names)


def is_table(value: Any) -> bool:
    """Return whether a value is a pandas or Dask DataFrame or Series or an Arrow table, importing nothing."""
    bases = {(base.__module__.partition(".")[0], base.__name__) for base in type(value).__mro__}
    tables = {("pandas", "DataFrame"), ("pandas", "Series"), ("pyarrow", "Table")}
    lazy = {("dask", "DataFrame"), ("dask", "Series"), ("dask_expr", "DataFrame"), ("dask_expr", "Series")}
    return bool(bases & (tables | lazy))


def to_frame(table: Any) -> Any:
    """Convert any kind of table to a pandas DataFrame."""
    # Of the type: a column or a label called `compute` is an attribute of the table.
    if hasattr(type(table), "compute"):
        table = table.compute()
    if hasattr(type(table), "to_pandas"):
        table = table.to_pandas()
    if hasattr(type(table), "to_frame"):
        table = table.to_frame(name=table.name if table.name is not None else "value")
    return table


def _plain(value: Any, name: str, tables: Tables, depth: int) -> Any:
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, name, tables, depth + 1)
    if isinstance(value, int | str):
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None if math.isnan(value) else repr(float(value))
    if depth > _DEPTH:
        return _shown(value, "nested too deeply")
    if is_table(value):
        return {key: _plain(item, name, tables, depth + 1) for key, item in tables(name, value).items()}
    try:
        return _composite(value, name, tables, depth)
    except RecursionError:
        return _shown(value, "nested too deeply")
    except Exception as error:  # noqa: BLE001  (a result must not fail a run)
        return _shown(value, f"cannot be read: {type(error).__name__}")


def _composite(value: Any, name: str, tables: Tables, depth: int) -> Any:
    def inner(item: Any, key: object = None) -> Any:
        return _plain(item, name if key is None else f"{name}-{key}", tables, depth + 1)

    if isinstance(value, Mapping):
        return {_key(key): inner(item, _key(key)) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {item.name: inner(getattr(value, item.name), item.name) for item in fields}
    if hasattr(value, "model_dump"):
        return inner(value.model_dump(mode="json"))
    if hasattr(value, "_asdict"):
        return inner(value._asdict())
    if isinstance(value, dt.date | dt.time):
        return None if value != value else value.isoformat()
    if isinstance(value, pathlib.PurePath | uuid.UUID | decimal.Decimal | dt.timedelta):
        return None if value != value else str(value)
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        return _numeric(value, inner)
    if isinstance(value, Set):
        return sorted((inner(item) for item in value), key=lambda item: (str(type(item)), str(item)))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview | range):
        return [inner(item) for item in value]
    if isinstance(value, range):
        return list(value) if len(value) <= _ARRAY else _shown(value, "too long to list")
    return _shown(value, f"JSON has no {type(value).__name__}")


def _numeric(value: Any, inner: Callable[[Any], Any]) -> Any:
    """Convert a scalar or an array of numpy or pandas."""
    if hasattr(value, "isoformat") or type(value).__name__ in ("NaTType", "NAType"):
        return None if type(value).__name__ in ("NaTType", "NAType") else value.isoformat()
    if type(value).__name__ in ("datetime64", "timedelta64"):
        return None if str(value) == "NaT" else str(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return inner(value.item())
    if hasattr(value, "tolist") and hasattr(value, "size"):
        if value.size <= _ARRAY:
            return inner(value.tolist())
        return _shown(value, f"{value.size} elements, shape {getattr(value, 'shape', '')}")
    return _shown(value, f"JSON has no {type(value).__name__}")


def _key(key: object) -> str:
    if isinstance(key, enum.Enum):
        return str(key.value)
    if isinstance(key, tuple):
        return ", ".join(map(_key, key))
    return key.isoformat() if isinstance(key, dt.date) else str(key)


def _shown(value: object, note: str) -> dict[str, str]:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return {"repr": text if len(text) <= 300 else f"{text[:300]}…", "note": note}

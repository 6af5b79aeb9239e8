"""The first rows of a Parquet file, read by a process of its own that has nothing but the bytes it asks for.

What a tenant wrote may be damaged, or made to harm its reader. So this process has no lake and no
credentials: it asks for bytes on its standard output, gets them on its standard input, and has little memory
and time. It unpickles nothing: extension types stay what they are stored as.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from typing import Any

MEMORY = 3 << 30
"""Bytes of addresses that the process may have."""
SECONDS = 20
"""Seconds of processor time that it may take."""
ROWS = 20
"""Rows that are read."""
COLUMNS = 40
"""Columns that are read."""
_ASK = struct.Struct("<QQ")
_ANSWER = struct.Struct("<Q")
_CELL = 200
"""Characters of a cell."""
_FOOTER = 16 << 20
"""Bytes of texts in a footer, and the number of things in one of its lists."""


class Asked(io.RawIOBase):
    """A file whose bytes are asked for at standard output.

    Args:
        size: its size.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place can be read."""
        return True

    def tell(self) -> int:
        """Return the place that is read next."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Choose the place that is read next."""
        self._at = offset + {0: 0, 1: self._at, 2: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return bytes from the chosen place on."""
        left = max(0, self._size - self._at)
        wanted = left if size < 0 else min(size, left)
        if not wanted:
            return b""
        sys.stdout.buffer.write(_ASK.pack(self._at, wanted))
        sys.stdout.buffer.flush()
        (length,) = _ANSWER.unpack(sys.stdin.buffer.read(_ANSWER.size))
        data = sys.stdin.buffer.read(length)
        if len(data) != length:
            raise OSError("the bytes are not there")
        self._at += length
        return data

    def readall(self) -> bytes:
        """Return all bytes from the chosen place on."""
        return self.read()


def head(file: Any) -> dict[str, Any]:
    """Return columns, types and the first rows of a Parquet file, as texts.

    Raises:
        Exception: it is damaged; PyArrow has many kinds of errors for that.
    """
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(
        file,
        pre_buffer=False,
        buffer_size=1 << 16,
        thrift_string_size_limit=_FOOTER,
        thrift_container_size_limit=_FOOTER,
        arrow_extensions_enabled=False,
        page_checksum_verification=True,
    )
    schema = parquet.schema_arrow
    names = list(schema.names)
    wanted = names[:COLUMNS]
    rows: list[list[str | None]] = []
    if parquet.metadata.num_rows:
        batch = next(parquet.iter_batches(ROWS, row_groups=[0], columns=wanted, use_threads=False))
        columns = [[_text(value) for value in column.to_pylist()] for column in batch.slice(0, ROWS).columns]
        rows = [list(row) for row in zip(*columns, strict=True)]
        wanted = list(batch.schema.names)
    kinds = [str(schema.field(name).type)[:_CELL] for name in wanted]
    numeric = [kind.startswith(("int", "uint", "float", "double", "decimal", "halffloat")) for kind in kinds]
    return {
        "columns": wanted,
        "types": kinds,
        "numeric": numeric,
        "rows": rows,
        "more_columns": max(0, len(names) - len(wanted)),
    }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = f"{value:,.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


def main() -> None:
    """Read one file; the answer is a line of JSON after an impossible question."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = head(Asked(int(sys.argv[1])))
    except MemoryError:
        answer = {"problem": "its first rows need too much memory"}
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it
        answer = {"problem": f"{type(error).__name__}: {error}"[:1000]}
    data = json.dumps(answer).encode()
    sys.stdout.buffer.write(_ASK.pack(2**64 - 1, len(data)) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

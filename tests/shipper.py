"""The log shipper's own script, run by LuaJIT as Fluent Bit runs it, and records of all kinds to try it with.

What is here of Fluent Bit itself, which is not to be had as a package, is its interface: the tag, a table
with the line, and a table as the answer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from lupa import luajit21

from infra.config.streams import FIELDS
from infra.services.charts.shipper import SCRIPT

MOMENT = "2026-11-27T20:15:30.123456789Z"
CONTAINER = "0123456789abcdef" * 4


class Shipper:
    """The script."""

    def __init__(self) -> None:
        runtime = luajit21.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        runtime.execute(SCRIPT.encode())
        self._table, self._call = runtime.table_from, runtime.globals()[b"flatten"]

    def flatten(self, tag: str, record: dict[bytes, Any]) -> dict[str, str]:
        """Return what becomes of a record: texts by name, which must be UTF-8."""
        code, timestamp, table = self._call(tag.encode(), 7.5, self._table(record))
        assert (code, timestamp) == (2, 7.5), "the record is changed, and its time stays"
        return {name.decode(): value.decode() for name, value in table.items()}

    def record(
        self, line: bytes, *, namespace: str = "tenant-acme", pod: str = "p", container: str = "main"
    ) -> dict[str, str]:
        """Return what becomes of a line in the file of a container, as the node names it."""
        tag = f"kube.var.log.containers.{pod}_{namespace}_{container}-{CONTAINER}.log"
        return self.flatten(tag, {b"log": line, b"stream": b"stderr", b"time": MOMENT.encode(), b"_p": b"F"})


def lines(count: int, seed: int) -> Iterator[bytes]:
    """Yield lines of all kinds, as tenants may write them by accident or on purpose."""
    source = random.Random(seed)
    for _ in range(count):
        line: str | bytes = source.choice(_KINDS)(source)
        yield line if isinstance(line, bytes) else line.encode(errors="surrogatepass")


def event(source: random.Random) -> str:
    """Return an event as lightwork writes it."""
    fields = {name: _word(source) for name in FIELDS if source.random() < 0.8}
    return json.dumps({"timestamp": MOMENT, **fields, "rows": 3, "exception": "Traceback\n  x"})


def _word(source: random.Random) -> str:
    return source.choice(
        ["error", "windy-city", "ä", "\U0001f32c", 'a "b" \\ c', "", "x" * 300, "\ud800", "\x00\x1f\x7f"]
    )


def value(source: random.Random, depth: int = 0) -> Any:
    """Return a random JSON value."""
    kinds: list[Any] = [
        None,
        True,
        False,
        0,
        -1,
        2**70,
        1e300,
        1.5,
        [],
        {},
        _word(source),
        "2026-13-45",
        "NaN",
    ]
    if depth < 4:
        kinds += [[value(source, depth + 1)], {"a": value(source, depth + 1)}]
    return source.choice(kinds)


def _wrong_types(source: random.Random) -> str:
    return json.dumps({name: value(source) for name in FIELDS})


def _of_others(source: random.Random) -> str:
    names = ("tenant", "stream", "namespace", "pod", "container", "@timestamp", "_id", "_index", "log", "cut")
    others = {
        name: source.choice(["globex", "logs-tenant-globex", "tenant-globex", 7, None, {}]) for name in names
    }
    return json.dumps({"event": "mine", **others})


def _odd(source: random.Random) -> str:
    text = json.dumps({"level": _word(source), "event": value(source), "n": 1, "run": "r"})
    where = source.randrange(len(text))
    return source.choice(
        [
            text[:where],
            text[:where] + source.choice('"\\{}[],:\n\x00') + text[where:],
            f"{text}{text}",
            f" \t{text} x",
            '{"level": NaN, "event": Infinity}',
            '{"event": "a", "event": "b"}',
            '{"event": "\\ud83c\\udf2c \\ud800 \\u00"}',
            '{"event" "a"}',
            "{",
            "{}",
            "",
            '{"":"","event":',
        ]
    )


def _deep(source: random.Random) -> str:
    depth = source.choice([21, 100, 5000])
    opening, closing = source.choice([("[", "]"), ('{"a":', "}")])
    inner = opening * depth + "1" + closing * depth
    return source.choice([inner, f'{{"event": {inner}, "level": "info"}}', f'{{"event": {opening * depth}'])


def _long(source: random.Random) -> str:
    size = source.choice([300, 33_000, 100_000])
    text = source.choice(["x", "ä", "\\u0000", "\U0001f32c ", "word "]) * size
    return source.choice([text, f'{{"event": "{text}", "level": "info"}}', f'{{"{text}": 1, "event": "e"}}'])


def _bytes(source: random.Random) -> bytes:
    return source.choice([b"", b'{"event": "', b"\xff\xfe"]) + source.randbytes(source.choice([1, 50, 3000]))


def _huge(source: random.Random) -> str:
    return f'{{"event": "big", "data": "{"y" * (3 << 20)}"}}' if source.random() < 0.02 else "a plain line"


_KINDS = (event, event, _wrong_types, _of_others, _odd, _deep, _long, _bytes, _huge)

"""Why the threat model says that a worker can run code in the driver: Dask unpickles what a message holds.

If this fails, a newer Dask lets its reader refuse pickles: replies of plain values may then be read without
them, and docs/threat-model.md has to say so.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from distributed.protocol import ToPickle, dumps, loads


class Trap:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> object:
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize("deserialize", [True, False])
@pytest.mark.parametrize("preferred", [(), ("msgpack",), ("dask", "msgpack")])
def test_a_message_is_unpickled_whatever_its_reader_prefers(tmp_path, monkeypatch, deserialize, preferred):
    monkeypatch.chdir(tmp_path)
    frames = dumps({"op": "key-in-memory", "more": ToPickle(Trap())})
    loads(frames, deserialize=deserialize, deserializers=preferred)
    assert Path("sprung").exists()

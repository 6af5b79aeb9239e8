"""A worker unpickles a job only if its bytes are those that the driver packed."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from lightwork import connect, task
from lightwork.engine import worker
from lightwork.engine.job import INLINE_BYTES, MARK, pack
from lightwork.engine.shared import Shared
from lightwork.errors import LightworkError


class Trap:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> object:
        return Path.touch, (Path("sprung"),)


@task
def large(number, text):
    return len(text)


DAMAGES = {
    "another pickle": lambda data: pickle.dumps(Trap()),
    "a pickle before it": lambda data: pickle.dumps(Trap()) + data,
    "a pickle in it": lambda data: data[:-1] + pickle.dumps(Trap(), protocol=0),
    "nothing": lambda data: b"",
    "half of it": lambda data: data[: len(data) // 2],
    "more than it": lambda data: data + b"\0",
    "a bit": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "another job": None,
}


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A function that packs a job of a task and puts it in the lake if it is large."""
    monkeypatch.chdir(tmp_path)
    with connect(on="serial", lake=tmp_path / "lake", progress="off") as session:
        mark = "0" * 32
        session.lake.create(MARK, mark.encode())
        mark = session.lake.read(MARK).decode()

        def make(size: int, fn=large):
            job = session.runner.job(
                fn, session.runner.code_of(fn), shared=Shared({"text": os.urandom(size)})
            )
            return pack(job, "runs/1/jobs").stored(lambda: mark)

        yield make


def damaged(data: bytes, other: bytes, kind: str) -> bytes:
    return other if DAMAGES[kind] is None else DAMAGES[kind](data)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_job_in_the_lake_is_checked_before_it_is_unpickled(packed, kind):
    parcel, other = packed(2 * INLINE_BYTES), packed(3 * INLINE_BYTES)
    assert parcel.data is None
    assert other.data is None
    lake = parcel.lake
    lake.write(parcel.path, damaged(lake.read(parcel.path), lake.read(other.path), kind))
    with pytest.raises(LightworkError, match=r"\.job in the lake is damaged; run again"):
        worker._unpack_checked(parcel)
    assert not Path("sprung").exists()


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_job_that_is_sent_is_checked_before_it_is_unpickled(packed, kind):
    parcel, other = packed(10), packed(20)
    wrong = replace(parcel, data=damaged(parcel.data, other.data, kind))
    with pytest.raises(LightworkError, match="damaged"):
        worker._unpack_checked(wrong)
    assert not Path("sprung").exists()


def test_a_job_is_the_one_that_was_packed(packed):
    for size in (10, 2 * INLINE_BYTES):
        assert worker._unpack_checked(packed(size)).task == large.name

"""Code that several threads analyse at once, as threads with sessions of their own do."""

from __future__ import annotations

import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightwork.keys.source.units import Source

TEXT = Path(ast.__file__).read_text(encoding="utf-8")


class Noise:
    """Garbage whose collection runs Python code, so that the collector switches threads."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        for _ in range(50):
            pass


@pytest.fixture
def eager_threads():
    """Switch threads and collect garbage far more often than usual."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


@pytest.mark.slow
def test_threads_read_source_at_once(eager_threads):
    def definitions(number: int) -> int:
        for _ in range(100):
            Noise()
        return len(Source(TEXT, f"<{number}>").nodes)

    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(definitions, range(24)))
    assert counts == [counts[0]] * 24

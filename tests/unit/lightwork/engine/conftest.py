"""Sessions that the tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightwork import connect
from tests.samples import mark_slow

HERE = Path(__file__).parent
FAST_CASES = 1
"""Cases of a test on workers that `make test` runs; `make test-slow` runs the others."""


@pytest.fixture(params=["serial", "workers"])
def session(request, tmp_path):
    """A serial session, then one on two worker processes, each with its own lake."""
    on = "serial" if request.param == "serial" else request.getfixturevalue("scheduler")
    with connect(on=on, lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened


@pytest.fixture
def workers(scheduler, tmp_path):
    """A session on two worker processes, with its own lake."""
    with connect(on=scheduler, lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most cases of long lists on workers as slow; serial runs all of them in far less time."""
    mark_slow(items, lambda item: FAST_CASES if item.path.parent == HERE and _is_on_workers(item) else None)


def _is_on_workers(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return False
    texts = [value for value in callspec.params.values() if isinstance(value, str)]
    places = {"serial", "workers", "local"} & set(texts)
    return "serial" not in places and bool(places or {"workers", "local"} & set(item.fixturenames))

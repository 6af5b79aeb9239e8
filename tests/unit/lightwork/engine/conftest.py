"""Sessions that the tests of the engine share."""

from __future__ import annotations

import pytest

from lightwork import connect


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

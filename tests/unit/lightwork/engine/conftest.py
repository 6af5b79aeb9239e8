"""What the tests of the engine share: sessions."""

from __future__ import annotations

import pytest

from lightwork import connect


@pytest.fixture(params=["serial", "workers"])
def session(request, tmp_path):
    """A session on each kind of place, with a lake of its own."""
    on = "serial" if request.param == "serial" else request.getfixturevalue("scheduler")
    with connect(on=on, lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened


@pytest.fixture
def workers(scheduler, tmp_path):
    """A session on two worker processes."""
    with connect(on=scheduler, lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened

"""What the tests of the engine share: a scheduler with two worker processes, started once."""

from __future__ import annotations

import pytest

from lightwork import connect


@pytest.fixture(scope="session")
def scheduler():
    """The address of a real scheduler with two worker processes of one thread each; nobody's default."""
    from lightwork.engine.cluster import _start_local

    with _start_local(2) as cluster:
        yield cluster.scheduler_address


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

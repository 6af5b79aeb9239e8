"""The tests need a running cluster: `make cluster-up`, or `python -m tests.cluster test` for everything."""

from __future__ import annotations

import os

import pytest

from tests.cluster import enforcement, tenants
from tests.cluster.progress import phase
from tests.cluster.settings import kubeconfig, of_current_context


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs the cluster of tests/cluster")
    config.addinivalue_line("markers", "core: among the few that every change must pass")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tier = os.environ.get("TIER") or "all"
    if tier not in ("core", "all"):
        raise pytest.UsageError(f"TIER is {tier!r}; expected core or all")
    ours = [item for item in items if item.path.parent.name == "cluster"]
    for item in ours:
        item.add_marker("cluster")
        item.add_marker(pytest.mark.timeout(900))
    if tier == "core":
        left_out = [item for item in ours if item.get_closest_marker("core") is None]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def enforced() -> None:
    """Check that the cluster enforces network policies, before any test whose run is to pass under them."""
    if not kubeconfig().exists():
        pytest.fail("no cluster is up: make cluster-up")
    if not of_current_context():
        with phase("proof that network policies are enforced"):
            enforcement.prove()


@pytest.fixture(scope="session")
def both_tenants(enforced: None) -> tuple[str, ...]:
    """Set up both example tenants in the cluster; their names."""
    for name in tenants.TENANTS:
        tenants.set_up(name)
    return tenants.TENANTS


@pytest.fixture
def acme(both_tenants: tuple[str, ...]) -> str:
    """The first tenant's name."""
    return both_tenants[0]


@pytest.fixture
def globex(both_tenants: tuple[str, ...]) -> str:
    """The second tenant's name."""
    return both_tenants[1]

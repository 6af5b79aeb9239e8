"""The tests need a running cluster: `make cluster-up`, or `python -m tests.cluster test` for everything."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lightwork.pods import search
from tests.cluster import enforcement, log_domain, opensearch, tenants
from tests.cluster.progress import phase
from tests.cluster.settings import kubeconfig, of_current_context
from tests.waiting import patience

TEST_SECONDS = 900
"""The most that a test takes on an idle machine."""


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
        # First, as pytest-timeout takes the first: that of all tests is shorter.
        item.add_marker(pytest.mark.timeout(patience(TEST_SECONDS)), append=False)
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


@pytest.fixture(scope="session")
def search_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[opensearch.Server]:
    """A real OpenSearch with its security plugin; it needs no cluster."""
    with opensearch.running(tmp_path_factory.mktemp("opensearch"), security=True) as server:
        yield server


@pytest.fixture
def empty(search_server: opensearch.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[log_domain.Domain]:
    """A domain without streams."""
    monkeypatch.setattr(search, "PAUSE", 0.1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", log_domain.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    with log_domain.emptied(search_server) as domain:
        yield domain


@pytest.fixture
def domain(empty: log_domain.Domain) -> log_domain.Domain:
    """A domain that is set up, with three tenants."""
    empty.set_up()
    for name in log_domain.TENANT_NAMES:
        empty.add(name)
    return empty

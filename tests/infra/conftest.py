"""What the tests of the infrastructure program share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.preview_offline import workspace
from infra.tenant_target import DIGEST
from tests.infra.engine import run_program

if TYPE_CHECKING:
    from tests.infra.engine import Run

REPOSITORY = Path(__file__).resolve().parents[2]


ENVIRONMENTS = ("dev", "staging", "prod")
TENANTS = ("dev.acme", "staging.acme", "prod.acme", "dev.globex", "prod.globex")


@pytest.fixture(autouse=True)
def _image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image that a tenant's stack runs, as CI would say."""
    monkeypatch.setenv(DIGEST, f"sha256:{'a' * 64}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the program and its files, in which each environment has chosen an account."""
    return workspace(REPOSITORY, tmp_path)


@pytest.fixture(scope="session")
def estates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The estate of each environment, recorded once."""
    copy = workspace(REPOSITORY, tmp_path_factory.mktemp("estates"))
    runs = {environment: run_program(copy, environment) for environment in ENVIRONMENTS}
    for environment, run in runs.items():
        assert run.error is None, f"{environment} must deploy: {run.error}"
    return runs


@pytest.fixture(params=ENVIRONMENTS)
def estate(request: pytest.FixtureRequest, estates: dict[str, Run]) -> Run:
    """The estate of every environment: security is the same in each."""
    return estates[request.param]


@pytest.fixture(scope="session")
def customers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The stack of each example tenant in each of its environments, recorded once."""
    copy = workspace(REPOSITORY, tmp_path_factory.mktemp("customers"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIGEST, f"sha256:{'a' * 64}")
        runs = {stack: run_program(copy, stack) for stack in TENANTS}
    for stack, run in runs.items():
        assert run.error is None, f"{stack} must deploy: {run.error}"
    return runs


@pytest.fixture(params=TENANTS)
def customer(request: pytest.FixtureRequest, customers: dict[str, Run]) -> Run:
    """The stack of every tenant: none is special."""
    return customers[request.param]


@pytest.fixture(scope="session")
def acme(customers: dict[str, Run]) -> Run:
    """The example tenant in dev."""
    return customers["dev.acme"]

"""Fixtures for the tests of the infrastructure program."""

from __future__ import annotations

import gc
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.runtime.proto import source_pb2

from infra.config.image import DIGEST
from infra.config.naming import Names
from infra.config.stack import ENVIRONMENTS
from lightwork import tenants
from tests.estate import files
from tests.infra.engine import ACCOUNT, REGION, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.tenants import Environment
    from tests.infra.engine import Run

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def _no_stack_traces() -> Iterator[None]:
    """Leave out where in the code resources were made: a fifth of a recording's time, and read by nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace)
        yield


@pytest.fixture(autouse=True)
def _image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the digest of the image that tenants run, as CI does."""
    monkeypatch.setenv(DIGEST, f"sha256:{'a' * 64}")


@pytest.fixture(autouse=True)
def _pipelines() -> Iterator[None]:
    """Make the tests' own pipelines the installed ones."""
    with files.own_pipelines():
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a copy of the repository with the tests' files, in which each environment has an account."""
    return files.repository(tmp_path, ACCOUNT, modules=False)


def _keep() -> None:
    """Spare the collector of garbage what was recorded for all tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def estates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Record the estate of each environment once."""
    copy = files.repository(tmp_path_factory.mktemp("estates"), ACCOUNT, modules=False)
    runs = {environment: run_program(copy, environment) for environment in ENVIRONMENTS}
    for environment, run in runs.items():
        assert run.error is None, f"{environment} must deploy: {run.error}"
    _keep()
    return runs


@pytest.fixture(params=ENVIRONMENTS)
def estate(request: pytest.FixtureRequest, estates: dict[str, Run]) -> Run:
    """Run a test with the estate of every environment: security is the same in each."""
    return estates[request.param]


TENANTS = tuple(
    (environment, name)
    for name in files.NAMES
    if not (tenant := files.load(name)).leaving
    for environment in tenant.environments
)
"""Every test tenant that is not leaving, in every environment that its file names."""

STACKS = tuple(".".join(pair) for pair in TENANTS)
"""The names of their stacks."""


LOOKALIKES = ("/dev/xvda", "prod-registry-k8s-io", f"prod-{REGION}-starport")
"""Foreign names that look as if they contained an environment's name."""


PROGRAMS = {("kubernetes:core/v1:ConfigMap", f"configmap-{name}") for name in ("archive-login", "watch")}
"""They hold the text of a program, in which an environment's name is a word like any other."""


def plain(run: Run, environment: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every resource with its options and inputs, without its environment's name.

    Environments are compared by this: any remaining difference is a real one.
    """
    resources = {}
    for resource in run.resources:
        if resource.type.startswith("pulumi:"):
            continue
        options = {"protect": resource.protect, "retain_on_delete": resource.retain_on_delete}
        text = json.dumps({**resource.inputs, **options, "ignore_changes": resource.ignore_changes})
        for position, other in enumerate(LOOKALIKES):
            text = text.replace(other, f"<{position}>")
        if (resource.type, resource.name) not in PROGRAMS:
            text = re.sub(rf"(?<!\w){environment}(?!\w)", "ENVIRONMENT", text)
        resources[resource.type, resource.name] = json.loads(text)
    return resources


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The recording of a tenant's stack, with its inputs."""

    run: Run
    environment: Environment
    tenant: tenants.Tenant
    names: Names

    def objects(self) -> dict[str, dict[str, Any]]:
        """Return its Kubernetes objects by logical name."""
        return {r.name: r.inputs for r in self.run.resources if r.type.startswith("kubernetes:")}


def deploy(root: Path, environment: Environment, name: str) -> Deployed:
    """Record the stack of a tenant whose file is below a root."""
    run = run_program(root, f"{environment}.{name}")
    assert run.error is None, f"{environment}.{name} must deploy: {run.error}"
    return Deployed(
        run=run,
        environment=environment,
        tenant=tenants.load(root / "tenants" / f"{name}.yaml"),
        names=Names(environment=environment, account=ACCOUNT, region=REGION),
    )


@pytest.fixture(scope="session")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Deployed]:
    """Record every tenant in each of its environments once."""
    copy = files.repository(tmp_path_factory.mktemp("tenants"), ACCOUNT, modules=False)
    with files.own_pipelines(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIGEST, f"sha256:{'a' * 64}")
        deployments = {(environment, name): deploy(copy, environment, name) for environment, name in TENANTS}
    _keep()
    return deployments


@pytest.fixture(params=TENANTS, ids=".".join)
def deployed(request: pytest.FixtureRequest, deployments: dict[tuple[str, str], Deployed]) -> Deployed:
    """Run a test with every tenant in each of its environments."""
    return deployments[request.param]


@pytest.fixture(scope="session")
def customers(deployments: dict[tuple[str, str], Deployed]) -> dict[str, Run]:
    """Return the recordings of all tenants' stacks, by the stacks' names."""
    return {f"{environment}.{name}": deployed.run for (environment, name), deployed in deployments.items()}


@pytest.fixture(params=STACKS)
def customer(request: pytest.FixtureRequest, customers: dict[str, Run]) -> Run:
    """Run a test with the stack of every tenant."""
    return customers[request.param]


@pytest.fixture(scope="session")
def acme(customers: dict[str, Run]) -> Run:
    """Return the recording of the example tenant in dev."""
    return customers["dev.acme"]

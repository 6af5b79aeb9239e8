"""The Job that erases the logs of a tenant that has left. A person runs it, never CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.config.stack import StackName
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.driver.engine import Engine
    from infra.driver.stacks import Site
    from lightwork.kube.contract import Manifest
    from lightwork.tenants import Environment


def job(root: Path, environment: Environment, name: str, engine: Callable[[Site], Engine]) -> Manifest:
    """Build the Job.

    Args:
        root: the repository's root.
        environment: the environment.
        name: the tenant's name; its file may be gone.
        engine: creates the engine, which reads the estate's outputs.

    Raises:
        InputError: it cannot be a tenant's name, or the tenant has not left the environment.
    """
    from infra.config import settings
    from infra.config.image import image
    from infra.config.naming import Names
    from infra.driver.stacks import Site
    from infra.estate.outputs import EstateOutputs
    from infra.tenant.search import erasing

    stack = str(StackName.of_tenant(environment, name, label="--tenant"))
    _has_left(root, environment, name)
    names = Names.of(settings.load(root, environment))
    stacks = engine(
        Site(
            root=root,
            environment=environment,
            backend=names.backend,
            secrets_provider=names.secrets_provider,
        )
    )
    if stack in stacks.inhabited():
        raise InputError(f"{stack}: still has resources; destroy it first (docs/offboarding.md)")
    estate = EstateOutputs.parse(stacks.outputs(environment), f"stack {environment}")
    return erasing(
        name,
        endpoint=estate.search_endpoint,
        region=estate.region,
        image=image(estate.image_repository_url),
    )


def _has_left(root: Path, environment: Environment, name: str) -> None:
    from lightwork import tenants

    path = root / "tenants" / f"{name}.yaml"
    if not path.exists():
        return
    tenant = tenants.load(path)
    if environment in tenant.environments and not tenant.leaving:
        raise InputError(
            f"tenants/{name}.yaml: state: is {tenant.state}; only the logs of a tenant that has left can be"
            " erased (docs/offboarding.md)"
        )

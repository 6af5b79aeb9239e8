"""A tenant's file and its target: the facts about an environment that the builders of its objects need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.config import subnets
from lightwork import tenants
from lightwork.errors import InputError
from lightwork.manifests.base import Target

if TYPE_CHECKING:
    from pathlib import Path

    from infra.config.naming import Names
    from infra.config.settings import GitLab, Settings
    from infra.estate.outputs import EstateOutputs
    from lightwork.tenants import Environment, Tenant


METADATA = "169.254.0.0/16"


def load_tenant(root: Path, settings: Settings, name: str) -> Tenant:
    """Read the file of a tenant of an environment.

    Raises:
        InputError: it cannot be read, does not name this environment, or names a group of people that is
            not below the project's, or is that of the operators.
    """
    tenant = tenants.load(root / "tenants" / f"{name}.yaml")
    environment = settings.environment
    if environment not in tenant.environments:
        raise InputError(f"tenants/{tenant.name}.yaml: environments: {environment} is not in the list")
    _check_group(tenant, settings.gitlab)
    return tenant


def _check_group(tenant: Tenant, gitlab: GitLab) -> None:
    """Refuse a group of people that is not below the project's group, or is that of the operators.

    Anybody can make a group of any other name at the identity provider, and Argo ignores such groups. Whoever
    is put into the operators' group to see one tenant may act for all of them.

    Args:
        tenant: the tenant.
        gitlab: the identity provider and the project.

    Raises:
        InputError: it is another group.
    """
    group = tenant.people.group if tenant.people else None
    if group is None:
        return
    found = f"tenants/{tenant.name}.yaml: people.group: found {group!r}"
    example = f"{gitlab.group}/{tenant.name}"
    if not group.startswith(f"{gitlab.group}/") or not all(group.split("/")):
        raise InputError(
            f"{found}; expected a group of {gitlab.host} below {gitlab.group!r}, such as {example!r}: only"
            " its owners can make one there"
        )
    if group == gitlab.operators:
        raise InputError(
            f"{found}, whose members act for every tenant; expected a group of the tenant's own, such as"
            f" {example!r}"
        )


def target(
    tenant: Tenant,
    environment: Environment,
    names: Names,
    estate: EstateOutputs,
    image: str,
    prices: str = "",
) -> Target:
    """Return the target of a tenant's objects in an environment on AWS.

    Args:
        tenant: the tenant.
        environment: the environment.
        names: the environment's names.
        estate: the outputs of its estate.
        image: the platform's image.
        prices: the prices of workers, as `infra.config.prices` gives them.
    """
    return Target(
        environment=environment,
        image=image,
        lake=f"s3://{names.lake_bucket(tenant.name)}",
        variables={"AWS_REGION": estate.region, "AWS_DEFAULT_REGION": estate.region},
        # The VPC CNI's agent compares what a pod dials: the Service's address, before its translation.
        api_servers=(subnets.api_address(estate.service_cidr), *estate.api_cidrs),
        api_ports=(443,),
        prices=prices,
        inside=(estate.vpc_cidr, estate.service_cidr, METADATA),
    )

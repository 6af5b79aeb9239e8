"""What the builders of a tenant's Kubernetes objects are told of its environment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lightwork import tenants
from lightwork.errors import InputError
from lightwork.manifests.base import Target

if TYPE_CHECKING:
    from pathlib import Path

    from infra.estate_outputs import EstateOutputs
    from infra.naming import Names
    from infra.settings import StackName
    from lightwork.tenants import Environment, Tenant

DIGEST = "LIGHTWORK_IMAGE_DIGEST"
"""The environment variable that says which image the environment runs: CI built it and pushed it."""

METADATA = "169.254.0.0/16"


def load_tenant(root: Path, stack: StackName) -> Tenant:
    """Read the file of a stack's tenant.

    Raises:
        InputError: it cannot be read, or the tenant has not been asked into this environment.
    """
    tenant = tenants.load(root / "tenants" / f"{stack.tenant}.yaml")
    if stack.environment not in tenant.environments:
        raise InputError(f"tenants/{tenant.name}.yaml: environments: {stack.environment} is not among them")
    return tenant


def image(repository: str) -> str:
    """The platform's image, by digest: what a tag means may change.

    Args:
        repository: where it is pulled from.

    Raises:
        InputError: the variable is not there, or is no digest.
    """
    digest = os.environ.get(DIGEST)
    if not digest:
        raise InputError(
            f"{DIGEST}: is not set; it says which image to run, such as sha256:0123...: CI sets it, and"
            f" `aws ecr describe-images` shows those in {repository}"
        )
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise InputError(f"{DIGEST}: found {digest!r}; sha256: and 64 hexadecimal digits belong here")
    return f"{repository}@{digest}"


def target(
    tenant: Tenant, environment: Environment, names: Names, estate: EstateOutputs, image: str
) -> Target:
    """What tenants' objects are made for in an environment on AWS.

    Args:
        tenant: the tenant.
        environment: which environment it is.
        names: its names.
        estate: its estate.
        image: the platform's image.
    """
    return Target(
        environment=environment,
        image=image,
        lake=f"s3://{names.lake_bucket(tenant.name)}",
        variables={"AWS_REGION": estate.region, "AWS_DEFAULT_REGION": estate.region},
        api_servers=estate.api_cidrs,
        api_ports=(443,),
        inside=(estate.vpc_cidr, estate.service_cidr, METADATA),
    )

"""A tenant's network policies as its stack on AWS makes them, for the addresses of this cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from infra.config.naming import Names
from infra.estate.outputs import EstateOutputs
from infra.offline import answers
from infra.tenant.target import target
from lightwork import tenants
from lightwork.kube.contract import Manifest
from lightwork.manifests import network
from tests.cluster import stores
from tests.cluster.settings import API_PORT, NODE_IP, POD_CIDR, SERVICE_CIDR


def as_on_aws(file: Path, environment: tenants.Environment) -> list[Manifest]:
    """Return the policies of a tenant's file. What differs from AWS: the API's port, and the S3 server.

    Args:
        file: the tenant's file.
        environment: the environment.
    """
    outputs = answers.estate(environment)
    inside = {"vpc_cidr": POD_CIDR, "service_cidr": SERVICE_CIDR, "api_cidrs": [f"{NODE_IP}/32"]}
    estate = EstateOutputs.parse({**outputs, **inside}, "the cluster of the tests")
    names = Names(environment=environment, account=estate.account, region=estate.region)
    tenant = tenants.load(file)
    on_aws = target(tenant, environment, names, estate, image="")
    here = dataclasses.replace(
        on_aws,
        api_ports=(*on_aws.api_ports, API_PORT),
        variables={**on_aws.variables, "AWS_ENDPOINT_URL": stores.s3_url()},
    )
    return network.policies(tenant, here)

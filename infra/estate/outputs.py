"""What an estate hands to its tenants' stacks: exported by the one, parsed by the others at their edge."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.config.settings import Settings


VARIABLE = "LIGHTWORK_ESTATE_OUTPUTS"
"""The environment variable that names a JSON file to read instead of the estate's stack."""

READ = "pulumi:pulumi:readStackOutputs"
"""How the engine reads another stack's outputs: a stack reference, as plain values instead of futures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateOutputs:
    """An estate, as its tenants need to know it. No secret is among it.

    Attributes:
        account: the AWS account.
        region: the AWS region.
        environment: `dev`, `staging` or `prod`.
        cluster_name: the EKS cluster.
        cluster_endpoint: the address of its API, `https://...`.
        cluster_ca: the certificate of its API's authority, base64.
        vpc_cidr: the addresses of the VPC; nodes, pods and AWS's private endpoints are among them.
        service_cidr: the addresses of the cluster's Services.
        private_subnet_ids: the subnets of nodes and pods, one a zone.
        api_cidrs: where the Kubernetes API is, as pods see it: the subnets of its interfaces.
        archive_host: the host name of the PostgreSQL database.
        archive_secret_arn: the secret in which RDS keeps its password.
        search_endpoint: the host name of the OpenSearch domain.
        search_domain_arn: the domain.
        search_admin_role_arn: the role that may change the domain's roles, indexes and policies.
        image_repository_url: where the platform's image is pushed to and pulled from, without a tag.
        logs_bucket: the bucket that takes the access logs of the lakes.
        argo_domain: the host name of Argo's web page.
        tenant_boundary_arn: the permissions boundary that each role of a tenant must carry.
        alarm_topic_arn: the SNS topic that alarms go to.
    """

    account: str
    region: str
    environment: str
    cluster_name: str
    cluster_endpoint: str
    cluster_ca: str
    vpc_cidr: str
    service_cidr: str
    private_subnet_ids: tuple[str, ...]
    api_cidrs: tuple[str, ...]
    archive_host: str
    archive_secret_arn: str
    search_endpoint: str
    search_domain_arn: str
    search_admin_role_arn: str
    image_repository_url: str
    logs_bucket: str
    argo_domain: str
    tenant_boundary_arn: str
    alarm_topic_arn: str

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str) -> EstateOutputs:
        """Check what was read.

        Args:
            values: the outputs by name; what is not among the attributes is left alone.
            source: where they came from, for messages.

        Raises:
            InputError: an output is missing or is no text (or list of texts).
        """
        found: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            value = values.get(field.name)
            if value is None:
                raise InputError(
                    f"{source}: {field.name}: is missing{near(field.name, list(values))}; `pulumi up` of the"
                    " estate exports it"
                )
            several = field.name in SEVERAL
            items = value if several and isinstance(value, list | tuple) else [value]
            if not all(isinstance(item, str) and item for item in items) or not items:
                kind = "a list of texts" if several else "a text"
                raise InputError(f"{source}: {field.name}: found {value!r}; {kind} belongs here")
            if several and items[0] is value:
                raise InputError(f"{source}: {field.name}: found {value!r}; a list of texts belongs here")
            found[field.name] = tuple(items) if several else value
        return cls(**found)


SEVERAL = frozenset({"private_subnet_ids", "api_cidrs"})
"""The outputs that are lists."""


def export(values: Mapping[str, pulumi.Input[Any]]) -> None:
    """Make these the outputs of the estate's stack.

    Raises:
        ValueError: they are not exactly the attributes of `EstateOutputs`: a mistake in the program.
    """
    wanted = {field.name for field in dataclasses.fields(EstateOutputs)}
    if wrong := wanted.symmetric_difference(values):
        raise ValueError(f"estate outputs that are missing or not foreseen: {sorted(wrong)}")
    for name in sorted(values):
        pulumi.export(name, values[name])


def load(declared: Settings) -> EstateOutputs:
    """The outputs of an environment's estate: of its stack, or of the JSON file that `VARIABLE` names.

    The file is for the preview of a tenant whose stack does not exist yet, on a backend of its own that does
    not have the estate's stack. `pulumi stack output --json` writes such a file.

    Args:
        declared: the environment's settings, which the estate was made by.

    Raises:
        InputError: they cannot be read, or are of another environment, account or region than is declared.
    """
    environment = declared.environment
    if path := os.environ.get(VARIABLE):
        source = f"{path} ({VARIABLE})"
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{source}: cannot be read as JSON: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{source}: found {type(values).__name__}; a mapping of outputs belongs here")
    else:
        stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{environment}"
        source = f"stack {environment}"
        values = _read(stack, source)
    outputs = EstateOutputs.parse(values, source)
    if outputs.environment != environment:
        raise InputError(f"{source}: these are the outputs of {outputs.environment}, not of {environment}")
    for name in ("account", "region"):
        found, wanted = getattr(outputs, name), getattr(declared, name)
        if found != wanted:
            raise InputError(
                f"{source}: the estate is in the {name} {found}; Pulumi.{environment}.yaml says {wanted}: a"
                " tenant is made where its estate is"
            )
    return outputs


def _read(stack: str, source: str) -> Mapping[str, Any]:
    """The outputs of another stack.

    Raises:
        InputError: the backend has no such stack.
    """
    try:
        outputs: Mapping[str, Any] = pulumi.runtime.invoke(READ, {"name": stack}).value["outputs"]
    except Exception as error:
        if "unknown stack" not in str(error):
            raise
        raise InputError(
            f"{source}: this backend has no such stack: deploy the estate first, or name a JSON file with its"
            f" outputs in {VARIABLE}"
        ) from None
    return outputs

"""The outputs of an estate's stack: exported by the estate, read and checked by its tenants' stacks."""

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
"""The engine's function that reads another stack's outputs as plain values, unlike a stack reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateOutputs:
    """The facts about an estate that its tenants' stacks need. None of them is secret.

    Attributes:
        account: the AWS account.
        region: the AWS region.
        environment: `dev`, `staging` or `prod`.
        cluster_name: the name of the EKS cluster.
        cluster_endpoint: the URL of its API, `https://...`.
        cluster_ca: the CA certificate of its API, base64.
        vpc_cidr: the VPC's address range, which contains nodes, pods and AWS's private endpoints.
        service_cidr: the address range of the cluster's Services.
        private_subnet_ids: the subnets of nodes and pods, one per zone.
        api_cidrs: the address ranges of the Kubernetes API as pods reach it: the subnets of its interfaces.
        archive_host: the host name of the PostgreSQL database.
        archive_secret_arn: the secret in which RDS keeps the password of its master.
        search_endpoint: the host name of the OpenSearch domain.
        search_domain_arn: the domain's ARN.
        search_admin_role_arn: the role that may change the domain's roles, indexes and policies.
        image_repository_url: the repository of the platform's image: an image's name without its tag.
        logs_bucket: the bucket for the access logs of the lakes.
        argo_domain: the host name of Argo's web page.
        tenant_boundary_arn: the permissions boundary that each role of a tenant must have.
        alarm_topic_arn: the SNS topic that alarms are published to.
        people_policies: the admission policies that tenants' stacks bind to their namespaces. Kubernetes
            takes the binding of a policy that is not there, and checks nothing: so an estate that was
            deployed before there were any is refused.
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
    people_policies: tuple[str, ...]

    @property
    def cluster(self) -> dict[str, str]:
        """Return what a provider of Kubernetes objects needs to know of the cluster."""
        return {"cluster": self.cluster_name, "endpoint": self.cluster_endpoint, "ca": self.cluster_ca}

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str) -> EstateOutputs:
        """Check outputs that were read.

        Args:
            values: the outputs by name; unknown ones are ignored.
            source: the stack or file that they come from, for messages.

        Raises:
            InputError: an output is missing, or is not a text (or a list of texts).
        """
        checked: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            value = values.get(field.name)
            if value is None:
                raise InputError(
                    f"{source}: {field.name}: is missing{near(field.name, list(values))}; `pulumi up` of the"
                    " estate exports it"
                )
            is_list = field.name in LISTS
            items = value if is_list and isinstance(value, list | tuple) else [value]
            if not all(isinstance(item, str) and item for item in items) or not items:
                kind = "a list of texts" if is_list else "a text"
                raise InputError(f"{source}: {field.name}: found {value!r}; expected {kind}")
            if is_list and items[0] is value:
                raise InputError(f"{source}: {field.name}: found {value!r}; expected a list of texts")
            checked[field.name] = tuple(items) if is_list else value
        return cls(**checked)


LISTS = frozenset({"private_subnet_ids", "api_cidrs", "people_policies"})
"""The outputs that are lists."""


def export(values: Mapping[str, pulumi.Input[Any]]) -> None:
    """Export the outputs of the estate's stack.

    Raises:
        ValueError: they are not exactly the attributes of `EstateOutputs`: a bug in the program.
    """
    expected = {field.name for field in dataclasses.fields(EstateOutputs)}
    if wrong := expected.symmetric_difference(values):
        raise ValueError(f"missing or unknown estate outputs: {sorted(wrong)}")
    for name in sorted(values):
        pulumi.export(name, values[name])


def load(declared: Settings) -> EstateOutputs:
    """Read an estate's outputs from its stack, or from the JSON file that `VARIABLE` names.

    The file is for previewing a new tenant on a temporary backend, which does not have the estate's stack.
    `pulumi stack output --json` writes such a file.

    Args:
        declared: the environment's settings.

    Raises:
        InputError: they cannot be read, or belong to another environment, account or region than declared.
    """
    environment = declared.environment
    if path := os.environ.get(VARIABLE):
        source = f"{path} ({VARIABLE})"
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{source}: cannot be read as JSON: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{source}: expected a mapping of outputs, got {type(values).__name__}")
    else:
        stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{environment}"
        source = f"stack {environment}"
        values = _read(stack, source)
    outputs = EstateOutputs.parse(values, source)
    if outputs.environment != environment:
        raise InputError(f"{source}: these are the outputs of {outputs.environment}, not of {environment}")
    for name in ("account", "region"):
        actual, expected = getattr(outputs, name), getattr(declared, name)
        if actual != expected:
            raise InputError(
                f"{source}: the estate is in {name} {actual}, but Pulumi.{environment}.yaml says {expected}:"
                " a tenant must be where its estate is"
            )
    return outputs


def _read(stack: str, source: str) -> Mapping[str, Any]:
    """Read the outputs of another stack.

    Raises:
        InputError: the backend does not have the stack.
    """
    try:
        outputs: Mapping[str, Any] = pulumi.runtime.invoke(READ, {"name": stack}).value["outputs"]
    except Exception as error:
        if "unknown stack" not in str(error):
            raise
        raise InputError(
            f"{source}: not found in this backend: deploy the estate first, or set {VARIABLE} to a JSON file"
            " with its outputs"
        ) from None
    return outputs

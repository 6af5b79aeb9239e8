"""The stacks `local` and `local.<tenant>`: the Kubernetes half, on the current kube context, without AWS.

For kind, k3d or any cluster at hand. What only AWS has is left out: autoscaler, archive, log shipper, the
operator of the secrets, budget, roles. Tenants' pods find an S3 server that somebody else runs, and whatever
it asks of them in the Secret `lightwork-secrets`, which is made by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import pulumi
import pulumi_kubernetes as kubernetes
from pydantic import Field, StringConstraints

from infra.platform_local_cluster import LocalPlatform, LocalPlatformArgs
from infra.tenant_local import LocalTenant, LocalTenantArgs
from lightwork import documents, tenants
from lightwork.errors import InputError
from lightwork.manifests.base import Target

if TYPE_CHECKING:
    from pathlib import Path

NAME = "local"
PREFIX = "lightwork:"
TENANT = "{tenant}"


class LocalSettings(documents.Document):
    """What `Pulumi.local.yaml` says.

    Attributes:
        kube_context: the context of the kubeconfig; the current one if it is not named.
        image: the platform's image, as the cluster finds it.
        lake: the address of a tenant's lake; `{tenant}` stands for its name.
        s3_endpoint: the S3 server, if it is not AWS.
        region: the region that the server takes.
    """

    kube_context: Annotated[str, Field(min_length=1)] | None = None
    image: Annotated[str, Field(min_length=1, max_length=255)]
    lake: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9.{}/-]*\{tenant\}[a-z0-9.{}/-]*$")]
    s3_endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+$")] | None = None
    region: str = "us-east-1"


def is_local(stack: str) -> bool:
    """Whether a stack's name is that of a local one."""
    return stack.partition(".")[0] == NAME


def build(root: Path, stack: str) -> bool:
    """Build a local stack.

    Args:
        root: the repository's root.
        stack: the stack's name.

    Returns:
        Whether it was one.

    Raises:
        InputError: settings or tenant cannot be used.
    """
    if not is_local(stack):
        return False
    _, dot, tenant = stack.partition(".")
    if dot and (not tenant or "." in tenant):
        raise InputError(f"stack {stack!r}: a tenant's stack is named {NAME}.<tenant>")
    settings = load(root)
    found = tenants.load(root / "tenants" / f"{tenant}.yaml") if tenant else None
    provider = kubernetes.Provider(
        "kubernetes",
        context=settings.kube_context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
    opts = pulumi.ResourceOptions(providers=[provider])
    if found:
        target = Target(
            environment="dev",
            image=settings.image,
            lake=settings.lake.replace(TENANT, found.name),
            variables={
                "AWS_REGION": settings.region,
                "AWS_DEFAULT_REGION": settings.region,
                **({"AWS_ENDPOINT_URL": settings.s3_endpoint} if settings.s3_endpoint else {}),
            },
        )
        LocalTenant("tenant", LocalTenantArgs(tenant=found, target=target), opts)
        pulumi.export("namespace", found.namespace)
    else:
        LocalPlatform("platform", LocalPlatformArgs(cluster=NAME), opts)
    return True


def load(root: Path) -> LocalSettings:
    """Read `Pulumi.local.yaml`.

    Raises:
        InputError: one line for each mistake.
    """
    path = root / f"Pulumi.{NAME}.yaml"
    content, node = documents.read(path)
    config = content.get("config")
    if not isinstance(config, dict):
        raise InputError(f"{path}: config: is missing; it holds {PREFIX}image and the others")
    own = {key.removeprefix(PREFIX): value for key, value in config.items() if str(key).startswith(PREFIX)}
    return documents.parse(LocalSettings, own, path=path, node=documents.child(node, "config"), prefix=PREFIX)

"""The settings of the local stacks: `Pulumi.local.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from infra.config import settings
from infra.config.fields import Charts
from infra.config.stack import LOCAL
from lightwork import documents
from lightwork.manifests import network

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "{tenant}"


def _with_server(url: str) -> str:
    network.server(url)
    return url


class LocalSettings(documents.Document):
    """The settings in `Pulumi.local.yaml`.

    Attributes:
        kube_context: the kubeconfig's context. No other cluster is ever changed, whichever is current.
        argo: `make` installs Argo Workflows; `exists` takes the one in the namespace `argo`.
        image: the platform's image, by a name that the cluster can pull.
        lake: the address of a tenant's lake; `{tenant}` stands for the tenant's name.
        s3_endpoint: the URL of the S3 server as pods reach it; None for AWS. If the server is in the cluster,
            its Service's port must be that of its pods.
        region: the S3 server's region.
        charts: where Argo's chart comes from, as in `Settings`; None for its own repository.
    """

    kube_context: Annotated[str, Field(min_length=1)]
    argo: Literal["make", "exists"] = "make"
    image: Annotated[str, Field(min_length=1, max_length=255)]
    lake: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9.{}/-]*\{tenant\}[a-z0-9.{}/-]*$")]
    s3_endpoint: (
        Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+$"), AfterValidator(_with_server)] | None
    ) = None
    region: str = "us-east-1"
    charts: Charts | None = None


def load(root: Path) -> LocalSettings:
    """Read `Pulumi.local.yaml`.

    Raises:
        InputError: one line for each mistake.
    """
    path, values, node = settings.read(root, LOCAL, example="image")
    return documents.parse(LocalSettings, values, path=path, node=node, prefix=settings.PREFIX)

"""The settings of the local stacks: `Pulumi.local.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from infra.config import settings
from infra.config.stack import LOCAL
from lightwork import documents

if TYPE_CHECKING:
    from pathlib import Path

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


def load(root: Path) -> LocalSettings:
    """Read `Pulumi.local.yaml`.

    Raises:
        InputError: one line for each mistake.
    """
    path, own, node = settings.read(root, LOCAL, example="image")
    return documents.parse(LocalSettings, own, path=path, node=node, prefix=settings.PREFIX)

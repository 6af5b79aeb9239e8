"""The settings of the local stacks: `Pulumi.local.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from infra.config import settings
from infra.config.stack import LOCAL
from lightwork import documents

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "{tenant}"


class LocalSettings(documents.Document):
    """The settings in `Pulumi.local.yaml`.

    Attributes:
        kube_context: the kubeconfig's context; None for the current one.
        image: the platform's image, by a name that the cluster can pull.
        lake: the address of a tenant's lake; `{tenant}` stands for the tenant's name.
        s3_endpoint: the URL of the S3 server; None for AWS. Network policies open its port. If the server is
            in the cluster, its Service's port must be that of its pods.
        region: the S3 server's region.
    """

    kube_context: Annotated[str, Field(min_length=1)] | None = None
    image: Annotated[str, Field(min_length=1, max_length=255)]
    lake: Annotated[str, StringConstraints(pattern=r"^s3://[a-z0-9.{}/-]*\{tenant\}[a-z0-9.{}/-]*$")]
    s3_endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+$")] | None = None
    region: str = "us-east-1"

    @field_validator("s3_endpoint")
    @classmethod
    def _has_a_port_or_none(cls, url: str | None) -> str | None:
        try:
            urlsplit(url or "").port  # noqa: B018  (it raises)
        except ValueError:
            raise ValueError(f"found {url!r}; expected a URL such as http://s3.example:7070") from None
        return url

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports by which pods reach the cloud: 443, and that of the S3 server."""
        url = urlsplit(self.s3_endpoint or "https://")
        return tuple(sorted({443, url.port or (80 if url.scheme == "http" else 443)}))


def load(root: Path) -> LocalSettings:
    """Read `Pulumi.local.yaml`.

    Raises:
        InputError: one line for each mistake.
    """
    path, values, node = settings.read(root, LOCAL, example="image")
    return documents.parse(LocalSettings, values, path=path, node=node, prefix=settings.PREFIX)

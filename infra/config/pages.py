"""The pages that people open in a browser, as the balancer sees them: a port of the nodes for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The port of the nodes that leads to a page's server.

    Attributes:
        port: its number, the same in every cluster.
        protocol: what the server speaks there.
        health: the path that answers 200 to everybody while the server works.
    """

    port: int
    protocol: Literal["HTTP", "HTTPS"]
    health: str


DOORS = {
    "argo": Door(port=32746, protocol="HTTPS", health="/"),
    "grafana": Door(port=32300, protocol="HTTP", health="/api/health"),
}
"""The pages, by the first part of their host names."""


def hosts(domain: str) -> dict[str, str]:
    """Return the host name of each page.

    Args:
        domain: the parent DNS domain.
    """
    return {page: f"{page}.{domain}" for page in DOORS}

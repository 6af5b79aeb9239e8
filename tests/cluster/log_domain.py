"""A domain for logs: a real OpenSearch, set up as the Job of a tenant's stack does it, and lines for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from infra.config.naming import Names
from infra.config.sizes import DEFAULTS, Sizes
from infra.config.streams import CLUSTER, stream
from infra.tenant.identity import people_role
from infra.tenant.streams import TEMPLATE, domain_requests, role_name, tenant_requests
from lightwork.pods import search
from tests.cluster.opensearch import MASTER, Answer, Server
from tests.cluster.search_front import Front, in_front_of

REGION = "eu-central-1"
SHIPPER = "arn:aws:iam::123456789012:role/lightwork/dev/lightwork-dev-log-shipper"
KEY = "AKIAMASTER"
DEV, PROD = (Sizes.model_validate(DEFAULTS[name]) for name in ("dev", "prod"))
TENANT_NAMES = ("acme", "acme-2", "globex")


def people(tenant: str) -> str:
    """Return the ARN of the role of a tenant's people."""
    names = Names(environment="dev", account="123456789012", region=REGION)
    return names.role_arn(people_role(names, tenant), tenant=True)


@dataclass(frozen=True)
class Domain:
    """A domain with its front."""

    server: Server
    front: Front

    def send(self, requests: Sequence[search.Request]) -> None:
        """Send requests as the setup's Job does."""
        search.send(self.front.endpoint, list(requests), REGION)

    def set_up(self, sizes: Sizes = DEV) -> None:
        """Send the domain's setup."""
        self.send(domain_requests(shipper_role_arn=SHIPPER, sizes=sizes))

    def add(self, tenant: str, sizes: Sizes = DEV) -> None:
        """Send the setup of a tenant with people."""
        self.send(tenant_requests(tenant, sizes, people(tenant)))

    def ship(self, *lines: Line, write: str = "create", user: str = SHIPPER) -> list[tuple[int, str]]:
        """Send lines as Fluent Bit does; the status of each, and the index that it is in."""
        answer = self.server.ask("POST", "_bulk", bulk(lines, write), user=user)
        if answer.status != 200:
            return [(answer.status, "")] * len(lines)
        self.server.ask("POST", "logs-*/_refresh")
        return [(item[write]["status"], item[write].get("_index", "")) for item in answer.body["items"]]

    def as_tenant(self, name: str, method: str, path: str, body: Any = None) -> Answer:
        """Send a request as a person of a tenant."""
        return self.server.ask(method, path, body, user=people(name))

    def indexes(self, name: str) -> list[str]:
        """Return the indexes behind a stream, the oldest one first."""
        (found,) = self.server.ask("GET", f"_data_stream/{name}").body["data_streams"]
        return [index["index_name"] for index in found["indices"]]

    def roll_over(self, name: str) -> None:
        """Start a new index of a stream."""
        assert self.server.ask("POST", f"{name}/_rollover").body["rolled_over"]

    def count(self, tenant: str | None = None) -> int:
        """Count the lines of a tenant, or of the shared services."""
        name = stream(tenant) if tenant else CLUSTER
        counted: int = self.server.ask("POST", f"{name}/_count").body["count"]
        return counted


@dataclass(frozen=True)
class Line:
    """A line of a log, as the shipper's script leaves it."""

    tenant: str | None
    text: str
    pod: str = "pod"

    @property
    def stream(self) -> str:
        return stream(self.tenant) if self.tenant else CLUSTER

    @property
    def id(self) -> str:
        return f"{self.tenant}-{self.text}"

    @property
    def record(self) -> dict[str, Any]:
        namespace = f"tenant-{self.tenant}" if self.tenant else "argo"
        return {
            "@timestamp": "2026-11-27T20:15:30.123456789Z",
            "log": self.text,
            "stream": self.stream,
            **({"tenant": self.tenant} if self.tenant else {}),
            "event": self.text,
            "namespace": namespace,
            "pod": self.pod,
            "container": "main",
        }


def bulk(lines: Sequence[Line], write: str) -> str:
    """Return the body that Fluent Bit's `opensearch` sends with `Generate_ID` and `Suppress_Type_Name`."""
    pairs = [({write: {"_index": line.stream, "_id": line.id}}, line.record) for line in lines]
    return "".join(f"{json.dumps(part)}\n" for pair in pairs for part in pair)


@contextmanager
def emptied(server: Server) -> Iterator[Domain]:
    """Delete what earlier tests have set up, and start a front."""
    server.ask("DELETE", "_data_stream/logs-*")
    server.ask("DELETE", f"_index_template/{TEMPLATE}")
    for kind in ("rolesmapping", "roles"):
        for name in ("log-shipper", *map(role_name, TENANT_NAMES)):
            server.ask("DELETE", f"_plugins/_security/api/{kind}/{name}")
    with in_front_of(server, {KEY: MASTER}) as front:
        yield Domain(server, front)

"""A tenant's people search its logs, through the relay, on a real OpenSearch with its security plugin.

What is real: the client, the relay as a process, TLS, signatures, OpenSearch, and the roles that the setup
makes there. What is not: AWS's own front (`signed_front.py`). Needs no cluster and no root.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from botocore.credentials import Credentials

from infra.config.streams import CLUSTER, stream
from infra.policies import pods as pods_policies
from infra.policies.tenant import search_logs
from infra.tenant.streams import tenant_requests
from lightwork.errors import LightworkError
from lightwork.pods import relay
from lightwork.search import lines
from lightwork.search.domain import Domain as Signed
from lightwork.search.domain import Reply, UnreachableError, through
from lightwork.search.lines import Logs, Query
from tests.cluster.log_domain import DEV, REGION, TENANT_NAMES, Domain, Line, people
from tests.cluster.signed_front import DOMAIN_ARN, HOST, NAMES, Identity, SignedFront, signed_front
from tests.waiting import patience

SECRET = "zanzibar"
"""A word of another tenant's line."""
OWN, OTHER = stream("acme"), stream("globex")
STRANGER = f"arn:aws:iam::{NAMES.account}:role/engineers"
PODS = NAMES.role_arn("lightwork-dev-pods-acme", tenant=True)


def grants(tenant: str) -> list[Any]:
    """Return what the role of a tenant's people may do at the domain."""
    return [search_logs(domain_arn=DOMAIN_ARN, stream=stream(tenant))]


IDENTITIES = {
    **{
        name.upper().replace("-", ""): Identity(role=people(name), secret=f"of {name}", grants=grants(name))
        for name in TENANT_NAMES
    },
    "ENGINEERS": Identity(
        role=STRANGER, secret="x", grants=[pods_policies.manage_search(domain_arn=DOMAIN_ARN)]
    ),
    "PODS": Identity(role=PODS, secret="x"),
    # Somebody has made a mistake in its policy: IAM lets them search everything.
    "WIDE": Identity(
        role=people("acme"), secret="x", grants=[search_logs(domain_arn=DOMAIN_ARN, stream="*")]
    ),
}


@dataclass(frozen=True)
class Way:
    """The way of people to the domain.

    Attributes:
        port: the port of the relay, as if the Kubernetes API had forwarded it.
        front: what is in front of the domain.
    """

    port: int
    front: SignedFront

    def domain(self, key: str, secret: str | None = None) -> Signed:
        """Return the domain for who has an access key."""
        identity = IDENTITIES.get(key)
        known = Credentials(key, secret or (identity.secret if identity else "x"))
        return Signed(f"https://{HOST}", REGION, known, through(self.port))

    def logs(self, key: str, name: str = OWN) -> Logs:
        return Logs(self.domain(key), name)


@pytest.fixture
def way(domain: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """A relay in front of a domain with the lines of three tenants."""
    domain.ship(
        *(Line(name, f"of-{name}") for name in TENANT_NAMES), Line("globex", SECRET), Line(None, SECRET)
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with signed_front(domain.server, IDENTITIES.get, authority) as front, relayed(front.port) as port:
        yield Way(port, front)


class relayed:
    """Run the relay as its pod does; gives the port."""

    def __init__(self, target: int) -> None:
        words = [sys.executable, "-I", "-S", relay.__file__, "--to", f"127.0.0.1:{target}", "--port", "0"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline().split("127.0.0.1:")[1].split()[0])

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(patience(10))
        assert self._process.stdout is not None
        self._process.stdout.close()


def texts(found: lines.Found) -> list[str]:
    return [line.text for line in found.lines]


def test_people_find_their_own_lines_in_the_order_of_their_moments(
    way: Way, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered = [f"number {number}" for number in range(30)]
    for half in (numbered[:15], numbered[15:]):
        domain.roll_over(OWN)
        domain.ship(*(Line("acme", text) for text in half))
    monkeypatch.setattr(lines, "PAGE", 7)
    found = way.logs("ACME").newest(Query(text="NUMBER"), 1000)
    assert (texts(found), found.total) == (numbered, 30), "each line once, over all pages, as they came"
    newest = way.logs("ACME").newest(Query(text="number"), 4)
    assert (texts(newest), newest.total) == (numbered[-4:], 30)
    assert way.logs("ACME").newest(Query(text="7 number"), 9).total == 0, "the words follow each other"
    line = found.lines[-1]
    assert line.time == "2026-11-27T20:15:30.123456789Z"


def test_a_search_is_limited_to_a_run_a_pipeline_and_a_time(way: Way, domain: Domain) -> None:
    def ship(text: str, pod: str, run: str, moment: str) -> None:
        record = {
            **Line("acme", text).record,
            "@timestamp": moment,
            "pod": pod,
            "run": run,
            "task": run and "wind.read",
            "pipeline": run.rpartition("-")[0],
        }
        body = f"{json.dumps({'create': {'_index': OWN}})}\n{json.dumps(record)}\n"
        assert domain.server.ask("POST", "_bulk?refresh=true", body).body["errors"] is False

    ship("by its pod", "wind-a1b2c-driver-123", "", "2026-11-01T00:00:00Z")
    ship("by its field", "other", "wind-a1b2c", "2026-11-02T00:00:00Z")
    ship("another run", "wind-a1b2d-driver-123", "wind-a1b2d", "2026-11-03T00:00:00Z")
    logs = way.logs("ACME")
    assert texts(logs.newest(Query(run="wind-a1b2c"), 9)) == ["by its pod", "by its field"]
    assert texts(logs.newest(Query(run="wind-a1b2c", task="wind.read"), 9)) == ["by its field"]
    assert texts(logs.newest(Query(pipeline="wind"), 9)) == ["by its field", "another run"]
    between = Query(since="2026-11-02T00:00:00+00:00", until="2026-11-03T00:00:00+00:00")
    assert texts(logs.newest(between, 9)) == ["by its field"]
    (line, *_) = logs.newest(Query(run="wind-a1b2c", text="pod"), 9).lines
    assert (line.pod, line.container) == ("wind-a1b2c-driver-123", "main")


@pytest.mark.parametrize("name", TENANT_NAMES)
def test_people_see_no_other_tenants_lines(way: Way, name: str) -> None:
    key = name.upper().replace("-", "")
    for other in (*TENANT_NAMES, None):
        logs = way.logs(key, stream(other) if other else CLUSTER)
        if other == name:
            assert f"of-{name}" in texts(logs.newest(Query(), 9))
            continue
        with pytest.raises(LightworkError, match=f"not allowed to read .*{people(name)} is not authorized"):
            logs.newest(Query(), 9)


def refused(reply: Reply, *told: str) -> None:
    assert reply.status in (401, 403), reply
    assert not any(word in reply.text for word in (SECRET, "of-globex", *told)), reply


@pytest.mark.parametrize("key", ["ENGINEERS", "PODS", "NOBODY"])
def test_a_stranger_and_the_tenants_own_pods_see_nothing(way: Way, key: str) -> None:
    for path in (f"{OWN}/_search", f"{OTHER}/_search", "_search", ""):
        refused(way.domain(key).ask("POST", path), "of-acme")
    assert not way.front.asked, "refused before OpenSearch"


def test_a_wrong_signature_is_nobodys(way: Way) -> None:
    refused(way.domain("ACME", secret="guessed").ask("POST", f"{OWN}/_search"), "of-acme")
    assert way.domain("ACME").ask("POST", f"{OWN}/_search").status == 200


GLOBAL = {"size": 0, "aggs": {"all": {"global": {}, "aggs": {"lines": {"top_hits": {"size": 100}}}}}}
LOOKUP = {"query": {"terms": {"log": {"index": OTHER, "id": f"globex-{SECRET}", "path": "log"}}}}
LOOKS: list[tuple[str, str, Any]] = [
    *(
        ("POST", f"{names}/_search", None)
        for names in (
            *("*", "_all", "logs-*", "logs-tenant-*", "logs-tenant-acme*", ".ds-*", f"{OWN},{OTHER}"),
            *(
                f"{OWN},*",
                f"*,-{OWN}",
                OTHER,
                CLUSTER,
                ".opendistro_security",
                f"<{OTHER}>",
                f"{OTHER},-{OWN}",
            ),
        )
    ),
    ("POST", "_search", None),
    ("GET", "_cat/indices", None),
    ("GET", "_cat/indices/logs-*", None),
    ("GET", "_cat/shards", None),
    ("GET", "_cat/aliases", None),
    ("GET", "_mapping", None),
    ("GET", "logs-*/_mapping", None),
    ("GET", f"{OTHER}/_mapping", None),
    ("GET", f"{OTHER}/_settings", None),
    ("GET", f"{OTHER}/_stats", None),
    ("GET", f"_data_stream/{OTHER}", None),
    ("GET", "_data_stream/_stats", None),
    ("GET", "_cluster/health", None),
    ("GET", "_cluster/state", None),
    ("GET", "_nodes", None),
    ("GET", "_tasks?detailed=true", None),
    ("GET", "_resolve/index/*", None),
    ("GET", "_plugins/_security/api/roles", None),
    ("GET", "_plugins/_security/api/rolesmapping", None),
    ("POST", f"{OTHER}/_count", None),
    ("POST", f"{OTHER}/_search/point_in_time?keep_alive=1m", None),
    ("POST", "_search/scroll", {"scroll_id": "x"}),
    ("POST", "_reindex", {"source": {"index": OTHER}, "dest": {"index": "mine"}}),
    ("POST", f"{OWN}/_search", LOOKUP),
]
CHANGES: list[tuple[str, str, Any]] = [
    ("POST", f"{OWN}/_doc", {"@timestamp": "2026-11-27T00:00:00Z"}),
    ("PUT", f"{OWN}/_create/x", {"@timestamp": "2026-11-27T00:00:00Z"}),
    ("POST", f"{OWN}/_update/acme-of-acme", {"doc": {"log": "changed"}}),
    ("POST", f"{OWN}/_delete_by_query", {"query": {"match_all": {}}}),
    ("POST", f"{OWN}/_update_by_query", {"query": {"match_all": {}}}),
    ("POST", f"{OWN}/_rollover", None),
    ("POST", f"{OWN}/_close", None),
    ("PUT", f"{OWN}/_settings", {"index": {"number_of_replicas": 0}}),
    ("PUT", f"{OWN}/_mapping", {"properties": {"x": {"type": "keyword"}}}),
    ("DELETE", f"_data_stream/{OWN}", None),
    ("DELETE", OWN, None),
    ("DELETE", "*", None),
    ("PUT", "mine", None),
    ("PUT", "_plugins/_security/api/roles/tenant-acme", {"cluster_permissions": ["*"]}),
    ("PUT", "_plugins/_security/api/rolesmapping/all_access", {"backend_roles": [people("acme")]}),
    ("POST", "_scripts/x", {"script": {"lang": "mustache", "source": "{}"}}),
    ("PUT", "_cluster/settings", {"persistent": {"action.auto_create_index": "true"}}),
]


def test_iam_and_opensearch_refuse_everything_else_each_by_itself(way: Way, domain: Domain) -> None:
    """Through the front, which asks IAM first, and without it, as if IAM allowed everything."""
    before = [domain.count(name) for name in (*TENANT_NAMES, None)]
    for method, path, body in (*LOOKS, *CHANGES):
        for key in ("ACME", "WIDE"):
            refused(way.domain(key).ask(method, path, body))
        answer = domain.server.ask(method, path, body, user=people("acme"))
        refused(Reply(answer.status, json.dumps(answer.body)))
    domain.server.ask("POST", "logs-*/_refresh")
    assert [domain.count(name) for name in (*TENANT_NAMES, None)] == before


QUERIES: list[dict[str, Any]] = [
    GLOBAL,
    {"size": 0, "aggs": {"a": {"terms": {"field": "event", "min_doc_count": 0, "size": 1000}}}},
    {"suggest": {"a": {"text": "zanzibat", "term": {"field": "log"}}}},
    {"query": {"query_string": {"query": f"{SECRET} OR _index:*globex*"}}},
    {"query": {"wildcard": {"_index": "*globex*"}}},
    {
        "query": {
            "more_like_this": {"fields": ["log"], "like": [{"_index": OTHER, "_id": f"globex-{SECRET}"}]}
        }
    },
]
"""Queries that name, or take in, more than the stream that they are sent to."""


def test_a_query_that_names_everything_sees_the_tenants_own_lines_only(way: Way) -> None:
    for body in QUERIES:
        reply = way.domain("ACME").ask("POST", f"{OWN}/_search", body)
        if reply.status == 400:
            assert "no permissions for [indices:data/read/" in reply.text, "of the other index"
            continue
        assert reply.status == 200, reply
        found = json.dumps([reply.body["hits"], reply.body.get("aggregations"), reply.body.get("suggest")])
        words = ('"zanzibar"', *(f"of-{name}" for name in TENANT_NAMES[1:]))
        assert not any(word in found for word in words), (body, found)
    reply = way.domain("ACME").ask("POST", f"{OWN}/_search", GLOBAL)
    hits = reply.body["aggregations"]["all"]["lines"]["hits"]["hits"]
    assert [hit["_source"]["log"] for hit in hits] == ["of-acme"], "all of its own, and no others"


def test_who_is_no_longer_named_in_the_tenants_file_sees_nothing(way: Way, domain: Domain) -> None:
    assert way.logs("ACME").newest(Query(), 9).total > 0
    domain.send(tenant_requests("acme", DEV, None))
    with pytest.raises(LightworkError, match="not allowed to read logs-tenant-acme: no permissions for"):
        way.logs("ACME").newest(Query(), 9)
    domain.send(tenant_requests("acme", DEV, None))
    domain.add("acme")
    assert way.logs("ACME").newest(Query(), 9).total > 0


def test_the_one_at_the_port_must_have_the_domains_certificate(way: Way) -> None:
    """The relay reads nothing, and who takes its place is sent nothing."""
    assert way.domain("ACME").ask("POST", f"{OWN}/_search").status == 200
    keys = Credentials("ACME", IDENTITIES["ACME"].secret)
    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        Signed("https://other.example", REGION, keys, through(way.port)).ask("POST", f"{OWN}/_search")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE")
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            way.domain("ACME").ask("POST", f"{OWN}/_search")


def test_a_stream_that_is_not_there_is_one_line(way: Way, domain: Domain) -> None:
    domain.server.ask("DELETE", f"_data_stream/{OWN}")
    with pytest.raises(LightworkError, match="logs-tenant-acme") as caught:
        way.logs("ACME").newest(Query(), 9)
    assert "\n" not in str(caught.value)

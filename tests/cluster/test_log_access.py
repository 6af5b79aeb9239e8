"""Who sees and changes which logs, on a real OpenSearch with its security plugin; and how they are erased."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.config.streams import CLUSTER, TENANTS
from infra.tenant.streams import erase_requests
from lightwork.errors import InputError
from tests.cluster.log_domain import SHIPPER, TENANT_NAMES, Domain, Line

SECRET = "zanzibar"
"""A word of another tenant's line."""

LOOKS: list[tuple[str, str, Any]] = [
    ("POST", f"{TENANTS}/_search", None),
    ("POST", f"{TENANTS}/_search", {"query": {"match": {"log": SECRET}}}),
    ("POST", f"{TENANTS}/_search", {"query": {"term": {"tenant": "globex"}}}),
    ("POST", f"{TENANTS}/_search", {"query": {"bool": {"should": [{"match_all": {}}]}}}),
    ("POST", f"{TENANTS}/_search", {"size": 0, "aggs": {"a": {"terms": {"field": "tenant"}}}}),
    ("POST", f"{TENANTS}/_search", {"size": 0, "aggs": {"a": {"global": {}}}}),
    (
        "POST",
        f"{TENANTS}/_search",
        {"size": 0, "aggs": {"all": {"global": {}, "aggs": {"a": {"terms": {"field": "line.event"}}}}}},
    ),
    (
        "POST",
        f"{TENANTS}/_search",
        {"size": 0, "aggs": {"a": {"terms": {"field": "line.event", "min_doc_count": 0}}}},
    ),
    ("POST", f"{TENANTS}/_search", {"suggest": {"a": {"text": "zanzibat", "term": {"field": "log"}}}}),
    ("POST", f"{TENANTS}/_search?scroll=1m", None),
    ("POST", f"{TENANTS}/_msearch", '{}\n{"query": {"match_all": {}}}\n'),
    ("GET", f"{TENANTS}/_doc/globex-{SECRET}", None),
    ("GET", "{index}/_doc/globex-" + SECRET, None),
    ("GET", "{index}/_source/globex-" + SECRET, None),
    ("POST", "{index}/_mget", {"ids": [f"globex-{SECRET}"]}),
    ("GET", "{index}/_termvectors/globex-" + SECRET + "?fields=log", None),
    ("POST", "{index}/_explain/globex-" + SECRET, {"query": {"match_all": {}}}),
    ("POST", "{index}/_search", None),
    ("POST", ".ds-logs-*/_search", None),
    ("POST", "*/_search", None),
    ("POST", "_search", None),
    ("POST", "_all/_search", None),
    ("POST", f"{CLUSTER}/_search", None),
    ("POST", f"{TENANTS},{CLUSTER}/_search", None),
    ("POST", f"{TENANTS}/_search/point_in_time?keep_alive=1m", None),
    ("GET", f"{TENANTS}/_validate/query?q={SECRET}&explain=true", None),
]


@pytest.mark.parametrize("tenant", ["acme", "acme-2"])
def test_a_tenant_sees_its_own_lines_and_nobody_elses(domain: Domain, tenant: str) -> None:
    for name in TENANT_NAMES:
        domain.ship(Line(name, f"of-{name}"))
    domain.ship(Line("globex", SECRET), Line(None, SECRET))
    domain.roll_over()
    for name in TENANT_NAMES:
        domain.ship(Line(name, f"later-{name}"))
    index = domain.indexes()[0]
    answer = domain.as_tenant(tenant, "POST", f"{TENANTS}/_search")
    texts = {hit["_source"]["log"] for hit in answer.body["hits"]["hits"]}
    assert texts == {f"of-{tenant}", f"later-{tenant}"}, "its own, in both indexes"
    for method, path, body in LOOKS:
        answer = domain.as_tenant(tenant, method, path.format(index=index), body)
        said = json.dumps(answer.body)
        assert SECRET not in said or answer.status >= 400, (method, path, body, said)
        assert "of-globex" not in said, (method, path, body, said)
        assert answer.status < 500, (method, path, body, said)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{TENANTS}/_delete_by_query", {"query": {"match_all": {}}}),
        ("POST", f"{TENANTS}/_update_by_query", {"query": {"match_all": {}}}),
        ("POST", f"{TENANTS}/_doc", {"@timestamp": "2026-11-27T00:00:00Z", "tenant": "acme"}),
        ("POST", f"{TENANTS}/_rollover", None),
        ("DELETE", f"_data_stream/{TENANTS}", None),
        ("PUT", f"{TENANTS}/_settings", {"index": {"number_of_replicas": 0}}),
        ("GET", "_plugins/_security/api/roles", None),
        ("PUT", "_plugins/_security/api/roles/tenant-acme", {"cluster_permissions": ["*"]}),
        ("GET", "_cluster/settings", None),
        ("GET", "_cat/indices", None),
        ("PUT", "own", None),
        ("POST", "_reindex", {"source": {"index": TENANTS}, "dest": {"index": "own"}}),
    ],
)
def test_a_tenant_changes_nothing(domain: Domain, method: str, path: str, body: Any) -> None:
    domain.ship(Line("acme", "one"), Line("globex", "two"))
    assert domain.as_tenant("acme", method, path, body).status == 403
    assert domain.count() == 2


def test_a_stranger_reads_nothing(domain: Domain) -> None:
    domain.ship(Line("acme", "one"))
    for roles in ("", "tenant-", "tenant-acm", "acme", "tenant-*"):
        answer = domain.server.ask("POST", f"{TENANTS}/_search", user="stranger", roles=roles)
        assert answer.status == 403, (roles, answer)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{TENANTS}/_search", None),
        ("GET", "{index}/_doc/acme-one", None),
        ("PUT", "{index}/_doc/acme-one", {"@timestamp": "2026-11-27T00:00:00Z", "log": "changed"}),
        ("POST", "{index}/_update/acme-one", {"doc": {"log": "changed"}}),
        ("DELETE", "{index}/_doc/acme-one", None),
        ("POST", f"{TENANTS}/_delete_by_query", {"query": {"match_all": {}}}),
        ("PUT", f"{TENANTS}/_mapping", {"properties": {"x": {"type": "keyword"}}}),
        ("POST", f"{TENANTS}/_rollover", None),
        ("DELETE", f"_data_stream/{TENANTS}", None),
        ("PUT", "logs-other", None),
        ("PUT", "_plugins/_security/api/roles/log-shipper", {"cluster_permissions": ["*"]}),
    ],
)
def test_the_shipper_only_adds_lines(domain: Domain, method: str, path: str, body: Any) -> None:
    ((_, index),) = domain.ship(Line("acme", "one"))
    answer = domain.server.ask(method, path.format(index=index), body, user=SHIPPER)
    assert answer.status == 403, answer
    assert [status for status, _ in domain.ship(Line("acme", "two"), write="index")] != [201]
    assert domain.server.ask("GET", f"{index}/_doc/acme-one").body["_source"]["log"] == "one"


def on_disk(domain: Domain, text: str) -> bool:
    data = domain.server.folder / "node_1" / "data"
    return any(text.encode() in path.read_bytes() for path in data.rglob("*") if path.is_file())


def test_a_tenants_logs_are_erased_and_nobody_elses(domain: Domain) -> None:
    own, other = "q7xkdwq2vbzj", "m3fhyw9tcgln"
    for _ in range(2):
        domain.ship(*(Line("globex", f"{other} {number}") for number in range(40)))
        domain.ship(Line("acme", own), Line("acme-2", other))
        domain.roll_over()
    domain.ship(Line("acme", f"{own} at last"))
    domain.server.ask("POST", f"{TENANTS}/_flush")
    assert on_disk(domain, own), "otherwise the test proves nothing"
    for _ in range(2):
        domain.send(erase_requests("acme"))
        assert domain.count("acme") == 0
        assert (domain.count("globex"), domain.count("acme-2")) == (80, 2)
    domain.server.ask("POST", f"{TENANTS}/_flush?force=true")
    left = domain.server.ask("GET", f"{TENANTS}/_stats/docs").body["_all"]["primaries"]["docs"]
    assert left["deleted"] == 0, "marked lines are still in their segments"
    assert not on_disk(domain, own)
    assert on_disk(domain, other)
    assert domain.as_tenant("acme", "POST", f"{TENANTS}/_search").status == 403, "its role is gone"
    assert domain.as_tenant("acme-2", "POST", f"{TENANTS}/_count").body["count"] == 2
    assert domain.server.ask("GET", "_plugins/_security/api/roles/tenant-acme").status == 404


def test_lines_that_come_while_the_logs_are_erased_are_reported(domain: Domain) -> None:
    domain.ship(Line("acme", "late"))
    only_count = [request for request in erase_requests("acme") if request["how"] == "none"]
    with pytest.raises(InputError, match=r"1 are left: .* repeat this"):
        domain.send(only_count)

"""OpenSearch refuses no record of the shipper, and puts none into another tenant's view.

The shipper tries again without end, so a record that is refused for good would hold up its file. What is
real: the script under LuaJIT, the templates, streams, roles and the security plugin. Needs no cluster and no
root.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from infra.config.streams import CLUSTER, stream
from tests import shipper
from tests.cluster.log_domain import SHIPPER, TENANT_NAMES, Domain
from tests.shipper import MOMENT, Shipper

NAMESPACES = {f"tenant-{name}": name for name in TENANT_NAMES} | {"argo": None}
COUNT, AT_ONCE = 10_000, 500


def bulk(documents: list[dict[str, Any]], first: int = 0) -> str:
    """Return the body that Fluent Bit sends."""
    parts: list[Any] = []
    for number, document in enumerate(documents, first):
        parts += [{"create": {"_index": document["stream"], "_id": f"number-{number}"}}, document]
    return "".join(f"{json.dumps(part, ensure_ascii=False)}\n" for part in parts)


def refused(domain: Domain, body: str) -> list[Any]:
    """Send records as the shipper; return what OpenSearch says of those that it does not take."""
    answer = domain.server.ask("POST", "_bulk", body, user=SHIPPER)
    assert answer.status == 200, answer
    items = [item["create"] for item in answer.body["items"]]
    return [item for item in items if item["status"] != 201]


def test_no_record_is_refused_and_none_is_in_another_tenants_view(domain: Domain) -> None:
    lua, sent = Shipper(), Counter[str | None]()
    before = {name: domain.count(name) for name in (*TENANT_NAMES, None)}
    documents: list[dict[str, Any]] = []
    for number, line in enumerate(shipper.lines(COUNT, seed=11)):
        namespace = list(NAMESPACES)[number % len(NAMESPACES)]
        sent[NAMESPACES[namespace]] += 1
        record = lua.record(line, namespace=namespace, pod=f"pod-of-{NAMESPACES[namespace]}")
        documents.append({"@timestamp": MOMENT, **record})
    for start in range(0, COUNT, AT_ONCE):
        assert refused(domain, bulk(documents[start : start + AT_ONCE], start)) == []
    domain.server.ask("POST", "logs-*/_refresh")
    assert {name: domain.count(name) - before[name] for name in before} == dict(sent)
    for name in TENANT_NAMES:
        query = {
            "size": 0,
            "aggs": {"pods": {"terms": {"field": "pod"}}, "of": {"terms": {"field": "tenant"}}},
        }
        answer = domain.as_tenant(name, "POST", f"{stream(name)}/_search", query).body
        pods, tenants = (
            [item["key"] for item in answer["aggregations"][a]["buckets"]] for a in ("pods", "of")
        )
        assert (pods, tenants) == ([f"pod-of-{name}"], [name])
    assert len(json.dumps(domain.server.ask("GET", f"{stream('acme')}/_mapping").body)) < 10_000, (
        "no new field"
    )


NESTED = json.loads("[" * 21 + '{"a": 1}' + "]" * 21)


def test_some_documents_are_refused_so_the_test_above_could_fail(domain: Domain) -> None:
    for document in ({"event": NESTED}, {"data": NESTED}, {"@timestamp": "no moment"}, {"@timestamp": {}}):
        (item,) = refused(domain, bulk([{"@timestamp": MOMENT, "stream": CLUSTER, **document}], 1_000_000))
        assert item["status"] == 400, item


def test_a_field_of_the_wrong_kind_would_be_taken_even_without_the_script(domain: Domain) -> None:
    values: list[Any] = [{"a": 1}, [{"a": 1}], [], "x" * 33_000]
    fields = ("event", "level", "run", "log")
    documents = [
        {"@timestamp": MOMENT, "stream": CLUSTER, field: value} for field in fields for value in values
    ]
    assert refused(domain, bulk(documents, 1_500_000)) == [], "ignore_malformed, ignore_above"


def test_lines_of_the_same_millisecond_are_in_their_order(domain: Domain) -> None:
    moments = [f"2026-11-28T07:00:00.1234567{number:02}Z" for number in (12, 11, 10)]
    documents = [{"@timestamp": moment, "stream": stream("acme"), "log": "order"} for moment in moments]
    assert refused(domain, bulk(documents, 2_000_000)) == []
    domain.server.ask("POST", "logs-*/_refresh")
    sort = [{"@timestamp": {"order": "asc", "numeric_type": "date_nanos"}}]
    query = {"query": {"match": {"log": "order"}}, "sort": sort}
    hits = domain.as_tenant("acme", "POST", f"{stream('acme')}/_search", query).body["hits"]["hits"]
    assert [hit["_source"]["@timestamp"] for hit in hits] == moments[::-1]

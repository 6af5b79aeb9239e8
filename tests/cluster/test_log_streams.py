"""The streams of the logs on a real OpenSearch with its security plugin. Needs no cluster and no root.

What is real: the templates, streams, roles and the program that sends them; the lines in the form that Fluent
Bit sends. What is not: IAM and Index State Management (`search_front.py`), and Fluent Bit itself.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from infra.config import streams
from infra.config.sizes import DEFAULTS, Sizes
from infra.config.streams import CLUSTER, TENANTS
from infra.services.charts.shipper import ROUTE
from infra.tenant.streams import domain_requests, role_name, tenant_requests
from lightwork.errors import InputError
from lightwork.pods import search
from tests.cluster import opensearch
from tests.cluster.log_domain import DEV, KEY, PROD, REGION, SHIPPER, Domain, Line
from tests.cluster.opensearch import MASTER
from tests.cluster.search_front import in_front_of


def test_no_line_is_taken_before_the_streams_are_there(empty: Domain) -> None:
    line = Line("acme", "early")
    assert empty.ship(line) == [(403, "")], "it waits on its node"
    empty.set_up()
    ((status, index),) = empty.ship(line)
    assert (status, index.startswith(".ds-logs-tenants-")) == (201, True)
    empty.server.ask("DELETE", f"_data_stream/{TENANTS}")
    assert [status for status, _ in empty.ship(line)] == [403], "an index of that name would be no stream"
    assert empty.server.ask("GET", TENANTS).status == 404
    empty.set_up()
    assert [status for status, _ in empty.ship(line)] == [201], "the setup makes up for what is gone"


def test_a_line_that_is_sent_again_is_stored_once(domain: Domain) -> None:
    lines = [Line("acme", "one"), Line(None, "two")]
    assert [status for status, _ in domain.ship(*lines)] == [201, 201]
    assert [status for status, _ in domain.ship(*lines)] == [409, 409], "which Fluent Bit counts as success"
    assert (domain.count("acme"), domain.count(stream=CLUSTER)) == (1, 1)


def test_a_stream_has_the_templates_settings_and_fields(domain: Domain) -> None:
    domain.ship(Line("acme", "text"))
    for stream, shards in ((TENANTS, "1"), (CLUSTER, "1")):
        (index,) = domain.indexes(stream)
        found = domain.server.ask("GET", index).body[index]
        settings = found["settings"]["index"]
        assert (settings["number_of_shards"], settings["number_of_replicas"]) == (shards, "0")
        assert found["mappings"]["dynamic"] == "false", "a tenant's fields must not become the domain's"
    fields = domain.server.ask("GET", f"{TENANTS}/_mapping").body
    (mapping,) = (index["mappings"]["properties"] for index in fields.values())
    assert "odd" not in mapping["line"]["properties"]
    query = {"query": {"bool": {"filter": [{"term": {"line.event": "text"}}, {"match": {"log": "text"}}]}}}
    (hit,) = domain.server.ask("POST", f"{TENANTS}/_search", query).body["hits"]["hits"]
    assert hit["_source"]["line"]["odd"] == {"field": 1}, "the whole line is stored"


def test_the_setup_can_be_repeated(domain: Domain) -> None:
    domain.ship(Line("acme", "kept"))
    before = domain.indexes()
    domain.set_up()
    domain.send(tenant_requests("acme"))
    assert domain.indexes() == before
    assert domain.count("acme") == 1


def test_a_stream_goes_on_in_a_new_index_and_the_old_one_can_be_deleted(domain: Domain) -> None:
    ((_, first),) = domain.ship(Line("acme", "old"))
    condition = {"conditions": {"max_docs": 1, "max_age": "30d"}}
    assert domain.server.ask("POST", f"{TENANTS}/_rollover", condition).body["rolled_over"]
    ((status, second),) = domain.ship(Line("acme", "new"))
    assert (status, [first, second]) == (201, domain.indexes())
    assert domain.as_tenant("acme", "POST", f"{TENANTS}/_count").body["count"] == 2
    assert domain.server.ask("DELETE", second).status == 400, "the index that is written to stays"
    assert domain.server.ask("DELETE", first).status == 200
    assert domain.count("acme") == 1


def test_more_nodes_give_indexes_that_exist_their_copies(domain: Domain) -> None:
    domain.roll_over()
    domain.set_up(PROD)
    domain.roll_over()
    for stream in (TENANTS, CLUSTER):
        settings = domain.server.ask("GET", f"{stream}/_settings").body
        assert {index["settings"]["index"]["number_of_replicas"] for index in settings.values()} == {"1"}
    newest = domain.indexes()[-1]
    shards = domain.server.ask("GET", f"{newest}/_settings").body[newest]["settings"]["index"]
    assert shards["number_of_shards"] == "3", "one a node, for new indexes"
    domain.set_up(DEV)


def test_the_retention_is_changed_where_it_exists(domain: Domain) -> None:
    def policy() -> Any:
        (found,) = domain.front.policies.policies.values()
        return found

    def puts() -> int:
        return sum(method == "PUT" for method, _ in domain.front.policies.calls)

    assert policy() == (1, policy()[1])
    domain.set_up()
    assert puts() == 1, "it says so already"
    domain.set_up(DEV.model_copy(update={"log_days": 7}))
    number, changed = policy()
    assert (number, puts()) == (2, 2)
    assert changed["states"][0]["transitions"][0]["conditions"] == {"min_rollover_age": "7d"}
    assert domain.front.policies.calls[-2:] == [
        ("POST", "_plugins/_ism/add/.ds-logs-*"),
        ("POST", "_plugins/_ism/change_policy/.ds-logs-*"),
    ], "an index keeps the policy that it got"


def test_the_pattern_of_the_policy_finds_the_indexes_of_both_streams(domain: Domain) -> None:
    """Index State Management expands it as here: open and closed indexes, hidden ones by their dot."""
    domain.roll_over()
    path = f"{streams.BACKING}/_settings?expand_wildcards=open,closed"
    found = domain.server.ask("GET", path).body
    assert set(found) == {*domain.indexes(), *domain.indexes(CLUSTER)}


def test_many_tenants_are_set_up_at_once(empty: Domain) -> None:
    problems: list[InputError] = []

    def one(name: str) -> None:
        try:
            requests = [*domain_requests(shipper_role_arn=SHIPPER, sizes=DEV), *tenant_requests(name)]
            empty.send(requests)
        except InputError as error:
            problems.append(error)

    names = [f"many-{number}" for number in range(8)]
    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    roles = empty.server.ask("GET", "_plugins/_security/api/roles").body
    mappings = empty.server.ask("GET", "_plugins/_security/api/rolesmapping").body
    assert {role_name(name) for name in names} <= roles.keys() & mappings.keys()


def test_the_streams_make_the_shards_that_are_reckoned_with(domain: Domain) -> None:
    """As many indexes as a month of dev makes; the number of tenants makes no difference."""
    times = -(-DEV.log_days // streams.rollover_days(DEV.log_days)) + 1
    for stream in (TENANTS, CLUSTER):
        for _ in range(times):
            domain.roll_over(stream)
    health = domain.server.ask("GET", f"_cluster/health/{TENANTS},{CLUSTER}").body
    own = streams.SYSTEM + DEV.search_gigabytes // streams.shard_gib(DEV.search_gigabytes)
    assert health["active_shards"] == streams.most_shards(DEV) - own


def test_two_nodes_hold_each_line_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    sizes = Sizes.model_validate(DEFAULTS["staging"])
    requests = domain_requests(shipper_role_arn=SHIPPER, sizes=sizes)
    with opensearch.running(tmp_path, nodes=2) as server, in_front_of(server, {KEY: MASTER}) as front:
        without = [request for request in requests if "_security" not in request["path"]]
        search.send(front.endpoint, without, REGION)
        health = server.ask("GET", f"_cluster/health/{TENANTS},{CLUSTER}?wait_for_status=green&timeout=60s")
        assert health.body["status"] == "green", "no copy is left without a node"
        shards = server.ask("GET", f"_cat/shards/{TENANTS},{CLUSTER}?format=json").body
    for index, shard in {(entry["index"], entry["shard"]) for entry in shards}:
        places = {entry["node"] for entry in shards if (entry["index"], entry["shard"]) == (index, shard)}
        assert len(places) == 2, f"{index} {shard}: the loss of a node loses lines"


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        ("tenant-acme", f"{TENANTS} acme"),
        ("tenant-acme-2", f"{TENANTS} acme-2"),
        ("argo", f"{CLUSTER} nil"),
        ("tenant-", f"{CLUSTER} nil"),
        ("my-tenant-acme", f"{CLUSTER} nil"),
        ("", f"{CLUSTER} nil"),
    ],
)
def test_a_line_belongs_to_its_namespace_whatever_it_says(namespace: str, expected: str) -> None:
    opensearch.find("lua5.1")
    record = f'{{tenant="globex", stream="x", kubernetes={{namespace_name="{namespace}"}}}}'
    program = (
        f"{ROUTE}\nlocal code, time, record = route('kube.x', 7, {record})\n"
        "assert(code == 2 and time == 7)\nprint(record.stream, record.tenant)"
    )
    done = subprocess.run(["lua5.1", "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected.split()

"""The streams of the logs on a real OpenSearch with its security plugin. Needs no cluster and no root.

What is real: the templates, streams, roles and the program that sends them; the lines in the form that Fluent
Bit sends. What is not: IAM and Index State Management (`search_front.py`), and Fluent Bit itself.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from infra.config import streams
from infra.config.sizes import DEFAULTS, Sizes
from infra.config.streams import CLUSTER, stream
from infra.tenant.streams import NAMES, domain_requests, role_name, tenant_requests
from lightwork.errors import InputError
from lightwork.pods import search
from tests.cluster import log_domain, opensearch
from tests.cluster.log_domain import DEV, KEY, PROD, REGION, SHIPPER, Domain, Line
from tests.cluster.opensearch import MASTER
from tests.cluster.search_front import in_front_of

ACME = stream("acme")


def test_no_line_is_taken_before_its_stream_is_there(empty: Domain) -> None:
    line, other = Line("acme", "early"), Line(None, "other")
    assert empty.ship(line) == [(403, "")], "it waits on its node"
    empty.set_up()
    assert [status for status, _ in empty.ship(other, line)] == [201, 403]
    assert empty.server.ask("GET", ACME).status == 404, "an index of that name would be no stream"
    empty.add("acme")
    ((status, index),) = empty.ship(line)
    assert (status, index.startswith(f".ds-{ACME}-")) == (201, True)
    empty.server.ask("DELETE", f"_data_stream/{ACME}")
    assert [status for status, _ in empty.ship(line)] == [403]
    empty.add("acme")
    assert [status for status, _ in empty.ship(line)] == [201], "the setup makes up for what is gone"


def test_a_line_that_is_sent_again_is_stored_once(domain: Domain) -> None:
    lines = [Line("acme", "one"), Line(None, "two")]
    assert [status for status, _ in domain.ship(*lines)] == [201, 201]
    assert [status for status, _ in domain.ship(*lines)] == [409, 409], "which Fluent Bit counts as success"
    assert (domain.count("acme"), domain.count()) == (1, 1)


def test_a_stream_has_the_templates_settings_and_fields(domain: Domain) -> None:
    domain.ship(Line("acme", "text"))
    for name in (ACME, CLUSTER):
        (index,) = domain.indexes(name)
        found = domain.server.ask("GET", index).body[index]
        settings = found["settings"]["index"]
        assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("1", "0")
        assert found["mappings"]["dynamic"] == "false", "a tenant's fields must not become the domain's"
        assert set(found["mappings"]["properties"]) == {"@timestamp", "log", *NAMES}
    query = {"query": {"bool": {"filter": [{"term": {"event": "text"}}, {"match": {"log": "text"}}]}}}
    (hit,) = domain.server.ask("POST", f"{ACME}/_search", query).body["hits"]["hits"]
    assert hit["_source"]["tenant"] == "acme"


def test_the_setup_can_be_repeated(domain: Domain) -> None:
    domain.ship(Line("acme", "kept"))
    before = domain.indexes(ACME)
    domain.set_up()
    domain.add("acme")
    assert domain.indexes(ACME) == before
    assert domain.count("acme") == 1


def test_a_stream_with_the_fields_of_an_earlier_version_goes_on_in_a_new_index(empty: Domain) -> None:
    (template,) = (
        item
        for item in domain_requests(shipper_role_arn=SHIPPER, sizes=DEV)
        if item["path"].startswith("_index_template/")
    )
    earlier = {"dynamic": False, "properties": {"@timestamp": {"type": "date"}}}
    body = {**template["body"], "template": {"mappings": earlier}}
    assert empty.server.ask("PUT", template["path"], body).status == 200
    empty.server.ask("PUT", f"_data_stream/{ACME}")
    empty.set_up()
    empty.add("acme")
    assert [status for status, _ in empty.ship(Line("acme", "a"))] == [201]
    before, now = empty.indexes(ACME)
    found = empty.server.ask("GET", f"{ACME}/_mapping").body
    assert found[now]["mappings"]["properties"]["@timestamp"] == {"type": "date_nanos"}
    empty.add("acme")
    assert empty.indexes(ACME) == [before, now], "it has these fields already"


def test_a_stream_goes_on_in_a_new_index_and_the_old_one_can_be_deleted(domain: Domain) -> None:
    ((_, first),) = domain.ship(Line("acme", "old"))
    condition = {"conditions": {"max_docs": 1, "max_age": "30d"}}
    assert domain.server.ask("POST", f"{ACME}/_rollover", condition).body["rolled_over"]
    ((status, second),) = domain.ship(Line("acme", "new"))
    assert (status, [first, second]) == (201, domain.indexes(ACME))
    assert domain.as_tenant("acme", "POST", f"{ACME}/_count").body["count"] == 2
    assert domain.server.ask("DELETE", second).status == 400, "the index that is written to stays"
    assert domain.server.ask("DELETE", first).status == 200
    assert domain.count("acme") == 1


def test_more_nodes_give_indexes_that_exist_their_copies(domain: Domain) -> None:
    domain.roll_over(ACME)
    domain.set_up(PROD)
    domain.add("acme", PROD)
    domain.roll_over(ACME)
    for name, number in ((ACME, 3), (CLUSTER, 1)):
        settings = domain.server.ask("GET", f"{name}/_settings").body
        replicas = [index["settings"]["index"]["number_of_replicas"] for index in settings.values()]
        assert replicas == ["1"] * number
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
    domain.add("acme")
    assert domain.front.policies.calls[-4:] == [
        ("POST", f"_plugins/_ism/{what}/.ds-{name}-*")
        for name in (CLUSTER, ACME)
        for what in ("add", "change_policy")
    ], "an index keeps the policy that it got"


def test_the_pattern_of_the_policy_finds_all_indexes_of_a_stream(domain: Domain) -> None:
    """Index State Management expands it as here: open and closed indexes, hidden ones by their dot."""
    domain.roll_over(ACME)
    pattern = domain.front.policies.calls[-1][1].rpartition("/")[2]
    found = domain.server.ask("GET", f"{pattern}/_settings?expand_wildcards=open,closed").body
    assert set(found) == set(domain.indexes(stream("globex"))), "the last tenant's"
    found = domain.server.ask("GET", f".ds-{ACME}-*/_settings?expand_wildcards=open,closed").body
    assert set(found) >= set(domain.indexes(ACME))
    assert len(domain.indexes(ACME)) == 2


def test_many_tenants_are_set_up_at_once(empty: Domain) -> None:
    problems: list[InputError] = []

    def one(name: str) -> None:
        try:
            shared = domain_requests(shipper_role_arn=SHIPPER, sizes=DEV)
            requests = [*shared, *tenant_requests(name, DEV, log_domain.people(name))]
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
    assert all(status == 201 for status, _ in empty.ship(*(Line(name, "x") for name in names)))


def test_the_streams_make_the_shards_that_are_reckoned_with(domain: Domain) -> None:
    """With as many indexes as a retention has."""
    names = [CLUSTER, *map(stream, log_domain.TENANT_NAMES)]
    for name in names:
        for _ in range(streams.INDEXES - 1):
            domain.roll_over(name)
    health = domain.server.ask("GET", f"_cluster/health/{','.join(names)}").body
    own = streams.SYSTEM + DEV.search_gigabytes // streams.shard_gib(DEV.search_gigabytes)
    assert health["active_shards"] == streams.most_shards(DEV, len(names) - 1) - own


def test_two_nodes_hold_each_line_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    sizes = Sizes.model_validate(DEFAULTS["staging"])
    requests = [
        *domain_requests(shipper_role_arn=SHIPPER, sizes=sizes),
        *tenant_requests("acme", sizes, None),
    ]
    with opensearch.running(tmp_path, nodes=2) as server, in_front_of(server, {KEY: MASTER}) as front:
        without = [request for request in requests if "_security" not in request["path"]]
        search.send(front.endpoint, without, REGION)
        health = server.ask("GET", f"_cluster/health/{ACME},{CLUSTER}?wait_for_status=green&timeout=60s")
        assert health.body["status"] == "green", "no copy is left without a node"
        shards = server.ask("GET", f"_cat/shards/{ACME},{CLUSTER}?format=json").body
    for index, shard in {(entry["index"], entry["shard"]) for entry in shards}:
        places = {entry["node"] for entry in shards if (entry["index"], entry["shard"]) == (index, shard)}
        assert len(places) == 2, f"{index} {shard}: the loss of a node loses lines"

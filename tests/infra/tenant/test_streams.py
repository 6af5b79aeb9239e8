"""What is sent to OpenSearch: retention, streams, roles, and what erases a tenant's logs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.config.sizes import DEFAULTS, Sizes
from infra.tenant.streams import Request, domain_requests, erase_requests, tenant_requests
from lightwork.pods import search

SIZES = {name: Sizes.model_validate(sizes) for name, sizes in DEFAULTS.items()}
STREAMS = ["logs-tenants", "logs-cluster"]


def requests(sizes: Sizes) -> dict[str, Request]:
    sent = domain_requests(shipper_role_arn="arn:shipper", sizes=sizes)
    return {request["path"]: request for request in sent}


PROD = requests(SIZES["prod"])


def test_the_policy_has_its_documented_form() -> None:
    """The fields of "ISM policies" in OpenSearch's documentation; the plugin refuses any other."""
    sent = PROD["_plugins/_ism/policies/lightwork-retention"]
    assert sent["how"] == "replace", "a policy that exists is changed only by its version"
    policy = sent["body"]["policy"]
    assert set(policy) == {"description", "default_state", "states", "ism_template"}
    kept, gone = policy["states"]
    assert policy["default_state"] == kept["name"]
    assert kept["actions"] == [{"rollover": {"min_primary_shard_size": "30gb", "min_index_age": "30d"}}]
    assert kept["transitions"] == [{"state_name": "gone", "conditions": {"min_rollover_age": "365d"}}], (
        "after the last line was added, not the first"
    )
    assert gone == {"name": "gone", "actions": [{"delete": {}}], "transitions": []}
    assert policy["ism_template"] == [{"index_patterns": STREAMS, "priority": 100}], "the streams' names"


@pytest.mark.parametrize(
    ("environment", "shards", "replicas"), [("dev", 1, 0), ("staging", 2, 1), ("prod", 3, 1)]
)
def test_shards_and_copies_follow_the_nodes(environment: str, shards: int, replicas: int) -> None:
    sent = requests(SIZES[environment])  # type: ignore[index]
    for stream, primaries in zip(STREAMS, (shards, 1), strict=True):
        template = sent[f"_index_template/{stream}"]["body"]
        assert template["index_patterns"] == [stream], "exactly this name"
        assert template["data_stream"] == {"timestamp_field": {"name": "@timestamp"}}
        settings = template["template"]["settings"]
        assert settings == {"number_of_shards": primaries, "number_of_replicas": replicas}
        existing = sent[f"{stream}/_settings"]["body"]
        assert existing == {"index": {"number_of_replicas": replicas}}, "of indexes that exist, too"


def test_the_shipper_may_send_lines_only_once_the_streams_are_there() -> None:
    *_, role, mapping = PROD.values()
    assert role["path"].endswith("/roles/log-shipper")
    assert mapping["body"] == {"backend_roles": ["arn:shipper"]}
    (index,) = role["body"]["index_permissions"]
    assert index["index_patterns"] == STREAMS
    allowed = [*index["allowed_actions"], *role["body"]["cluster_permissions"]]
    assert all(action.startswith("indices:data/write/") for action in allowed), "it creates no index"
    assert not any(word in action for action in allowed for word in ("delete", "update", "write*"))


def test_names_of_tenants_are_compared_as_a_whole() -> None:
    role, _ = tenant_requests("acme")
    (index,) = role["body"]["index_permissions"]
    assert json.loads(index["dls"]) == {"term": {"tenant": "acme"}}
    assert not {"fls", "masked_fields"} & index.keys()


def test_what_erases_a_tenants_logs_names_it_wherever_lines_are_chosen() -> None:
    sent = erase_requests("acme")
    queries = [
        request["body"] for request in sent if "_by_query" in request["path"] or "_count" in request["path"]
    ]
    assert queries == [{"query": {"term": {"tenant": "acme"}}}] * 2
    removed = [request["path"] for request in sent if request["method"] == "DELETE"]
    assert {path.rpartition("/")[2] for path in removed} == {"tenant-acme"}


def test_every_way_of_sending_is_known_to_the_program_that_sends() -> None:
    sent: list[dict[str, Any]] = [*PROD.values(), *tenant_requests("acme"), *erase_requests("acme")]
    assert {request["how"] for request in sent} == set(search._WAYS)

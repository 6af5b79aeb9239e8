"""What is sent to OpenSearch: retention, streams, roles, and what erases a tenant's logs."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config.sizes import DEFAULTS, Sizes
from infra.tenant.streams import Request, domain_requests, erase_requests, tenant_requests
from lightwork.pods import search

SIZES = {name: Sizes.model_validate(sizes) for name, sizes in DEFAULTS.items()}
STREAMS = ["logs-tenant-*", "logs-cluster"]


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
    assert kept["actions"] == [{"rollover": {"min_primary_shard_size": "30gb", "min_index_age": "183d"}}]
    assert kept["transitions"] == [{"state_name": "gone", "conditions": {"min_rollover_age": "365d"}}], (
        "after the last line was added, not the first"
    )
    assert gone == {"name": "gone", "actions": [{"delete": {}}], "transitions": []}
    assert policy["ism_template"] == [{"index_patterns": STREAMS, "priority": 100}], "the streams' names"


@pytest.mark.parametrize(("environment", "replicas"), [("dev", 0), ("staging", 1), ("prod", 1)])
def test_copies_follow_the_number_of_nodes(environment: str, replicas: int) -> None:
    sizes = SIZES[environment]  # type: ignore[index]
    sent = requests(sizes) | {
        request["path"]: request for request in tenant_requests("acme", sizes, "arn:people")
    }
    template = sent["_index_template/lightwork-logs"]["body"]
    assert template["index_patterns"] == STREAMS
    assert template["data_stream"] == {"timestamp_field": {"name": "@timestamp"}}
    settings = template["template"]["settings"]
    assert settings == {
        "number_of_shards": 1,
        "number_of_replicas": replicas,
        "mapping.ignore_malformed": True,
    }
    for name in ("logs-cluster", "logs-tenant-acme"):
        existing = sent[f"{name}/_settings"]["body"]
        assert existing == {"index": {"number_of_replicas": replicas}}, "of indexes that exist, too"


def test_a_stream_comes_after_its_template_and_policy() -> None:
    order = [*PROD, *(request["path"] for request in tenant_requests("acme", SIZES["prod"], "arn:people"))]
    for name in ("logs-cluster", "logs-tenant-acme"):
        place = order.index(f"_data_stream/{name}")
        assert place > order.index("_index_template/lightwork-logs"), "it would be made without"
        assert place > order.index("_plugins/_ism/policies/lightwork-retention")
        assert f"_plugins/_ism/add/.ds-{name}-*" in order[place:]
        assert f"_plugins/_ism/change_policy/.ds-{name}-*" in order[place:]


def test_the_shipper_may_add_lines_and_nothing_else() -> None:
    role = PROD["_plugins/_security/api/roles/log-shipper"]["body"]
    mapping = PROD["_plugins/_security/api/rolesmapping/log-shipper"]["body"]
    assert mapping == {"backend_roles": ["arn:shipper"]}
    (index,) = role["index_permissions"]
    assert index["index_patterns"] == STREAMS
    allowed = [*index["allowed_actions"], *role["cluster_permissions"]]
    assert all(action.startswith("indices:data/write/") for action in allowed), "it creates no index"
    assert not any(word in action for action in allowed for word in ("delete", "update", "write*"))


def test_a_tenants_role_names_its_stream_as_a_whole() -> None:
    *_, role, mapping = tenant_requests("acme", SIZES["dev"], "arn:people")
    assert role["body"]["cluster_permissions"] == []
    (index,) = role["body"]["index_permissions"]
    assert index == {"index_patterns": ["logs-tenant-acme"], "allowed_actions": ["indices:data/read/search"]}
    assert mapping["body"] == {"backend_roles": ["arn:people"]}


def test_nobody_has_the_role_of_a_tenant_without_people() -> None:
    *_, mapping = tenant_requests("acme", SIZES["dev"], None)
    assert (mapping["method"], mapping["how"]) == ("DELETE", "remove"), "nor who had it before"
    assert mapping["path"] == "_plugins/_security/api/rolesmapping/tenant-acme"


def test_what_erases_a_tenants_logs_names_nothing_else() -> None:
    sent = erase_requests("acme")
    assert {request["method"] for request in sent} == {"DELETE"}
    assert {request["path"].rpartition("/")[2] for request in sent} == {"tenant-acme", "logs-tenant-acme"}


def test_every_way_of_sending_is_known_to_the_program_that_sends() -> None:
    sent: list[dict[str, Any]] = [
        *PROD.values(),
        *tenant_requests("acme", SIZES["dev"], "arn:people"),
        *erase_requests("acme"),
    ]
    assert {request["how"] for request in sent} == set(search._WAYS)

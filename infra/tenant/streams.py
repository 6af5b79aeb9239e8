"""The requests that set OpenSearch up for the logs, and those that erase a tenant's lines. Pure.

Each is `{"method", "path", "body", "how"}`, as `lightwork.pods.search` reads them, and is safe to repeat.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.config import streams
from infra.config.streams import BACKING, CLUSTER, TENANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.config.sizes import Sizes


Request = dict[str, Any]

SECURITY = "_plugins/_security/api"
ISM = "_plugins/_ism"
POLICY = "lightwork-retention"
SHIPPER = "log-shipper"


def request(method: str, path: str, body: Request | None = None, *, how: str = "send") -> Request:
    """Build a request in the form that `lightwork.pods.search` reads."""
    return {"method": method, "path": path, "body": body, "how": how}


def domain_requests(*, shipper_role_arn: str, sizes: Sizes) -> list[Request]:
    """Build the requests for what all tenants share: the retention, the streams, the shipper's role.

    The shipper's role comes last. A line that arrived before the streams would create an index of their name.

    Args:
        shipper_role_arn: the ARN of the log shipper's role.
        sizes: the environment's sizes.
    """
    return [
        # ISM's own history would be a shard a day, kept for a month; an index's state stays visible.
        request(
            "PUT",
            "_cluster/settings",
            {"persistent": {"plugins.index_state_management.history.enabled": False}},
        ),
        request("PUT", f"{ISM}/policies/{POLICY}", {"policy": _policy(sizes)}, how="replace"),
        *_streams(sizes),
        # A policy finds new indexes only, and an index keeps the policy as it was when it got it.
        request("POST", f"{ISM}/add/{BACKING}", {"policy_id": POLICY}),
        request("POST", f"{ISM}/change_policy/{BACKING}", {"policy_id": POLICY}),
        request("PUT", f"{SECURITY}/roles/{SHIPPER}", _shipper()),
        request("PUT", f"{SECURITY}/rolesmapping/{SHIPPER}", {"backend_roles": [shipper_role_arn]}),
    ]


def tenant_requests(tenant: str) -> list[Request]:
    """Build the requests for a role that reads only the tenant's lines, and for its mapping."""
    name = role_name(tenant)
    role = {
        "description": f"Reads the logs of the tenant {tenant}",
        "cluster_permissions": [],
        "index_permissions": [
            {
                "index_patterns": [TENANTS],
                "dls": json.dumps(lines_of(tenant)),
                "allowed_actions": ["read", "get"],
            }
        ],
    }
    return [
        request("PUT", f"{SECURITY}/roles/{name}", role),
        request("PUT", f"{SECURITY}/rolesmapping/{name}", {"backend_roles": [name]}),
    ]


def erase_requests(tenant: str) -> list[Request]:
    """Build the requests that delete a tenant's lines and role.

    Deleting a line only marks it. So the segments that hold such lines are written anew without them,
    also if they are few: by default only where they are a tenth.
    """
    name, query = role_name(tenant), {"query": lines_of(tenant)}
    share = "index.merge.policy.expunge_deletes_allowed"
    return [
        request("DELETE", f"{SECURITY}/rolesmapping/{name}", how="remove"),
        request("DELETE", f"{SECURITY}/roles/{name}", how="remove"),
        request("POST", f"{TENANTS}/_refresh"),
        request(
            "POST",
            f"{TENANTS}/_delete_by_query?conflicts=proceed&refresh=true&wait_for_completion=false",
            query,
            how="task",
        ),
        request("POST", f"{TENANTS}/_count", query, how="none"),
        request("PUT", f"{TENANTS}/_settings", {share: 0}),
        request(
            "POST", f"{TENANTS}/_forcemerge?only_expunge_deletes=true&wait_for_completion=false", how="task"
        ),
        request("PUT", f"{TENANTS}/_settings", {share: None}),
    ]


def role_name(tenant: str) -> str:
    """Return the name of the role that reads a tenant's lines; users with that group have it."""
    return f"tenant-{tenant}"


def lines_of(tenant: str) -> Request:
    """Return the query for a tenant's lines: the whole name, so that `acme` does not match `acme-2`."""
    return {"term": {"tenant": tenant}}


def _shipper() -> Request:
    """Return a role that adds lines to the streams. It creates no index, and reads and changes nothing."""
    return {
        "description": "Adds lines to the streams",
        "cluster_permissions": ["indices:data/write/bulk"],
        "index_permissions": [
            {
                "index_patterns": [TENANTS, CLUSTER],
                "allowed_actions": ["indices:data/write/bulk*", "indices:data/write/index"],
            }
        ],
    }


def _policy(sizes: Sizes) -> Request:
    """Return the policy: a new index by size or age, and the old one deleted once its last line is old."""
    rollover = {
        "min_primary_shard_size": f"{streams.shard_gib(sizes.search_gigabytes)}gb",
        "min_index_age": f"{streams.rollover_days(sizes.log_days)}d",
    }
    after = {"min_rollover_age": f"{sizes.log_days}d"}
    return {
        "description": f"Closes indexes by size and age, and deletes them {sizes.log_days} days later",
        "default_state": "kept",
        "states": [
            {
                "name": "kept",
                "actions": [{"rollover": rollover}],
                "transitions": [{"state_name": "gone", "conditions": after}],
            },
            {"name": "gone", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": [TENANTS, CLUSTER], "priority": 100}],
    }


def _streams(sizes: Sizes) -> Iterator[Request]:
    nodes = sizes.search_nodes
    replicas = streams.copies(nodes) - 1
    for stream in (TENANTS, CLUSTER):
        settings = {
            "number_of_shards": streams.primaries(stream, nodes),
            "number_of_replicas": replicas,
        }
        template = {
            "index_patterns": [stream],
            "data_stream": {"timestamp_field": {"name": "@timestamp"}},
            "priority": 200,
            "template": {"settings": settings, "mappings": MAPPINGS},
        }
        yield request("PUT", f"_index_template/{stream}", template)
        yield request("PUT", f"_data_stream/{stream}", how="create")
        # The template is for new indexes only.
        yield request("PUT", f"{stream}/_settings", {"index": {"number_of_replicas": replicas}})


def _keywords(*names: str) -> Request:
    return {name: {"type": "keyword"} for name in names}


MAPPINGS: Request = {
    # The whole line is stored and searchable; only these become fields.
    "dynamic": False,
    "properties": {
        "@timestamp": {"type": "date"},
        "log": {"type": "text"},
        "tenant": {"type": "keyword"},
        "line": {
            "properties": {
                **_keywords("level", "tenant", "pipeline", "run", "task", "host", "event"),
                "message": {"type": "text"},
            }
        },
        "kubernetes": {"properties": _keywords("namespace_name", "pod_name", "container_name")},
    },
}

"""The requests that set OpenSearch up for the logs, and those that erase a tenant's. Pure.

Each is `{"method", "path", "body", "how"}`, as `lightwork.pods.search` reads them, and is safe to repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.config import streams
from infra.config.streams import CLUSTER, TENANT

if TYPE_CHECKING:
    from infra.config.sizes import Sizes


Request = dict[str, Any]

SECURITY = "_plugins/_security/api"
ISM = "_plugins/_ism"
POLICY = "lightwork-retention"
SHIPPER = "log-shipper"
SEARCH = "indices:data/read/search"
"""What `_search` is to the security plugin. `read` would also open points in time and list fields."""
TEMPLATE = "lightwork-logs"
STREAMS = [f"{TENANT}*", CLUSTER]
"""The patterns of all streams."""


def request(method: str, path: str, body: Request | None = None, *, how: str = "send") -> Request:
    """Build a request in the form that `lightwork.pods.search` reads."""
    return {"method": method, "path": path, "body": body, "how": how}


def domain_requests(*, shipper_role_arn: str, sizes: Sizes) -> list[Request]:
    """Build the requests for what all tenants share: retention, template, the shipper's role.

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
        request("PUT", f"_index_template/{TEMPLATE}", _template(sizes)),
        *_stream(CLUSTER, sizes),
        request("PUT", f"{SECURITY}/roles/{SHIPPER}", _shipper()),
        request("PUT", f"{SECURITY}/rolesmapping/{SHIPPER}", {"backend_roles": [shipper_role_arn]}),
    ]


def tenant_requests(tenant: str, sizes: Sizes, people_role_arn: str | None) -> list[Request]:
    """Build the requests for a tenant's stream, for a role that only searches it, and for its mapping.

    Args:
        tenant: the tenant's name.
        sizes: the environment's sizes.
        people_role_arn: the ARN of the role of the tenant's people; None if nobody searches its logs.
    """
    name = role_name(tenant)
    role = {
        "description": f"Searches the logs of the tenant {tenant}",
        "cluster_permissions": [],
        # The whole name, without a pattern: `acme` is not the beginning of `acme-2`.
        "index_permissions": [{"index_patterns": [streams.stream(tenant)], "allowed_actions": [SEARCH]}],
    }
    mapping = f"{SECURITY}/rolesmapping/{name}"
    return [
        *_stream(streams.stream(tenant), sizes),
        request("PUT", f"{SECURITY}/roles/{name}", role),
        request("PUT", mapping, {"backend_roles": [people_role_arn]})
        if people_role_arn
        else request("DELETE", mapping, how="remove"),
    ]


def erase_requests(tenant: str) -> list[Request]:
    """Build the requests that delete a tenant's stream with all its lines, and its role."""
    name = role_name(tenant)
    return [
        request("DELETE", f"{SECURITY}/rolesmapping/{name}", how="remove"),
        request("DELETE", f"{SECURITY}/roles/{name}", how="remove"),
        request("DELETE", f"_data_stream/{streams.stream(tenant)}", how="remove"),
    ]


def role_name(tenant: str) -> str:
    """Return the name of the role that searches a tenant's stream."""
    return f"tenant-{tenant}"


def _shipper() -> Request:
    """Return a role that adds lines to the streams. It creates no index, and reads and changes nothing."""
    return {
        "description": "Adds lines to the streams",
        "cluster_permissions": ["indices:data/write/bulk"],
        "index_permissions": [
            {
                "index_patterns": STREAMS,
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
        "ism_template": [{"index_patterns": STREAMS, "priority": 100}],
    }


def _template(sizes: Sizes) -> Request:
    return {
        "index_patterns": STREAMS,
        "data_stream": {"timestamp_field": {"name": "@timestamp"}},
        "priority": 200,
        "template": {
            # A value of the wrong kind is left out of the index; the line is kept.
            "settings": {"number_of_shards": 1, "mapping.ignore_malformed": True, **_copies(sizes)},
            "mappings": MAPPINGS,
        },
    }


def _copies(sizes: Sizes) -> Request:
    return {"number_of_replicas": streams.copies(sizes.search_nodes) - 1}


def _stream(name: str, sizes: Sizes) -> list[Request]:
    """Build the requests that create a stream, and bring an existing one up to date.

    A template is for new indexes only. So is a policy, and an index keeps it as it was when it got it. The
    pattern for `acme` also matches the indexes of `acme-2`; that is harmless, as all have the same policy.
    """
    backing = f".ds-{name}-*"
    return [
        request("PUT", f"_data_stream/{name}", how="create"),
        request("PUT", f"{name}/_settings", {"index": _copies(sizes)}),
        request("POST", f"{name}/_rollover", {"properties": MAPPINGS["properties"]}, how="renew"),
        request("POST", f"{ISM}/add/{backing}", {"policy_id": POLICY}),
        request("POST", f"{ISM}/change_policy/{backing}", {"policy_id": POLICY}),
    ]


NAMES = ("tenant", "namespace", "pod", "container", "cut", *streams.FIELDS)
"""The fields of a record that are compared as a whole; `log` is searched by words."""
_KEYWORD = {"type": "keyword", "ignore_above": streams.LONGEST_FIELD}

MAPPINGS: Request = {
    # No field of a line can become a field of the domain, whatever its name and its type.
    "dynamic": False,
    "properties": {
        # Lines of the same millisecond keep their order.
        "@timestamp": {"type": "date_nanos"},
        "log": {"type": "text"},
        **dict.fromkeys(NAMES, _KEYWORD),
    },
}

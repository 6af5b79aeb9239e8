"""The data streams of the logs: when an index is closed, how often it is copied, how many shards that makes.

Each tenant has a stream, and the shared services have one. A stream writes to one index until that is large
or old enough, then to a new one. So a stream has three indexes at a time, however long logs are kept.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.config.sizes import Sizes

CLUSTER = "logs-cluster"
"""The stream of the shared services' lines, which no tenant reads."""
TENANT = "logs-tenant-"
"""The beginning of the names of tenants' streams."""

FIELDS = ("level", "event", "logger", "pipeline", "run", "task", "step", "role", "worker")
"""The fields of a JSON line that are kept as fields of their own, beside the line itself."""
LONGEST_FIELD = 256
"""The most bytes of such a field; the rest of it is only in the line."""
LONGEST_LINE = 30_000
"""The most bytes of a line; `cut` is the number of bytes of a longer one."""

GIB_A_SHARD = 30
"""The size at which a stream starts a new index: AWS advises 10 to 30 GiB a shard for searching, 30 to 50 for
logs ("Choosing the number of shards").
"""
ADVISED = 25
"""The most shards for each GiB of a node's heap, as AWS advises ("Choosing the number of shards")."""
ALLOWED = 1000 / 16
"""The most shards for each GiB of a node's heap, from 2.17 on: "1000 shards for every 16GB of JVM heap memory
up to a maximum of 4000 shards per node". No setting changes it.
"""
ALLOWED_A_NODE = 4000
INDEXES = 3
"""The most indexes of a stream that are closed by age: the one that is written to, and two that are kept."""
SYSTEM = 10
"""A guess at OpenSearch's own indexes (security, Dashboards, policies), with copies on up to three nodes."""
OVERHEAD = 1.45
"""The disk for each byte of logs: index, merges, what the service reserves ("Calculating storage")."""

_MEMORY = {"c": 4, "m": 8, "r": 16, "or": 16, "om": 8, "i": 16, "im": 8}
"""The memory of a `large`, in GiB, by the letters before the generation."""
_STEPS = {"medium": 0.5, "large": 1.0, "xlarge": 2.0}
"""The memory of a size, in that of a `large`; a `4xlarge` has four times that of an `xlarge`."""
_BURSTING = {"small": 2, "medium": 4}
"""The memory of the family `t`, in GiB."""


def stream(tenant: str) -> str:
    """Return the name of a tenant's stream."""
    return f"{TENANT}{tenant}"


def copies(nodes: int) -> int:
    """Return how often a line is stored: twice, on two nodes, as soon as there are two."""
    return min(nodes, 2)


def shard_gib(disk_gigabytes: int) -> int:
    """Return the size at which a new index is started, smaller on small disks: old ones can go."""
    return max(1, min(GIB_A_SHARD, disk_gigabytes // 10))


def rollover_days(kept_days: int) -> int:
    """Return the age at which a new index is started: half of the retention.

    An index is deleted as a whole, `kept_days` after the last line was added. So a line is kept for up to
    this many days longer, and a stream has two old indexes at most.
    """
    return kept_days // 2 + 1


def heap_gib(search_type: str) -> float:
    """Return a node's heap: half of its memory, 32 GiB at most. An unknown family counts as the smallest."""
    family, size, _ = search_type.split(".")
    name = re.sub(r"g?[0-9].*", "", family)
    if name == "t":
        return _BURSTING.get(size, 2) / 2
    times = re.fullmatch(r"(\d+)xlarge", size)
    steps = 2.0 * int(times[1]) if times else _STEPS.get(size, 1.0)
    return min(32.0, _MEMORY.get(name, 4) * steps / 2)


def advised_shards(search_type: str, nodes: int) -> int:
    """Return how many shards the nodes should have at most."""
    return int(ADVISED * heap_gib(search_type) * nodes)


def allowed_shards(search_type: str, nodes: int) -> int:
    """Return the number of shards beyond which the domain creates no index, and so takes no more lines."""
    return int(min(ALLOWED * heap_gib(search_type), ALLOWED_A_NODE) * nodes)


def most_shards(sizes: Sizes, tenants: int) -> int:
    """Return the most shards that the streams of an environment make, with OpenSearch's own.

    Args:
        sizes: the environment's sizes.
        tenants: the number of its tenants.
    """
    nodes = sizes.search_nodes
    by_age = INDEXES * copies(nodes) * (tenants + 1)
    by_size = nodes * math.ceil(sizes.search_gigabytes / shard_gib(sizes.search_gigabytes))
    return by_age + by_size + SYSTEM * min(nodes, 3)


def disk_gib(gib_a_day: float, kept_days: int, nodes: int) -> float:
    """Return the disk of all nodes together that logs need.

    Args:
        gib_a_day: the lines of a day, as their pods wrote them.
        kept_days: the days for which they are kept.
        nodes: the number of data nodes.
    """
    return gib_a_day * (kept_days + rollover_days(kept_days)) * copies(nodes) * OVERHEAD

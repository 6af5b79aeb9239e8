"""The sums of the log streams: how many shards, and how much disk, for how many tenants."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from infra.config import streams
from infra.config.sizes import DEFAULTS, Sizes
from infra.config.streams import CLUSTER, TENANTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "decisions" / "log-streams.md"
TENANT_COUNTS = (1, 16, 50, 200, 1000)
MIB_A_TENANT, GIB_OF_SERVICES = 20, 1
"""The assumed lines of a day, as the page says."""
DEFAULT = {name: Sizes.model_validate(sizes) for name, sizes in DEFAULTS.items()}
PROD = DEFAULT["prod"]


def daily_indexes(tenants: int) -> int:
    """The shards that one index a tenant and day made, with one for the shared services, each twice."""
    return (tenants + 1) * 2


def row(tenants: int) -> tuple[str, ...]:
    """A row of the page's table, for nodes as in prod."""
    allowed = streams.allowed_shards(PROD.search_type, PROD.search_nodes)
    gib = GIB_OF_SERVICES + tenants * MIB_A_TENANT / 1024
    cells = [tenants, daily_indexes(tenants), math.ceil(allowed / daily_indexes(tenants))]
    texts = [f"{cell:,}" for cell in cells] + [f"{gib:.1f} GiB"]
    for days, disk in ((365, 500), (365, 1000), (90, 500)):
        sizes = sized(gib, days, disk)
        advised = streams.advised_shards(sizes.search_type, sizes.search_nodes)
        texts.append(f"{sizes.search_nodes} nodes, {streams.most_shards(sizes):,} of {advised:,}")
    return tuple(texts)


def sized(gib: float, days: int, disk: int) -> Sizes:
    """Return prod with as many nodes as the lines need; the settings allow 30."""
    nodes = max(3, math.ceil(streams.disk_gib(gib, days, 3) / disk))
    return PROD.model_copy(update={"search_nodes": nodes, "search_gigabytes": disk, "log_days": days})


@pytest.mark.parametrize("tenants", TENANT_COUNTS)
def test_the_page_has_the_sums(tenants: int) -> None:
    assert f"| {' | '.join(row(tenants))} |" in PAGE.read_text(), row(tenants)


@pytest.mark.parametrize("tenants", TENANT_COUNTS)
def test_shards_stay_below_what_the_heap_is_for(tenants: int) -> None:
    gib = GIB_OF_SERVICES + tenants * MIB_A_TENANT / 1024
    for days, disk in itertools.product((1, 30, 90, 365, 3653), (100, 500, 1000)):
        sizes = sized(gib, days, disk)
        advised = streams.advised_shards(sizes.search_type, sizes.search_nodes)
        assert (
            streams.most_shards(sizes)
            <= advised
            <= streams.allowed_shards(PROD.search_type, sizes.search_nodes)
        )


def test_one_index_a_tenant_and_day_would_reach_the_limit_within_a_month() -> None:
    assert daily_indexes(50) == 102
    allowed = streams.allowed_shards(PROD.search_type, PROD.search_nodes)
    assert allowed == 1500, "AWS: 1,000 for every 16 GB of heap, here three times 8 GiB"
    assert allowed / daily_indexes(50) < 15
    assert 1000 * PROD.search_nodes / daily_indexes(50) < 30, "even with 1,000 a node"


@pytest.mark.parametrize("environment", DEFAULT)
def test_the_default_sizes_suffice_for_their_own_shards(environment: str) -> None:
    sizes = DEFAULT[environment]  # type: ignore[index]
    assert streams.most_shards(sizes) <= streams.advised_shards(sizes.search_type, sizes.search_nodes)


def test_a_line_is_stored_on_two_nodes_where_there_are_two() -> None:
    assert [streams.copies(nodes) for nodes in (1, 2, 3, 30)] == [1, 2, 2, 2]


def test_every_node_takes_its_part_of_the_tenants_lines() -> None:
    assert [streams.primaries(TENANTS, nodes) for nodes in (1, 3, 30)] == [1, 3, 30]
    assert streams.primaries(CLUSTER, 30) == 1


def test_an_index_is_small_enough_for_its_disk_and_old_enough_to_go() -> None:
    assert [streams.shard_gib(disk) for disk in (10, 50, 300, 500, 4000)] == [1, 5, 30, 30, 30]
    assert [streams.rollover_days(days) for days in (1, 7, 30, 90, 365, 3653)] == [1, 1, 5, 15, 30, 152]


@pytest.mark.parametrize(
    ("search_type", "gib"),
    [
        ("t3.small.search", 1),
        ("t3.medium.search", 2),
        ("c7g.large.search", 2),
        ("m7g.large.search", 4),
        ("r7g.large.search", 8),
        ("r7gd.xlarge.search", 16),
        ("r6g.4xlarge.search", 32),
        ("or1.medium.search", 4),
        ("im4gn.large.search", 4),
        ("new9.huge.search", 2),
    ],
)
def test_half_of_a_nodes_memory_is_heap(search_type: str, gib: float) -> None:
    assert streams.heap_gib(search_type) == gib

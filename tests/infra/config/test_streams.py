"""The sums of the log streams: how many shards, and how much disk, for how many tenants."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from infra.config import streams
from infra.config.sizes import DEFAULTS, Sizes

PAGE = Path(__file__).resolve().parents[3] / "docs" / "decisions" / "log-streams.md"
TENANT_COUNTS = (1, 16, 50, 200, 1000)
MIB_A_TENANT, GIB_OF_SERVICES = 20, 1
"""The assumed lines of a day, as the page says."""
DEFAULT = {name: Sizes.model_validate(sizes) for name, sizes in DEFAULTS.items()}
PROD = DEFAULT["prod"]
MOST_NODES = 30
"""The most data nodes that the settings allow."""
CHOICES = ((365, "r7g.large.search", 500), (90, "r7g.large.search", 500), (365, "r7g.xlarge.search", 1500))
"""The columns of the page's table: retention, type and disk of the nodes."""


def daily_indexes(tenants: int) -> int:
    """The shards that one index a tenant and day made, with one for the shared services, each twice."""
    return (tenants + 1) * 2


def row(tenants: int) -> tuple[str, ...]:
    """A row of the page's table."""
    allowed = streams.allowed_shards(PROD.search_type, PROD.search_nodes)
    cells = [tenants, daily_indexes(tenants), math.ceil(allowed / daily_indexes(tenants))]
    texts = [f"{cell:,}" for cell in cells] + [f"{gib_a_day(tenants):.1f} GiB"]
    for days, type_, disk in CHOICES:
        sizes = sized(tenants, days, type_, disk)
        shards = f"{streams.most_shards(sizes, tenants):,} of {advised(sizes):,}"
        texts.append(
            f"{sizes.search_nodes} nodes, {shards}" if sizes.search_nodes <= MOST_NODES else "too few"
        )
    return tuple(texts)


def gib_a_day(tenants: int) -> float:
    return GIB_OF_SERVICES + tenants * MIB_A_TENANT / 1024


def advised(sizes: Sizes) -> int:
    return streams.advised_shards(sizes.search_type, sizes.search_nodes)


def sized(tenants: int, days: int, type_: str, disk: int) -> Sizes:
    """Return prod with as many nodes as lines and shards need."""
    nodes = max(3, math.ceil(streams.disk_gib(gib_a_day(tenants), days, 3) / disk))
    update = {"search_type": type_, "search_gigabytes": disk, "log_days": days}
    sizes = PROD.model_copy(update={**update, "search_nodes": nodes})
    more = (sizes.model_copy(update={"search_nodes": number}) for number in range(nodes, 500))
    return next(sizes for sizes in more if streams.most_shards(sizes, tenants) <= advised(sizes))


@pytest.mark.parametrize("tenants", TENANT_COUNTS)
def test_the_page_has_the_sums(tenants: int) -> None:
    assert f"| {' | '.join(row(tenants))} |" in PAGE.read_text(), row(tenants)


@pytest.mark.parametrize("tenants", TENANT_COUNTS)
def test_some_choice_within_the_settings_holds_the_logs(tenants: int) -> None:
    held = [sized(tenants, *choice) for choice in CHOICES]
    assert any(sizes.search_nodes <= MOST_NODES for sizes in held)
    for sizes in held:
        allowed = streams.allowed_shards(sizes.search_type, sizes.search_nodes)
        assert streams.most_shards(sizes, tenants) <= allowed / 2, "far from where no line is taken any more"


def test_one_index_a_tenant_and_day_would_reach_the_limit_within_a_month() -> None:
    assert daily_indexes(50) == 102
    allowed = streams.allowed_shards(PROD.search_type, PROD.search_nodes)
    assert allowed == 1500, "AWS: 1,000 for every 16 GB of heap, here three times 8 GiB"
    assert allowed / daily_indexes(50) < 15
    assert 1000 * PROD.search_nodes / daily_indexes(50) < 30, "even with 1,000 a node"


@pytest.mark.parametrize(("environment", "tenants"), [("dev", 8), ("staging", 8), ("prod", 60)])
def test_the_default_sizes_hold_the_shards_of_many_tenants(environment: str, tenants: int) -> None:
    sizes = DEFAULT[environment]  # type: ignore[index]
    assert streams.most_shards(sizes, tenants) <= advised(sizes)


@pytest.mark.parametrize("days", [1, 2, 7, 30, 90, 365, 3653])
def test_a_stream_has_never_more_indexes_closed_by_age_than_are_reckoned_with(days: int) -> None:
    age = streams.rollover_days(days)
    kept = [start for start in range(0, 20 * age, age) if start + age > 10 * age - days and start <= 10 * age]
    assert len(kept) <= streams.INDEXES


def test_a_line_is_stored_on_two_nodes_where_there_are_two() -> None:
    assert [streams.copies(nodes) for nodes in (1, 2, 3, 30)] == [1, 2, 2, 2]


def test_an_index_is_small_enough_for_its_disk() -> None:
    assert [streams.shard_gib(disk) for disk in (10, 50, 300, 500, 4000)] == [1, 5, 30, 30, 30]


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

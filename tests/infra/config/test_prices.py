"""Prices of workers: from the price file, for the nodes of an environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.config import nodes, prices, settings
from lightwork.history.cost import Prices

PRICES = prices.load()


def test_workers_on_spot_cost_a_share_of_their_own_nodes_and_others_those_of_drivers(root: Path) -> None:
    document = Prices.of(json.loads(prices.of_workers(settings.load(root, "prod").sizes, PRICES)))
    assert (document.date, document.region) == (str(PRICES["date"]), PRICES["region"])
    assert (document.spot.instance, document.spot.cpu, document.spot.memory) == ("m7i.2xlarge", 8, 32 * 2**30)
    assert document.spot.hour == pytest.approx(0.4032 * PRICES["spot_share"])
    assert (document.on_demand.instance, document.on_demand.hour) == ("m7i.xlarge", 0.2016)


def test_there_are_none_where_the_price_of_a_node_is_not_in_the_file(root: Path) -> None:
    sizes = settings.load(root, "prod").sizes
    assert prices.of_workers(sizes, {**PRICES, "instance_hour": {"m7i.2xlarge": 0.4}}) == ""


def test_memory_follows_from_the_family() -> None:
    sizes = {"c7i.large": 4, "m7i.large": 8, "r7g.2xlarge": 64, "m7a.xlarge": 16}
    assert {name: nodes.gibibytes(name) for name in sizes} == sizes

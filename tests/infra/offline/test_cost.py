"""The cost table: every resource is priced, free or by use; the sums are right."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from infra.offline import cost
from lightwork.errors import InputError
from tests.estate import files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.engine import Run

PRICES = cost.load()


def month(run: Run, part: str) -> float:
    return dict(cost.table(cost.at_rest(run, PRICES)))[part]


def test_every_resource_of_an_estate_has_a_price_or_is_known_to_have_none(estate: Run) -> None:
    costs = cost.at_rest(estate, PRICES)
    assert {entry.part for entry in costs} >= {"cluster", "nodes", "network", "archive", "search"}, (
        "the large ones"
    )


def test_what_nobody_has_thought_about_is_refused(estate: Run) -> None:
    strange = dataclasses.replace(estate.resources[-1], type="aws:redshift/cluster:Cluster", name="surprise")
    run = dataclasses.replace(estate, resources=[*estate.resources, strange])
    with pytest.raises(InputError, match=r"nothing is known about the cost of aws:redshift.*\(surprise\)"):
        cost.at_rest(run, PRICES)


def test_a_type_without_a_price_is_refused(estate: Run) -> None:
    prices = {**PRICES, "instance_hour": {}}
    with pytest.raises(InputError, match=r"prices\.yaml: instance_hour: m7i\.\w+: is missing"):
        cost.at_rest(estate, prices)


def test_the_sums_are_those_that_one_gets_by_hand(estates: dict[str, Run]) -> None:
    dev, prod = estates["dev"], estates["prod"]
    assert month(dev, "cluster") == pytest.approx(73.00), "0.10 an hour"
    assert month(dev, "network") == pytest.approx(730 * (0.045 + 0.005)), "one gateway with its address"
    assert month(prod, "network") == pytest.approx(3 * 730 * (0.045 + 0.005)), "one in each zone"
    assert month(dev, "nodes") == pytest.approx(2 * (730 * 0.1008 + 100 * 0.08)), (
        "two system nodes, no driver"
    )
    assert month(prod, "nodes") == pytest.approx(4 * (730 * 0.2016 + 100 * 0.08)), "three, and one driver"
    archive = 730 * 0.168 + 100 * 0.115
    assert month(prod, "archive") == pytest.approx(2 * archive + 1), "in two zones, and its key"
    search = 730 * (3 * 0.178 + 3 * 0.135) + 3 * 500 * 0.122
    assert month(prod, "search") == pytest.approx(search + 1), "data nodes, managers, disks, key"


def test_a_tenant_costs_its_key_and_its_secrets_at_rest(acme: Run) -> None:
    sums = dict(cost.table(cost.at_rest(acme, PRICES)))
    assert sums["lake"] == pytest.approx(1.00), "the key; what it stores is by use"
    assert sums["secrets"] == pytest.approx(0.40), "one secret in acme's file"
    assert sum(sums.values()) == pytest.approx(1.40), "and nothing else until it runs"


def test_workers_cost_nothing_at_rest(estate: Run) -> None:
    items = [entry.what for entry in cost.at_rest(estate, PRICES) if entry.part == "nodes"]
    assert "0 x m7i.2xlarge" in items, "from zero"


def test_a_run_costs_its_nodes_for_its_time(estate: Run) -> None:
    one = cost.nightly(estate, PRICES, workers=10, hours=1)
    assert one > 10 * 0.4032 * PRICES["spot_share"], "the workers are most of it"
    assert cost.nightly(estate, PRICES, workers=20, hours=1) > 1.8 * one, "twice the workers"
    assert cost.nightly(estate, PRICES, workers=0, hours=0) < 0.1, "no run, no cost but its image"


def test_the_price_file_says_when_and_where() -> None:
    assert str(PRICES["date"]).count("-") == 2, "prices grow old"
    assert PRICES["region"], "and differ between regions"


def test_the_table_names_the_sums_and_what_a_run_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "ROOT", files.repository(tmp_path))
    printed = cost.report("dev", ["acme"], workers=5, hours=2)
    assert printed.count("together") == 2, "a sum for the estate and one for the tenant; no account is needed"
    assert "A run on 5 worker nodes for 2 h" in printed, "and what a run adds"

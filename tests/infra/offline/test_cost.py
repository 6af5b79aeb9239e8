"""The cost table: every resource has a price, is free or costs by use, and the sums are right."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import pytest

from infra.config import prices, settings
from infra.offline import cost
from lightwork.errors import InputError
from lightwork.history.cost import Bill
from lightwork.history.packing import Packing
from lightwork.history.query import Filter
from lightwork.history.sync import ask
from lightwork.lake import open_lake
from lightwork.pods.history import give_prices
from tests.estate import files

if TYPE_CHECKING:
    from pathlib import Path

    from lightwork.tenants import Environment
    from tests.infra.engine import Run

PRICES = cost.load()


def month(run: Run, part: str) -> float:
    return dict(cost.table(cost.at_rest(run, PRICES)))[part]


def test_every_resource_of_an_estate_has_a_price_or_is_known_to_have_none(estate: Run) -> None:
    costs = cost.at_rest(estate, PRICES)
    assert {entry.part for entry in costs} >= {"cluster", "nodes", "network", "archive", "search"}


def test_a_resource_of_an_unknown_type_is_refused(estate: Run) -> None:
    unknown = dataclasses.replace(estate.resources[-1], type="aws:redshift/cluster:Cluster", name="surprise")
    run = dataclasses.replace(estate, resources=[*estate.resources, unknown])
    with pytest.raises(InputError, match=r"cost of aws:redshift/cluster:Cluster \(surprise\) is unknown"):
        cost.at_rest(run, PRICES)


def test_an_instance_type_without_a_price_is_refused(estate: Run) -> None:
    prices = {**PRICES, "instance_hour": {}}
    with pytest.raises(InputError, match=r"prices\.yaml: instance_hour: .*m7i\.\w+ is missing"):
        cost.at_rest(estate, prices)


def test_the_sums_equal_those_calculated_by_hand(estates: dict[str, Run]) -> None:
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


def test_the_metric_that_the_cluster_writes_costs_by_the_month(estate: Run) -> None:
    """CloudWatch's own metrics are free; the dead man's switch is one of ours."""
    metrics = [item for item in cost.at_rest(estate, PRICES) if item.what.startswith("the metric ")]
    assert [(item.what, item.month) for item in metrics] == [("the metric AlertsWork", 0.30)]
    alarms = [item for item in cost.at_rest(estate, PRICES) if item.month == 0.10]
    assert len(alarms) == len(estate.all("aws:cloudwatch/metricAlarm:MetricAlarm"))


def test_a_tenant_costs_its_key_and_its_secrets_at_rest(acme: Run) -> None:
    sums = dict(cost.table(cost.at_rest(acme, PRICES)))
    assert sums["lake"] == pytest.approx(1.00), "the key"
    assert sums["secrets"] == pytest.approx(0.40), "one secret in acme's file"
    assert sum(sums.values()) == pytest.approx(1.40), "nothing else while no run is active"


def test_workers_cost_nothing_at_rest(estate: Run) -> None:
    items = [entry.what for entry in cost.at_rest(estate, PRICES) if entry.part == "nodes"]
    assert "0 x m7i.2xlarge" in items


def test_a_run_costs_its_nodes_for_its_time(estate: Run) -> None:
    ten = cost.nightly(estate, PRICES, workers=10, hours=1)
    assert ten > 10 * 0.4032 * PRICES["spot_share"], "the workers are most of the cost"
    assert cost.nightly(estate, PRICES, workers=20, hours=1) > 1.8 * ten, "twice the workers"
    assert cost.nightly(estate, PRICES, workers=0, hours=0) < 0.1, "only the driver's image"


def test_the_price_file_has_its_date_and_region() -> None:
    assert str(PRICES["date"]).count("-") == 2
    assert PRICES["region"]


def test_the_report_has_a_total_for_each_stack_and_the_cost_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "ROOT", files.repository(tmp_path, modules=False))
    report = cost.report("dev", ["acme"], workers=5, hours=2)
    assert report.count("total ") == 2, "the estate's and the tenant's"
    assert "5 worker nodes for 2 h" in report


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_simulated_night_costs_the_tenant_most_of_what_it_costs_the_estate(
    estates: dict[str, Run],
    root: Path,
    tmp_path: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`lightwork cost` has the workers alone: the driver's node, the nodes' disks and NAT are not in it.

    With workers that fill 20 nodes for two hours, they are at least three quarters of the whole.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lake = open_lake(tmp_path / "lake", tenant="acme")
    begin = dt.datetime(2026, 11, 27, 2, tzinfo=dt.UTC)
    workers = {"size": "cpu=2 memory=8Gi", "spot": True, "seconds": 20 * 2 * 3600.0}
    runs = [
        {
            "name": f"nightly-{number}",
            "pipeline": "nightly",
            "tenant": "acme",
            "status": "succeeded",
            "started": begin.isoformat(),
            "finished": (begin + dt.timedelta(hours=2)).isoformat(),
            "seconds": 7200.0,
            "worker_seconds": [workers],
        }
        for number in range(4)
    ]
    Packing(lake, {}, dt.datetime.now(dt.UTC)).add(runs)
    give_prices(lake, prices.of_workers(settings.load(root, environment).sizes, PRICES))
    bill = Bill()
    ask(lake, lambda history: bill.add(history, Filter(), "day"))
    assert list(bill.lines) == ["2026-11-27"]
    total = bill.total()
    assert (total.runs, total.hours, total.spot_hours) == (4, 160.0, 160.0)
    whole = cost.nightly(estates[environment], PRICES, workers=20, hours=2)
    assert 0.75 * whole < total.cost < whole

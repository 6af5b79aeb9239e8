"""On which of an estate's nodes the pods of runs may be, and what the cost of a run takes for granted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.offline import cost
from lightwork.manifests import dask, steps, workflows
from lightwork.tenants.model import Workers
from tests.unit.lightwork.manifests import objects
from tests.unit.lightwork.manifests.placement import fits

if TYPE_CHECKING:
    from tests.infra.engine import Run

GROUP = "aws:eks/nodeGroup:NodeGroup"
PRICES = cost.load()


def workers(**fields: bool) -> dict[str, Any]:
    """Return the pod of workers as a run creates it."""
    tenant = objects.tenant("pipelines: {windy-city: {}}")
    item = tenant.pipelines["windy-city"].model_copy(update={"workers": Workers(**fields)})
    values = steps.arguments(tenant, "windy-city", objects.TARGET, item, "windy-city", values={})
    text = json.dumps(dask.workers()["spec"]["template"]["spec"])
    for name in ("spot", "never-on"):
        text = text.replace(dask.placeholder(name), values[name])
    pod: dict[str, Any] = json.loads(text)
    return pod


def step(**fields: bool) -> dict[str, Any]:
    """Return the template of a step that is a plain container."""
    spec = {"command": ["work"], **fields}
    tenant = objects.tenant(json.dumps({"pipelines": {"nightly": {"steps": {"work": spec}}}}))
    template = workflows.workflow_template(tenant, "nightly", objects.TARGET, None)
    (pod,) = [item for item in template["spec"]["templates"] if item["name"] == "step-work"]
    return dict(pod)


def pools(run: Run, pod: dict[str, Any]) -> set[str]:
    """Return the pools of the node groups that a pod may be on."""
    return {
        group.inputs["labels"]["lightwork/pool"]
        for group in run.all(GROUP)
        if fits(pod, group.inputs["labels"], group.inputs.get("taints", ()))
    }


SPOT, EITHER, ON_DEMAND = {"workers"}, {"workers", "drivers"}, {"drivers"}


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"spot": True}, SPOT),
        ({"spot": True, "on_demand_fallback": True}, EITHER),
        ({"spot": False}, ON_DEMAND),
    ],
    ids=["spot", "fallback", "on-demand"],
)
def test_pods_are_where_the_tenants_file_says(
    estates: dict[str, Run], fields: dict[str, bool], allowed: set[str]
) -> None:
    for make in (workers, step):
        assert pools(estates["prod"], make(**fields)) == allowed, make.__name__
        assert fits(make(**fields), {}, ()), "a cluster at hand has nodes without the label"


def test_schedulers_and_drivers_are_never_on_spot(estates: dict[str, Run]) -> None:
    driver = objects.template("driver")
    for pod in (dask.scheduler()["spec"]["template"]["spec"], driver):
        assert pools(estates["prod"], pod) == ON_DEMAND


def test_a_worker_that_names_no_nodes_is_on_spot_as_the_cost_of_a_run_assumes(estate: Run) -> None:
    (capacity,) = {
        group.inputs["capacityType"]
        for group in estate.all(GROUP)
        if group.inputs["labels"]["lightwork/pool"] in pools(estate, workers())
    }
    assert capacity == "SPOT"
    spot, on_demand = (
        cost.nightly(estate, PRICES, workers=10, hours=1, spot=is_spot) for is_spot in (True, False)
    )
    assert spot == pytest.approx(cost.nightly(estate, PRICES, workers=10, hours=1)), "the default"
    assert spot < 10 * 0.4032 < on_demand


def test_workers_on_demand_cost_the_drivers_nodes_that_have_their_processors(
    estates: dict[str, Run],
) -> None:
    nodes = 10 * 8 / 2
    disk, traffic = 100 * 0.08 / 730, 0.045
    expected = (nodes + 1) * (0.1008 + disk + traffic)
    assert cost.nightly(estates["dev"], PRICES, workers=10, hours=1, spot=False) == pytest.approx(expected)

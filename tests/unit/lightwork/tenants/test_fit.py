"""Whether runs fit the quota: the calculation, what is refused, and how many runs fit together."""

from __future__ import annotations

from typing import Any

import pytest

from lightwork.tenants import Tenant, fit

SMALL = {"cpu": "500m", "memory": "1Gi", "storage": "1Gi"}
EXACT = {"cpu": "3100m", "memory": "4736Mi", "pods": 7, "storage": "4864Mi"}
"""The smallest quota for one run of `pipeline`: its need and the reserves."""


def tenant(quota: dict[str, Any], **pipelines: dict[str, Any]) -> Tenant:
    return Tenant.model_validate(
        {
            "name": "acme",
            "environments": ["dev"],
            "quota": quota,
            "pipelines": {name: pipeline(**more) for name, more in pipelines.items()},
        }
    )


def pipeline(**more: Any) -> dict[str, Any]:
    workers = {"count": 2, "cpu": "900m", "memory": "1Gi", "storage": "1Gi"} | more.pop("workers", {})
    return {"workers": workers, "scheduler": SMALL, "driver": SMALL} | more


def test_a_run_needs_its_scheduler_its_driver_with_argos_container_and_its_workers() -> None:
    need = fit.run(tenant(EXACT, one={}).pipelines["one"])
    assert (need.text("cpu"), need.text("memory"), need.text("pods")) == ("2900m", "4352Mi", "5")


def test_a_run_that_fits_exactly_is_accepted() -> None:
    assert fit.problems(tenant(EXACT, one={})) == []


@pytest.mark.parametrize(
    ("resource", "amount", "calculation"),
    [
        (
            "cpu",
            "3099m",
            "cpu: 2 workers of 900m + 1100m for scheduler, driver and Argo = 2900m; the limit is 2899m",
        ),
        ("memory", "4735Mi", "memory: 2 workers of 1Gi + 2304Mi for scheduler, driver and Argo = 4352Mi"),
        ("pods", 6, "pods: 5 while it starts = 5; the limit is 4 (the quota of 6 less 2 in reserve)"),
        ("storage", "4863Mi", "(the quota of 4863Mi less 512Mi in reserve)"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_with_the_calculation_and_the_limit(
    resource: str, amount: Any, calculation: str
) -> None:
    (problem,) = fit.problems(tenant(EXACT | {resource: amount}, one={}))
    assert calculation in problem.reason
    assert problem.location == ("pipelines", "one", "workers")


def test_runs_in_parallel_are_counted_together() -> None:
    (problem,) = fit.problems(tenant(EXACT, one={"max_parallel_runs": 2}))
    assert "2 runs x (2 workers of 900m + 1100m" in problem.reason
    assert problem.location == ("pipelines", "one", "max_parallel_runs")


def test_a_run_of_one_small_worker_needs_at_least_the_pods_of_its_start() -> None:
    small = tenant(EXACT, one={"workers": {"count": 1, "cpu": "100m", "memory": "64Mi", "storage": "64Mi"}})
    assert fit.run(small.pipelines["one"]).pods == 5, (
        "scheduler, driver, and three pods that create its objects"
    )


def test_pipelines_that_fit_together_do_not_queue() -> None:
    quota = {"cpu": 7, "memory": "10Gi", "pods": 20, "storage": "20Gi"}
    assert fit.concurrent(tenant(quota, one={}, two={})) is None


def test_pipelines_that_do_not_fit_together_queue_by_the_largest() -> None:
    quota = {"cpu": 7, "memory": "100Gi", "pods": 50, "storage": "100Gi"}
    assert fit.concurrent(tenant(quota, one={}, two={}, six={})) == 2
    large = {"workers": {"cpu": "2"}}
    assert fit.concurrent(tenant(quota, one={}, two={}, six=large)) == 1, "any two runs must fit"


def test_pipelines_of_different_shapes_queue_by_the_largest_of_each_resource() -> None:
    quota = {"cpu": 20, "memory": "20Gi", "pods": 50, "storage": "100Gi"}
    much_memory = {"workers": {"count": 1, "memory": "14Gi"}}
    much_cpu = {"workers": {"count": 1, "cpu": "12"}}
    both = tenant(quota, one=much_memory, two=much_cpu)
    assert fit.concurrent(both) is None, "one needs memory, the other cores: they fit together"
    assert fit.concurrent(tenant(quota, one=much_memory, two=much_cpu, six=much_cpu)) == 1

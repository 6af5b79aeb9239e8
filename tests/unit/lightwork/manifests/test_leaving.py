"""A leaving tenant: all its objects stay, and its schedules are suspended."""

from __future__ import annotations

from lightwork import manifests
from lightwork.manifests.base import Target
from lightwork.tenants import Tenant
from tests.unit.lightwork.manifests import objects

FILE = """
pipelines:
  windy-city: {schedule: 30 6 * * *, timezone: UTC, workers: {count: 1}}
  battery-health: {schedule: 0 1 * * *, timezone: UTC, workers: {count: 1}}
"""


def objects_by_name(tenant: Tenant) -> dict[tuple[str, str], dict[str, object]]:
    target = Target(environment="dev", image="image", lake="s3://lake")
    return {
        (item["kind"], item["metadata"]["name"]): item
        for item in manifests.tenant_objects(tenant, target, {})
    }


def test_a_leaving_tenant_keeps_every_object_and_its_schedules_stop() -> None:
    tenant = objects.tenant(FILE)
    active = objects_by_name(tenant)
    leaving = objects_by_name(tenant.model_copy(update={"state": "leaving"}))
    assert set(active) == set(leaving), "deleting is a second step"
    schedules = [key for key in leaving if key[0] == "CronWorkflow"]
    assert len(schedules) == 2, "one per pipeline"
    for key in schedules:
        assert leaving[key]["spec"]["suspend"] is True, f"{key[1]} would still run"  # type: ignore[index]
        assert not active[key]["spec"].get("suspend"), "the sample is suspended already"  # type: ignore[index]
    others = [key for key in leaving if key[0] != "CronWorkflow"]
    assert all(leaving[key] == active[key] for key in others), "nothing else changes"


def test_a_tenant_is_active_by_default() -> None:
    assert objects.tenant(FILE).state == "active"
    assert not objects.tenant(FILE).leaving

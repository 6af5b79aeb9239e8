"""A tenant that leaves: nothing of it goes, and nothing of it runs by itself."""

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


def made(tenant: Tenant) -> dict[tuple[str, str], dict[str, object]]:
    target = Target(environment="dev", image="image", lake="s3://lake")
    found = manifests.tenant_objects(tenant, target, {})
    return {(item["kind"], item["metadata"]["name"]): item for item in found}


def test_a_tenant_that_leaves_keeps_every_object_and_its_schedules_stop() -> None:
    tenant = objects.tenant(FILE)
    stays, leaves = made(tenant), made(tenant.model_copy(update={"state": "leaving"}))
    assert set(stays) == set(leaves), "what goes, goes by a second step"
    schedules = [key for key in leaves if key[0] == "CronWorkflow"]
    assert len(schedules) == 2, "one of each pipeline"
    for key in schedules:
        assert leaves[key]["spec"]["suspend"] is True, f"{key[1]} would run on"  # type: ignore[index]
        assert not stays[key]["spec"].get("suspend"), "the sample shows nothing"  # type: ignore[index]
    rest = [key for key in leaves if key[0] != "CronWorkflow"]
    assert all(leaves[key] == stays[key] for key in rest), "nothing else is another"


def test_a_tenant_stays_unless_its_file_says_otherwise() -> None:
    assert objects.tenant(FILE).state == "active"
    assert not objects.tenant(FILE).leaving

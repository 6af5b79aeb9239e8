"""A committed `destroy` entry lifts the protection of exactly the resources that it names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from infra import permission
from infra.config import settings
from infra.driver.precious import PRECIOUS
from lightwork import tenants
from tests.infra.engine import Run, run_program

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "aws:s3/bucket:Bucket"
STACKS = ("dev", "staging", "prod", "dev.acme", "staging.acme", "prod.acme", "dev.globex", "prod.globex")
LEAVING = "state: leaving\ndestroy:\n  {}: [{}]\n"


def run(root: Path, stack: str) -> Run:
    recorded = run_program(root, stack)
    assert recorded.error is None, f"{stack} must deploy: {recorded.error}"
    return recorded


def permit(root: Path, stack: str, *names: str) -> None:
    environment, _, tenant = stack.partition(".")
    if tenant:
        path = root / "tenants" / f"{tenant}.yaml"
        path.write_text(path.read_text() + LEAVING.format(environment, ", ".join(names)))
    else:
        path = root / f"Pulumi.{environment}.yaml"
        text = path.read_text()
        assert "lightwork:destroy: []" in text, "as the repository has it"
        path.write_text(text.replace("lightwork:destroy: []", f"lightwork:destroy: [{', '.join(names)}]"))


def deletable(recorded: Run) -> set[str]:
    """Return the precious resources that the engine would delete or forget."""
    return {
        resource.name
        for resource in recorded.resources
        if resource.type in PRECIOUS and not (resource.protect and resource.retain_on_delete)
    }


def protections(recorded: Run) -> dict[tuple[str, str], tuple[bool, bool]]:
    return {
        (resource.type, resource.name): (resource.protect, resource.retain_on_delete)
        for resource in recorded.resources
    }


def test_without_an_entry_every_precious_resource_of_an_estate_is_kept(estate: Run) -> None:
    precious = [resource for resource in estate.resources if resource.type in PRECIOUS]
    assert len(precious) == 15, "bucket, five keys, secret, domain, repository, database, cluster, namespaces"
    assert deletable(estate) == set(), "it takes a committed entry to lose anything"


def test_without_an_entry_every_precious_resource_of_a_tenant_is_kept(customer: Run) -> None:
    assert len([r for r in customer.resources if r.type in PRECIOUS]) >= 3, "bucket, key, namespace at least"
    assert deletable(customer) == set(), "it takes a committed entry to lose anything"


@pytest.mark.parametrize("stack", STACKS)
def test_an_entry_lifts_the_protection_of_exactly_what_it_names(
    root: Path,
    stack: str,
    estates: dict[str, Run],
    customers: dict[str, Run],
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = "lake-bucket" if "." in stack else "archive-database"
    before = protections({**estates, **customers}[stack])
    permit(root, stack, name)
    with caplog.at_level(logging.WARNING):
        after = protections(run(root, stack))
    assert before.keys() == after.keys(), "an entry creates and removes nothing"
    changed = {key: after[key] for key in before if before[key] != after[key]}
    ((kind, _),) = changed
    assert {name for _, name in changed} == {name}, "the others are kept as they were"
    assert kind in PRECIOUS, "not a resource of the same name and another type"
    assert changed[kind, name] == (False, False), "neither protected nor retained"
    assert not caplog.messages, "the entry is used, so there is nothing to warn of"


def test_an_entry_reaches_the_cluster_that_a_remote_component_makes(
    root: Path, estates: dict[str, Run], caplog: pytest.LogCaptureFixture
) -> None:
    cluster = "aws:eks/cluster:Cluster", "cluster-eksCluster"
    before = protections(estates["dev"])
    assert before[cluster] == (True, True)
    permit(root, "dev", cluster[1])
    with caplog.at_level(logging.WARNING):
        after = protections(run(root, "dev"))
    assert {key: after[key] for key in before if before[key] != after[key]} == {cluster: (False, False)}
    assert not caplog.messages, "the entry is used"


def test_an_entry_for_another_environment_lifts_nothing(root: Path) -> None:
    permit(root, "dev.acme", "lake-bucket")
    assert deletable(run(root, "prod.acme")) == set(), "dev was named, and this is prod"
    permit(root, "dev", "archive-database")
    assert deletable(run(root, "staging")) == set(), "dev was named, and this is staging"


def test_an_estates_entry_lifts_nothing_of_a_tenants(root: Path) -> None:
    permit(root, "dev", "lake-bucket")
    assert deletable(run(root, "dev.acme")) == set(), "only the tenant's own file may permit that"


def test_retained_resources_around_a_precious_one_can_be_named_as_well(root: Path) -> None:
    permit(root, "dev", "archive-database", "archive-firewall")
    recorded = run(root, "dev")
    assert not recorded.named("aws:ec2/securityGroup:SecurityGroup", "archive-firewall").retain_on_delete, (
        "a retained security group would keep the network from being deleted"
    )
    assert recorded.named("aws:ec2/securityGroup:SecurityGroup", "search-firewall").retain_on_delete, (
        "not named"
    )


@pytest.mark.parametrize(
    ("stack", "source"),
    [("dev", "Pulumi.dev.yaml: lightwork:destroy"), ("dev.acme", "tenants/acme.yaml: destroy.dev")],
)
def test_a_name_without_a_resource_causes_one_line_of_warning_and_no_error(
    root: Path, stack: str, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    permit(root, stack, "lake-bukcet")
    with caplog.at_level(logging.WARNING):
        recorded = run(root, stack)
    assert deletable(recorded) == set(), "no protection is lifted by mistake"
    (line,) = caplog.messages

    assert line.startswith(f"{source}: "), line
    assert "'lake-bukcet'" in line, "the name must be in the message"


def test_a_misspelt_name_gets_a_suggestion(root: Path) -> None:
    permitted = permission.Permission(names=("lake-bukcet", "lake-key"), source="here")
    (line,) = permission.warnings(permitted, kept={"lake-bucket", "lake-key", "namespace"})
    assert line.startswith("here: "), line
    assert "'lake-bukcet'" in line, "the name without a resource"
    assert "'lake-bucket'" in line, "the name that was meant"
    assert "lake-key" not in line, "the name that matched is not mentioned"


def test_an_entry_for_a_removed_resource_is_still_a_permission(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("secrets: [weather-api]", "secrets: []"))
    permit(root, "dev.acme", "secrets-weather-api")
    assert run(root, "dev.acme").error is None, "the driver judges the deletion, and needs the entry for it"
    tenant = tenants.load(path)
    permitted = permission.of(settings.load(root, "dev"), tenant)
    assert permitted.names == ("secrets-weather-api",), "the driver allows this deletion"


def test_the_permission_is_read_only_from_the_stacks_own_file(root: Path) -> None:
    permit(root, "dev", "archive-database")
    permit(root, "dev.acme", "lake-bucket", "lake-key")
    environment, tenant = settings.load(root, "dev"), tenants.load(root / "tenants" / "acme.yaml")
    assert permission.of(environment, None).names == ("archive-database",)
    assert permission.of(environment, tenant).names == ("lake-bucket", "lake-key")
    assert permission.of(settings.load(root, "prod"), tenant).names == (), "nothing is permitted there"


def test_a_tenants_bucket_is_never_emptied_by_pulumi(customer: Run) -> None:
    assert customer.one(BUCKET).inputs["forceDestroy"] is False, "people empty it"


def test_a_bucket_that_may_be_deleted_is_still_not_emptied_by_pulumi(root: Path) -> None:
    permit(root, "dev.acme", "lake-bucket")
    assert run(root, "dev.acme").one(BUCKET).inputs["forceDestroy"] is False, (
        "a permitted deletion still fails on a bucket that holds something"
    )


def test_an_estates_bucket_is_never_emptied_by_pulumi(estate: Run) -> None:
    for bucket in estate.all(BUCKET):
        assert bucket.inputs["forceDestroy"] is False, f"{bucket.name}: people empty it"

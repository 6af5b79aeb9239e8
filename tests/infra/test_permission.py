"""What a committed `destroy` entry lifts: exactly what it names, of everything else nothing."""

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
    made = run_program(root, stack)
    assert made.error is None, f"{stack} must deploy: {made.error}"
    return made


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


def unkept(made: Run) -> set[str]:
    """The precious resources that the engine would delete, or forget."""
    return {
        resource.name
        for resource in made.resources
        if resource.type in PRECIOUS and not (resource.protect and resource.retain_on_delete)
    }


def marks(made: Run) -> dict[tuple[str, str], tuple[bool, bool]]:
    return {
        (resource.type, resource.name): (resource.protect, resource.retain_on_delete)
        for resource in made.resources
    }


def test_without_an_entry_everything_precious_of_an_estate_is_kept(estate: Run) -> None:
    precious = [resource for resource in estate.resources if resource.type in PRECIOUS]
    assert len(precious) == 15, "bucket, five keys, secret, domain, repository, database, cluster, namespaces"
    assert unkept(estate) == set(), "it takes a committed entry to lose anything"


def test_without_an_entry_everything_precious_of_a_tenant_is_kept(customer: Run) -> None:
    assert len([r for r in customer.resources if r.type in PRECIOUS]) >= 3, "bucket, key, namespace at least"
    assert unkept(customer) == set(), "it takes a committed entry to lose anything"


@pytest.mark.parametrize("stack", STACKS)
def test_with_an_entry_exactly_what_it_names_is_given_free(
    root: Path,
    stack: str,
    estates: dict[str, Run],
    customers: dict[str, Run],
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = "lake-bucket" if "." in stack else "archive-database"
    before = marks({**estates, **customers}[stack])
    permit(root, stack, name)
    with caplog.at_level(logging.WARNING):
        after = marks(run(root, stack))
    assert before.keys() == after.keys(), "an entry makes and removes nothing"
    changed = {key: after[key] for key in before if before[key] != after[key]}
    ((kind, _),) = changed
    assert {name for _, name in changed} == {name}, "the others are kept as they were"
    assert kind in PRECIOUS, "no namesake of another type"
    assert changed[kind, name] == (False, False), "neither protected nor retained"
    assert not caplog.messages, "the entry is used, so there is nothing to warn of"


def test_an_entry_for_another_environment_lifts_nothing(root: Path) -> None:
    permit(root, "dev.acme", "lake-bucket")
    assert unkept(run(root, "prod.acme")) == set(), "dev was named, and this is prod"
    permit(root, "dev", "archive-database")
    assert unkept(run(root, "staging")) == set(), "dev was named, and this is staging"


def test_an_estates_entry_lifts_nothing_of_a_tenants(root: Path) -> None:
    permit(root, "dev", "lake-bucket")
    assert unkept(run(root, "dev.acme")) == set(), "a tenant's data is its own file's affair"


def test_what_guards_something_precious_can_be_named_as_well(root: Path) -> None:
    permit(root, "dev", "archive-database", "archive-firewall")
    made = run(root, "dev")
    assert not made.named("aws:ec2/securityGroup:SecurityGroup", "archive-firewall").retain_on_delete, (
        "a group that stays would hold the network, once its database has gone"
    )
    assert made.named("aws:ec2/securityGroup:SecurityGroup", "search-firewall").retain_on_delete, "not named"


@pytest.mark.parametrize(
    ("stack", "source"),
    [("dev", "Pulumi.dev.yaml: lightwork:destroy"), ("dev.acme", "tenants/acme.yaml: destroy.dev")],
)
def test_a_name_that_nothing_has_is_said_in_one_line_and_the_program_goes_on(
    root: Path, stack: str, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    permit(root, stack, "lake-bukcet")
    with caplog.at_level(logging.WARNING):
        made = run(root, stack)
    assert unkept(made) == set(), "nothing is given free by mistake"
    (line,) = caplog.messages
    start = f"{source}: found 'lake-bukcet'; nothing that this program keeps has that name; "
    assert line.startswith(start), line
    assert "\n" not in line, "one line is read"


def test_a_near_miss_is_told_what_was_meant(root: Path) -> None:
    given = permission.Permission(names=("lake-bukcet", "lake-key"), source="here")
    (line,) = permission.warnings(given, used={"lake-key"}, kept={"lake-bucket", "lake-key", "namespace"})
    assert line == (
        "here: found 'lake-bukcet'; nothing that this program keeps has that name; did you mean"
        " 'lake-bucket'? (once it has gone for good, take the entry out)"
    ), "the name that was used is not mentioned"


def test_an_entry_for_what_has_been_taken_out_of_the_program_is_still_a_permission(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = root / "tenants" / "acme.yaml"
    path.write_text(path.read_text().replace("secrets: [weather-api]", "secrets: []"))
    permit(root, "dev.acme", "secrets-weather-api")
    assert run(root, "dev.acme").error is None, "the driver judges the deletion, and needs the entry for it"
    tenant = tenants.load(path)
    given = permission.of(settings.load(root, "dev"), tenant)
    assert given.names == ("secrets-weather-api",), "what the driver allows"


def test_what_is_given_free_is_read_from_the_file_of_the_stack_alone(root: Path) -> None:
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

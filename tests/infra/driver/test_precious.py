"""Steps that would delete or replace something precious are refused unless a committed entry allows them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.driver.precious import HARMLESS, PRECIOUS, Step, forbidden
from tests.infra.engine import Run

BUCKET = "aws:s3/bucket:Bucket"
RULE = "aws:s3/bucketPolicy:BucketPolicy"


def step(op: str, name: str = "lake-bucket", kind: str = BUCKET, stack: str = "prod.acme") -> Step:
    return Step(op=op, urn=f"urn:pulumi:{stack}::lightwork::{kind}::{name}", type=kind, name=name)


ENDING = (
    "delete",
    "replace",
    "create-replacement",
    "delete-replaced",
    "discard",
    "discard-replaced",
    "import-replacement",
    "read-replacement",
    "remove-pending-replace",
    "forget",
)


@pytest.mark.parametrize("op", ENDING)
def test_a_destructive_step_on_something_precious_is_forbidden(op: str) -> None:
    (line,) = forbidden([step(op)], ())
    assert line.startswith(f"lake-bucket ({BUCKET}): would be ")
    assert "\n" not in line


def test_an_unknown_operation_is_forbidden_and_the_line_names_the_entry_to_commit() -> None:
    (line,) = forbidden([step("transmogrify")], ())
    assert line.startswith(f"lake-bucket ({BUCKET}): would be ")
    assert "transmogrify" in line
    assert line.endswith(
        "commit `destroy: {prod: [lake-bucket]}` beside `state: leaving` in tenants/acme.yaml"
    )


@pytest.mark.parametrize("op", sorted(HARMLESS))
def test_a_step_that_keeps_the_resource_is_allowed(op: str) -> None:
    assert forbidden([step(op)], ()) == []


@pytest.mark.parametrize("kind", sorted(PRECIOUS))
def test_every_precious_type_is_recognised(kind: str) -> None:
    assert len(forbidden([step("delete", kind=kind)], ())) == 1


def test_other_resources_may_be_deleted_and_replaced() -> None:
    assert (
        forbidden(
            [step("delete", "lake-policy", RULE), step("replace", "job", "kubernetes:batch/v1:Job")], ()
        )
        == []
    )


def test_the_steps_of_a_replacement_make_one_line() -> None:
    steps = [step("create-replacement"), step("replace"), step("delete-replaced")]
    (line,) = forbidden(steps, ())
    assert "would be replaced" in line


def test_only_the_named_resources_may_be_deleted() -> None:
    steps = [step("delete"), step("delete", "lake-key", "aws:kms/key:Key"), step("delete", "lake")]
    lines = forbidden(steps, ["lake-bucket"])
    assert [line.split()[0] for line in lines] == ["lake-key", "lake"]


def test_the_lines_are_in_the_plans_order() -> None:
    lines = forbidden([step("delete", name) for name in ("b", "a", "c")], ())
    assert [line[0] for line in lines] == ["b", "a", "c"]


def test_the_same_name_in_another_stack_is_another_resource() -> None:
    assert len(forbidden([step("delete"), step("delete", stack="prod.globex")], ())) == 2


def test_the_line_for_an_estates_resource_names_the_setting_to_commit() -> None:
    (line,) = forbidden([step("delete", "archive-database", "aws:rds/instance:Instance", "dev")], ())
    assert "would be deleted" in line
    assert line.endswith("commit `lightwork:destroy: [archive-database]` in Pulumi.dev.yaml")


def test_an_estate_protects_exactly_its_precious_resources(estate: Run) -> None:
    protected = {(resource.type, resource.name) for resource in estate.resources if resource.protect}
    precious = {(r.type, r.name) for r in estate.resources if r.type in PRECIOUS}
    assert protected == precious


def test_a_tenant_protects_exactly_its_precious_resources(acme: Run) -> None:
    protected = {(resource.type, resource.name) for resource in acme.resources if resource.protect}
    precious = {(r.type, r.name) for r in acme.resources if r.type in PRECIOUS}
    assert protected == precious


def test_judging_a_plan_does_not_import_pulumi() -> None:
    code = "import sys, infra.driver.precious; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

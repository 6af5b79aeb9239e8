"""Which steps of a plan would end something precious, and are refused unless a committed entry permits it."""

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
def test_a_step_that_ends_something_precious_is_forbidden(op: str) -> None:
    (line,) = forbidden([step(op)], ())
    assert line.startswith(f"lake-bucket ({BUCKET}): would be "), "what it is about comes first"
    assert "\n" not in line, "one line is read"


def test_an_operation_that_nobody_knows_yet_is_forbidden() -> None:
    (line,) = forbidden([step("transmogrify")], ())
    assert line == (
        f"lake-bucket ({BUCKET}): would be ended (transmogrify), and it is precious; if that is meant,"
        " commit `destroy: {prod: [lake-bucket]}` beside `state: leaving` in tenants/acme.yaml"
    ), "a later engine's word must not slip through"


@pytest.mark.parametrize("op", sorted(HARMLESS))
def test_a_step_that_leaves_it_where_it_is_goes_through(op: str) -> None:
    assert forbidden([step(op)], ()) == [], f"{op} ends nothing"


@pytest.mark.parametrize("kind", sorted(PRECIOUS))
def test_every_precious_type_is_seen(kind: str) -> None:
    assert len(forbidden([step("delete", kind=kind)], ())) == 1, "its end must be permitted first"


def test_what_is_not_precious_may_end() -> None:
    assert (
        forbidden(
            [step("delete", "lake-policy", RULE), step("replace", "job", "kubernetes:batch/v1:Job")], ()
        )
        == []
    )


def test_a_replacement_is_one_line_however_many_steps_it_is() -> None:
    steps = [step("create-replacement"), step("replace"), step("delete-replaced")]
    (line,) = forbidden(steps, ())
    assert "would be replaced" in line, "the word that the plan uses"


def test_exactly_what_is_named_may_end() -> None:
    steps = [step("delete"), step("delete", "lake-key", "aws:kms/key:Key"), step("delete", "lake")]
    lines = forbidden(steps, ["lake-bucket"])
    assert [line.split()[0] for line in lines] == ["lake-key", "lake"], "a name permits itself alone"


def test_the_lines_come_in_the_plans_order() -> None:
    lines = forbidden([step("delete", name) for name in ("b", "a", "c")], ())
    assert [line[0] for line in lines] == ["b", "a", "c"], "as the preview shows them"


def test_a_name_in_another_stack_is_another_resource() -> None:
    assert len(forbidden([step("delete"), step("delete", stack="prod.globex")], ())) == 2, "two buckets"


def test_the_line_says_where_an_estates_resource_is_permitted_to_end() -> None:
    (line,) = forbidden([step("delete", "archive-database", "aws:rds/instance:Instance", "dev")], ())
    assert line.endswith(
        "would be deleted, and it is precious; if that is meant, commit `lightwork:destroy:"
        " [archive-database]` in Pulumi.dev.yaml"
    ), line


def test_what_the_estates_protect_is_what_is_precious(estate: Run) -> None:
    protected = {(resource.type, resource.name) for resource in estate.resources if resource.protect}
    precious = {(r.type, r.name) for r in estate.resources if r.type in PRECIOUS}
    assert protected == precious, "what the engine refuses to delete, and what the plan is judged by, are one"


def test_what_a_tenant_protects_is_what_is_precious(acme: Run) -> None:
    protected = {(resource.type, resource.name) for resource in acme.resources if resource.protect}
    precious = {(r.type, r.name) for r in acme.resources if r.type in PRECIOUS}
    assert protected == precious, "as in an estate"


def test_judging_a_plan_needs_no_pulumi() -> None:
    code = "import sys, infra.driver.precious; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, (
        "the driver judges before any engine is there"
    )

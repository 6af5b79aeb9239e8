"""The rules on all resources of the program: estates and tenants in each environment."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING

import pytest

from infra.rules import RULES, Subject, violations
from infra.rules.excuses import EXCUSES
from infra.rules.recorded import subjects
from infra.rules.subject import statements
from infra.rules.tags import UNTAGGABLE
from infra.rules.wildcards import holds
from tests.infra.conftest import ENVIRONMENTS, STACKS

if TYPE_CHECKING:
    from tests.infra.engine import Run


@pytest.mark.parametrize("stack", [*ENVIRONMENTS, *STACKS])
def test_no_resource_of_the_program_violates_a_rule(
    estates: dict[str, Run], customers: dict[str, Run], stack: str
) -> None:
    recorded = subjects({**estates, **customers}[stack], stack)
    assert len(recorded) > 50, "the recording is incomplete"
    assert violations(recorded) == [], "fix it, or add an excuse with its reason to infra/rules/excuses.py"


def test_the_providers_default_tags_are_recorded(estates: dict[str, Run]) -> None:
    (bucket,) = [subject for subject in subjects(estates["prod"], "prod") if subject.name == "audit-bucket"]
    assert bucket.default_tags == {"project": "lightwork", "environment": "prod"}


def test_every_excuse_is_used(estates: dict[str, Run]) -> None:
    recorded = subjects(estates["dev"], "dev")
    for excuse in EXCUSES:
        for name in excuse.names:
            excused = [
                statement
                for subject in recorded
                if subject.name == name
                for statement in statements(subject)
                if holds(excuse, subject, statement)
            ]
            assert excused, f"{name}, {excuse.sid}: no longer needed; remove it from infra/rules/excuses.py"
    assert all(excuse.reason for excuse in EXCUSES)


def test_without_excuses_the_programs_wildcards_are_refused(estates: dict[str, Run]) -> None:
    recorded = subjects(estates["dev"], "dev")
    wide = [line for subject in recorded for line in RULES["wildcard"](renamed(subject))]
    assert len(wide) > 20


def renamed(subject: Subject) -> Subject:
    """Return a resource with a name that no excuse has."""
    return Subject(type=subject.type, name="unexcused", inputs=subject.inputs, stack=subject.stack)


def test_untaggable_types_have_no_tags_in_the_provider() -> None:
    for type_ in sorted(UNTAGGABLE):
        _, module, name = type_.split(":")
        resource = getattr(import_module(f"pulumi_aws.{module.partition('/')[0]}"), name)
        assert "tags" not in signature(resource._internal_init).parameters, f"{type_} can be tagged"


def test_a_taggable_type_has_tags_in_the_provider() -> None:
    bucket = import_module("pulumi_aws.s3").Bucket
    assert "tags" in signature(bucket._internal_init).parameters, "the test above would pass for any type"

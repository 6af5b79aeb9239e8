"""The rules over everything that the program asks for: estates and tenants, in each environment."""

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
def test_nothing_that_the_program_makes_offends_a_rule(
    estates: dict[str, Run], customers: dict[str, Run], stack: str
) -> None:
    known = subjects({**estates, **customers}[stack], stack)
    assert len(known) > 50, "a recording of nothing offends nobody"
    assert violations(known) == [], "mend it, or excuse it in infra/rules/excuses.py with the reason"


def test_the_tags_that_the_provider_adds_are_seen(estates: dict[str, Run]) -> None:
    (bucket,) = [one for one in subjects(estates["prod"], "prod") if one.name == "audit-bucket"]
    assert bucket.default_tags == {"project": "lightwork", "environment": "prod"}, "of the AWS provider"


def test_every_excuse_is_used(estates: dict[str, Run]) -> None:
    known = subjects(estates["dev"], "dev")
    for excuse in EXCUSES:
        for name in excuse.names:
            held = [
                statement
                for one in known
                if one.name == name
                for statement in statements(one)
                if holds(excuse, one, statement)
            ]
            assert held, f"{name}, {excuse.sid}: nothing needs this excuse any more; take it out"
    assert all(excuse.reason for excuse in EXCUSES), "an excuse says why"


def test_an_excuse_without_its_statement_is_missed(estates: dict[str, Run]) -> None:
    known = subjects(estates["dev"], "dev")
    wide = [line for one in known for line in RULES["wildcard"](bare(one))]
    assert len(wide) > 20, "without names the excuses are nobody's"


def bare(one: Subject) -> Subject:
    return Subject(type=one.type, name="somebody-else", inputs=one.inputs, stack=one.stack)


def test_what_is_said_to_have_no_tags_has_none_in_the_provider() -> None:
    for type_ in sorted(UNTAGGABLE):
        _, module, name = type_.split(":")
        made = getattr(import_module(f"pulumi_aws.{module.partition('/')[0]}"), name)
        assert "tags" not in signature(made._internal_init).parameters, f"{type_} can be tagged after all"


def test_the_provider_is_asked_the_right_way_whether_something_has_tags() -> None:
    assert "tags" in signature(import_module("pulumi_aws.s3").Bucket._internal_init).parameters, (
        "a bucket has"
    )

"""Stack names: parsed and built in one place only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.config.stack import ENVIRONMENTS, LOCAL, WITH_LOCAL, StackName, belongs
from lightwork.errors import InputError
from lightwork.tenants import Environment

INFRA = Path(__file__).resolve().parents[3] / "infra"
TENANTS = st.from_regex(r"[a-z]([a-z0-9-]*[a-z0-9])?", fullmatch=True)
RIGHT = re.compile(rf"({'|'.join(WITH_LOCAL)})(\.[a-z0-9-]+)?")


@given(st.sampled_from(WITH_LOCAL), st.none() | TENANTS)
def test_a_name_survives_parsing(environment: str, tenant: str | None) -> None:
    name = StackName(environment=environment, tenant=tenant)
    assert StackName.parse(str(name)) == name
    assert StackName.of_urn(f"urn:pulumi:{name}::lightwork::aws:s3/bucket:Bucket::lake") == name
    assert str(name.estate) == environment
    assert name.is_local is (environment == "local")
    assert belongs(str(name), environment)


ALMOST = st.builds(
    "{}{}{}".format,
    st.sampled_from(WITH_LOCAL),
    st.sampled_from(["", ".", " ", "\n", ".."]),
    st.text(max_size=9),
)


@given(st.text() | ALMOST)
@example("")
@example("dev.")
@example("dev.acme.two")
@example("dev.acme\n")
@example("dev\n")
@example("dev.Acme")
@example("dev.../acme")
def test_a_wrong_name_is_refused_in_one_line_and_a_right_one_is_kept(text: str) -> None:
    if RIGHT.fullmatch(text):
        assert str(StackName.parse(text)) == text
        return
    with pytest.raises(InputError) as caught:
        StackName.parse(text, label="--stack")
    message = str(caught.value)
    assert len(message.splitlines()) == 1, "one line"
    assert message.startswith(f"--stack {text!r}: "), "the option and its value"


def test_a_misspelt_environment_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="'prod'"):
        StackName.parse("prd.acme")


def test_the_environments_are_those_that_a_tenant_may_name() -> None:
    assert get_args(Environment) == ENVIRONMENTS, "the command line does not import the model for them"
    assert (*ENVIRONMENTS, LOCAL) == WITH_LOCAL


@pytest.mark.parametrize("name", ["dev", "dev.acme", "dev.what.ever"])
def test_a_stack_in_the_backend_counts_even_if_its_name_is_wrong(name: str) -> None:
    assert belongs(name, "dev"), "it may hold resources that depend on the estate"
    assert not belongs(f"x{name}", "dev")


def test_no_other_module_parses_or_builds_a_stacks_name() -> None:
    hand_made = re.compile(
        r"stack\w*\.(r?partition|split)\(|\{(chosen\.env|self\.environment|environment|env)\}\.\{"
        r"|\"dev\", \"staging\""
    )
    for path in sorted(INFRA.rglob("*.py")):
        if path != INFRA / "config" / "stack.py":
            match = hand_made.search(path.read_text())
            assert not match, f"{path.relative_to(INFRA)}: {match and match[0]}: use StackName"

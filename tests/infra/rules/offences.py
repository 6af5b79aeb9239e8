"""A helper for the rules' tests: the violations of one resource."""

from __future__ import annotations

from typing import Any

from infra.config.stack import StackName
from infra.rules import RULES, Subject


def reasons(rule: str, type_: str, inputs: dict[str, Any], **more: Any) -> list[str]:
    """Return a rule's lines about one resource."""
    subject = Subject(
        type=type_,
        name=more.pop("name", "thing"),
        inputs=inputs,
        stack=StackName.parse(more.pop("stack", "dev")),
        **more,
    )
    lines = list(RULES[rule](subject))
    assert all("\n" not in line for line in lines), "one line each"
    return lines

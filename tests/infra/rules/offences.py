"""What the rules' tests share: one resource, and what a rule says of it."""

from __future__ import annotations

from typing import Any

from infra.config.stack import StackName
from infra.rules import RULES, Subject


def said(rule: str, type_: str, inputs: dict[str, Any], **more: Any) -> list[str]:
    """What a rule says of one resource: a line for each offence."""
    one = Subject(
        type=type_,
        name=more.pop("name", "thing"),
        inputs=inputs,
        stack=StackName.parse(more.pop("stack", "dev")),
        **more,
    )
    lines = list(RULES[rule](one))
    assert all("\n" not in line for line in lines), "one line each is read"
    return lines

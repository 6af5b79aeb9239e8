"""What a program has been recorded to ask for (`infra/offline/recording.py`), as the rules take it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.config.stack import StackName
from infra.rules.subject import Subject

if TYPE_CHECKING:
    from infra.offline.recording import Resource, Run


def subjects(run: Run, stack: str) -> list[Subject]:
    """Every resource of a run, with the tags that its provider adds.

    Args:
        run: the recording.
        stack: the name of the stack that it is of.
    """
    name = StackName.parse(stack)
    providers = {one.name: one.inputs for one in run.resources if one.type.startswith("pulumi:providers:")}
    return [
        Subject(
            type=one.type,
            name=one.name,
            inputs=one.inputs,
            stack=name,
            default_tags=_default_tags(providers.get(_provider(one), {})),
        )
        for one in run.resources
    ]


def _provider(resource: Resource) -> str:
    """The name of a resource's provider: its reference is a URN and an id."""
    parts = resource.provider.split("::")
    return parts[-2] if len(parts) > 1 else ""


def _default_tags(inputs: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(inputs.get("defaultTags") or "{}")
    return dict(found.get("tags") or {})

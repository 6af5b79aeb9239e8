"""Recorded resources (`infra/offline/recording.py`), converted for the rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.config.stack import StackName
from infra.rules.subject import Subject

if TYPE_CHECKING:
    from infra.offline.recording import Resource, Run


def subjects(run: Run, stack: str) -> list[Subject]:
    """Return all resources of a run, with the tags that their providers add.

    Args:
        run: the recorded run.
        stack: the stack's name.
    """
    name = StackName.parse(stack)
    providers = {
        resource.name: resource.inputs
        for resource in run.resources
        if resource.type.startswith("pulumi:providers:")
    }
    return [
        Subject(
            type=resource.type,
            name=resource.name,
            inputs=resource.inputs,
            stack=name,
            default_tags=_default_tags(providers.get(_provider(resource), {})),
        )
        for resource in run.resources
    ]


def _provider(resource: Resource) -> str:
    """Return the name of a resource's provider, from a reference that consists of a URN and an id."""
    parts = resource.provider.split("::")
    return parts[-2] if len(parts) > 1 else ""


def _default_tags(inputs: dict[str, Any]) -> dict[str, Any]:
    settings = json.loads(inputs.get("defaultTags") or "{}")
    return dict(settings.get("tags") or {})

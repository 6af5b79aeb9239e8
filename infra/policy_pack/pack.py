"""The rules of `infra/rules` as CrossGuard policies: the same functions, called by Pulumi's engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ResourceValidationPolicy,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.config.stack import StackName
from infra.rules import RULES, STACK_RULES, UNKNOWN, Subject

if TYPE_CHECKING:
    from pulumi_policy import (
        PolicyProviderResource,
        PolicyResource,
        ReportViolation,
        ResourceValidation,
        ResourceValidationArgs,
        StackValidation,
        StackValidationArgs,
    )

    from infra.rules import Rule, StackRule

NAME = "lightwork"

DESCRIPTIONS = {
    "public-bucket": "No bucket can be read or written from outside its account.",
    "wildcard": "No wildcard in an IAM policy, except for those in infra/rules/excuses.py.",
    "untagged": "Every AWS resource has tags with its project, environment and tenant.",
    "unpinned": "Every version is pinned: charts, images, add-ons, Kubernetes, databases.",
    "unlimited": "Every container has requests and limits.",
    "open-balancer": "Every balancer, on AWS or in the cluster, lets in named ranges of addresses only.",
    "open-node-port": "The pods behind a port of the nodes are closed to all but named ranges.",
    "privileged-creator": "No cluster gives access by anything but its access entries.",
    "soft-gate": "Every admission policy refuses what it cannot check, and every binding refuses.",
    "unguarded-people": "What a tenant's people may write is checked by admission policies.",
    "unblocked-bucket": "Every bucket has a public access block.",
}
"""The descriptions of the rules that Pulumi shows."""


def policies() -> list[Policy]:
    """Return a policy for each rule. All are mandatory: a violation stops a preview and a deployment."""
    single: list[Policy] = [
        ResourceValidationPolicy(name, DESCRIPTIONS[name], _each(rule), EnforcementLevel.MANDATORY)
        for name, rule in RULES.items()
    ]
    whole: list[Policy] = [
        StackValidationPolicy(name, DESCRIPTIONS[name], _all(rule), EnforcementLevel.MANDATORY)
        for name, rule in STACK_RULES.items()
    ]
    return single + whole


def subject(resource: ResourceValidationArgs | PolicyResource) -> Subject:
    """Convert a resource of the engine for the rules.

    A value that is unknown in a preview is checked in the deployment, when the engine calls again.
    """
    return Subject(
        type=resource.resource_type,
        name=resource.name,
        inputs=plain(resource.props),
        stack=StackName.of_urn(resource.urn),
        default_tags=_default_tags(resource.provider),
    )


def plain(value: Any) -> Any:
    """Remove Pulumi's proxies from a value, with `UNKNOWN` in place of values not known yet."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(value, position) for position in range(len(value))]
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN


def _default_tags(provider: PolicyProviderResource | None) -> Any:
    """Return the tags that a provider adds; the engine passes a provider's settings as JSON texts."""
    settings = plain(provider.props).get("defaultTags") if provider else None
    if isinstance(settings, str):
        settings = json.loads(settings)
    if settings is UNKNOWN:
        return UNKNOWN
    return settings.get("tags") or {} if isinstance(settings, Mapping) else {}


def _each(rule: Rule) -> ResourceValidation:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for reason in rule(subject(args)):
            report(f"{args.name}: {reason}", None)

    return validate


def _all(rule: StackRule) -> StackValidation:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        urns: dict[int, str] = {}
        subjects = []
        for resource in args.resources:
            subjects.append(subject(resource))
            urns[id(subjects[-1])] = resource.urn
        for violator, reason in rule(subjects):
            report(f"{violator.name}: {reason}", urns[id(violator)])

    return validate

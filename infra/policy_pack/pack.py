"""The rules of `infra/rules` as policies of CrossGuard: the same functions, asked by Pulumi's engine."""

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
    "public-bucket": "No bucket that others than the account can read or write.",
    "wildcard": "No wildcard in an IAM policy, but for the excuses in infra/rules/excuses.py.",
    "untagged": "Every resource of AWS says what and whose it is, by its tags.",
    "unpinned": "Every version is named: charts, images, add-ons, Kubernetes, databases.",
    "unlimited": "Every container has requests and limits.",
    "unblocked-bucket": "Every bucket has a public access block.",
}
"""What each rule is for, as Pulumi shows it."""


def policies() -> list[Policy]:
    """A policy for each rule. All are mandatory: an offence stops preview and deployment."""
    single: list[Policy] = [
        ResourceValidationPolicy(name, DESCRIPTIONS[name], _each(rule), EnforcementLevel.MANDATORY)
        for name, rule in RULES.items()
    ]
    whole: list[Policy] = [
        StackValidationPolicy(name, DESCRIPTIONS[name], _all(rule), EnforcementLevel.MANDATORY)
        for name, rule in STACK_RULES.items()
    ]
    return single + whole


def subject(one: ResourceValidationArgs | PolicyResource) -> Subject:
    """What the rules are told of a resource that the engine asks about.

    A value that is not known in a preview is left to the deployment, when the engine asks again.
    """
    return Subject(
        type=one.resource_type,
        name=one.name,
        inputs=plain(one.props),
        stack=StackName.of_urn(one.urn),
        default_tags=_default_tags(one.provider),
    )


def plain(value: Any) -> Any:
    """A value without Pulumi's guards, in which `UNKNOWN` stands for what is not known yet."""
    if isinstance(value, Mapping):
        return {key: _got(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_got(value, position) for position in range(len(value))]
    return value


def _got(holder: Any, key: Any) -> Any:
    try:
        return plain(holder[key])
    except UnknownValueError:
        return UNKNOWN


def _default_tags(provider: PolicyProviderResource | None) -> Any:
    """The tags that a provider adds; a provider's own settings cross the wire as JSON in a text."""
    found = plain(provider.props).get("defaultTags") if provider else None
    if isinstance(found, str):
        found = json.loads(found)
    return found.get("tags") or {} if isinstance(found, Mapping) else UNKNOWN if found is UNKNOWN else {}


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
        for one, reason in rule(subjects):
            report(f"{one.name}: {reason}", urns[id(one)])

    return validate

"""`people:` in a tenant's file: the people who use its pipelines, and nothing outside the tenant."""

# ruff: noqa: TC002  (pydantic evaluates the annotations)
from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator
from pydantic_core.core_schema import ValidationInfo

from lightwork import documents

MOST_BYTES = 1800
"""The most characters of all principals together: IAM takes 2,048 of a role's trust policy."""
_ARN = r"arn:aws:iam::\d{12}:(role|user)/([\w+=,.@-]+/)*[\w+=,.@-]{1,64}"
_EXAMPLE = "arn:aws:iam::123456789012:role/data-engineers"
_SESSION = re.compile(r"arn:aws:sts::\d{12}:assumed-role/([\w+=,.@-]+)/.*")
_PLATFORM = re.compile(r"arn:aws:iam::\d{12}:role/(lightwork|lightwork-ci)/.*")
_GROUP = r"[^\s'\"`\\{}]([^'\"`\\{}\x00-\x1f\x7f]*[^\s'\"`\\{}])?"


def _principal(value: str) -> str:
    if re.fullmatch(_ARN, value, re.ASCII) is None:
        raise ValueError(_why_not(value))
    if _PLATFORM.fullmatch(value):
        raise ValueError("is a role of the platform itself; name the role or user of a person")
    return value


def _why_not(value: str) -> str:
    """Return why a text is not the ARN of a role or user, and what to write instead."""
    if "*" in value or "?" in value:
        return f"has a wildcard; name each role or user, for example {_EXAMPLE}"
    if re.fullmatch(r"\d{12}|arn:aws:iam::\d{12}:root", value, re.ASCII):
        return f"is a whole account; name each role or user, for example {_EXAMPLE}"
    if session := _SESSION.fullmatch(value):
        return f"is a session; name its role, whose ARN `aws iam get-role --role-name {session[1]}` prints"
    if re.fullmatch(r"arn:aws:iam::\d{12}:group/.*", value, re.ASCII):
        return f"is a group, which cannot assume a role; name a role or user, for example {_EXAMPLE}"
    return f"should be the ARN of an IAM role or user, for example {_EXAMPLE}"


Principal = Annotated[
    str,
    AfterValidator(_principal),
    WithJsonSchema({"type": "string", "title": "ARN of a role or user", "pattern": f"^{_ARN}$"}),
]
"""The ARN of one IAM role or user: `arn:aws:iam::123456789012:role/data-engineers`."""


def _group(value: object) -> str:
    if not isinstance(value, str) or len(value) > 256 or re.fullmatch(_GROUP, value) is None:
        raise ValueError("should be a group's name of up to 256 characters, without quotes, \\, { and }")
    return value


Group = Annotated[
    str, BeforeValidator(_group), WithJsonSchema({"type": "string", "title": "Group", "maxLength": 256})
]
"""A group as the identity provider names it in its tokens."""


class People(documents.Document):
    """The people who start, watch and stop the tenant's runs, and read its lake and logs."""

    principals: tuple[Principal, ...] = Field(
        default=(),
        description="ARNs of IAM roles and users that may assume the tenant's role `people`, which"
        " `lightwork login` uses. Each of them must exist.",
    )
    group: Group | None = Field(
        default=None,
        validate_default=True,
        description="Group of the identity provider whose members see and stop the tenant's runs on"
        " Argo's page.",
    )

    @field_validator("principals")
    @classmethod
    def _few_and_different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := next((arn for position, arn in enumerate(value) if arn in value[:position]), None):
            raise ValueError(f"{twice} appears twice; keep one")
        if (length := sum(map(len, value))) > MOST_BYTES:
            raise ValueError(
                f"has {length:,} characters together; AWS takes about {MOST_BYTES:,} in a role's trust:"
                " name one role for all of them"
            )
        return value

    @field_validator("group")
    @classmethod
    def _somebody(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("principals") == ():
            raise ValueError("give a group or `principals`, or leave out `people`")
        return value

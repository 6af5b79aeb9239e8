"""A resource that nobody could book."""

from __future__ import annotations

from typing import Any

import pytest

from infra.rules import UNKNOWN
from tests.infra.rules.offences import said

BUCKET = "aws:s3/bucket:Bucket"
OURS = {"project": "lightwork", "environment": "dev"}


@pytest.mark.parametrize(
    ("stack", "tags", "default", "lines"),
    [
        ("dev", {}, {}, ["no tag 'project'", "no tag 'environment'"]),
        ("dev", None, {}, ["no tag 'project'", "no tag 'environment'"]),
        ("dev", {"project": "lightwork"}, {}, ["no tag 'environment'"]),
        ("dev", {**OURS, "environment": ""}, {}, ["no tag 'environment'"]),
        ("dev.acme", OURS, {}, ["no tag 'tenant'"]),
        ("dev.acme", {}, OURS, ["no tag 'tenant'"]),
        (
            "dev.acme",
            {**OURS, "tenant": "globex"},
            {},
            ["'tenant' is 'globex'; the stack dev.acme is 'acme'"],
        ),
        ("prod", OURS, {}, ["'environment' is 'dev'; the stack prod is 'prod'"]),
        ("prod", {"environment": "dev"}, {**OURS, "environment": "prod"}, ["'environment' is 'dev'"]),
    ],
)
def test_a_tag_that_lacks_or_lies_is_refused(stack: str, tags: Any, default: Any, lines: list[str]) -> None:
    found = said("untagged", BUCKET, {"tags": tags}, stack=stack, default_tags=default)
    assert len(found) == len(lines), found
    for line, wanted in zip(found, lines, strict=True):
        assert wanted in line, line


@pytest.mark.parametrize(
    ("stack", "tags", "default"),
    [
        ("dev", OURS, {}),
        ("dev", {}, OURS),
        ("dev", {"project": "lightwork"}, {"environment": "dev"}),
        ("dev.acme", {"tenant": "acme"}, OURS),
        ("dev", UNKNOWN, {}),
        ("dev", {**OURS, "environment": UNKNOWN}, {}),
        ("dev", {}, UNKNOWN),
    ],
)
def test_tags_of_its_own_or_of_the_provider_are_right(stack: str, tags: Any, default: Any) -> None:
    assert said("untagged", BUCKET, {"tags": tags}, stack=stack, default_tags=default) == []


@pytest.mark.parametrize(
    "type_",
    ["aws:s3/bucketPolicy:BucketPolicy", "kubernetes:core/v1:Namespace", "lightwork:infra:Lake"],
)
def test_what_can_have_no_tags_is_not_asked_for_any(type_: str) -> None:
    assert said("untagged", type_, {}) == []


def test_a_type_that_nobody_has_looked_at_must_have_tags() -> None:
    assert said("untagged", "aws:new/thing:Thing", {}) != [], (
        "a new type is taggable until it is shown not to be"
    )

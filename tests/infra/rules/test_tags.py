"""The rule `untagged`."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.rules import UNKNOWN
from tests.infra.rules.offences import reasons

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
            ["'tenant' is 'globex'; .*dev.acme .*'acme'"],
        ),
        ("prod", OURS, {}, ["'environment' is 'dev'; .* prod .*'prod'"]),
        ("prod", {"environment": "dev"}, {**OURS, "environment": "prod"}, ["'environment' is 'dev'"]),
    ],
)
def test_a_missing_or_wrong_tag_is_refused(stack: str, tags: Any, default: Any, lines: list[str]) -> None:
    violations = reasons("untagged", BUCKET, {"tags": tags}, stack=stack, default_tags=default)
    assert len(violations) == len(lines), violations
    for line, wanted in zip(violations, lines, strict=True):
        assert re.search(wanted, line), line


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
def test_a_resources_own_tags_and_the_providers_count(stack: str, tags: Any, default: Any) -> None:
    assert reasons("untagged", BUCKET, {"tags": tags}, stack=stack, default_tags=default) == []


@pytest.mark.parametrize(
    "type_",
    ["aws:s3/bucketPolicy:BucketPolicy", "kubernetes:core/v1:Namespace", "lightwork:infra:Lake"],
)
def test_untaggable_resources_need_no_tags(type_: str) -> None:
    assert reasons("untagged", type_, {}) == []


def test_an_unknown_type_must_have_tags() -> None:
    assert reasons("untagged", "aws:new/thing:Thing", {}) != []

"""The rule `untagged`: every AWS resource has the tags by which costs are allocated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.rules.subject import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.rules.subject import Subject

UNTAGGABLE = frozenset(
    {
        "aws:acm/certificateValidation:CertificateValidation",
        "aws:autoscaling/attachment:Attachment",
        "aws:autoscaling/tag:Tag",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:route53/record:Record",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketLogging:BucketLogging",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
    }
)
"""The types in use that AWS cannot tag; all others must have tags. A test compares them with pulumi-aws."""


def untagged(subject: Subject) -> Iterator[str]:
    """Yield the tags that an AWS resource lacks, or that do not match its stack."""
    if not subject.type.startswith("aws:") or subject.type in UNTAGGABLE:
        return
    inputs = subject.inputs.get("tags")
    if UNKNOWN in (inputs, subject.default_tags):
        return
    tags = {**subject.default_tags, **(inputs if isinstance(inputs, Mapping) else {})}
    expected = {"project": "lightwork", "environment": subject.stack.environment}
    if subject.stack.tenant:
        expected["tenant"] = subject.stack.tenant
    for tag, value in expected.items():
        if not tags.get(tag):
            yield f"has no tag {tag!r}, by which costs are allocated; set `tags` (Names.tags returns them)"
        elif tags[tag] not in (value, UNKNOWN):
            yield f"the tag {tag!r} is {tags[tag]!r}; in the stack {subject.stack} it must be {value!r}"

"""A resource that nobody could book: without the tags that say what and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.rules.subject import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.rules.subject import Subject

UNTAGGABLE = frozenset(
    {
        "aws:autoscaling/tag:Tag",
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
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
"""The types in use that AWS keeps no tags of. Any other of AWS's must have them; a test holds this table
against pulumi-aws.
"""


def untagged(subject: Subject) -> Iterator[str]:
    """The tags that one resource of AWS lacks, or that say something else than its stack does."""
    if not subject.type.startswith("aws:") or subject.type in UNTAGGABLE:
        return
    own = subject.inputs.get("tags")
    if UNKNOWN in (own, subject.default_tags):
        return
    tags = {**subject.default_tags, **(own if isinstance(own, Mapping) else {})}
    wanted = {"project": "lightwork", "environment": subject.stack.environment}
    if subject.stack.tenant:
        wanted["tenant"] = subject.stack.tenant
    for tag, value in wanted.items():
        if not tags.get(tag):
            yield f"has no tag {tag!r}; costs are booked by it: give it `tags` (Names.tags makes them)"
        elif tags[tag] not in (value, UNKNOWN):
            yield f"the tag {tag!r} is {tags[tag]!r}; the stack {subject.stack} is {value!r}"

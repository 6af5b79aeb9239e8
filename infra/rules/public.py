"""The rules `public-bucket` and `unblocked-bucket`: no access to a bucket from outside its account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.rules.subject import UNKNOWN, everybody, statements, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.rules.subject import Subject

BUCKETS = frozenset({"aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"})
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BLOCKS = frozenset({BLOCK, "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock"})
SWITCHES = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
GROUPS = ("/global/AllUsers", "/global/AuthenticatedUsers")


def public_bucket(subject: Subject) -> Iterator[str]:
    """Yield what makes a bucket public: an ACL, a disabled block, a policy for every principal.

    A policy's condition makes no difference: the principals must be named.
    """
    if not subject.type.startswith("aws:s3"):
        return
    for path, value in walk(subject.inputs):
        last = path[-1] if path else None
        if last == "acl" and isinstance(value, str) and value in ACLS:
            yield f"the ACL {value!r} makes it public; remove it"
        elif last == "uri" and isinstance(value, str) and value.endswith(GROUPS):
            yield f"a grant to {value.rpartition('/')[2]} makes it public; remove it"
    if subject.type in BLOCKS:
        for switch in SWITCHES:
            if subject.inputs.get(switch) not in (True, UNKNOWN):
                yield f"{switch} is not true, so a bucket can be made public; set it to true"
    for statement in statements(subject):
        if statement.get("Effect") == "Allow" and everybody(statement):
            yield f"the statement {statement.get('Sid', '?')!r} allows every principal; name the principals"


def unblocked_buckets(subjects: Iterable[Subject]) -> Iterator[tuple[Subject, str]]:
    """Yield a stack's buckets that have no public access block in the stack, each with the reason."""
    stack = list(subjects)
    blocked = [subject.inputs.get("bucket") for subject in stack if subject.type == BLOCK]
    if UNKNOWN in blocked:
        return
    for subject in stack:
        bucket = subject.inputs.get("bucket")
        if subject.type in BUCKETS and bucket is not UNKNOWN and (bucket is None or bucket not in blocked):
            yield subject, "no BucketPublicAccessBlock in its stack; add one with all four switches on"

"""A bucket that others than the account can read or write."""

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
    """What of one resource opens a bucket: an ACL, a weak block, a policy that lets everybody in.

    A policy's condition is no excuse: who may come in is named as a principal.
    """
    if not subject.type.startswith("aws:s3"):
        return
    for path, value in walk(subject.inputs):
        last = path[-1] if path else None
        if last == "acl" and isinstance(value, str) and value in ACLS:
            yield f"the ACL {value!r} lets everybody in; take it out"
        elif last == "uri" and isinstance(value, str) and value.endswith(GROUPS):
            yield f"a grant to {value.rpartition('/')[2]} lets everybody in; take it out"
    if subject.type in BLOCKS:
        for switch in SWITCHES:
            if subject.inputs.get(switch) not in (True, UNKNOWN):
                yield f"{switch} is not on, which leaves a way to make a bucket public; switch it on"
    for statement in statements(subject):
        if statement.get("Effect") == "Allow" and everybody(statement):
            yield f"the statement {statement.get('Sid', '?')!r} lets everybody in; name who may come in"


def unblocked_buckets(subjects: Iterable[Subject]) -> Iterator[tuple[Subject, str]]:
    """The buckets of a stack for which it has no public access block, each with the reason."""
    known = list(subjects)
    blocked = [one.inputs.get("bucket") for one in known if one.type == BLOCK]
    if UNKNOWN in blocked:
        return
    for one in known:
        bucket = one.inputs.get("bucket")
        if one.type in BUCKETS and bucket is not UNKNOWN and (bucket is None or bucket not in blocked):
            yield one, "no BucketPublicAccessBlock of this stack is for it; make one, all four switches on"

"""Policy documents, as pure functions of the ARNs they are about."""

from __future__ import annotations

from infra.statements import Policy, allow, deny, policy


def bucket_guard(*, bucket_arn: str, key_arn: str, account: str) -> Policy:
    """A lake bucket's own policy: whatever else somebody is granted, this is denied.

    Plain HTTP and TLS older than 1.2, principals of other accounts (AWS's own services excepted), and writing
    with any other key than the lake's. Saying none is fine, as the bucket's default is that key: hence each
    `Null`, without which "not equals" would also hold for a request that says nothing.
    """
    everything = [bucket_arn, f"{bucket_arn}/*"]
    return policy(
        deny("PlainHttp", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}}),
        deny("OldTls", "s3:*", everything, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}),
        deny(
            "OtherAccounts",
            "s3:*",
            everything,
            {
                "StringNotEquals": {"aws:PrincipalAccount": account},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        ),
        deny(
            "OtherEncryption",
            "s3:PutObject",
            [f"{bucket_arn}/*"],
            {
                "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                "Null": {"s3:x-amz-server-side-encryption": "false"},
            },
        ),
        deny(
            "OtherKeys",
            "s3:PutObject",
            [f"{bucket_arn}/*"],
            {
                "ArnNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key_arn},
                "Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"},
            },
        ),
    )


def lake_read_write(*, bucket_arn: str, key_arn: str) -> Policy:
    """What a role needs to read and write one lake. Old versions stay: nothing here removes one."""
    return policy(
        allow(
            "List", ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], [bucket_arn]
        ),
        allow(
            "Objects",
            [
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            [f"{bucket_arn}/*"],
        ),
        allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
    )

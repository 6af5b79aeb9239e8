"""The calls that make buckets and repositories."""

from __future__ import annotations

from tests.infra.models.calls import Call, Calls, Given, entry, tags, upper


@entry("aws:s3/bucket:Bucket")
def _bucket(given: Given) -> Calls:
    given.skip("forceDestroy")
    yield Call("s3", "CreateBucket", {"Bucket": given("bucket")})
    yield Call("s3", "PutBucketTagging", {"Bucket": given("bucket"), "Tagging": {"TagSet": tags(given)}})


@entry("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def _bucket_encryption(given: Given) -> Calls:
    rules = upper(given("rules"))
    for rule in rules:
        default = rule["ApplyServerSideEncryptionByDefault"]
        default["SSEAlgorithm"] = default.pop("SseAlgorithm")
        if "KmsMasterKeyId" in default:
            default["KMSMasterKeyID"] = default.pop("KmsMasterKeyId")
    yield Call(
        "s3",
        "PutBucketEncryption",
        {"Bucket": given("bucket"), "ServerSideEncryptionConfiguration": {"Rules": rules}},
    )


@entry("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
def _bucket_ownership(given: Given) -> Calls:
    yield Call(
        "s3",
        "PutBucketOwnershipControls",
        {"Bucket": given("bucket"), "OwnershipControls": {"Rules": [upper(given("rule"))]}},
    )


@entry("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
def _bucket_block(given: Given) -> Calls:
    block = given.pascal("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    yield Call(
        "s3",
        "PutPublicAccessBlock",
        {"Bucket": given("bucket"), "PublicAccessBlockConfiguration": block},
    )


@entry("aws:s3/bucketPolicy:BucketPolicy")
def _bucket_policy(given: Given) -> Calls:
    yield Call("s3", "PutBucketPolicy", {"Bucket": given("bucket"), "Policy": given("policy")})


@entry("aws:s3/bucketVersioning:BucketVersioning")
def _bucket_versioning(given: Given) -> Calls:
    versioning = upper(given("versioningConfiguration"))
    yield Call(
        "s3", "PutBucketVersioning", {"Bucket": given("bucket"), "VersioningConfiguration": versioning}
    )


@entry("aws:s3/bucketLogging:BucketLogging")
def _bucket_logging(given: Given) -> Calls:
    target = {"TargetBucket": given("targetBucket"), "TargetPrefix": given("targetPrefix")}
    yield Call(
        "s3",
        "PutBucketLogging",
        {"Bucket": given("bucket"), "BucketLoggingStatus": {"LoggingEnabled": target}},
    )


@entry("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def _bucket_lifecycle(given: Given) -> Calls:
    rules = upper(given("rules"))
    for rule in rules:
        rule["ID"] = rule.pop("Id")
    yield Call(
        "s3",
        "PutBucketLifecycleConfiguration",
        {"Bucket": given("bucket"), "LifecycleConfiguration": {"Rules": rules}},
    )


@entry("aws:ecr/repository:Repository")
def _repository(given: Given) -> Calls:
    given.skip("forceDelete")
    (encryption,) = given("encryptionConfigurations")
    yield Call(
        "ecr",
        "CreateRepository",
        {
            "repositoryName": given("name"),
            "imageTagMutability": given("imageTagMutability"),
            "imageScanningConfiguration": given("imageScanningConfiguration"),
            "encryptionConfiguration": encryption,
            "tags": tags(given),
        },
    )


@entry("aws:ecr/lifecyclePolicy:LifecyclePolicy")
def _image_lifecycle(given: Given) -> Calls:
    yield Call(
        "ecr",
        "PutLifecyclePolicy",
        {"repositoryName": given("repository"), "lifecyclePolicyText": given("policy")},
    )

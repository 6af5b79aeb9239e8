"""The calls that make roles, policies, keys and secrets."""

from __future__ import annotations

from tests.infra.models.calls import Call, Calls, Given, entry, tags


@entry("aws:iam/role:Role")
def _role(given: Given) -> Calls:
    yield Call(
        "iam",
        "CreateRole",
        {
            "RoleName": given("name"),
            "AssumeRolePolicyDocument": given("assumeRolePolicy"),
            **given.pascal("path", "description", "permissionsBoundary"),
            "MaxSessionDuration": given("maxSessionDuration"),
            "Tags": tags(given),
        },
    )


@entry("aws:iam/policy:Policy")
def _policy(given: Given) -> Calls:
    yield Call(
        "iam",
        "CreatePolicy",
        {
            "PolicyName": given("name"),
            "PolicyDocument": given("policy"),
            "Path": given("path"),
            "Description": given("description"),
            "Tags": tags(given),
        },
    )


@entry("aws:iam/rolePolicy:RolePolicy")
def _role_policy(given: Given) -> Calls:
    yield Call(
        "iam",
        "PutRolePolicy",
        {
            "RoleName": given("role"),
            "PolicyName": given("name") or "lake-of-pods-0123456",
            "PolicyDocument": given("policy"),
        },
    )


@entry("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
def _attachment(given: Given) -> Calls:
    yield Call("iam", "AttachRolePolicy", {"RoleName": given("role"), "PolicyArn": given("policyArn")})


@entry("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
def _provider(given: Given) -> Calls:
    yield Call(
        "iam",
        "CreateOpenIDConnectProvider",
        {"Url": given("url"), "ClientIDList": given("clientIdLists"), "Tags": tags(given)},
    )


@entry("aws:iam/serviceLinkedRole:ServiceLinkedRole")
def _linked_role(given: Given) -> Calls:
    yield Call("iam", "CreateServiceLinkedRole", {"AWSServiceName": given("awsServiceName")})
    yield Call("iam", "TagRole", {"RoleName": "AWSServiceRole", "Tags": tags(given)})


@entry("aws:kms/key:Key")
def _key(given: Given) -> Calls:
    yield Call(
        "kms",
        "CreateKey",
        {
            "Description": given("description"),
            "Policy": given("policy"),
            "Tags": [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags(given)],
        },
    )
    assert given("enableKeyRotation") is True
    yield Call("kms", "EnableKeyRotation", {"KeyId": "key"})
    yield Call(
        "kms", "ScheduleKeyDeletion", {"KeyId": "key", "PendingWindowInDays": given("deletionWindowInDays")}
    )


@entry("aws:kms/alias:Alias")
def _alias(given: Given) -> Calls:
    yield Call("kms", "CreateAlias", {"AliasName": given("name"), "TargetKeyId": given("targetKeyId")})


@entry("aws:secretsmanager/secret:Secret")
def _secret(given: Given) -> Calls:
    yield Call(
        "secretsmanager",
        "CreateSecret",
        {
            "Name": given("name"),
            "Description": given("description"),
            "KmsKeyId": given("kmsKeyId"),
            "Tags": tags(given),
        },
    )
    days = {"RecoveryWindowInDays": given("recoveryWindowInDays")}
    yield Call("secretsmanager", "DeleteSecret", {"SecretId": given("name"), **days})

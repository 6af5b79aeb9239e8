"""Archive, logs, images, access logs: private, encrypted, retained, and without passwords."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from infra.aws.registry import BRANCH_TAGS
from infra.config import versions

if TYPE_CHECKING:
    from tests.infra.engine import Run

DATABASE = "aws:rds/instance:Instance"
DOMAIN = "aws:opensearch/domain:Domain"
REPOSITORY = "aws:ecr/repository:Repository"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def test_rds_manages_the_password(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["manageMasterUserPassword"] is True, "any other password would be in the state"
    assert not {"password", "passwordWo"} & set(database), "no password passes through Pulumi"
    assert estate.outputs["archive_secret_arn"].startswith("arn:aws:secretsmanager:"), (
        "only the secret's ARN is known"
    )


def test_the_database_is_private_encrypted_and_tls_only(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["publiclyAccessible"] is False, "it must not be reachable from the internet"
    assert database["storageEncrypted"] is True, "disk and backups"
    assert database["kmsKeyId"] == database["masterUserSecretKmsKeyId"], "one key for database and password"
    (parameters,) = estate.all("aws:rds/parameterGroup:ParameterGroup")
    settings = {entry["name"]: entry["value"] for entry in parameters.inputs["parameters"]}
    assert settings["rds.force_ssl"] == "1", "a plain connection is refused"
    assert database["parameterGroupName"] == parameters.inputs["name"], "the database must use this group"


def test_the_database_is_backed_up_and_leaves_a_final_snapshot(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["backupRetentionPeriod"] >= 7, "a week to notice"
    assert database["deleteAutomatedBackups"] is False, "backups outlive the database"
    assert database["skipFinalSnapshot"] is False, "so does a final snapshot"


def test_the_log_group_is_created_before_rds_creates_one_without_retention(estate: Run) -> None:
    logs = estate.named("aws:cloudwatch/logGroup:LogGroup", "archive-logs").inputs
    database = estate.one(DATABASE)
    assert logs["name"] == f"/aws/rds/instance/{database.inputs['identifier']}/postgresql", "RDS writes here"
    assert logs["retentionInDays"] > 0, "logs without retention cost money for ever"
    assert any("archive-logs" in urn for urn in database.depends_on), "the log group must come first"


def test_prods_database_cannot_be_deleted_and_has_a_standby(estates: dict[str, Run]) -> None:
    prod, dev = (estates[name].one(DATABASE).inputs for name in ("prod", "dev"))
    assert prod["deletionProtection"] is True, "nobody may delete it by mistake"
    assert prod["multiAz"] is True, "the archive survives the loss of a zone"
    assert prod["backupRetentionPeriod"] == 35, "the most that RDS keeps"
    assert dev["multiAz"] is False, "dev saves half of the cost"


def test_the_database_and_search_versions_are_pinned(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["engineVersion"] == versions.POSTGRESQL, "infra/config/versions.py is the only place"
    assert database["autoMinorVersionUpgrade"] is False, "otherwise RDS upgrades it during maintenance"
    domain = estate.one(DOMAIN).inputs
    assert domain["engineVersion"] == versions.OPENSEARCH, "infra/config/versions.py is the only place"
    assert domain["softwareUpdateOptions"] == {"autoSoftwareUpdateEnabled": False}, "otherwise AWS updates it"


def test_only_the_cluster_reaches_database_and_search(estate: Run) -> None:
    groups = {estate.one(DATABASE).inputs["vpcSecurityGroupIds"][0]}
    groups |= set(estate.one(DOMAIN).inputs["vpcOptions"]["securityGroupIds"])
    assert len(groups) == 2, "a group each"
    every = {rule.name: rule.inputs for rule in estate.all(RULE)}
    rules = {name: rule for name, rule in every.items() if rule["securityGroupId"] in groups}
    assert {name: rule["fromPort"] for name, rule in rules.items()} == {
        "archive-from-cluster": 5432,
        "search-from-cluster": 443,
    }, "one port each"
    for name, rule in rules.items():
        assert rule["referencedSecurityGroupId"] == "sg-cluster", f"{name}: from the cluster"
        assert rule["fromPort"] == rule["toPort"], f"{name}: one port, not a range"
        assert not {"cidrIpv4", "cidrIpv6"} & set(rule), f"{name}: addresses do not identify the cluster"


def test_the_domain_has_no_passwords_and_its_master_user_is_a_role(estate: Run) -> None:
    security = estate.one(DOMAIN).inputs["advancedSecurityOptions"]
    assert security["enabled"] is True, "otherwise anybody who reaches it reads all tenants' logs"
    assert security["internalUserDatabaseEnabled"] is False, "internal users have passwords"
    assert security["anonymousAuthEnabled"] is False, "anonymous users must have no access"
    master = security["masterUserOptions"]
    assert list(master) == ["masterUserArn"], "a password would be in the state"
    assert master["masterUserArn"].endswith("-search-admin"), "the role of the pods that set it up"


def test_the_domain_is_private_and_encrypted_at_rest_and_in_transit(estate: Run) -> None:
    domain = estate.one(DOMAIN).inputs
    assert domain["vpcOptions"]["subnetIds"], "a domain outside the VPC is on the internet"
    assert domain["encryptAtRest"]["enabled"] is True, "on disk"
    assert domain["encryptAtRest"]["kmsKeyId"].endswith(":key/search-key"), "by its own key"
    assert domain["nodeToNodeEncryption"] == {"enabled": True}, "between its nodes"
    assert domain["domainEndpointOptions"]["enforceHttps"] is True, "from clients"
    assert "TLS-1-2" in domain["domainEndpointOptions"]["tlsSecurityPolicy"], "TLS below 1.2 is broken"


def test_prods_domain_survives_a_zone_and_devs_is_small(estates: dict[str, Run]) -> None:
    prod, dev = (estates[name].one(DOMAIN).inputs for name in ("prod", "dev"))
    assert prod["clusterConfig"]["zoneAwarenessConfig"] == {"availabilityZoneCount": 3}, (
        "one node in each zone"
    )
    assert prod["clusterConfig"]["dedicatedMasterCount"] == 3, "two of three are still a majority"
    assert len(prod["vpcOptions"]["subnetIds"]) == 3, "as many subnets as zones"
    assert dev["clusterConfig"]["instanceCount"] == 1, "dev may lose its logs"
    assert len(dev["vpcOptions"]["subnetIds"]) == 1, "AWS refuses more subnets than zones"


def test_image_tags_are_immutable(estate: Run) -> None:
    repository = estate.one(REPOSITORY).inputs
    assert repository["imageTagMutability"] == "IMMUTABLE", "what was tested is what is deployed"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}, (
        "vulnerabilities are found at once"
    )
    assert repository["encryptionConfigurations"][0]["encryptionType"] == "KMS", "by a key of our own"
    assert repository["forceDelete"] is False, "a repository with images must not be deleted"


def test_no_image_that_was_deployed_expires(estate: Run) -> None:
    rules = json.loads(estate.one("aws:ecr/lifecyclePolicy:LifecyclePolicy").inputs["policy"])["rules"]
    assert len(rules) == 2, "for merge requests' images and for untagged ones"
    for rule in rules:
        selection = rule["selection"]
        assert selection["tagStatus"] == "untagged" or selection["tagPrefixList"] == [BRANCH_TAGS], (
            "a deployed image must still be there when a new node pulls it"
        )


def test_access_logs_are_kept_private_and_for_a_year(estate: Run) -> None:
    block = estate.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert block[switch] is True, f"without {switch} the logs could become public"
    (rule,) = estate.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"]["days"] >= 365, "the audit trail, in every environment"


@pytest.mark.parametrize("name", ["search", "archive"])
def test_the_keys_of_retained_data_are_retained(estate: Run, name: str) -> None:
    key = estate.named("aws:kms/key:Key", f"{name}-key")
    assert key.protect, "without the key the data is lost"
    assert key.retain_on_delete, "even after the stack is destroyed"
    assert key.inputs["enableKeyRotation"] is True, "a key that never rotates protects ever more data"

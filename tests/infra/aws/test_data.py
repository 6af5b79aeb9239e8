"""Archive, logs, images, access logs: private, encrypted, kept, and without a password anywhere."""

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


def test_rds_makes_the_password_and_keeps_it(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["manageMasterUserPassword"] is True, "a password of ours would be in the state"
    assert not {"password", "passwordWo"} & set(database), "no password passes through Pulumi"
    assert estate.outputs["archive_secret_arn"].startswith("arn:aws:secretsmanager:"), (
        "its name is what is known"
    )


def test_the_database_is_private_encrypted_and_speaks_tls_alone(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["publiclyAccessible"] is False, "the archive is nobody else's"
    assert database["storageEncrypted"] is True, "disk and backups"
    assert database["kmsKeyId"] == database["masterUserSecretKmsKeyId"], "one key for what belongs together"
    (parameters,) = estate.all("aws:rds/parameterGroup:ParameterGroup")
    settings = {entry["name"]: entry["value"] for entry in parameters.inputs["parameters"]}
    assert settings["rds.force_ssl"] == "1", "a plain connection is refused"
    assert database["parameterGroupName"] == parameters.inputs["name"], "the group is the database's"


def test_the_database_is_backed_up_and_leaves_a_last_copy(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["backupRetentionPeriod"] >= 7, "a week to notice"
    assert database["deleteAutomatedBackups"] is False, "backups outlive the database"
    assert database["skipFinalSnapshot"] is False, "so does its last state"


def test_the_databases_log_is_there_before_rds_makes_one_that_is_kept_for_ever(estate: Run) -> None:
    logs = estate.named("aws:cloudwatch/logGroup:LogGroup", "archive-logs").inputs
    database = estate.one(DATABASE)
    assert logs["name"] == f"/aws/rds/instance/{database.inputs['identifier']}/postgresql", "RDS writes here"
    assert logs["retentionInDays"] > 0, "logs that are never dropped are paid for for ever"
    assert any("archive-logs" in urn for urn in database.depends_on), "first the log, then the database"


def test_prod_refuses_to_delete_the_database_and_has_a_second_one(estates: dict[str, Run]) -> None:
    prod, dev = (estates[name].one(DATABASE).inputs for name in ("prod", "dev"))
    assert prod["deletionProtection"] is True, "whoever clicks on it"
    assert prod["multiAz"] is True, "a zone that fails takes no archive along"
    assert prod["backupRetentionPeriod"] == 35, "the most that RDS keeps"
    assert dev["multiAz"] is False, "dev saves half"


def test_the_database_and_search_versions_are_pinned(estate: Run) -> None:
    database = estate.one(DATABASE).inputs
    assert database["engineVersion"] == versions.POSTGRESQL, "one file of versions"
    assert database["autoMinorVersionUpgrade"] is False, "else RDS changes it some night"
    domain = estate.one(DOMAIN).inputs
    assert domain["engineVersion"] == versions.OPENSEARCH, "one file of versions"
    assert domain["softwareUpdateOptions"] == {"autoSoftwareUpdateEnabled": False}, "else AWS changes it"


def test_only_the_cluster_reaches_database_and_search(estate: Run) -> None:
    found = {rule.name: rule.inputs for rule in estate.all(RULE)}
    assert {name: rule["fromPort"] for name, rule in found.items()} == {
        "archive-from-cluster": 5432,
        "search-from-cluster": 443,
    }, "one port each"
    for name, rule in found.items():
        assert rule["referencedSecurityGroupId"] == "sg-cluster", f"{name}: from the cluster"
        assert rule["fromPort"] == rule["toPort"], f"{name}: one port, not a range"
        assert not {"cidrIpv4", "cidrIpv6"} & set(rule), f"{name}: addresses may be anybody's"


def test_the_domain_knows_no_password_and_its_master_is_a_role(estate: Run) -> None:
    security = estate.one(DOMAIN).inputs["advancedSecurityOptions"]
    assert security["enabled"] is True, "else whoever reaches it reads every tenant's logs"
    assert security["internalUserDatabaseEnabled"] is False, "a user database is passwords"
    assert security["anonymousAuthEnabled"] is False, "nobody is somebody"
    master = security["masterUserOptions"]
    assert list(master) == ["masterUserArn"], "no master password in a state"
    assert master["masterUserArn"].endswith("-search-admin"), "the role of the pods that set it up"


def test_the_domain_is_private_and_encrypted_wherever_data_is(estate: Run) -> None:
    domain = estate.one(DOMAIN).inputs
    assert domain["vpcOptions"]["subnetIds"], "a domain outside the VPC is on the internet"
    assert domain["encryptAtRest"]["enabled"] is True, "on disk"
    assert domain["encryptAtRest"]["kmsKeyId"].endswith(":key/search-key"), "by its own key"
    assert domain["nodeToNodeEncryption"] == {"enabled": True}, "between its nodes"
    assert domain["domainEndpointOptions"]["enforceHttps"] is True, "on the way there"
    assert "TLS-1-2" in domain["domainEndpointOptions"]["tlsSecurityPolicy"], "TLS below 1.2 is broken"


def test_prods_domain_survives_a_zone_and_devs_is_small(estates: dict[str, Run]) -> None:
    prod, dev = (estates[name].one(DOMAIN).inputs for name in ("prod", "dev"))
    assert prod["clusterConfig"]["zoneAwarenessConfig"] == {"availabilityZoneCount": 3}, "one in each zone"
    assert prod["clusterConfig"]["dedicatedMasterCount"] == 3, "two of three still agree"
    assert len(prod["vpcOptions"]["subnetIds"]) == 3, "as many subnets as zones"
    assert dev["clusterConfig"]["instanceCount"] == 1, "dev's logs may be lost"
    assert len(dev["vpcOptions"]["subnetIds"]) == 1, "AWS refuses more subnets than zones"


def test_an_images_tag_never_means_another_image(estate: Run) -> None:
    repository = estate.one(REPOSITORY).inputs
    assert repository["imageTagMutability"] == "IMMUTABLE", "what was tested is what is deployed"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}, "known holes are known at once"
    assert repository["encryptionConfigurations"][0]["encryptionType"] == "KMS", "by a key of our own"
    assert repository["forceDelete"] is False, "a repository with images is not deleted"


def test_no_image_that_was_deployed_expires(estate: Run) -> None:
    rules = json.loads(estate.one("aws:ecr/lifecyclePolicy:LifecyclePolicy").inputs["policy"])["rules"]
    assert len(rules) == 2, "of merge requests, and of those that nothing names"
    for rule in rules:
        selection = rule["selection"]
        assert selection["tagStatus"] == "untagged" or selection["tagPrefixList"] == [BRANCH_TAGS], (
            "what runs somewhere would not come up again after its node is gone"
        )


def test_access_logs_are_kept_private_and_for_a_year(estate: Run) -> None:
    block = estate.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    for switch in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert block[switch] is True, f"{switch} off is a way to publish who read what"
    (rule,) = estate.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"]["days"] >= 365, "the proof of what was done, in every environment"


@pytest.mark.parametrize("name", ["search", "archive"])
def test_the_key_of_what_is_kept_is_kept(estate: Run, name: str) -> None:
    key = estate.named("aws:kms/key:Key", f"{name}-key")
    assert key.protect, "without the key the data is lost"
    assert key.retain_on_delete, "also after the stack"
    assert key.inputs["enableKeyRotation"] is True, "a key that never rotates protects ever more data"

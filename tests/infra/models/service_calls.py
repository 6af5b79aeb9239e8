"""The calls that make databases, domains, logs, alarms and budgets."""

from __future__ import annotations

from tests.infra.engine import ACCOUNT
from tests.infra.models.calls import Call, Calls, Given, entry, pascal, tags, upper

DATABASE = {
    "identifier": "DBInstanceIdentifier",
    "instanceClass": "DBInstanceClass",
    "dbName": "DBName",
    "username": "MasterUsername",
    "multiAz": "MultiAZ",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "parameterGroupName": "DBParameterGroupName",
    "caCertIdentifier": "CACertificateIdentifier",
    "backupWindow": "PreferredBackupWindow",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "enabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    **{
        name: pascal(name)
        for name in (
            *("engine", "engineVersion", "autoMinorVersionUpgrade", "port", "manageMasterUserPassword"),
            *("masterUserSecretKmsKeyId", "allocatedStorage", "maxAllocatedStorage", "storageType"),
            *("storageEncrypted", "kmsKeyId", "vpcSecurityGroupIds", "publiclyAccessible"),
            *("backupRetentionPeriod", "copyTagsToSnapshot", "deletionProtection"),
        )
    },
}
"""The names of the database's inputs in RDS's API."""


@entry("aws:rds/instance:Instance")
def _database(given: Given) -> Calls:
    yield Call(
        "rds",
        "CreateDBInstance",
        {**{theirs: given(ours) for ours, theirs in DATABASE.items()}, "Tags": tags(given)},
    )
    identifier = {"DBInstanceIdentifier": given("identifier")}
    changes = {
        "ApplyImmediately": given("applyImmediately"),
        "AllowMajorVersionUpgrade": given("allowMajorVersionUpgrade"),
    }
    yield Call("rds", "ModifyDBInstance", {**identifier, **changes})
    last = {
        "SkipFinalSnapshot": given("skipFinalSnapshot"),
        "FinalDBSnapshotIdentifier": given("finalSnapshotIdentifier"),
        "DeleteAutomatedBackups": given("deleteAutomatedBackups"),
    }
    yield Call("rds", "DeleteDBInstance", {**identifier, **last})


@entry("aws:rds/subnetGroup:SubnetGroup")
def _subnet_group(given: Given) -> Calls:
    yield Call(
        "rds",
        "CreateDBSubnetGroup",
        {
            "DBSubnetGroupName": given("name"),
            # The provider's default, without which RDS refuses.
            "DBSubnetGroupDescription": given("description") or "Managed by Pulumi",
            "SubnetIds": given("subnetIds"),
            "Tags": tags(given),
        },
    )


@entry("aws:rds/parameterGroup:ParameterGroup")
def _parameter_group(given: Given) -> Calls:
    name = {"DBParameterGroupName": given("name")}
    yield Call(
        "rds",
        "CreateDBParameterGroup",
        {
            **name,
            "DBParameterGroupFamily": given("family"),
            "Description": given("description"),
            "Tags": tags(given),
        },
    )
    parameters = [
        {
            "ParameterName": one["name"],
            "ParameterValue": one["value"],
            "ApplyMethod": one.get("applyMethod", "immediate"),
        }
        for one in given("parameters")
    ]
    yield Call("rds", "ModifyDBParameterGroup", {**name, "Parameters": parameters})


@entry("aws:opensearch/domain:Domain")
def _domain(given: Given) -> Calls:
    options = upper(given("domainEndpointOptions"))
    security = upper(given("advancedSecurityOptions"))
    security["MasterUserOptions"] = {"MasterUserARN": security["MasterUserOptions"].pop("MasterUserArn")}
    ebs = upper(given("ebsOptions"))
    options["EnforceHTTPS"], options["TLSSecurityPolicy"] = (
        options.pop("EnforceHttps"),
        options.pop("TlsSecurityPolicy"),
    )
    ebs["EBSEnabled"] = ebs.pop("EbsEnabled")
    vpc = given("vpcOptions")
    yield Call(
        "opensearch",
        "CreateDomain",
        {
            "DomainName": given("domainName"),
            "EngineVersion": given("engineVersion"),
            "ClusterConfig": upper(given("clusterConfig")),
            "EBSOptions": ebs,
            "AccessPolicies": given("accessPolicies"),
            "VPCOptions": {"SubnetIds": vpc["subnetIds"], "SecurityGroupIds": vpc["securityGroupIds"]},
            "EncryptionAtRestOptions": upper(given("encryptAtRest")),
            "NodeToNodeEncryptionOptions": upper(given("nodeToNodeEncryption")),
            "DomainEndpointOptions": options,
            "AdvancedSecurityOptions": security,
            "SoftwareUpdateOptions": upper(given("softwareUpdateOptions")),
            "TagList": tags(given),
        },
    )


@entry("aws:cloudwatch/logGroup:LogGroup")
def _log_group(given: Given) -> Calls:
    name = {"logGroupName": given("name")}
    yield Call("logs", "CreateLogGroup", {**name, "kmsKeyId": given("kmsKeyId"), "tags": given("tags")})
    yield Call("logs", "PutRetentionPolicy", {**name, "retentionInDays": given("retentionInDays")})


@entry("aws:cloudwatch/metricAlarm:MetricAlarm")
def _alarm(given: Given) -> Calls:
    dimensions = [{"Name": name, "Value": value} for name, value in given("dimensions").items()]
    parameters = given.pascal(
        *(
            "alarmDescription",
            "namespace",
            "metricName",
            "statistic",
            "period",
            "evaluationPeriods",
            "threshold",
        ),
        *("comparisonOperator", "treatMissingData", "okActions", "alarmActions"),
    )
    parameters |= {"OKActions": parameters.pop("OkActions"), "AlarmName": given("name")}
    parameters |= {"DatapointsToAlarm": given("datapointsToAlarm")}
    yield Call("cloudwatch", "PutMetricAlarm", {**parameters, "Dimensions": dimensions, "Tags": tags(given)})


@entry("aws:cloudwatch/eventRule:EventRule")
def _rule(given: Given) -> Calls:
    parameters = given.pascal("name", "description", "eventPattern", "state")
    yield Call("events", "PutRule", {**parameters, "Tags": tags(given)})


@entry("aws:cloudwatch/eventTarget:EventTarget")
def _rule_target(given: Given) -> Calls:
    transformer = given("inputTransformer")
    transformed = {
        "InputPathsMap": transformer["inputPaths"],
        "InputTemplate": transformer["inputTemplate"],
    }
    target = {"Id": given("targetId"), "Arn": given("arn"), "InputTransformer": transformed}
    yield Call("events", "PutTargets", {"Rule": given("rule"), "Targets": [target]})


@entry("aws:sns/topic:Topic")
def _topic(given: Given) -> Calls:
    attributes = {"KmsMasterKeyId": given("kmsMasterKeyId")}
    yield Call("sns", "CreateTopic", {"Name": given("name"), "Attributes": attributes, "Tags": tags(given)})


@entry("aws:sns/topicPolicy:TopicPolicy")
def _topic_policy(given: Given) -> Calls:
    attribute = {"AttributeName": "Policy", "AttributeValue": given("policy")}
    yield Call("sns", "SetTopicAttributes", {"TopicArn": given("arn"), **attribute})


@entry("aws:sns/topicSubscription:TopicSubscription")
def _subscription(given: Given) -> Calls:
    parameters = {"TopicArn": given("topic"), "Protocol": given("protocol"), "Endpoint": given("endpoint")}
    yield Call("sns", "Subscribe", parameters)


@entry("aws:budgets/budget:Budget")
def _budget(given: Given) -> Calls:
    expression = upper(given("filterExpression"))
    expression["And"] = expression.pop("Ands")
    metrics = given("metrics")
    yield Call(
        "budgets",
        "CreateBudget",
        {
            "AccountId": ACCOUNT,
            "Budget": {
                "BudgetName": given("name"),
                "BudgetType": given("budgetType"),
                "BudgetLimit": {"Amount": given("limitAmount"), "Unit": given("limitUnit")},
                "TimeUnit": given("timeUnit"),
                "FilterExpression": expression,
                "Metrics": [metrics] if metrics else None,
            },
            "NotificationsWithSubscribers": [
                {
                    "Notification": {
                        pascal(name): notice[name]
                        for name in ("notificationType", "comparisonOperator", "threshold", "thresholdType")
                    },
                    "Subscribers": [
                        {"SubscriptionType": "SNS", "Address": arn}
                        for arn in notice["subscriberSnsTopicArns"]
                    ],
                }
                for notice in given("notifications")
            ],
            "ResourceTags": tags(given),
        },
    )

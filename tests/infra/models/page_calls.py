"""The calls that make the way to the web pages: balancer, certificate, names."""

from __future__ import annotations

from tests.infra.models.calls import Call, Calls, Given, Value, entry, pascal, tags

SERVICE = "elbv2"


@entry("aws:lb/loadBalancer:LoadBalancer")
def _balancer(given: Given) -> Calls:
    yield Call(
        SERVICE,
        "CreateLoadBalancer",
        {
            **given.pascal("name", "subnets", "securityGroups"),
            "Scheme": "internal" if given("internal") else "internet-facing",
            "Type": given("loadBalancerType"),
            "Tags": tags(given),
        },
    )
    attributes = {
        "deletion_protection.enabled": given("enableDeletionProtection"),
        "idle_timeout.timeout_seconds": given("idleTimeout"),
        "routing.http.drop_invalid_header_fields.enabled": given("dropInvalidHeaderFields"),
    }
    changed = [{"Key": key, "Value": str(value).lower()} for key, value in attributes.items()]
    yield Call(SERVICE, "ModifyLoadBalancerAttributes", {"LoadBalancerArn": "arn", "Attributes": changed})


@entry("aws:lb/targetGroup:TargetGroup")
def _target_group(given: Given) -> Calls:
    check = given("healthCheck")
    yield Call(
        SERVICE,
        "CreateTargetGroup",
        {
            **given.pascal("name", "vpcId", "targetType", "port", "protocol"),
            "HealthCheckProtocol": check["protocol"],
            "HealthCheckPath": check["path"],
            "HealthCheckIntervalSeconds": check["interval"],
            "HealthCheckTimeoutSeconds": check["timeout"],
            "HealthyThresholdCount": check["healthyThreshold"],
            "UnhealthyThresholdCount": check["unhealthyThreshold"],
            "Matcher": {"HttpCode": check["matcher"]},
            "Tags": tags(given),
        },
    )
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(given("deregistrationDelay"))}
    yield Call(SERVICE, "ModifyTargetGroupAttributes", {"TargetGroupArn": "arn", "Attributes": [delay]})


@entry("aws:lb/listener:Listener")
def _listener(given: Given) -> Calls:
    yield Call(
        SERVICE,
        "CreateListener",
        {
            **given.pascal("loadBalancerArn", "port", "protocol", "sslPolicy"),
            "Certificates": [{"CertificateArn": given("certificateArn")}],
            "DefaultActions": [_action(one) for one in given("defaultActions")],
            "Tags": tags(given),
        },
    )


@entry("aws:lb/listenerRule:ListenerRule")
def _rule(given: Given) -> Calls:
    conditions = [
        {"Field": "host-header", "HostHeaderConfig": {"Values": one["hostHeader"]["values"]}}
        for one in given("conditions")
    ]
    yield Call(
        SERVICE,
        "CreateRule",
        {
            **given.pascal("listenerArn", "priority"),
            "Conditions": conditions,
            "Actions": [_action(one) for one in given("actions")],
            "Tags": tags(given),
        },
    )


def _action(action: Value) -> Value:
    fixed = action.get("fixedResponse")
    response = {pascal(name): value for name, value in fixed.items()} if fixed else None
    return {
        "Type": action["type"],
        "TargetGroupArn": action.get("targetGroupArn"),
        "FixedResponseConfig": response,
    }


@entry("aws:autoscaling/attachment:Attachment")
def _attachment(given: Given) -> Calls:
    yield Call(
        "autoscaling",
        "AttachLoadBalancerTargetGroups",
        {
            "AutoScalingGroupName": given("autoscalingGroupName"),
            "TargetGroupARNs": [given("lbTargetGroupArn")],
        },
    )


@entry("aws:acm/certificate:Certificate")
def _certificate(given: Given) -> Calls:
    names = ("domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm")
    yield Call("acm", "RequestCertificate", {**given.pascal(*names), "Tags": tags(given)})


@entry("aws:acm/certificateValidation:CertificateValidation")
def _validation(given: Given) -> Calls:
    given.skip("validationRecordFqdns")
    yield Call("acm", "DescribeCertificate", {"CertificateArn": given("certificateArn")})


@entry("aws:route53/record:Record")
def _record(given: Given) -> Calls:
    aliases = given("aliases") or [None]
    values = given("records")
    target = aliases[0] and {
        "DNSName": aliases[0]["name"],
        "HostedZoneId": aliases[0]["zoneId"],
        "EvaluateTargetHealth": aliases[0]["evaluateTargetHealth"],
    }
    records = {
        "Name": given("name"),
        "Type": given("type"),
        "TTL": given("ttl"),
        "ResourceRecords": values and [{"Value": value} for value in values],
        "AliasTarget": target,
    }
    changes = [{"Action": "CREATE", "ResourceRecordSet": records}]
    yield Call(
        "route53",
        "ChangeResourceRecordSets",
        {"HostedZoneId": given("zoneId"), "ChangeBatch": {"Changes": changes}},
    )

"""The calls that make networks and what nodes start from."""

from __future__ import annotations

import re

from tests.infra.models.calls import Call, Calls, Given, Value, entry, pascal, tagged, tags, upper


@entry("aws:autoscaling/tag:Tag")
def _tag(given: Given) -> Calls:
    kind = {"ResourceId": given("autoscalingGroupName"), "ResourceType": "auto-scaling-group"}
    yield Call("autoscaling", "CreateOrUpdateTags", {"Tags": [{**upper(given("tag")), **kind}]})


@entry("aws:ec2/vpc:Vpc")
def _vpc(given: Given) -> Calls:
    yield Call(
        "ec2", "CreateVpc", {"CidrBlock": given("cidrBlock"), "TagSpecifications": tagged(given, "vpc")}
    )
    for name in ("enableDnsHostnames", "enableDnsSupport"):
        attribute = {pascal(name): {"Value": given(name)}}
        yield Call("ec2", "ModifyVpcAttribute", {"VpcId": "vpc-0", **attribute})


@entry("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
def _default_group(given: Given) -> Calls:
    yield Call("ec2", "DescribeSecurityGroups", {"Filters": [{"Name": "vpc-id", "Values": [given("vpcId")]}]})
    assert (given("ingress"), given("egress")) == ([], [])
    everything = [{"IpProtocol": "-1"}]
    for call in ("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"):
        yield Call("ec2", call, {"GroupId": "sg-0", "IpPermissions": everything})
    yield Call("ec2", "CreateTags", {"Resources": ["sg-0"], "Tags": tags(given)})


@entry("aws:ec2/subnet:Subnet")
def _subnet(given: Given) -> Calls:
    parameters = given.pascal("vpcId", "cidrBlock", "availabilityZone")
    yield Call("ec2", "CreateSubnet", {**parameters, "TagSpecifications": tagged(given, "subnet")})
    public = {"Value": given("mapPublicIpOnLaunch")}
    yield Call("ec2", "ModifySubnetAttribute", {"SubnetId": "subnet-0", "MapPublicIpOnLaunch": public})


@entry("aws:ec2/internetGateway:InternetGateway")
def _internet_gateway(given: Given) -> Calls:
    yield Call("ec2", "CreateInternetGateway", {"TagSpecifications": tagged(given, "internet-gateway")})
    yield Call("ec2", "AttachInternetGateway", {"InternetGatewayId": "igw-0", "VpcId": given("vpcId")})


@entry("aws:ec2/eip:Eip")
def _address(given: Given) -> Calls:
    yield Call(
        "ec2",
        "AllocateAddress",
        {"Domain": given("domain"), "TagSpecifications": tagged(given, "elastic-ip")},
    )


@entry("aws:ec2/natGateway:NatGateway")
def _nat_gateway(given: Given) -> Calls:
    parameters = {"SubnetId": given("subnetId"), "AllocationId": given("allocationId")}
    yield Call("ec2", "CreateNatGateway", {**parameters, "TagSpecifications": tagged(given, "natgateway")})


@entry("aws:ec2/routeTable:RouteTable")
def _route_table(given: Given) -> Calls:
    yield Call(
        "ec2",
        "CreateRouteTable",
        {"VpcId": given("vpcId"), "TagSpecifications": tagged(given, "route-table")},
    )


@entry("aws:ec2/route:Route")
def _route(given: Given) -> Calls:
    yield Call(
        "ec2",
        "CreateRoute",
        given.pascal("routeTableId", "destinationCidrBlock", "gatewayId", "natGatewayId"),
    )


@entry("aws:ec2/routeTableAssociation:RouteTableAssociation")
def _association(given: Given) -> Calls:
    yield Call(
        "ec2",
        "AssociateRouteTable",
        {"RouteTableId": given("routeTableId"), "SubnetId": given("subnetId")},
    )


@entry("aws:ec2/vpcEndpoint:VpcEndpoint")
def _endpoint(given: Given) -> Calls:
    parameters = given.pascal("vpcId", "serviceName", "vpcEndpointType", "routeTableIds")
    parameters["PolicyDocument"] = given("policy")
    yield Call("ec2", "CreateVpcEndpoint", {**parameters, "TagSpecifications": tagged(given, "vpc-endpoint")})


@entry("aws:ec2/flowLog:FlowLog")
def _flow_log(given: Given) -> Calls:
    resource = {"ResourceIds": [given("vpcId")], "ResourceType": "VPC"}
    parameters = given.pascal("trafficType", "logDestinationType", "logDestination", "maxAggregationInterval")
    yield Call(
        "ec2",
        "CreateFlowLogs",
        {**resource, **parameters, "TagSpecifications": tagged(given, "vpc-flow-log")},
    )


@entry("aws:ec2/securityGroup:SecurityGroup")
def _security_group(given: Given) -> Calls:
    parameters = {"GroupName": given("name"), "Description": _description(given), "VpcId": given("vpcId")}
    yield Call(
        "ec2", "CreateSecurityGroup", {**parameters, "TagSpecifications": tagged(given, "security-group")}
    )


@entry("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
def _ingress_rule(given: Given) -> Calls:
    yield _rule(given, "AuthorizeSecurityGroupIngress")


@entry("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
def _egress_rule(given: Given) -> Calls:
    yield _rule(given, "AuthorizeSecurityGroupEgress")


def _rule(given: Given, operation: str) -> Call:
    permission = given.pascal("ipProtocol", "fromPort", "toPort")
    description, group, cidr = _description(given), given("referencedSecurityGroupId"), given("cidrIpv4")
    if group is not None:
        permission["UserIdGroupPairs"] = [{"GroupId": group, "Description": description}]
    if cidr is not None:
        permission["IpRanges"] = [{"CidrIp": cidr, "Description": description}]
    return Call(
        "ec2",
        operation,
        {
            "GroupId": given("securityGroupId"),
            "IpPermissions": [permission],
            "TagSpecifications": tagged(given, "security-group-rule"),
        },
    )


def _description(given: Given) -> Value:
    """Return the description of a group or of a rule; botocore's model does not have EC2's limits."""
    text = given("description")
    assert re.fullmatch(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}", text), f"EC2 refuses {text!r}"
    return text


@entry("aws:ec2/launchTemplate:LaunchTemplate")
def _launch_template(given: Given) -> Calls:
    data = given.pascal("metadataOptions", "blockDeviceMappings")
    for mapping in data["BlockDeviceMappings"]:
        # These are texts for Terraform, as they may be left out.
        for name in ("Encrypted", "DeleteOnTermination"):
            mapping["Ebs"][name] = mapping["Ebs"][name] == "true"
    data["TagSpecifications"] = [
        {
            "ResourceType": one["resourceType"],
            "Tags": [{"Key": key, "Value": value} for key, value in one["tags"].items()],
        }
        for one in given("tagSpecifications")
    ]
    given.skip("updateDefaultVersion")
    yield Call(
        "ec2",
        "CreateLaunchTemplate",
        {
            "LaunchTemplateName": given("name"),
            "LaunchTemplateData": data,
            "TagSpecifications": tagged(given, "launch-template"),
        },
    )

"""The network: private subnets cannot be reached from outside, and a lake's traffic never passes NAT."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING

import pytest

from infra.config import subnets
from lightwork.errors import InputError

if TYPE_CHECKING:
    from tests.infra.engine import Run

ROUTE = "aws:ec2/route:Route"
TABLE = "aws:ec2/routeTable:RouteTable"
SUBNET = "aws:ec2/subnet:Subnet"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
NAT = "aws:ec2/natGateway:NatGateway"


def test_the_network_spans_three_zones(estate: Run) -> None:
    for kind in ("public", "private", "data", "control"):
        zones = {s.inputs["availabilityZone"] for s in estate.all(SUBNET) if f"-{kind}-" in s.name}
        assert len(zones) == 3, f"{kind}: two zones must remain when one fails"


def test_nodes_are_private(estate: Run) -> None:
    private = {f"network-private-{zone}-id" for zone in "abc"}
    for group in estate.all("aws:eks/nodeGroup:NodeGroup"):
        assert set(group.inputs["subnetIds"]) <= private, f"{group.name} is somewhere else"
        if "-system-" not in group.name:
            assert set(group.inputs["subnetIds"]) == private, f"{group.name} is not in every zone"
    for subnet in estate.all(SUBNET):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False, f"{subnet.name} hands out public addresses"


def test_only_public_subnets_are_reachable_from_the_internet(estate: Run) -> None:
    routes = {route.name: route.inputs for route in estate.all(ROUTE)}
    assert [name for name, route in routes.items() if "gatewayId" in route] == ["network-public-out"], (
        "no route in"
    )
    tables = {entry.inputs["subnetId"]: entry.inputs["routeTableId"] for entry in estate.all(ASSOCIATION)}
    assert len(tables) == 12, "a subnet without a route table uses the VPC's main one"
    for kind in ("data", "control"):
        for zone in "abc":
            assert tables[f"network-{kind}-{zone}-id"] == "network-inner-id", (
                f"{kind} must have no route to the internet"
            )
    assert not any(route["routeTableId"] == "network-inner-id" for route in routes.values()), (
        "inner subnets must have no route to the internet"
    )


def test_a_lakes_traffic_never_passes_nat(estate: Run) -> None:
    endpoint = estate.one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs
    assert endpoint["vpcEndpointType"] == "Gateway", "an interface endpoint costs by the GB, as NAT does"
    assert endpoint["serviceName"] == "com.amazonaws.eu-central-1.s3", "the lake is on S3"
    inner = {f"{table.name}-id" for table in estate.all(TABLE)} - {"network-public-id"}
    assert set(endpoint["routeTableIds"]) == inner, "each private route table needs the route to S3"
    assert json.loads(endpoint["policy"])["Statement"], "the endpoint needs a policy"


def test_prod_has_a_nat_gateway_in_each_zone_and_dev_only_one(estates: dict[str, Run]) -> None:
    assert len(estates["dev"].all(NAT)) == 1, "dev saves 74 USD a month"
    for environment in ("staging", "prod"):
        run = estates[environment]
        assert len(run.all(NAT)) == 3, f"{environment}: losing a zone must not cut off the others"
        gateways = {
            route.name: route.inputs["natGatewayId"]
            for route in run.all(ROUTE)
            if "natGatewayId" in route.inputs
        }
        assert gateways == {f"network-private-{zone}-out": f"network-nat-{zone}-id" for zone in "abc"}, (
            "each zone by its own gateway"
        )


def test_the_default_security_group_blocks_all_traffic(estate: Run) -> None:
    default = estate.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert default["ingress"] == [], "resources without a group of their own would be open"
    assert default["egress"] == [], "and could send"


def test_rejected_traffic_is_logged(estate: Run) -> None:
    flows = estate.one("aws:ec2/flowLog:FlowLog").inputs
    assert flows["trafficType"] == "REJECT", "rejected traffic shows what an intruder tried"
    assert flows["logDestination"].endswith("-audit/flows/"), "into the bucket of access logs"


def test_every_zone_has_room_for_all_nodes_and_their_pods(estates: dict[str, Run]) -> None:
    from infra.config import sizes
    from infra.config.nodes import groups

    for environment, run in estates.items():
        size = sizes.Sizes.model_validate(sizes.DEFAULTS[environment])  # type: ignore[index]
        demand = sum(group.max_size * subnets.addresses(group.types[0]) for group in groups(size))
        for subnet in run.all(SUBNET):
            if "-private-" in subnet.name:
                room = ipaddress.ip_network(subnet.inputs["cidrBlock"]).num_addresses - subnets.RESERVED
                assert room >= demand, (
                    f"{environment}: spot capacity may be in one zone only, and a subnet cannot grow"
                )


def test_no_two_subnets_overlap_and_all_are_in_the_vpc(estate: Run) -> None:
    vpc = ipaddress.ip_network(estate.one("aws:ec2/vpc:Vpc").inputs["cidrBlock"])
    networks = [ipaddress.ip_network(subnet.inputs["cidrBlock"]) for subnet in estate.all(SUBNET)]
    for position, network in enumerate(networks):
        assert network.subnet_of(vpc), f"{network} is outside {vpc}"  # type: ignore[arg-type]
        assert not any(network.overlaps(other) for other in networks[position + 1 :]), (
            f"{network} overlaps another"
        )


def test_environments_have_different_addresses(estates: dict[str, Run]) -> None:
    ranges = {run.one("aws:ec2/vpc:Vpc").inputs["cidrBlock"] for run in estates.values()}
    assert len(ranges) == 3, "networks with the same addresses cannot be peered"


def test_more_nodes_than_fit_are_refused_with_the_number_of_addresses() -> None:
    with pytest.raises(InputError, match=r"1000 nodes .*60000 addresses.*16379.*fewer nodes"):
        subnets.share("10.0.0.0/16", {"m7i.2xlarge": 1000})


def test_a_zone_holds_exactly_as_many_nodes_as_it_has_addresses_for() -> None:
    fits = (2**14 - subnets.RESERVED) // subnets.addresses("m7i.2xlarge")
    assert subnets.share("10.0.0.0/16", {"m7i.2xlarge": fits}).private[0] == "10.0.0.0/18", (
        "the largest number that fits"
    )
    with pytest.raises(InputError):
        subnets.share("10.0.0.0/16", {"m7i.2xlarge": fits + 1})


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"m7i\.48xlarge.*2xlarge.*infra/config/subnets\.py"):
        subnets.addresses("m7i.48xlarge")


@pytest.mark.parametrize(
    ("size", "max_pods"), [("large", 29), ("xlarge", 58), ("2xlarge", 58), ("4xlarge", 234)]
)
def test_an_instance_has_an_address_for_each_pod_that_eks_allows(size: str, max_pods: int) -> None:
    interfaces, per_interface = subnets.INTERFACES[size]
    assert interfaces * (per_interface - 1) + 2 == max_pods, (
        "https://github.com/awslabs/amazon-eks-ami, eni-max-pods.txt"
    )
    # The two pods on the host's network take none; each interface takes one for itself.
    assert subnets.addresses(f"m7i.{size}") == max_pods - 2 + interfaces, (
        "too few addresses leave pods pending"
    )

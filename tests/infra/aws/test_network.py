"""The network: what is private has no way in, and a lake's traffic never passes NAT."""

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
        assert len(zones) == 3, f"{kind}: a zone that fails must leave two"


def test_nodes_are_private(estate: Run) -> None:
    private = {f"network-private-{zone}-id" for zone in "abc"}
    for group in estate.all("aws:eks/nodeGroup:NodeGroup"):
        assert set(group.inputs["subnetIds"]) == private, f"{group.name} is somewhere else"
    for subnet in estate.all(SUBNET):
        assert subnet.inputs["mapPublicIpOnLaunch"] is False, f"{subnet.name} hands out public addresses"


def test_only_public_subnets_have_a_way_to_and_from_the_internet(estate: Run) -> None:
    ways = {route.name: route.inputs for route in estate.all(ROUTE)}
    assert [name for name, way in ways.items() if "gatewayId" in way] == ["network-public-out"], "no way in"
    tables = {entry.inputs["subnetId"]: entry.inputs["routeTableId"] for entry in estate.all(ASSOCIATION)}
    assert len(tables) == 12, "a subnet without a table of its own gets the VPC's main one"
    for kind in ("data", "control"):
        for zone in "abc":
            assert tables[f"network-{kind}-{zone}-id"] == "network-inner-id", f"{kind} has no way out"
    assert not any(way["routeTableId"] == "network-inner-id" for way in ways.values()), "inner is inner"


def test_a_lakes_traffic_never_passes_nat(estate: Run) -> None:
    endpoint = estate.one("aws:ec2/vpcEndpoint:VpcEndpoint").inputs
    assert endpoint["vpcEndpointType"] == "Gateway", "an interface endpoint costs by the GB, as NAT does"
    assert endpoint["serviceName"] == "com.amazonaws.eu-central-1.s3", "the lake is on S3"
    inner = {f"{table.name}-id" for table in estate.all(TABLE)} - {"network-public-id"}
    assert set(endpoint["routeTableIds"]) == inner, "each private table has the way to S3"
    assert json.loads(endpoint["policy"])["Statement"], "and a border"


def test_prod_has_a_way_out_in_each_zone_and_dev_one_for_all(estates: dict[str, Run]) -> None:
    assert len(estates["dev"].all(NAT)) == 1, "dev saves 74 USD a month"
    for environment in ("staging", "prod"):
        run = estates[environment]
        assert len(run.all(NAT)) == 3, f"{environment}: the zone with the only gateway takes the others along"
        ways = {
            route.name: route.inputs["natGatewayId"]
            for route in run.all(ROUTE)
            if "natGatewayId" in route.inputs
        }
        assert ways == {f"network-private-{zone}-out": f"network-nat-{zone}-id" for zone in "abc"}, (
            "each zone by its own gateway"
        )


def test_the_group_that_everything_falls_into_lets_nothing_through(estate: Run) -> None:
    default = estate.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert default["ingress"] == [], "what forgets its group would be open to the others"
    assert default["egress"] == [], "or could send"


def test_what_the_network_refused_is_written_down(estate: Run) -> None:
    flows = estate.one("aws:ec2/flowLog:FlowLog").inputs
    assert flows["trafficType"] == "REJECT", "what was refused is what an intruder tried"
    assert flows["logDestination"].endswith("-audit/flows/"), "into the bucket of access logs"


def test_every_zone_alone_holds_all_nodes_and_their_pods(estates: dict[str, Run]) -> None:
    from infra.config import sizes
    from infra.config.nodes import groups

    for environment, run in estates.items():
        size = sizes.Sizes.model_validate(sizes.DEFAULTS[environment])  # type: ignore[index]
        want = sum(group.max_size * subnets.addresses(group.types[0]) for group in groups(size))
        for subnet in run.all(SUBNET):
            if "-private-" in subnet.name:
                room = ipaddress.ip_network(subnet.inputs["cidrBlock"]).num_addresses - subnets.RESERVED
                assert room >= want, (
                    f"{environment}: spot may only be had in one zone, and a subnet cannot grow"
                )


def test_no_two_subnets_overlap_and_all_are_in_the_vpc(estate: Run) -> None:
    vpc = ipaddress.ip_network(estate.one("aws:ec2/vpc:Vpc").inputs["cidrBlock"])
    found = [ipaddress.ip_network(subnet.inputs["cidrBlock"]) for subnet in estate.all(SUBNET)]
    for position, network in enumerate(found):
        assert network.subnet_of(vpc), f"{network} is outside {vpc}"  # type: ignore[arg-type]
        assert not any(network.overlaps(other) for other in found[position + 1 :]), f"{network} is shared"


def test_environments_have_addresses_of_their_own(estates: dict[str, Run]) -> None:
    found = {run.one("aws:ec2/vpc:Vpc").inputs["cidrBlock"] for run in estates.values()}
    assert len(found) == 3, "two networks of the same addresses can never be joined"


def test_more_nodes_than_the_addresses_hold_are_refused_with_the_sum() -> None:
    with pytest.raises(InputError, match=r"1000 nodes .*60000 addresses.*16379.*fewer nodes"):
        subnets.share("10.0.0.0/16", {"m7i.2xlarge": 1000})


def test_a_zone_holds_exactly_as_many_as_it_has_addresses() -> None:
    fits = (2**14 - subnets.RESERVED) // subnets.addresses("m7i.2xlarge")
    assert subnets.share("10.0.0.0/16", {"m7i.2xlarge": fits}).private[0] == "10.0.0.0/18", (
        "the last that fits"
    )
    with pytest.raises(InputError):
        subnets.share("10.0.0.0/16", {"m7i.2xlarge": fits + 1})


def test_a_size_that_nobody_has_looked_up_is_refused() -> None:
    with pytest.raises(InputError, match=r"m7i\.48xlarge.*2xlarge.*infra/config/subnets\.py"):
        subnets.addresses("m7i.48xlarge")


@pytest.mark.parametrize(("size", "most"), [("large", 29), ("xlarge", 58), ("2xlarge", 58), ("4xlarge", 234)])
def test_an_instance_takes_an_address_for_each_pod_that_eks_allows_on_it(size: str, most: int) -> None:
    interfaces, each = subnets.INTERFACES[size]
    assert interfaces * (each - 1) + 2 == most, "https://github.com/awslabs/amazon-eks-ami, eni-max-pods.txt"
    # Two pods with the host's network take none; each interface takes one for itself.
    assert subnets.addresses(f"m7i.{size}") == most - 2 + interfaces, "an address too few is a pod that waits"

"""The network: one VPC over three zones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.config.subnets import ZONES
from infra.policies import resources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.subnets import Subnets


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkArgs:
    """Arguments of `Network`.

    Attributes:
        account: the AWS account.
        region: the region.
        cidr: the VPC's address range.
        subnets: the subnets' address ranges.
        nat_per_zone: whether each zone has a NAT gateway, not just the first.
        flow_logs: the destination of flow logs: a bucket's ARN with a folder.
        tags: the tags of all its resources.
    """

    account: str
    region: str
    cidr: str
    subnets: Subnets
    nat_per_zone: bool
    flow_logs: pulumi.Input[str]
    tags: Mapping[str, str]


class Network(pulumi.ComponentResource):
    """A VPC with four kinds of subnets in three zones; nodes are private and reach S3 without NAT.

    Makes: the VPC with DNS; public subnets (NAT gateways, load balancers), private ones (nodes and pods),
    data ones (database and search, without a route to the internet) and control ones (the cluster's own
    interfaces, so that a network policy can name them); one or three NAT gateways; a gateway endpoint for S3
    on every route table but the public one, so that the lakes' traffic is free and bypasses NAT (it refuses
    other accounts' buckets in this region, except those that images come from); a default security group that
    blocks all traffic; flow logs of rejected traffic.

    Costs: 33 USD a month for each NAT gateway and 4 USD for its address, 0.045 USD per GB through it; the
    rest is free.

    Deleting: everything in it must be deleted first. A new network gets new NAT addresses.

    Attributes:
        vpc_id: the VPC's ID.
        public_subnet_ids: the subnets of balancers and NAT gateways.
        private_subnet_ids: the subnets of nodes and pods.
        data_subnet_ids: the subnets of database and search.
        control_subnet_ids: the subnets of the cluster's interfaces.
        nat_ids: the NAT gateways' IDs, by the letter of their zone.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    data_subnet_ids: list[pulumi.Output[str]]
    control_subnet_ids: list[pulumi.Output[str]]
    nat_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Network", name, {}, opts)
        self._name, self._args = name, args
        self._opts = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags("vpc"),
            opts=self._opts,
        )
        self.vpc_id = vpc.id
        aws.ec2.DefaultSecurityGroup(
            f"{name}-default", vpc_id=vpc.id, ingress=[], egress=[], tags=self._tags("none"), opts=self._opts
        )
        # Load balancers find their subnets by the role tags.
        public = self._subnets("public", args.subnets.public, {"kubernetes.io/role/elb": "1"})
        private = self._subnets("private", args.subnets.private, {"kubernetes.io/role/internal-elb": "1"})
        data = self._subnets("data", args.subnets.data)
        control = self._subnets("control", args.subnets.control)
        tables = self._routes(public, private, [*data, *control])
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            policy=json.dumps(resources.s3_endpoint(account=args.account, region=args.region)),
            tags=self._tags("s3"),
            opts=self._opts,
        )
        aws.ec2.FlowLog(
            f"{name}-flows",
            vpc_id=vpc.id,
            traffic_type="REJECT",
            log_destination_type="s3",
            log_destination=args.flow_logs,
            max_aggregation_interval=600,
            tags=self._tags("flows"),
            opts=self._opts,
        )
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.data_subnet_ids = [subnet.id for subnet in data]
        self.control_subnet_ids = [subnet.id for subnet in control]
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids})

    def _tags(self, part: str) -> dict[str, str]:
        return {**self._args.tags, "Name": f"{self._args.tags['project']}-{part}"}

    def _subnets(
        self, kind: str, cidrs: Sequence[str], tags: Mapping[str, str] | None = None
    ) -> list[aws.ec2.Subnet]:
        return [
            aws.ec2.Subnet(
                f"{self._name}-{kind}-{letter}",
                vpc_id=self.vpc_id,
                cidr_block=cidr,
                availability_zone=f"{self._args.region}{letter}",
                # Resources in a public subnet request their addresses explicitly.
                map_public_ip_on_launch=False,
                tags={**self._tags(f"{kind}-{letter}"), **(tags or {})},
                opts=self._opts,
            )
            for letter, cidr in zip(ZONES, cidrs, strict=True)
        ]

    def _routes(
        self,
        public: Sequence[aws.ec2.Subnet],
        private: Sequence[aws.ec2.Subnet],
        inner: Sequence[aws.ec2.Subnet],
    ) -> list[aws.ec2.RouteTable]:
        """Route public subnets to the internet, private ones through NAT, inner ones nowhere.

        Returns:
            The route tables, without the public one.
        """
        gateway = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=self.vpc_id, tags=self._tags("internet"), opts=self._opts
        )
        public_table = self._table("public", public)
        self._route("public", public_table, gateway_id=gateway.id)
        by_zone = {
            letter: self._nat(letter, subnet, gateway)
            for letter, subnet in zip(ZONES, public, strict=True)
            if self._args.nat_per_zone or letter == ZONES[0]
        }
        self.nat_ids = {letter: nat.id for letter, nat in by_zone.items()}
        gateways = list(by_zone.values())
        tables = []
        for position, (letter, subnet) in enumerate(zip(ZONES, private, strict=True)):
            table = self._table(f"private-{letter}", [subnet])
            nat = gateways[position % len(gateways)]
            self._route(f"private-{letter}", table, nat_gateway_id=nat.id)
            tables.append(table)
        return [*tables, self._table("inner", inner)]

    def _nat(
        self, letter: str, subnet: aws.ec2.Subnet, gateway: aws.ec2.InternetGateway
    ) -> aws.ec2.NatGateway:
        address = aws.ec2.Eip(
            f"{self._name}-nat-{letter}-address",
            domain="vpc",
            tags=self._tags(f"nat-{letter}"),
            opts=self._opts,
        )
        return aws.ec2.NatGateway(
            f"{self._name}-nat-{letter}",
            subnet_id=subnet.id,
            allocation_id=address.id,
            tags=self._tags(f"nat-{letter}"),
            # A NAT gateway starts only in a subnet with a route to the internet.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )

    def _table(self, kind: str, subnets: Sequence[aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(
            f"{self._name}-{kind}", vpc_id=self.vpc_id, tags=self._tags(kind), opts=self._opts
        )
        for position, subnet in enumerate(subnets):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{kind}-{position}",
                subnet_id=subnet.id,
                route_table_id=table.id,
                opts=self._opts,
            )
        return table

    def _route(
        self,
        kind: str,
        table: aws.ec2.RouteTable,
        *,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> None:
        aws.ec2.Route(
            f"{self._name}-{kind}-out",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway_id,
            nat_gateway_id=nat_gateway_id,
            opts=self._opts,
        )

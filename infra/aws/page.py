"""The way to the cluster's web pages: a balancer with TLS, its names, and the ports that it may reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.config.naming import Names
    from infra.config.pages import Door


PORT = 443
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
"""TLS 1.2 and 1.3 with forward secrecy; a newer policy is a change here, never one of AWS's."""
IDLE_SECONDS = 600
"""Argo's page follows runs on connections on which nothing may happen for minutes."""

PROVEN_WITHIN = "20m"
"""How long to wait for ACM to find its proofs; for ever, if nobody asks the zone for the domain's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageArgs:
    """Arguments of `Page`.

    Attributes:
        names: the environment's names.
        zone_id: the public Route 53 zone that the pages' names are in.
        doors: the pages, by a short name.
        hosts: the host name of each.
        cidrs: the ranges that may reach them; empty: the VPC's own alone.
        vpc_id: the VPC's ID.
        vpc_cidr: the VPC's address range.
        subnet_ids: the public subnets, in which no pod is.
        nodes: the security group of the cluster's nodes.
        scaling_groups: the scaling groups of the nodes that the pages' servers run on, by a short name.
    """

    names: Names
    zone_id: str
    doors: Mapping[str, Door]
    hosts: Mapping[str, str]
    cidrs: Sequence[str]
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    subnet_ids: Sequence[pulumi.Input[str]]
    nodes: pulumi.Input[str]
    scaling_groups: Mapping[str, pulumi.Input[str]]


class Page(pulumi.ComponentResource):
    """A balancer that takes HTTPS for the pages' names and passes it to ports of the system nodes.

    Makes: a certificate of ACM, proven by records in the zone; a security group that lets in the named ranges
    only, or the VPC's without any, and lets out to these ports only; the ports in the nodes' group, for the
    balancer alone; the balancer, with public addresses only if ranges are named; a target group a page, in
    which the nodes' scaling groups keep their nodes; the pages' names. It takes nothing but HTTPS, and
    answers 404 under any other name.

    Costs: 16 USD a month for the balancer, 11 USD for its three public addresses if it has them, and by use.

    Deleting: it is deleted with the stack; nothing of it is worth keeping.
    """

    def __init__(self, name: str, args: PageArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Page", name, {}, opts)
        self._name, self._args, self._tags = name, args, args.names.tags()
        self._inner = pulumi.ResourceOptions(parent=self)
        # A balancer that changes between inside and outside is replaced. The new one comes first, so that
        # it needs a name and target groups of its own.
        self._kind = "page" if args.cidrs else "inside"
        group = self._firewall()
        balancer = aws.lb.LoadBalancer(
            f"{name}-balancer",
            name=args.names.named(self._kind, limit=32),
            load_balancer_type="application",
            internal=not args.cidrs,
            security_groups=[group.id],
            subnets=list(args.subnet_ids),
            drop_invalid_header_fields=True,
            idle_timeout=IDLE_SECONDS,
            enable_deletion_protection=False,
            tags=self._tags,
            opts=self._inner,
        )
        listener = aws.lb.Listener(
            f"{name}-https",
            load_balancer_arn=balancer.arn,
            port=PORT,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self._certificate(),
            default_actions=[
                {
                    "type": "fixed-response",
                    "fixed_response": {"content_type": "text/plain", "status_code": "404"},
                }
            ],
            tags=self._tags,
            opts=self._inner,
        )
        for position, (page, door) in enumerate(args.doors.items(), 1):
            self._route(page, door, listener, position)
            self._alias(page, balancer)
        self.register_outputs({})

    def _firewall(self) -> aws.ec2.SecurityGroup:
        name, args = self._name, self._args
        group = aws.ec2.SecurityGroup(
            f"{name}-firewall",
            name=args.names.named("page"),
            description="The balancer of the pages",
            vpc_id=args.vpc_id,
            tags=self._tags,
            opts=self._inner,
        )
        for cidr in args.cidrs or (args.vpc_cidr,):
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-from-{cidr.replace('/', '-')}",
                security_group_id=group.id,
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=PORT,
                to_port=PORT,
                description="People who use the pages",
                tags=self._tags,
                opts=self._inner,
            )
        for page, door in args.doors.items():
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-to-{page}",
                security_group_id=group.id,
                referenced_security_group_id=args.nodes,
                ip_protocol="tcp",
                from_port=door.port,
                to_port=door.port,
                description=f"The port of {page} on the nodes",
                tags=self._tags,
                opts=self._inner,
            )
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-{page}-from-balancer",
                security_group_id=args.nodes,
                referenced_security_group_id=group.id,
                ip_protocol="tcp",
                from_port=door.port,
                to_port=door.port,
                description=f"The balancer of the pages, to {page}",
                tags=self._tags,
                opts=self._inner,
            )
        return group

    def _certificate(self) -> pulumi.Output[str]:
        """Make a certificate for all pages, and wait until ACM has found its proofs in the zone."""
        name, (first, *others) = self._name, list(self._args.hosts.values())
        certificate = aws.acm.Certificate(
            f"{name}-certificate",
            domain_name=first,
            subject_alternative_names=others,
            validation_method="DNS",
            key_algorithm="RSA_2048",
            tags=self._tags,
            opts=self._inner,
        )
        proofs = [self._proof(page, certificate) for page in self._args.hosts]
        return aws.acm.CertificateValidation(
            f"{name}-proven",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[proof.fqdn for proof in proofs],
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create=PROVEN_WITHIN)
            ),
        ).certificate_arn

    def _proof(self, page: str, certificate: aws.acm.Certificate) -> aws.route53.Record:
        host = self._args.hosts[page]
        option = certificate.domain_validation_options.apply(lambda options: _of(options, host))
        return aws.route53.Record(
            f"{self._name}-{page}-proof",
            zone_id=self._args.zone_id,
            name=option.apply(lambda one: one.resource_record_name or ""),
            type="CNAME",
            ttl=300,
            records=[option.apply(lambda one: one.resource_record_value or "")],
            opts=self._inner,
        )

    def _route(self, page: str, door: Door, listener: aws.lb.Listener, priority: int) -> None:
        name, args = self._name, self._args
        targets = aws.lb.TargetGroup(
            f"{name}-{page}",
            name=args.names.named(f"{self._kind}-{page}", limit=32),
            vpc_id=args.vpc_id,
            target_type="instance",
            port=door.port,
            protocol=door.protocol,
            deregistration_delay=30,
            # Only nodes with a pod of the server answer on the port: the others are unhealthy, as they
            # should.
            health_check={
                "protocol": door.protocol,
                "path": door.health,
                "matcher": "200",
                "interval": 10,
                "timeout": 5,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            tags=self._tags,
            opts=self._inner,
        )
        aws.lb.ListenerRule(
            f"{name}-{page}-rule",
            listener_arn=listener.arn,
            priority=priority,
            conditions=[{"host_header": {"values": [args.hosts[page]]}}],
            actions=[{"type": "forward", "target_group_arn": targets.arn}],
            tags=self._tags,
            opts=self._inner,
        )
        for short, group in args.scaling_groups.items():
            aws.autoscaling.Attachment(
                f"{name}-{page}-{short}",
                autoscaling_group_name=group,
                lb_target_group_arn=targets.arn,
                opts=self._inner,
            )

    def _alias(self, page: str, balancer: aws.lb.LoadBalancer) -> None:
        aws.route53.Record(
            f"{self._name}-{page}-name",
            zone_id=self._args.zone_id,
            name=self._args.hosts[page],
            type="A",
            aliases=[
                {"name": balancer.dns_name, "zone_id": balancer.zone_id, "evaluate_target_health": False}
            ],
            opts=self._inner,
        )


def _of(
    options: Sequence[aws.acm.outputs.CertificateDomainValidationOption], host: str
) -> aws.acm.outputs.CertificateDomainValidationOption:
    """Return what proves that a host name is ours."""
    return next(option for option in options if option.domain_name == host)

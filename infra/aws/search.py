"""The log store: an OpenSearch domain outside the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pulumi
import pulumi_aws as aws

from infra.aws.key import Key, KeyArgs
from infra.aws.roles import PodRole, PodRoleArgs
from infra.config import accounts, versions
from infra.policies import pods, resources

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.config.sizes import Sizes
    from infra.policies.statements import Policy


PORT = 443
MANAGER_TYPE = "m7g.large.search"
WAIT = "2h"
"""How long Pulumi waits for the domain; a change may copy all data to new nodes. The CI job may take longer:
killed while it waits, it would leave the state locked."""


class _Grant(Protocol):
    def __call__(self, *, domain_arn: str) -> Policy: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchArgs:
    """Arguments of `Search`.

    Attributes:
        names: the environment's names.
        vpc_id: the VPC's ID.
        subnet_ids: the subnets for its interfaces, one per zone.
        clients: the security group that may reach it: the cluster's nodes and pods.
        cluster: the cluster's name.
        sizes: the environment's sizes.
        boundary: the ARN of the permissions boundary of the estate's roles.
        service_role: whether to create the account's service-linked role for OpenSearch.
    """

    names: Names
    vpc_id: pulumi.Input[str]
    subnet_ids: list[pulumi.Output[str]]
    clients: pulumi.Input[str]
    cluster: pulumi.Output[str]
    sizes: Sizes
    boundary: pulumi.Input[str]
    service_role: bool


class Search(pulumi.ComponentResource):
    """A private, encrypted OpenSearch domain with fine-grained access control and without passwords.

    Makes: a KMS key; a security group that admits only the cluster; the domain, TLS only, spread over as many
    zones as it has nodes (up to three), with a role as its master user and no users of its own; that role,
    for the pods that configure the domain; and the log shipper's role, which may add logs but not read them.

    Costs: a t3.medium.search about 53 USD a month, an r7g.large.search about 130 USD; 0.12 USD per GB.

    Deleting: domain and key are protected and retained. Deleting the domain deletes its hourly snapshots;
    the logs of runs are in the tenants' lakes as well.

    Attributes:
        endpoint: its host name.
        arn: its ARN.
        admin_role_arn: the ARN of its master user's role.
    """

    endpoint: pulumi.Output[str]
    arn: str
    admin_role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: SearchArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Search", name, {}, opts)
        self._args, self._tags = args, args.names.tags()
        self._inner = pulumi.ResourceOptions(parent=self)
        names, sizes = args.names, args.sizes
        # Built from names, so that resources that only refer to the domain do not wait for it.
        self.arn = f"arn:aws:es:{names.region}:{names.account}:domain/{names.search_domain}"
        admin = self._pods(f"{name}-admin", "search-admin", accounts.SEARCH_ADMIN, pods.manage_search)
        self._pods(f"{name}-shipper", "log-shipper", accounts.SHIPPER, pods.ship_logs)
        self.admin_role_arn = admin.arn
        # OpenSearch creates its interfaces in the VPC with this role; an account can have it only once.
        service: list[pulumi.Resource] = []
        if args.service_role:
            linked = aws.iam.ServiceLinkedRole(
                f"{name}-service",
                aws_service_name="opensearchservice.amazonaws.com",
                tags=self._tags,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            service.append(linked)
        zones = min(sizes.search_nodes, len(args.subnet_ids))
        domain = aws.opensearch.Domain(
            f"{name}-domain",
            domain_name=names.search_domain,
            engine_version=versions.OPENSEARCH,
            cluster_config={
                "instance_type": sizes.search_type,
                "instance_count": sizes.search_nodes,
                "zone_awareness_enabled": zones > 1,
                "zone_awareness_config": {"availability_zone_count": zones} if zones > 1 else None,
                "dedicated_master_enabled": sizes.search_managers > 0,
                "dedicated_master_count": sizes.search_managers or None,
                "dedicated_master_type": MANAGER_TYPE if sizes.search_managers else None,
            },
            ebs_options={"ebs_enabled": True, "volume_type": "gp3", "volume_size": sizes.search_gigabytes},
            vpc_options={
                "subnet_ids": args.subnet_ids[:zones],
                "security_group_ids": [self._firewall(name)],
            },
            encrypt_at_rest={"enabled": True, "kms_key_id": self._key(name)},
            node_to_node_encryption={"enabled": True},
            domain_endpoint_options={
                "enforce_https": True,
                "tls_security_policy": "Policy-Min-TLS-1-2-PFS-2023-10",
            },
            advanced_security_options={
                "enabled": True,
                "anonymous_auth_enabled": False,
                "internal_user_database_enabled": False,
                "master_user_options": {"master_user_arn": admin.arn},
            },
            access_policies=json.dumps(
                resources.search_access(domain_arn=self.arn, account=names.account, paths=[names.role_path])
            ),
            # Service software is updated through Pulumi only.
            software_update_options={"auto_software_update_enabled": False},
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=True,
                retain_on_delete=True,
                depends_on=service,
                custom_timeouts=pulumi.CustomTimeouts(create=WAIT, update=WAIT, delete=WAIT),
            ),
        )
        self.endpoint = domain.endpoint
        self.register_outputs({"endpoint": self.endpoint, "arn": self.arn})

    def _key(self, name: str) -> pulumi.Output[str]:
        names = self._args.names
        return Key(
            name,
            KeyArgs(
                alias=names.key("search"),
                description=f"Encrypts the OpenSearch domain {names.search_domain}",
                policy=resources.account_key(account=names.account),
                tags=self._tags,
            ),
            self._inner,
        ).arn

    def _firewall(self, name: str) -> pulumi.Output[str]:
        retained = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        firewall = aws.ec2.SecurityGroup(
            f"{name}-firewall",
            name=self._args.names.named("search"),
            description="HTTPS, from the cluster alone",
            vpc_id=self._args.vpc_id,
            tags=self._tags,
            opts=retained,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-cluster",
            security_group_id=firewall.id,
            referenced_security_group_id=self._args.clients,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            description="The log shipper, and who sets OpenSearch up",
            tags=self._tags,
            opts=self._inner,
        )
        return firewall.id

    def _pods(self, name: str, role: str, account: accounts.ServiceAccount, grant: _Grant) -> PodRole:
        return PodRole(
            name,
            PodRoleArgs(
                role=self._args.names.named(role, limit=64),
                path=self._args.names.role_path,
                boundary=self._args.boundary,
                cluster=self._args.cluster,
                cluster_arn=self._args.names.cluster_arn,
                account=account,
                policy=grant(domain_arn=self.arn),
                tags=self._tags,
            ),
            self._inner,
        )

"""The archive of finished workflows: a PostgreSQL database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.aws.key import Key, KeyArgs
from infra.config import versions
from infra.policies import resources
from lightwork.manifests import argo_config

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.config.sizes import Sizes


PORT = 5432
USER = "argo"
"""The master. Argo has a login of its own (`infra.services.archive_login`)."""
MAJOR = versions.POSTGRESQL.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveArgs:
    """Arguments of `Archive`.

    Attributes:
        names: the environment's names.
        vpc_id: the VPC's ID.
        subnet_ids: the subnets of the database.
        clients: the security group that may reach it: the cluster's nodes and pods.
        sizes: the environment's sizes.
        protected: whether RDS itself refuses to delete it.
    """

    names: Names
    vpc_id: pulumi.Input[str]
    subnet_ids: list[pulumi.Output[str]]
    clients: pulumi.Input[str]
    sizes: Sizes
    protected: bool


class Archive(pulumi.ComponentResource):
    """A private, encrypted, backed-up PostgreSQL database whose master's password RDS manages.

    Makes: a KMS key for disk, backups, logs and password; the log group; a subnet group; a security group
    that admits only the cluster; a parameter group that refuses connections without TLS; the database. The
    master's password is in Secrets Manager, where RDS rotates it every week; it is not in any file or state.
    Argo does not use it.

    Costs: a db.t4g.medium in one zone about 47 USD a month, a db.m7g.large in two about 245 USD; 0.12 USD per
    GB (0.23 in two zones); backups up to the disk's size are free.

    Deleting: database and key are protected and retained; in prod RDS refuses as well. Deleting it by hand
    leaves a final snapshot and its backups. Restore with `aws rds restore-db-instance-to-point-in-time`.

    Attributes:
        host: its host name.
        secret_arn: the ARN of the secret with `username` and `password` of the master.
        key_arn: the ARN of that secret's key.
    """

    host: pulumi.Output[str]
    secret_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ArchiveArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Archive", name, {}, opts)
        inner, tags = pulumi.ResourceOptions(parent=self), args.names.tags()
        physical = args.names.named("archive")
        group = f"/aws/rds/instance/{physical}/postgresql"
        key = Key(
            name,
            KeyArgs(
                alias=args.names.key("archive"),
                description=f"Encrypts the database {physical}, its backups and its password",
                policy=resources.account_key(
                    account=args.names.account,
                    more=(
                        resources.for_logs(account=args.names.account, region=args.names.region, group=group),
                    ),
                ),
                tags=tags,
            ),
            inner,
        )
        # Created before the database, or RDS creates one that is kept for ever.
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=group,
            retention_in_days=args.sizes.log_days,
            kms_key_id=key.arn,
            tags=tags,
            opts=inner,
        )
        # A retained database needs its subnets, security group and parameters.
        retained = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", name=physical, subnet_ids=args.subnet_ids, tags=tags, opts=retained
        )
        firewall = aws.ec2.SecurityGroup(
            f"{name}-firewall",
            name=physical,
            description="PostgreSQL, from the cluster alone",
            vpc_id=args.vpc_id,
            tags=tags,
            opts=retained,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-cluster",
            security_group_id=firewall.id,
            referenced_security_group_id=args.clients,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            description="Controller and server of Argo",
            tags=tags,
            opts=inner,
        )
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            name=f"{physical}-{MAJOR}",
            family=f"postgres{MAJOR}",
            description="No connection without TLS; who connects is logged",
            parameters=[
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "password_encryption", "value": "scram-sha-256"},
                {"name": "log_connections", "value": "1"},
                {"name": "log_disconnections", "value": "1"},
            ],
            tags=tags,
            opts=retained,
        )
        database = aws.rds.Instance(
            f"{name}-database",
            identifier=physical,
            engine="postgres",
            engine_version=versions.POSTGRESQL,
            auto_minor_version_upgrade=False,
            allow_major_version_upgrade=False,
            instance_class=args.sizes.archive_class,
            db_name=argo_config.DATABASE,
            port=PORT,
            username=USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key.arn,
            allocated_storage=args.sizes.archive_gigabytes,
            max_allocated_storage=4 * args.sizes.archive_gigabytes,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key.arn,
            multi_az=args.sizes.archive_zones > 1,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[firewall.id],
            parameter_group_name=parameters.name,
            publicly_accessible=False,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            backup_retention_period=args.sizes.archive_backup_days,
            backup_window="01:00-02:00",
            maintenance_window="sun:02:30-sun:03:30",
            copy_tags_to_snapshot=True,
            delete_automated_backups=False,
            skip_final_snapshot=False,
            final_snapshot_identifier=f"{physical}-last",
            deletion_protection=args.protected,
            enabled_cloudwatch_logs_exports=["postgresql"],
            apply_immediately=False,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True, depends_on=[logs]),
        )
        self.host, self.key_arn = database.address, key.arn
        self.secret_arn = database.master_user_secrets.apply(lambda secrets: secrets[0].secret_arn or "")
        self.register_outputs({"host": self.host, "secret_arn": self.secret_arn})

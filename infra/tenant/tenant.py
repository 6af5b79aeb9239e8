"""One tenant in one environment. This module only wires components together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from infra import manifests
from infra.config import prices, streams
from infra.services import alerts
from infra.tenant import people_logs, search
from infra.tenant.budget import TenantBudget, TenantBudgetArgs
from infra.tenant.identity import TenantIdentity, TenantIdentityArgs, people_role
from infra.tenant.lake import Lake, LakeArgs
from infra.tenant.people import TenantPeople, TenantPeopleArgs
from infra.tenant.secrets import TenantSecrets, TenantSecretsArgs, secret_objects
from infra.tenant.target import target
from lightwork.kube.log_store import Place
from lightwork.manifests import tenant_objects as cluster_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.config.naming import Names
    from infra.config.settings import Settings
    from infra.estate.outputs import EstateOutputs
    from lightwork import tenants
    from lightwork.functions.decorated import Pipeline
    from lightwork.kube.contract import Manifest


SECRETS_OPERATOR = "secrets"
"""The last part of the name of the secrets operator's role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantArgs:
    """Arguments of `Tenant`.

    Attributes:
        tenant: the tenant as declared in its file.
        settings: the environment's settings.
        names: the environment's names.
        estate: the outputs of the environment's estate.
        image: the platform's image, by digest.
        pipelines: the installed pipelines, by name.
    """

    tenant: tenants.Tenant
    settings: Settings
    names: Names
    estate: EstateOutputs
    image: str
    pipelines: Mapping[str, Pipeline[..., Any]]


class Tenant(pulumi.ComponentResource):
    """A tenant: its lake, identity, people, secrets and budget, and all its objects in the cluster.

    Costs: 1 USD a month for its key, 0.40 USD for each secret, its lake's storage, and its runs.

    Deleting: namespace, bucket, key and secrets are protected and retained. A retained namespace keeps its
    quota and network policies. A tenant that leaves is first marked `state: leaving` in its file: its
    schedules stop, its data stays.

    Attributes:
        lake: the lake.
        outputs: the stack's outputs.
    """

    lake: Lake
    outputs: dict[str, Any]

    def __init__(self, name: str, args: TenantArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Tenant", name, {}, opts)
        inner = pulumi.ResourceOptions(parent=self)
        tenant, names = args.tenant, args.names
        self.lake = Lake(
            "lake",
            LakeArgs(
                bucket=names.lake_bucket(tenant.name),
                key_alias=names.lake_key(tenant.name),
                account=names.account,
                access_logs=args.estate.logs_bucket,
                deleted_days=tenant.data_retention_days,
                tags=names.tags(tenant.name),
            ),
            inner,
        )
        identity = TenantIdentity(
            "identity",
            TenantIdentityArgs(tenant=tenant, names=names, boundary=args.estate.tenant_boundary_arn),
            inner,
        )
        secrets = TenantSecrets(
            "secrets",
            TenantSecretsArgs(
                tenant=tenant,
                names=names,
                key_arn=self.lake.key_arn,
                boundary=args.estate.tenant_boundary_arn,
                operator_arn=names.role_arn(names.named(SECRETS_OPERATOR, limit=64)),
            ),
            inner,
        )
        self.lake.grant_read_write("lake-of-pods", identity.role)
        secrets.grant_read("secrets-of-pods", identity.role)
        self.lake.grant_steps("lake-of-steps", identity.steps_role, tenant.name)
        secrets.grant_read("secrets-of-steps", identity.steps_role)
        self.lake.grant_controller("lake-of-controller", identity.controller_role, tenant.name)
        if tenant.people is not None and tenant.people.principals:
            TenantPeople(
                "people",
                TenantPeopleArgs(
                    tenant=tenant.name,
                    principals=tenant.people.principals,
                    names=names,
                    boundary=args.estate.tenant_boundary_arn,
                    lake=self.lake,
                    domain_arn=args.estate.search_domain_arn,
                ),
                inner,
            )
        TenantBudget(
            "budget",
            TenantBudgetArgs(tenant=tenant, names=names, topic_arn=args.estate.alarm_topic_arn),
            inner,
        )
        manifests.make(
            self._objects(args, secrets.role_arn),
            inner,
            names={f"namespace-{tenant.namespace}": manifests.NAMESPACE},
        )
        self.outputs = {
            "account": names.account,
            "region": names.region,
            "lake": self.lake.bucket,
            "namespace": tenant.namespace,
            "role_arn": identity.arn,
        }
        self.register_outputs({})

    def _objects(self, args: TenantArgs, secrets_role: str) -> list[Manifest]:
        tenant, names = args.tenant, args.names
        people_arn = _people_arn(tenant, names)
        of_workers = prices.of_workers(args.settings.sizes, prices.load())
        environment = args.settings.environment
        tenant_target = target(tenant, environment, names, args.estate, args.image, of_workers)
        prefix = names.secret_prefix(tenant.name)
        return [
            *cluster_objects(tenant, tenant_target, args.pipelines),
            *secret_objects(tenant, prefix=prefix, role_arn=secrets_role, region=args.estate.region),
            alerts.tenant_rules(tenant),
            *search.objects(
                tenant,
                endpoint=args.estate.search_endpoint,
                region=args.estate.region,
                image=args.image,
                shipper_role_arn=names.role_arn(names.named("log-shipper", limit=64)),
                people_role_arn=people_arn,
                sizes=args.settings.sizes,
            ),
            *(people_logs.objects(tenant, _logs(args)) if people_arn else ()),
        ]


def _people_arn(tenant: tenants.Tenant, names: Names) -> str | None:
    """Return the ARN of the role of the tenant's people; None if its file names no principals."""
    if tenant.people is None or not tenant.people.principals:
        return None
    return names.role_arn(people_role(names, tenant.name), tenant=True)


def _logs(args: TenantArgs) -> Place:
    return Place(
        endpoint=args.estate.search_endpoint,
        region=args.estate.region,
        stream=streams.stream(args.tenant.name),
        page=_page(args),
    )


def _page(args: TenantArgs) -> str:
    """Return the address of the tenant's runs on Argo's page; empty if its people do not log in there.

    Argo's start page shows the runs of the namespace of the account that people log in with, which is
    Argo's own: none of theirs.
    """
    people = args.tenant.people
    if people is None or people.group is None or args.settings.dns_zone is None:
        return ""
    return f"https://{args.estate.argo_domain}/workflows/{args.tenant.namespace}"

"""CI's access to AWS: two roles for GitLab's jobs, by OIDC, and the boundaries of the roles they create."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.policies import ci, ci_change, ci_pages, trust
from infra.policies import tenant as tenant_policies
from infra.policies.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.config.naming import Names
    from infra.config.settings import GitLab
    from infra.policies.statements import Policy


HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessArgs:
    """Arguments of `Access`.

    Attributes:
        names: the environment's names.
        gitlab: the project whose jobs get access.
        make_provider: whether to create the account's OIDC provider for GitLab.
        search_domain_arn: the ARN of the OpenSearch domain, which tenants' roles may reach.
        zone_id: the Route 53 zone of the pages' names; None without pages.
        hosts: the host names of the pages.
    """

    names: Names
    gitlab: GitLab
    make_provider: bool
    search_domain_arn: str
    zone_id: str | None
    hosts: tuple[str, ...]


class Access(pulumi.ComponentResource):
    """Two roles for GitLab's jobs, without a key that could leak: one previews, one deploys.

    Makes: the account's OIDC provider for GitLab (unless another environment has it); the boundaries of the
    estate's and the tenants' roles; the role `preview`, for every branch of this project, which reads
    configuration and states, but no data; the role `apply`, for the protected branch in the protected
    environment of this name, which changes this environment, deletes nothing that holds data and creates no
    role without a boundary. Neither role may change the two roles, the provider or the boundaries: a person
    with an administrator's role deploys changes to this component.

    Requires of the GitLab project: the subject of its tokens as in `policies.trust.SUBJECT`; the branch
    protected; an environment of this name, protected, with the people who may deploy to it.

    Costs: nothing.

    Deleting: CI cannot deploy any more; the boundaries are retained, as roles depend on them.

    Attributes:
        preview_arn: the ARN of the role that previews.
        apply_arn: the ARN of the role that deploys.
        estate_boundary_arn: the ARN of the boundary of the estate's roles.
        tenant_boundary_arn: the ARN of the boundary of the tenants' roles.
    """

    preview_arn: pulumi.Output[str]
    apply_arn: pulumi.Output[str]
    estate_boundary_arn: pulumi.Output[str]
    tenant_boundary_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("lightwork:infra:Access", name, {}, opts)
        self._name, self._args, self._tags = name, args, args.names.tags()
        self._inner = pulumi.ResourceOptions(parent=self)
        names, gitlab = args.names, args.gitlab
        scope = Scope(
            names=names,
            estate_boundary=names.boundary_arn("estate"),
            tenant_boundary=names.boundary_arn("tenant"),
            zone_id=args.zone_id,
            hosts=args.hosts,
        )
        provider = f"arn:aws:iam::{names.account}:oidc-provider/{gitlab.host}"
        if args.make_provider:
            aws.iam.OpenIdConnectProvider(
                f"{name}-gitlab",
                url=f"https://{gitlab.host}",
                client_id_lists=[trust.AUDIENCE],
                tags=self._tags,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
        self.estate_boundary_arn = self._boundary("estate", ci.estate_boundary(scope))
        self.tenant_boundary_arn = self._boundary(
            "tenant",
            tenant_policies.tenant_boundary(
                account=names.account,
                region=names.region,
                environment=names.environment,
                domain_arn=args.search_domain_arn,
            ),
        )
        look = {
            "look": ci.look(scope),
            **({"look-at-pages": ci_pages.look_at_pages(scope)} if args.zone_id else {}),
        }
        self.preview_arn = self._role(
            "preview", trust.preview(provider_arn=provider, gitlab=gitlab), look, hours=1
        )
        self.apply_arn = self._role(
            "apply",
            trust.apply(provider_arn=provider, gitlab=gitlab, environment=names.environment),
            {**look, **ci_change.applying(scope)},
            hours=2,
        )
        self.register_outputs({"preview_arn": self.preview_arn, "apply_arn": self.apply_arn})

    def _boundary(self, kind: str, document: Policy) -> pulumi.Output[str]:
        return aws.iam.Policy(
            f"{self._name}-{kind}-boundary",
            name=self._args.names.named(f"{kind}-boundary", limit=128),
            path=self._args.names.ci_path,
            description=f"The most that any role of this {kind} may do",
            policy=json.dumps(document),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        ).arn

    def _role(
        self, kind: str, trusted: Policy, documents: Mapping[str, Policy], *, hours: int
    ) -> pulumi.Output[str]:
        role = aws.iam.Role(
            f"{self._name}-{kind}",
            name=self._args.names.named(kind, limit=64),
            path=self._args.names.ci_path,
            assume_role_policy=json.dumps(trusted),
            max_session_duration=hours * HOUR,
            tags=self._tags,
            opts=self._inner,
        )
        for part, document in documents.items():
            policy = aws.iam.Policy(
                f"{self._name}-{kind}-{part}",
                name=self._args.names.named(f"{kind}-{part}", limit=128),
                path=self._args.names.ci_path,
                policy=json.dumps(document, separators=(",", ":")),
                tags=self._tags,
                opts=self._inner,
            )
            aws.iam.RolePolicyAttachment(
                f"{self._name}-{kind}-{part}-attached",
                role=role.name,
                policy_arn=policy.arn,
                opts=self._inner,
            )
        return role.arn

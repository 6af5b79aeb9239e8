"""Build the selected stack: read its settings, make its components, export their outputs."""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra import local, permission
from infra.aws.children import Children
from infra.aws.providers import aws_provider, kubernetes_provider
from infra.config import settings
from infra.config.image import image
from infra.config.naming import Names
from infra.config.stack import LOCAL, StackName
from infra.estate import outputs
from infra.estate.estate import Estate, EstateArgs
from infra.tenant.target import load_tenant
from infra.tenant.tenant import Tenant, TenantArgs
from lightwork.errors import InputError
from lightwork.functions import discovery

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build the selected stack."""
    stack = StackName.parse(pulumi.get_stack())
    if stack.environment == LOCAL:
        local.build(ROOT, stack.tenant)
        return
    environment = settings.load(ROOT, stack.environment)
    names = Names.of(environment)
    tenant = load_tenant(ROOT, environment, stack.tenant) if stack.tenant else None
    aws = aws_provider(environment, names)
    children = Children.registered()  # before the permission, which lifts what they protect
    with permission.lifted(permission.of(environment, tenant)):
        if not tenant:
            parts = EstateArgs(settings=environment, names=names, children=children)
            outputs.export(Estate("estate", parts, pulumi.ResourceOptions(providers=[aws])).outputs)
            return
        estate = outputs.load(environment)
        cluster = kubernetes_provider(environment, **estate.cluster)
        args = TenantArgs(
            tenant=tenant,
            settings=environment,
            names=names,
            estate=estate,
            image=image(estate.image_repository_url),
            pipelines=discovery.pipelines(),
        )
        component = Tenant("tenant", args, pulumi.ResourceOptions(providers=[aws, cluster]))
        for key, value in component.outputs.items():
            pulumi.export(key, value)


try:
    main()
except InputError as error:
    raise pulumi.RunError(str(error)) from None

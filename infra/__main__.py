"""The Pulumi program: reads what people wrote, builds the components, exports what others need.

The stack's name says what it holds: `dev`, `staging` and `prod` the estates; `<environment>.<tenant>` one
tenant, which reads its estate here and nowhere else; `local` and `local.<tenant>` both, without AWS.
"""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra import estate_outputs, permission, platform_local, settings
from infra.estate import Estate, EstateArgs
from infra.naming import Names
from infra.providers import aws_provider, kubernetes_provider
from infra.tenant import Tenant, TenantArgs
from infra.tenant_target import image, load_tenant
from lightwork.errors import InputError
from lightwork.functions import discovery

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build the stack that is selected."""
    if platform_local.build(ROOT, pulumi.get_stack()):
        return
    stack = settings.StackName.parse(pulumi.get_stack())
    environment = settings.load(ROOT, stack.environment)
    names = Names(environment=environment.environment, account=environment.account, region=environment.region)
    tenant = load_tenant(ROOT, stack) if stack.tenant else None
    aws = aws_provider(environment, names)
    with permission.lifted(permission.of(environment, tenant)):
        if not tenant:
            options = pulumi.ResourceOptions(providers=[aws])
            estate = Estate("estate", EstateArgs(settings=environment, names=names), options)
            estate_outputs.export(estate.outputs)
            return
        known = estate_outputs.load(environment)
        cluster = kubernetes_provider(
            environment, cluster=known.cluster_name, endpoint=known.cluster_endpoint, ca=known.cluster_ca
        )
        args = TenantArgs(
            tenant=tenant,
            settings=environment,
            names=names,
            estate=known,
            image=image(known.image_repository_url),
            pipelines=discovery.pipelines(),
        )
        built = Tenant("tenant", args, pulumi.ResourceOptions(providers=[aws, cluster]))
        for key, value in built.outputs.items():
            pulumi.export(key, value)


try:
    main()
except InputError as error:
    raise pulumi.RunError(str(error)) from None

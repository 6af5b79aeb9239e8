"""The Pulumi program: reads what people wrote, builds the components, exports what others need.

The stack's name says what it holds. `dev`, `staging` and `prod` are the estates. `<environment>.<tenant>` is
one tenant in an environment; it needs to know its estate, and reads that here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra import estate_outputs, settings
from infra.estate import Estate, EstateArgs
from infra.naming import Names
from infra.providers import aws_provider, kubernetes_provider
from infra.tenant import Tenant, TenantArgs
from lightwork import tenants
from lightwork.errors import InputError

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build the stack that is selected."""
    stack = settings.StackName.parse(pulumi.get_stack())
    environment = settings.load(ROOT, stack.environment)
    names = Names(environment=environment.environment, account=environment.account, region=environment.region)
    tenant = tenants.load(ROOT / "tenants" / f"{stack.tenant}.yaml") if stack.tenant else None
    if tenant and stack.environment not in tenant.environments:
        raise InputError(f"tenants/{tenant.name}.yaml: environments: {stack.environment} is not among them")

    aws = aws_provider(environment, names)
    if not tenant:
        estate = Estate(
            "estate", EstateArgs(settings=environment, names=names), pulumi.ResourceOptions(providers=[aws])
        )
        estate_outputs.export(estate.outputs)
        return
    known = estate_outputs.load(stack.environment)
    cluster = kubernetes_provider(
        environment, cluster=known.cluster_name, endpoint=known.cluster_endpoint, ca=known.cluster_ca
    )
    built = Tenant(
        "tenant", TenantArgs(tenant=tenant, names=names), pulumi.ResourceOptions(providers=[aws, cluster])
    )
    pulumi.export("account", environment.account)
    pulumi.export("region", environment.region)
    pulumi.export("lake", built.lake.bucket)
    pulumi.export("namespace", built.namespace)


try:
    main()
except InputError as error:
    raise pulumi.RunError(str(error)) from None

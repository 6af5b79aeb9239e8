"""The two ways out of the program: AWS, in the declared account alone, and the environment's cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi import InvokeOptions

from lightwork.errors import InputError

if TYPE_CHECKING:
    from infra.naming import Names
    from infra.settings import Settings


def aws_provider(settings: Settings, names: Names) -> aws.Provider:
    """The provider for the environment's account and region, once the credentials are seen to belong there.

    Raises:
        InputError: the credentials are another account's. Nothing but the provider is registered by then, so
            nothing is planned.
    """
    provider = aws.Provider(
        "aws",
        region=settings.region,
        allowed_account_ids=[settings.account],
        default_tags={"tags": names.tags()},
    )
    found = aws.get_caller_identity(opts=InvokeOptions(provider=provider)).account_id
    if found != settings.account:
        raise InputError(
            f"these AWS credentials belong to account {found}; {settings.environment} is account"
            f" {settings.account} (Pulumi.{settings.environment}.yaml): use that account's credentials"
        )
    return provider


def kubernetes_provider(settings: Settings) -> kubernetes.Provider:
    """The provider for the environment's cluster, by the name of its kubeconfig context."""
    return kubernetes.Provider("kubernetes", context=settings.kube_context)

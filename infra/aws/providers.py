"""The two ways out of the program: AWS, in the declared account alone, and the environment's cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi import Input, InvokeOptions, Output

from lightwork.errors import InputError

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.config.settings import Settings


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


def kubernetes_provider(
    settings: Settings, *, cluster: Input[str], endpoint: Input[str], ca: Input[str]
) -> kubernetes.Provider:
    """The provider for the environment's own cluster, whatever the kubeconfig of the machine says.

    Args:
        settings: the environment's settings.
        cluster: the cluster's name.
        endpoint: the address of its API.
        ca: its API's authority, base64.
    """
    config = Output.all(cluster=cluster, endpoint=endpoint, ca=ca).apply(
        lambda known: json.dumps(kubeconfig(region=settings.region, **known))
    )
    return kubernetes.Provider(
        "kubernetes",
        kubeconfig=config,
        enable_server_side_apply=True,
        # By this alone is a provider replaced, and with it all that it has made; not by a new certificate.
        cluster_identifier=cluster,
        # Else a ConfigMap that changes is deleted first: runs would find no semaphores.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )


def kubeconfig(*, cluster: str, endpoint: str, ca: str, region: str) -> dict[str, Any]:
    """A kubeconfig without a credential in it: each call asks AWS for a token of a few minutes."""
    token = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "aws",
        "args": ["eks", "get-token", "--cluster-name", cluster, "--region", region, "--output", "json"],
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": endpoint, "certificate-authority-data": ca}}],
        "users": [{"name": cluster, "user": {"exec": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
        "current-context": cluster,
    }

"""The providers: AWS, limited to the declared account, and the environment's own cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi import Input, InvokeOptions, Output

from infra.config.kubeconfig import kubeconfig

if TYPE_CHECKING:
    from infra.config.naming import Names
    from infra.config.settings import Settings


HELM = kubernetes.HelmReleaseSettingsArgs(driver="configmap")
"""Helm keeps its releases in ConfigMaps, which the previewing role may read. It may read no Secret."""


def aws_provider(settings: Settings, names: Names) -> aws.Provider:
    """Make the provider for the environment's account and region, and check whose credentials it uses.

    Raises:
        InputError: the credentials are another account's. Only the provider is registered by then, so nothing
            is planned.
    """
    provider = aws.Provider(
        "aws",
        region=settings.region,
        allowed_account_ids=[settings.account],
        default_tags={"tags": names.tags()},
    )
    names.check_account(aws.get_caller_identity(opts=InvokeOptions(provider=provider)).account_id)
    return provider


def kubernetes_provider(
    settings: Settings, *, cluster: Input[str], endpoint: Input[str], ca: Input[str]
) -> kubernetes.Provider:
    """Make the provider for the environment's own cluster, independent of the machine's kubeconfig.

    Args:
        settings: the environment's settings.
        cluster: the cluster's name.
        endpoint: the URL of its API.
        ca: the CA certificate of its API, base64.
    """
    config = Output.all(cluster=cluster, endpoint=endpoint, ca=ca).apply(
        lambda outputs: json.dumps(kubeconfig(region=settings.region, **outputs))
    )
    return kubernetes.Provider(
        "kubernetes",
        kubeconfig=config,
        enable_server_side_apply=True,
        # Only a new cluster replaces the provider, and with it all its resources; a new certificate does not.
        cluster_identifier=cluster,
        # Without this, changing a ConfigMap deletes it first, and runs would find no semaphores.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        helm_release_settings=HELM,
    )

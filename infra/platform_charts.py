"""Helm charts as Pulumi's resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as kubernetes

from infra import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.charts.common import Values

TIMEOUT = 900
"""Seconds for a chart to be up: a node may have to come first, with its images."""


def release(
    name: str,
    *,
    chart: str,
    namespace: str,
    values: pulumi.Input[Values],
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource] = (),
    wait: bool = True,
) -> kubernetes.helm.v3.Release:
    """Install a chart, as Helm installs it.

    `helm.v3.Release` and not `helm.v4.Chart`, which makes a Pulumi resource of each of a chart's objects:

    - Charts make Secrets (a webhook's key, Alertmanager's settings) and Kubernetes writes tokens into those
      of Argo's people. As Pulumi's resources all of that would be in the state; of a release, the values are.
    - Hooks run: Prometheus' operator gets its certificate from two Jobs that are nothing but hooks.
    - `helm list`, `helm history` and `helm rollback` work when Pulumi does not.

    What it costs: a preview shows which values change and not which objects; `helm template` with those
    values shows them. Definitions (CRDs) are never deleted: those in a chart's `crds` folder Helm leaves
    alone, and the others say so themselves.

    Args:
        name: the logical name.
        chart: the chart, by its name in `versions.CHARTS`.
        namespace: where it goes; it is there already.
        values: what the chart is told.
        opts: the resource's options.
        after: what is to be there before.
        wait: whether it counts as installed only when its pods are ready.
    """
    pinned = versions.CHARTS[chart]
    return kubernetes.helm.v3.Release(
        name,
        name=chart,
        chart=pinned.name,
        version=pinned.version,
        repository_opts={"repo": pinned.repository},
        namespace=namespace,
        create_namespace=False,
        values=values,
        skip_await=not wait,
        timeout=TIMEOUT,
        cleanup_on_fail=True,
        max_history=5,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(after))),
    )

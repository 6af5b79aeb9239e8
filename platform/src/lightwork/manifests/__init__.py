"""Kubernetes objects, built by pure functions of a tenant and the environment they are deployed to.

Pulumi, `kubectl apply` and `lightwork tenant render` all use them, so tests cover what is deployed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lightwork.functions.decorated import Pipeline
    from lightwork.kube.contract import Manifest
    from lightwork.manifests.base import Target
    from lightwork.tenants.model import Tenant


def tenant_objects(
    tenant: Tenant, target: Target, pipelines: Mapping[str, Pipeline[..., Any]]
) -> list[Manifest]:
    """Return all Kubernetes objects of a tenant, in the order to apply them.

    Args:
        tenant: the tenant, already checked.
        target: the environment they are deployed to.
        pipelines: the installed pipelines by name.
    """
    from lightwork.manifests import (
        certificates,
        controller,
        figures,
        gate,
        history,
        identity,
        namespace,
        network,
        page,
        people,
        workflows,
    )
    from lightwork.tenants import descriptions

    objects = [
        namespace.namespace(tenant),
        namespace.quota(tenant),
        namespace.limits(tenant),
        *network.policies(tenant, target),
        *identity.accounts(tenant),
        *identity.roles(tenant),
        *gate.bindings(tenant),
        *people.role(tenant),
        *page.objects(tenant),
        namespace.settings(tenant, target),
        namespace.semaphores(tenant),
        namespace.artifacts(tenant, target),
        *certificates.objects(tenant, target),
        *figures.objects(tenant, target),
        controller.deployment(tenant, target),
        history.cron_job(tenant, target),
    ]
    for name in tenant.pipelines:
        entry = tenant.pipelines[name]
        has_steps = entry.steps is not None
        pipeline = (
            None
            if has_steps
            else descriptions.pipeline_of(entry.description, tenant.pipeline_of(name), pipelines)
        )
        objects.append(workflows.workflow_template(tenant, name, target, pipeline))
        objects.append(workflows.cron_workflow(tenant, name, pipeline))
    return [item for item in objects if item is not None]


def cluster_objects() -> list[Manifest]:
    """Return the objects that all tenants share: the scaler's template, and what their people may write."""
    from lightwork.manifests import gate, scaler

    return [scaler.template(), *gate.policies()]


def to_yaml(manifests: Iterable[Manifest]) -> str:
    """Return the objects as YAML documents, deterministically."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper that writes multi-line strings as blocks and indents lists."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
            super().increase_indent(flow, False)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        if visible(value) != value:
            style = '"'  # in which a terminal's commands may be shown escaped
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]  # noqa: ARG005
    return yaml.dump_all(
        manifests, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110, explicit_start=True
    )

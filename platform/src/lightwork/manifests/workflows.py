"""A tenant's pipelines as Argo objects: a WorkflowTemplate each, and a CronWorkflow for each schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hera.workflows import DAG, Container, CronWorkflow, Parameter, Step, Steps, WorkflowTemplate
from hera.workflows import models as argo

from lightwork.functions import parameters
from lightwork.functions.parameter_types import to_text
from lightwork.kube import contract
from lightwork.manifests import base, steps
from lightwork.tenants import fit, graph, quantities
from lightwork.tenants.checks import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lightwork.functions.decorated import Pipeline
    from lightwork.kube.contract import Manifest
    from lightwork.manifests.base import Target
    from lightwork.tenants.model import Entry, Tenant

KEPT_SECONDS = 45
"""Seconds until an ended Workflow is deleted with the objects it owns; its record stays in the archive.

After a `terminate`, nothing of a run is left after this time and the workers' grace period.
"""
POD_DELAY = "60s"
"""How long a run's completed pods stay, so that their logs can be read."""


def workflow_template(
    tenant: Tenant, name: str, target: Target, pipeline: Pipeline[..., Any] | None
) -> Manifest:
    """Return the WorkflowTemplate of one entry, for `lightwork submit`, Argo's CLI and the schedule.

    Args:
        tenant: the tenant.
        name: the entry's name.
        target: the environment it is deployed to.
        pipeline: the pipeline, whose signature gives the parameters. None if it is only in its own image or
            the entry has several steps; the parameters are then those of the file.
    """
    entry = tenant.pipelines[name]
    values = _parameters(entry, pipeline)
    clear = _reference("delete", "delete", {})
    labels = base.labels(tenant, pipeline=name)
    workflow = WorkflowTemplate(
        name=name,
        namespace=tenant.namespace,
        labels=labels,
        annotations={"workflows.argoproj.io/description": _first_line(entry, pipeline)},
        workflow_metadata=argo.WorkflowMetadata(labels=labels),
        pod_metadata=argo.Metadata(labels=labels),
        entrypoint="main",
        on_exit="exit",
        templates=[*_main(tenant, name, target, values), Steps(name="exit", sub_steps=[[clear]])],
        arguments=[Parameter(name=key, value=value) for key, value in values.items()],
        service_account_name=contract.ACCOUNT_SCALER,
        active_deadline_seconds=quantities.seconds(entry.deadline),
        ttl_strategy=argo.TTLStrategy(seconds_after_completion=KEPT_SECONDS),
        pod_gc=argo.PodGC(strategy="OnPodCompletion", delete_delay_duration=POD_DELAY),
        security_context=argo.PodSecurityContext.model_validate(base.pod_security()),
        affinity=argo.Affinity.model_validate(base.never_spot()),
        synchronization=argo.Synchronization(semaphores=[_semaphore(key) for key in _locks(tenant, name)]),
        metrics=_metrics(tenant, name),
    )
    manifest: Manifest = workflow.to_dict()
    return manifest


def cron_workflow(tenant: Tenant, name: str) -> Manifest | None:
    """Return the CronWorkflow of one entry; None if it has no schedule.

    If only one run may be active, a scheduled time is skipped while the previous run is active.
    """
    entry = tenant.pipelines[name]
    if entry.schedule is None or entry.timezone is None:
        return None
    labels = base.labels(tenant, pipeline=name)
    workflow = CronWorkflow(
        name=name,
        namespace=tenant.namespace,
        labels=labels,
        schedules=[entry.schedule],
        timezone=entry.timezone,
        starting_deadline_seconds=quantities.seconds(entry.starting_deadline),
        concurrency_policy="Forbid" if entry.max_parallel_runs == 1 else "Allow",
        cron_suspend=entry.suspended or tenant.leaving,
        # Ended Workflows are deleted by their TTL, after they are archived.
        successful_jobs_history_limit=10,
        failed_jobs_history_limit=10,
        workflow_template_ref=argo.WorkflowTemplateRef(name=name),
    )
    manifest: Manifest = workflow.to_dict()
    return manifest


def _parameters(entry: Entry, pipeline: Pipeline[..., Any] | None) -> dict[str, str | None]:
    """Return the run's parameters as strings: from the file, else the default, else None."""
    file_values = {name: text_of(value) for name, value in entry.parameters.items()}
    if pipeline is None:
        return dict(file_values)
    return {
        name: file_values.get(name, None if item.required else to_text(item.default))
        for name, item in parameters.of(pipeline).items()
    }


def _main(tenant: Tenant, name: str, target: Target, names: Iterable[str]) -> list[Steps | DAG | Container]:
    """Return the template `main`, one pipeline or several steps, and the templates it uses."""
    entry = tenant.pipelines[name]
    if entry.steps is not None:
        return list(steps.main(tenant, name, target))
    values = {key: steps.value(graph.Reference("", key)) for key in names}
    arguments = steps.arguments(tenant, name, target, entry, tenant.pipeline_of(name), values=values)
    return [Steps(name="main", sub_steps=[[_reference("run", "run", arguments)]])]


def _reference(name: str, template: str, arguments: dict[str, str]) -> Step:
    return Step(
        name=name,
        template_ref=argo.TemplateRef(name=contract.SCALER, template=template, cluster_scope=True),
        arguments=[Parameter(name=key, value=value) for key, value in arguments.items()],
    )


def _locks(tenant: Tenant, name: str) -> list[str]:
    return [name] if fit.concurrent(tenant) is None else [name, contract.TENANT_SEMAPHORE]


def _semaphore(key: str) -> argo.SemaphoreRef:
    return argo.SemaphoreRef(config_map_key_ref=argo.ConfigMapKeySelector(name=contract.SEMAPHORES, key=key))


def _metrics(tenant: Tenant, name: str) -> list[argo.Prometheus]:
    """Return metrics of the duration and outcome of runs; labels have few values, which keeps series few."""
    labels = [
        argo.MetricLabel(key="tenant", value=tenant.name),
        argo.MetricLabel(key="pipeline", value=name),
        argo.MetricLabel(key="status", value="{{workflow.status}}"),
    ]
    return [
        argo.Prometheus(
            name="lightwork_runs_total",
            help="Runs that have ended, by how they ended",
            labels=labels,
            counter=argo.Counter(value="1"),
        ),
        argo.Prometheus(
            name="lightwork_run_seconds",
            help="How long runs took, from submission to end",
            labels=labels,
            histogram=argo.Histogram(
                value="{{workflow.duration}}", buckets=[30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200]
            ),
        ),
    ]


def _first_line(entry: Entry, pipeline: Pipeline[..., Any] | None) -> str:
    if entry.steps is not None:
        return f"Several steps: {', '.join(entry.steps)}"
    line = pipeline.doc.partition("\n")[0] if pipeline else "From an image of its own"
    return line.replace("{{", "{ {")  # Argo would fill it in

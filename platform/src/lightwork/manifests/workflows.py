"""What runs a tenant's pipelines: a WorkflowTemplate each, and a CronWorkflow for those with a schedule."""

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
    from collections.abc import Mapping

    from lightwork.functions.decorated import Pipeline
    from lightwork.kube.contract import Manifest
    from lightwork.manifests.base import Target
    from lightwork.tenants.model import Entry, Tenant

KEPT_SECONDS = 45
"""How long an ended Workflow stays. What it owns goes with it; its record is in the archive.

After a `terminate` this and the workers' grace are all that passes before nothing of a run is left.
"""
POD_DELAY = "60s"
"""How long Argo's own pods stay when they are done, so that their logs can be read."""


def workflow_template(
    tenant: Tenant, name: str, target: Target, pipeline: Pipeline[..., Any] | None
) -> Manifest:
    """The WorkflowTemplate of one entry, which `lightwork submit`, Argo's CLI and the schedule all use.

    Args:
        tenant: the tenant.
        name: the entry's name.
        target: what it is made for.
        pipeline: the pipeline, whose signature gives the parameters; None if only its own image has it, or
            if there are several steps, and then the parameters are those of the file.
    """
    entry = tenant.pipelines[name]
    known = _parameters(entry, pipeline)
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
        templates=[*_main(tenant, name, target, known), Steps(name="exit", sub_steps=[[clear]])],
        arguments=[Parameter(name=key, value=value) for key, value in known.items()],
        service_account_name=contract.ACCOUNT_SCALER,
        active_deadline_seconds=quantities.seconds(entry.deadline),
        ttl_strategy=argo.TTLStrategy(seconds_after_completion=KEPT_SECONDS),
        pod_gc=argo.PodGC(strategy="OnPodCompletion", delete_delay_duration=POD_DELAY),
        security_context=argo.PodSecurityContext.model_validate(base.pod_security()),
        affinity=argo.Affinity.model_validate(base.never_spot()),
        synchronization=argo.Synchronization(semaphores=[_semaphore(key) for key in _locks(tenant, name)]),
        metrics=_metrics(tenant, name),
    )
    made: Manifest = workflow.to_dict()
    return made


def cron_workflow(tenant: Tenant, name: str) -> Manifest | None:
    """The CronWorkflow of one entry; None if it has no schedule.

    One whose runs may not overlap skips a time at which the last one still goes on: it would only wait.
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
        # Ended Workflows go by their TTL, after they are in the archive.
        successful_jobs_history_limit=10,
        failed_jobs_history_limit=10,
        workflow_template_ref=argo.WorkflowTemplateRef(name=name),
    )
    made: Manifest = workflow.to_dict()
    return made


def _parameters(entry: Entry, pipeline: Pipeline[..., Any] | None) -> dict[str, str | None]:
    """The run's parameters as texts: the file's values, else the signature's; None has to be given."""
    given = {name: text_of(value) for name, value in entry.parameters.items()}
    if pipeline is None:
        return dict(given)
    found: dict[str, str | None] = {}
    for name, item in parameters.of(pipeline).items():
        found[name] = given.get(name, None if item.required else to_text(item.default))
    return found


def _main(
    tenant: Tenant, name: str, target: Target, known: Mapping[str, str | None]
) -> list[Steps | DAG | Container]:
    """The template `main`, which is one pipeline or several steps, and what else it needs."""
    entry = tenant.pipelines[name]
    if entry.steps is not None:
        return list(steps.main(tenant, name, target))
    values = {key: steps.value(graph.Reference("", key)) for key in known}
    given = steps.arguments(tenant, name, target, entry, tenant.pipeline_of(name), values=values)
    return [Steps(name="main", sub_steps=[[_reference("run", "run", given)]])]


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
    """How long the runs take and how they end; the labels are of few values, so that the series stay few."""
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
    return pipeline.doc.partition("\n")[0] if pipeline else "From an image of its own"

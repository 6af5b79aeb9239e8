"""A tenant's pipelines as Argo objects: a WorkflowTemplate each, and a CronWorkflow for each schedule.

Runs take turns. A run first waits for one of its pipeline's places, then, holding that, for one of the
tenant's (if not all runs fit at once). So the tenant's queue holds only runs that could start at once, a
backlog of one pipeline does not hold up the others, and as all runs take the two in this order, none waits
for a run that waits for it. A run is never in two queues: Argo takes several semaphores of one template only
at the front of all their queues, and orders runs of the same second differently in each.

The places are semaphores of templates, one inside the other, and not of the Workflow: Argo counts no deadline
of a Workflow that waits for its own semaphore, and does not end it on `stop`. The templates around them are
DAGs, which fail on `stop` and `terminate` even if what is inside them waits; groups of steps do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hera.workflows import DAG, Container, CronWorkflow, Parameter, Step, Steps, Task, WorkflowTemplate
from hera.workflows import models as argo

from lightwork.errors import visible
from lightwork.functions import parameters
from lightwork.functions.parameter_types import to_text
from lightwork.functions.parameters import Described
from lightwork.kube import contract, described, firing, texts
from lightwork.manifests import base, steps
from lightwork.tenants import fit, graph, quantities
from lightwork.tenants.checks import text_of
from lightwork.tenants.model import ContainerStep

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
_WORK = contract.WORK
_AT_ONCE = (
    "{{=string(sprig.unixEpoch(sprig.now()))}} - {{workflow.creationTimestamp.s}}"
    f" < {contract.AT_ONCE_SECONDS}"
)
"""Whether a run got its pipeline's place without waiting for it."""


def workflow_template(
    tenant: Tenant, name: str, target: Target, pipeline: Pipeline[..., Any] | Described | None
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
    values, interval = _parameters(entry, pipeline), _interval(entry, pipeline)
    clear = _reference("delete", "delete", {})
    labels = base.labels(tenant, pipeline=name)
    workflow = WorkflowTemplate(
        name=name,
        namespace=tenant.namespace,
        labels=labels,
        annotations={
            "workflows.argoproj.io/description": _first_line(entry, pipeline),
            contract.ANNOTATION_LONG: ",".join(_may_be_long(entry, values)),
            **({contract.ANNOTATION_INTERVAL: ",".join(interval)} if interval else {}),
            **(described.kept(pipeline) if isinstance(pipeline, Described) else {}),
        },
        workflow_metadata=argo.WorkflowMetadata(labels=labels),
        pod_metadata=argo.Metadata(labels=labels),
        entrypoint="main",
        on_exit="exit",
        templates=[
            *_turns(tenant, name),
            *_work(tenant, name, target, values, interval or ()),
            Steps(name="exit", sub_steps=[[clear]]),
        ],
        # A value of None would become the text "null".
        arguments=[
            Parameter(name=key) if value is None else Parameter(name=key, value=texts.as_parameter(value))
            for key, value in values.items()
        ],
        service_account_name=contract.ACCOUNT_SCALER,
        active_deadline_seconds=entry.seconds_to_end,
        ttl_strategy=argo.TTLStrategy(seconds_after_completion=KEPT_SECONDS),
        pod_gc=argo.PodGC(strategy="OnPodCompletion", delete_delay_duration=POD_DELAY),
        security_context=argo.PodSecurityContext.model_validate(base.pod_security()),
        affinity=argo.Affinity.model_validate(base.never_spot()),
    )
    manifest: Manifest = workflow.to_dict()
    return manifest


def cron_workflow(
    tenant: Tenant, name: str, pipeline: Pipeline[..., Any] | Described | None = None
) -> Manifest | None:
    """Return the CronWorkflow of one entry; None if it has no schedule.

    Argo never skips a run itself: it would leave no trace. See `_turns`.

    Args:
        tenant: the tenant.
        name: the entry's name.
        pipeline: as for `workflow_template`; its runs get their interval from the firing.
    """
    entry = tenant.pipelines[name]
    if entry.schedule is None or entry.timezone is None:
        return None
    labels = base.labels(tenant, pipeline=name)
    interval = _interval(entry, pipeline)
    values = firing.parameters(interval, entry.schedule, entry.timezone) if interval else {}
    suspended = _suspended_by(tenant, name)
    workflow = CronWorkflow(
        name=name,
        namespace=tenant.namespace,
        labels=labels,
        annotations={contract.ANNOTATION_BY_FILE: suspended} if suspended else None,
        schedules=[entry.schedule],
        timezone=entry.timezone,
        starting_deadline_seconds=quantities.seconds(entry.starting_deadline),
        concurrency_policy="Allow",
        # What people suspend has a label, which a deployment leaves alone (`gate_schedules`).
        cron_suspend=bool(suspended),
        # Ended Workflows are deleted by their TTL, after they are archived.
        successful_jobs_history_limit=10,
        failed_jobs_history_limit=10,
        entrypoint=contract.SCHEDULED if entry.when_busy == "skip" else None,
        arguments=[Parameter(name=key, value=value) for key, value in values.items()] or None,
        workflow_template_ref=argo.WorkflowTemplateRef(name=name),
    )
    manifest: Manifest = workflow.to_dict()
    return manifest


def _suspended_by(tenant: Tenant, name: str) -> str:
    """Return the line of the tenant's file that suspends a schedule; empty if none does."""
    if tenant.fires(name):
        return ""
    return "state: leaving" if tenant.leaving else "suspended: true"


def _interval(entry: Entry, pipeline: Pipeline[..., Any] | Described | None) -> tuple[str, str] | None:
    """Return the parameters that take the interval of a run: by the pipeline, or for steps by the file."""
    return entry.interval if pipeline is None else pipeline.interval


def _parameters(entry: Entry, pipeline: Pipeline[..., Any] | Described | None) -> dict[str, str | None]:
    """Return the run's parameters as strings: from the file, else the default, else None."""
    file_values = {name: text_of(value) for name, value in entry.parameters.items()}
    if pipeline is None:
        return {**file_values, **dict.fromkeys(entry.interval or ())}
    return {
        name: file_values.get(name, None if item.required else to_text(item.default))
        for name, item in parameters.of(pipeline).items()
    }


def _may_be_long(entry: Entry, names: Iterable[str]) -> list[str]:
    """Return the parameters that only pipelines use, as a whole: the driver can read them from files."""
    short = set()
    for step in (entry.steps or {}).values():
        for _, text in graph.texts(step):
            parts = graph.parts(text)
            if isinstance(step, ContainerStep) or steps.whole(parts) is None:
                short |= {part.name for part in parts if isinstance(part, graph.Reference) and not part.step}
    return [name for name in names if name not in short]


def _turns(tenant: Tenant, name: str) -> list[DAG]:
    """Return the templates by which a run waits for its turn: `main`, and for the schedule SCHEDULED.

    Each has one task, with the pipeline's place; the tenant's place is with the task inside that. A run of
    the schedule that had to wait for the first is skipped then: its task is, and the run ends.
    """
    entry = tenant.pipelines[name]
    turn, skip = "turn", "turn-or-skip"
    templates = [
        DAG(name="main", tasks=[Task(name=turn, template=turn)]),
        DAG(name=turn, tasks=[Task(name=_WORK, template=_WORK)], synchronization=_place(name)),
    ]
    if entry.schedule and entry.when_busy == "skip":
        work = Task(name=contract.SKIPPABLE, template=_WORK, when=_AT_ONCE)
        templates += [
            DAG(name=contract.SCHEDULED, tasks=[Task(name=turn, template=skip)]),
            DAG(name=skip, tasks=[work], synchronization=_place(name)),
        ]
    return templates


def _work(
    tenant: Tenant, name: str, target: Target, names: Iterable[str], interval: Iterable[str]
) -> list[Steps | DAG | Container]:
    """Return the template of a run's work, one pipeline or several steps, and the templates it uses."""
    entry = tenant.pipelines[name]
    place = None if fit.concurrent(tenant) is None else _place(contract.TENANT_SEMAPHORE)
    if entry.steps is not None:
        tasks, containers = steps.tasks(tenant, name, target)
        return [DAG(name=_WORK, tasks=tasks, synchronization=place), *containers]
    values: dict[str, list[str | graph.Reference]] = {
        key: [(steps.OfFiring if key in interval else graph.Reference)("", key)] for key in names
    }
    arguments = steps.arguments(tenant, name, target, entry, tenant.pipeline_of(name), values=values)
    run = _reference("run", "run", arguments)
    return [Steps(name=_WORK, sub_steps=[[run]], synchronization=place)]


def _reference(name: str, template: str, arguments: dict[str, str]) -> Step:
    return Step(
        name=name,
        template_ref=argo.TemplateRef(name=contract.SCALER, template=template, cluster_scope=True),
        arguments=[Parameter(name=key, value=value) for key, value in arguments.items()],
    )


def _place(key: str) -> argo.Synchronization:
    """Return the semaphore of a pipeline's or the tenant's parallel runs."""
    selector = argo.ConfigMapKeySelector(name=contract.SEMAPHORES, key=key)
    return argo.Synchronization(semaphores=[argo.SemaphoreRef(config_map_key_ref=selector)])


def _first_line(entry: Entry, pipeline: Pipeline[..., Any] | Described | None) -> str:
    if entry.steps is not None:
        return f"Several steps: {', '.join(entry.steps)}"
    line = pipeline.doc.partition("\n")[0] if pipeline else "From an image of its own"
    return visible(line).replace("{{", "{ {")  # Argo would fill it in

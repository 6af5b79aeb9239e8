"""An entry's steps as tasks of a DAG, with templates for the plain containers among them.

Values pass between steps as Argo's output parameters, which are strings. Argo's expressions insert them into
other strings and JSON objects, and escape what Argo or kubelet would fill in (`kube.texts`), so that every
value arrives as it is.

A plain container runs under the account `step` (see `identity`). Its environment has the tenant's settings
and secrets, as the driver's has, but it has no certificates and cannot reach a scheduler.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hera.workflows import Container, Parameter, Task
from hera.workflows import models as argo

from lightwork.kube import contract, texts
from lightwork.manifests import base, dask, scaler
from lightwork.tenants import graph, offers, quantities
from lightwork.tenants.checks import text_of
from lightwork.tenants.model import ContainerStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hera.workflows.models import DAGTask

    from lightwork.manifests.base import Target
    from lightwork.tenants.model import Entry, ScaledStep, Tenant, Workers

ROLE = "step"
OUTPUTS = "/tmp/outputs"  # noqa: S108  (in a container of its own)
RETRY_WHEN = f"({scaler.RETRY_WHEN}) and not (lastRetry.message startsWith 'wait: Error')"
"""Retry as for the driver, but not a container that ended well and whose outputs or log cannot be kept."""
SPILL_SHARE = 80
"""Percent of a worker's storage for spilled data; the rest is for its logs and temporary files."""


class OfFiring(graph.Reference):
    """A parameter of the run that a schedule gives as `kube.firing` says, with the firing to be appended."""


def arguments(
    tenant: Tenant,
    name: str,
    target: Target,
    item: Entry | ScaledStep,
    function: str,
    *,
    values: Mapping[str, list[str | graph.Reference]],
    step: str = "",
    result: bool = False,
) -> dict[str, str]:
    """Return the arguments for the scaler's template.

    Args:
        tenant: the tenant.
        name: the entry's name.
        target: the environment it is deployed to.
        item: the entry or its step, for image and sizes.
        function: the pipeline's name.
        values: the pipeline's parameters, each as the parts of its text.
        step: the step's name; empty for an entry of one pipeline.
        result: whether another step uses the pipeline's return value.
    """
    devices = offers.devices(item.workers.resources)
    spill = quantities.octets(item.workers.storage) * SPILL_SHARE // 100
    sizes = {
        f"{role}-{field}": getattr(size, field)
        for role, size in (("worker", item.workers), ("scheduler", item.scheduler), ("driver", item.driver))
        for field in ("cpu", "memory", "storage")
    }
    return {
        "image": item.image or target.image,
        "tenant": tenant.name,
        "pipeline": name,
        "step": step,
        "name": "{{workflow.name}}" + (f"-{step}" if step else ""),
        "function": function,
        "arguments": as_json(values),
        "workers": str(item.workers.count),
        "worker-spill": str(spill),
        "worker-threads": str(item.workers.slots),
        "worker-devices": ", ".join(f"{key}: {number}" for key, number in devices.items()),
        "limits": ",".join(f"{key}={limit}" for key, limit in item.limits.items()),
        "worker-offers": offers.as_text(offers.offered(item.workers.resources)),
        "spot": str(item.workers.spot).lower(),
        "never-on": _never_on(item.workers),
        "deadline": str(quantities.seconds(tenant.pipelines[name].deadline)),
        "result-file": scaler.RESULT_FILE if result else "",
        **sizes,
    }


def tasks(tenant: Tenant, name: str, target: Target) -> tuple[list[Task | DAGTask], list[Container]]:
    """Return the tasks of an entry with several steps, and the templates of its containers."""
    entry = tenant.pipelines[name]
    steps = entry.steps or {}
    waits_for, used = graph.dependencies(entry), graph.used_results(entry)
    dag: list[Task | DAGTask] = [
        _container_task(step_name, step, waits_for[step_name])
        if isinstance(step, ContainerStep)
        else _scaled_task(
            step_name,
            waits_for[step_name],
            arguments(
                *(tenant, name, target, step, step.pipeline),
                values={key: _parts(value, entry.interval or ()) for key, value in step.parameters.items()},
                step=step_name,
                result=step_name in used,
            ),
        )
        for step_name, step in steps.items()
    ]
    containers = [
        _container(tenant, name, target, step_name, step)
        for step_name, step in steps.items()
        if isinstance(step, ContainerStep)
    ]
    return dag, containers


def _scaled_task(name: str, waits_for: Iterable[str], values: Mapping[str, str]) -> Task:
    """Return a task that runs a pipeline on the scaler.

    However it ends, its objects are deleted before the next step starts.
    """
    clear = argo.LifecycleHook(
        template_ref=_reference("clear"),
        arguments=argo.Arguments(parameters=[argo.Parameter(name="step", value=name)]),
    )
    return Task(
        name=name,
        template_ref=_reference("run"),
        dependencies=list(waits_for) or None,
        arguments=[Parameter(name=key, value=value) for key, value in values.items()],
        hooks={"exit": clear},
    )


def _reference(template: str) -> argo.TemplateRef:
    return argo.TemplateRef(name=contract.SCALER, template=template, cluster_scope=True)


def _container_task(name: str, step: ContainerStep, waits_for: Iterable[str]) -> Task:
    values = {
        _argument(index): _template_of(_as_argument(expression(graph.parts(text))))
        for index, text in _dynamic_args(step).items()
    }
    return Task(
        name=name,
        template=_template(name),
        dependencies=list(waits_for) or None,
        arguments=[Parameter(name=key, value=value) for key, value in values.items()],
    )


def _container(tenant: Tenant, entry: str, target: Target, name: str, step: ContainerStep) -> Container:
    dynamic = _dynamic_args(step)
    args = [
        dask.placeholder_of_any(_argument(index))
        if index in dynamic
        else texts.as_argument("".join(map(str, graph.parts(text))))
        for index, text in enumerate(step.args)
    ]
    labels = {
        **base.labels(tenant, pipeline=entry, role=ROLE, step=name),
        contract.LABEL_RUN: "{{workflow.name}}",
    }
    environment = {
        contract.ENV_PIPELINE: entry,
        contract.ENV_RUN: "{{workflow.name}}",
        contract.ENV_STEP: name,
        contract.ENV_ROLE: ROLE,
        contract.ENV_BRACE: "{",
    }
    size = step.size
    return Container(
        name=_template(name),
        inputs=[Parameter(name=_argument(index)) for index in dynamic],
        outputs=[
            Parameter(name=output, value_from=argo.ValueFrom(path=f"{OUTPUTS}/{output}"))
            for output in step.outputs
        ],
        image=step.image or target.image,
        image_pull_policy="IfNotPresent",
        command=[texts.as_argument(text) for text in step.command],
        args=args or None,
        # Argo's message about a failure then has the end of the container's log.
        termination_message_policy="FallbackToLogsOnError",
        env=[argo.EnvVar(name=key, value=value) for key, value in environment.items()],
        env_from=[argo.EnvFromSource.model_validate(item) for item in dask.settings()],
        resources=argo.ResourceRequirements.model_validate(
            base.resources(size.cpu, size.memory, size.storage)
        ),
        security_context=argo.SecurityContext.model_validate(base.container_security()),
        # Mounted, so that the folder exists and is writable in any image.
        volumes=[argo.Volume(name="outputs", empty_dir=argo.EmptyDirVolumeSource())],
        volume_mounts=[argo.VolumeMount(name="outputs", mount_path=OUTPUTS)],
        labels=labels,
        service_account_name=contract.ACCOUNT_STEP,
        archive_location=argo.ArtifactLocation(archive_logs=True),
        active_deadline_seconds=quantities.seconds(tenant.pipelines[entry].deadline),
        retry_strategy=scaler.lost_pods(RETRY_WHEN),
        **_nodes(step),
    )


def _nodes(step: ContainerStep) -> dict[str, Any]:
    """Return the fields that place its pod: like a worker's if spot nodes are allowed."""
    if not step.spot:
        return {"affinity": argo.Affinity.model_validate(base.never_spot())}
    return {
        "affinity": argo.Affinity.model_validate(dask.on_nodes("true", _never_on(step))),
        "tolerations": [argo.Toleration.model_validate(dask.tolerate_spot("true"))],
    }


def _never_on(pods: Workers | ContainerStep) -> str:
    return dask.never_on(spot=pods.spot, on_demand_fallback=pods.on_demand_fallback)


def _template(step: str) -> str:
    return f"step-{step}"


def _argument(index: int) -> str:
    return f"arg-{index}"


def _dynamic_args(step: ContainerStep) -> dict[int, str]:
    """Return the arguments that are known only during the run, by position."""
    return {
        index: text
        for index, text in enumerate(step.args)
        if any(isinstance(part, graph.Reference) for part in graph.parts(text))
    }


def _parts(value: object, interval: Iterable[str]) -> list[str | graph.Reference]:
    if not isinstance(value, str):
        return [text_of(value)]
    parts = graph.parts(value)
    taken = whole(parts)
    return [OfFiring("", taken.name)] if taken is not None and taken.name in interval else parts


def expression(parts: Iterable[str | graph.Reference]) -> str:
    """Return the parts as one Argo expression of type string."""
    return " + ".join(_literal(part) if isinstance(part, str) else value(part) for part in parts) or '""'


def value(reference: graph.Reference) -> str:
    """Return a reference as an Argo expression."""
    if reference.step:
        step, name = json.dumps(reference.step), json.dumps(reference.name)
        return f"tasks[{step}].outputs.parameters[{name}]"
    held = _held(reference)
    if isinstance(reference, OfFiring):
        firing = f"{held} + workflow.scheduledTime"
        return f"(hasPrefix({held}, {_literal(texts.OF_FIRING)}) ? {firing} : {_plain(held)})"
    return _plain(held)


def _plain(held: str) -> str:
    """Return the text that a parameter of the Workflow holds, as an Argo expression."""
    return (
        f"(hasPrefix({held}, {_literal(texts.AS_JSON)}) ? fromJSON({held}[{len(texts.AS_JSON)}:]) : {held})"
    )


def _held(reference: graph.Reference) -> str:
    """Return what the Workflow's parameter holds, as an Argo expression: see `texts.as_parameter`."""
    return f"workflow.parameters[{json.dumps(reference.name)}]"


def _literal(text: str) -> str:
    # Two closing braces would end the expression.
    return texts.as_json(text).replace("{", "\\u007b").replace("}", "\\u007d")


def _template_of(text: str) -> str:
    """Return an Argo expression as a template, which Argo replaces by the expression's value."""
    return f"{{{{={text}}}}}"


def _as_argument(text: str) -> str:
    """Return an expression's value as `texts.as_argument` would."""
    return _replaced(_replaced(text, "$", "$$"), texts.BRACES, texts.ARGUMENT_BRACES)


def _replaced(text: str, old: str, new: str) -> str:
    return f"replace({text}, {_literal(old)}, {_literal(new)})"


def as_json(values: Mapping[str, list[str | graph.Reference]]) -> str:
    """Return an Argo template that becomes the driver's parameters as one JSON object of strings.

    A parameter that takes a value of the run as a whole is named `@name` if that value is kept in a file.
    """
    if not values:
        return "{}"
    items = ", ".join(f"{_key(name, parts)}: {expression(parts)}" for name, parts in values.items())
    text = _replaced(f"toJson({{{items}}})", texts.BRACES, texts.JSON_BRACES)
    return _template_of(_replaced(text, "$", "\\u0024"))


def _key(name: str, parts: list[str | graph.Reference]) -> str:
    if (reference := whole(parts)) is None:
        return json.dumps(name)
    is_long = f"hasPrefix({_held(reference)}, {_literal(texts.IN_FILE)})"
    return f"({is_long} ? {json.dumps(f'@{name}')} : {json.dumps(name)})"


def whole(parts: list[str | graph.Reference]) -> graph.Reference | None:
    """Return the parameter of the run that a text consists of; None if it is anything else."""
    match parts:
        case [graph.Reference(step="") as reference]:
            return reference
    return None

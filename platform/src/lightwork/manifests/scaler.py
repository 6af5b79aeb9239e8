"""The ClusterWorkflowTemplate that all runs share: it starts a cluster, runs the pipeline and cleans up.

Its templates:

- `run`: the steps of a run. All four start together, and the driver waits for the scheduler by its Service's
  name. This is faster than one step after another, and a wrong parameter fails the run at once.
- `service`, `scheduler`, `workers`: each creates one object that the Workflow owns.
- `driver`: runs the pipeline. It is retried if its pod is lost, its lake stays away or its log cannot be
  kept, not if it fails. A retry finds out what an earlier attempt has finished (`runs.earlier`).
- `clear`: deletes the objects of one of several steps as soon as that step has ended.
- `delete`: the exit handler. It does not run after a `terminate` or the deletion of the Workflow: then the
  objects are deleted with their owner, the Workflow, which expires by its TTL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from hera.workflows import ClusterWorkflowTemplate, Container, Parameter, Resource, Step, Steps
from hera.workflows import models as argo

from lightwork.kube import contract
from lightwork.manifests import base, dask
from lightwork.manifests.dask import placeholder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.kube.contract import Manifest

PARAMETERS = {
    "image": "The image of all four roles.",
    "tenant": "The tenant's name, for labels.",
    "pipeline": "The name that the run's entry has in the tenant's file, for labels.",
    "step": "Which of the run's steps it is, for labels; empty where the run is one pipeline.",
    "name": "What the names of its objects begin with: the run's name, and the step's if there are several.",
    "function": "The pipeline to run.",
    "arguments": "Its parameters: a JSON object of texts, as they would be on the command line.",
    "workers": "The most workers that the run may have.",
    "worker-cpu": "Processor cores of each worker.",
    "worker-memory": "Memory of each worker.",
    "worker-storage": "Room on the node's disk for each worker.",
    "worker-spill": "How many bytes of that it may spill to.",
    "worker-threads": "Tasks at once on each worker.",
    "worker-devices": "What each worker requests of its node besides, as in nvidia.com/gpu: 1, or nothing.",
    "worker-offers": "What each worker offers to tasks, as in GPU=1, or nothing.",
    "spot": "true or false: whether workers may be on spot nodes.",
    "never-on": "Where workers must not be: on nodes that are spot (true), on others (false), or none.",
    "scheduler-cpu": "Processor cores of the scheduler.",
    "scheduler-memory": "Memory of the scheduler.",
    "scheduler-storage": "Room on the node's disk for the scheduler.",
    "driver-cpu": "Processor cores of the pipeline's own container.",
    "driver-memory": "Memory of the pipeline's own container.",
    "driver-storage": "Room on the node's disk for the pipeline's own container.",
    "limits": "Limits for tasks, as in weather=10/s,api=4, or nothing.",
    "deadline": "Seconds after which the driver's pod is ended.",
    "result-file": "Where the pipeline's result is put for other steps; empty if none uses it.",
}

DEFAULTS = {"never-on": dask.ANY_NODE, "worker-devices": "", "worker-offers": "", "limits": ""}
"""What a parameter is for tenants that were deployed before it existed: the estate is updated first."""

_LABELS = ["tenant", "pipeline", "step", "name"]
_SCHEDULER = [*_LABELS, "image", "deadline", "scheduler-cpu", "scheduler-memory", "scheduler-storage"]
_WORKERS = [
    *(*_LABELS, "image", "spot", "never-on"),
    *(name for name in PARAMETERS if name.startswith("worker-")),
]
_DRIVER = [
    *(*_LABELS, "image", "function", "arguments", "workers", "worker-threads", "result-file", "deadline"),
    *("worker-cpu", "worker-memory", "worker-offers", "never-on", "limits"),
    *(name for name in PARAMETERS if name.startswith("driver-")),
]

RETRY_WHEN = (
    "lastRetry.status == 'Error' or"
    " (asInt(lastRetry.exitCode) not in [1, 2] and not (lastRetry.message startsWith 'main: OOMKilled')"
    " and not (lastRetry.message contains 'longer than the specified deadline'))"
)
"""Retry a lost pod and a run whose lake stayed away (75), but not a pipeline that raised (1), a wrong
parameter (2), or a lack of memory or time."""

RESULT = "result"
"""The output of `run`, and of its driver."""
RESULT_FOLDER = "/tmp/lightwork"  # noqa: S108  (in a container of its own)
"""A volume: Argo's container logs an error if a file outside of volumes is missing."""
RESULT_FILE = f"{RESULT_FOLDER}/result.json"
_RUN_SELECTOR = f"{contract.LABEL_RUN}={{{{workflow.name}}}}"

_MERGED = re.compile(r"'<<': '(\{\{[^']*\}\})'")

CONNECT_SECONDS = 180
"""How long the driver waits for the scheduler, which may first need a node and its image."""


def template() -> Manifest:
    """Return the ClusterWorkflowTemplate."""
    workflow = ClusterWorkflowTemplate(
        name=contract.SCALER,
        labels={"app.kubernetes.io/part-of": "lightwork"},
        templates=[
            _run(),
            _create("service", dask.service(), _LABELS),
            _create("scheduler", dask.scheduler(), _SCHEDULER),
            _create("workers", dask.workers(), _WORKERS),
            _driver(),
            _clear(),
            _delete(),
        ],
    )
    manifest: Manifest = workflow.to_dict()
    return manifest


def _run() -> Steps:
    steps = [
        _step("service", _LABELS),
        _step("scheduler", _SCHEDULER),
        _step("workers", _WORKERS),
        _step("driver", _DRIVER),
    ]
    return Steps(
        name="run",
        inputs=[
            Parameter(name=name, description=text, default=DEFAULTS[name])
            if name in DEFAULTS
            else Parameter(name=name, description=text)
            for name, text in PARAMETERS.items()
        ],
        outputs=[_result(argo.ValueFrom(parameter=f"{{{{steps.driver.outputs.parameters.{RESULT}}}}}"))],
        sub_steps=[steps],
    )


def _step(name: str, parameters: Sequence[str]) -> Step:
    return Step(name=name, template=name, arguments={item: _passed_on(item) for item in parameters})


def _passed_on(name: str) -> str:
    return dask.placeholder_of_any(name) if name == "arguments" else placeholder(name)


def _inputs(parameters: Sequence[str]) -> list[Parameter]:
    return [Parameter(name=name) for name in parameters]


def _create(name: str, manifest: Manifest, parameters: Sequence[str]) -> Resource:
    """Return a step that creates one object, owned by the Workflow; a retry does not create a second one."""
    return Resource(
        name=name,
        inputs=_inputs(parameters),
        action="apply",
        set_owner_reference=True,
        manifest=_with_merged(yaml.safe_dump(manifest, sort_keys=False, width=1000)),
        **_argo_only(),
    )


def _with_merged(text: str) -> str:
    """Return a manifest in which the texts under the key `<<` stand for keys with values, and may be empty.

    Argo fills in texts, and YAML merges what they are then: `<<: { nvidia.com/gpu: 1 }`.
    """
    return _MERGED.sub(r"<<: { \1 }", text)


def _result(source: argo.ValueFrom) -> Parameter:
    """Return the output that holds the pipeline's return value as JSON; empty if no step uses it."""
    return Parameter(name=RESULT, value_from=source)


def _clear() -> Resource:
    """Return the deletion of one step's objects; those of the run's other steps stay."""
    return _deletion("clear", f"{_RUN_SELECTOR},{contract.LABEL_STEP}={placeholder('step')}", ["step"])


def _delete() -> Resource:
    """Return the exit handler: it deletes all objects of the run, without waiting for their pods to end."""
    return _deletion("delete", _RUN_SELECTOR, [])


def _deletion(name: str, selector: str, parameters: Sequence[str]) -> Resource:
    return Resource(
        name=name,
        inputs=_inputs(parameters),
        action="delete",
        flags=["deployments,services", "--selector", selector, "--wait=false"],
        **_argo_only(),
    )


def _argo_only() -> dict[str, Any]:
    """Return the fields that steps with only Argo's container share. Their logs are not archived."""
    return {
        "service_account_name": contract.ACCOUNT_SCALER,
        "labels": {contract.LABEL_ROLE: "scaler"},
        "archive_location": argo.ArtifactLocation(archive_logs=False),
        "active_deadline_seconds": 300,
        "retry_strategy": argo.RetryStrategy(
            limit=3, retry_policy="Always", backoff=argo.Backoff(duration="2s", factor=2)
        ),
    }


def _driver() -> Container:
    volumes, mounts = zip(dask.certificates(), _result_folder(), _long_parameters(), strict=True)
    resources = base.resources(*(placeholder(f"driver-{name}") for name in ("cpu", "memory", "storage")))
    container = {"name": "main", "resources": resources, "securityContext": base.container_security()}
    environment = dask.environment(
        "driver",
        {
            contract.ENV_FUNCTION: placeholder("function"),
            contract.ENV_ARGUMENTS: dask.placeholder_of_any("arguments"),
            contract.ENV_NAMESPACE: "{{workflow.namespace}}",
            contract.ENV_WORKERS: placeholder("workers"),
            contract.ENV_WORKER_THREADS: placeholder("worker-threads"),
            contract.ENV_WORKER_RESOURCES: placeholder("worker-offers"),
            contract.ENV_LIMITS: placeholder("limits"),
            contract.ENV_WORKERS_DEPLOYMENT: dask.WORKERS_NAME,
            contract.ENV_CONNECT_SECONDS: str(CONNECT_SECONDS),
            contract.ENV_WORKER_SIZE: " ".join(
                f"{name}={placeholder(f'worker-{name}')}" for name in ("cpu", "memory")
            ),
            contract.ENV_WORKERS_NEVER_ON: placeholder("never-on"),
            contract.ENV_RESULT_FILE: placeholder("result-file"),
            contract.ENV_RUN_UID: "{{workflow.uid}}",
            contract.ENV_RUN_CREATED: "{{workflow.creationTimestamp.s}}",
            contract.ENV_ATTEMPT: "{{retries}}",
        },
    )
    return Container(
        name="driver",
        inputs=_inputs(_DRIVER),
        # Without the default, a driver whose result no step uses would fail for lack of the file.
        outputs=[_result(argo.ValueFrom(path=RESULT_FILE, default=""))],
        image=placeholder("image"),
        image_pull_policy="IfNotPresent",
        command=["python", "-m", "lightwork.pods.driver"],
        env=[argo.EnvVar.model_validate(item) for item in environment],
        env_from=[argo.EnvFromSource.model_validate(item) for item in dask.settings()],
        volumes=[argo.Volume.model_validate(item) for item in volumes],
        volume_mounts=[argo.VolumeMount.model_validate(item) for item in mounts],
        labels=dask.labels("driver"),
        service_account_name=contract.ACCOUNT_DRIVER,
        affinity=argo.Affinity.model_validate(base.never_spot()),
        archive_location=argo.ArtifactLocation(archive_logs=True),
        # The sizes are parameters, which Argo substitutes only in a patch.
        pod_spec_patch=yaml.safe_dump({"containers": [container]}, sort_keys=False, width=1000),
        # The Workflow's own deadline includes the time for which it waited for its turn.
        active_deadline_seconds=placeholder("deadline"),
        retry_strategy=lost_pods(),
    )


def _result_folder() -> tuple[Manifest, Manifest]:
    """Return the volume of the result's file and its mount."""
    return {"name": "result", "emptyDir": {}}, {"name": "result", "mountPath": RESULT_FOLDER}


def _long_parameters() -> tuple[Manifest, Manifest]:
    """Return the volume of the run's long parameters, if it has any, and its mount."""
    name = contract.parameters_name("{{workflow.name}}")
    volume = {"name": "parameters", "configMap": {"name": name, "optional": True}}
    return volume, {"name": "parameters", "mountPath": contract.PARAMETERS_FOLDER, "readOnly": True}


def lost_pods(when: str = RETRY_WHEN) -> argo.RetryStrategy:
    """Return the retries of containers that run the tenant's code: by default, for lost pods and lost lakes.

    They have no `maxDuration`: Argo measures it from the start of the first pod, so that a run of hours that
    loses its pod would have no retry at all. The run's deadline bounds them.
    """
    return argo.RetryStrategy(
        limit=3,
        retry_policy="Always",
        expression=when,
        backoff=argo.Backoff(duration="5s", factor=2),
    )

"""What one run needs of Dask: a scheduler under a Service's name, and workers that start at none.

Each is one object, so that Argo can make it the Workflow's own (it can do that to one object a step).
Values in double braces are filled in by Argo when a run starts.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.manifests import base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.kube.contract import Manifest

SCHEDULER_NAME = "{{inputs.parameters.name}}-scheduler"
WORKERS_NAME = "{{inputs.parameters.name}}-workers"
ADDRESS = f"tls://{SCHEDULER_NAME}.{{{{workflow.namespace}}}}.svc:{contract.SCHEDULER_PORT}"
"""The Service's name: it stays what it is when the scheduler's pod is replaced."""

GRACE = 60
"""Seconds from the notice of a worker's end to its end by force. A spot node gives two minutes."""
RETIRE = 45
"""Seconds in which a worker may hand its results to others; the rest is for the process to end."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": "lightwork.pods.logs.handler"}},
    "root": {"level": "INFO", "handlers": ["lines"]},
    # Who came, who went, and what was lost: a few lines a run.
    "loggers": {"distributed": {"level": "INFO"}},
}
"""What Dask's processes read from `DASK_LOGGING`: log lines as JSON, from the first one on."""

EVICTABLE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""The annotation of pods by which the autoscaler knows whether it may move them."""

_SPILL = "/spill"
_COMM = "DASK_DISTRIBUTED__COMM__"
_SCHEDULER = "DASK_DISTRIBUTED__SCHEDULER__"


def given(name: str) -> str:
    """The value of one of the template's parameters, filled in by Argo."""
    return f"{{{{inputs.parameters.{name}}}}}"


def labels(role: str) -> dict[str, str]:
    """The labels of one role's objects and pods in a run."""
    return {
        "app.kubernetes.io/part-of": "lightwork",
        contract.LABEL_TENANT: given("tenant"),
        contract.LABEL_PIPELINE: given("pipeline"),
        **selector(role),
    }


def selector(role: str) -> dict[str, str]:
    """The labels that tell one role's pods in a run's step from all others of the tenant."""
    return {
        contract.LABEL_RUN: "{{workflow.name}}",
        contract.LABEL_STEP: given("step"),
        contract.LABEL_ROLE: role,
    }


def environment(more: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
    """The environment of all three roles: mutual TLS, with the tenant's certificates, and nothing without."""
    folder = contract.TLS_FOLDER
    variables = {
        f"{_COMM}DEFAULT_SCHEME": "tls",
        f"{_COMM}REQUIRE_ENCRYPTION": "true",
        f"{_COMM}TLS__CA_FILE": f"{folder}/ca.crt",
        **{
            f"{_COMM}TLS__{role}__{part}": f"{folder}/tls.{file}"
            for role in ("SCHEDULER", "WORKER", "CLIENT")
            for part, file in (("CERT", "crt"), ("KEY", "key"))
        },
        f"{_COMM}TIMEOUTS__CONNECT": "30s",
        "DASK_SCHEDULER_ADDRESS": ADDRESS,
        contract.ENV_PIPELINE: given("pipeline"),
        contract.ENV_RUN: "{{workflow.name}}",
        contract.ENV_STEP: given("step"),
        **more,
    }
    pod = [("POD_NAME", "metadata.name"), ("POD_IP", "status.podIP")]
    return [{"name": name, "value": value} for name, value in variables.items()] + [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in pod
    ]


def settings(*, secrets: bool = True) -> list[dict[str, Any]]:
    """Where the rest of the environment comes from: the tenant's settings, and its secrets if any."""
    found: list[dict[str, Any]] = [{"configMapRef": {"name": contract.SETTINGS}}]
    return [*found, {"secretRef": {"name": contract.SECRETS, "optional": True}}] if secrets else found


def certificates() -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume of the tenant's certificates, and its mount."""
    volume = {"name": "tls", "secret": {"secretName": contract.TLS, "defaultMode": 0o440}}
    return volume, {"name": "tls", "mountPath": contract.TLS_FOLDER, "readOnly": True}


def service() -> Manifest:
    """The Service, whose address the workers and the driver know from the start."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SCHEDULER_NAME, "labels": labels("scheduler")},
        "spec": {
            "selector": selector("scheduler"),
            # Who comes too early is refused and asks again; waiting for a probe's verdict takes seconds more.
            "publishNotReadyAddresses": True,
            "ports": [
                {"name": "dask", "port": contract.SCHEDULER_PORT, "targetPort": "dask"},
                {"name": "dashboard", "port": contract.DASHBOARD_PORT, "targetPort": "dashboard"},
            ],
        },
    }


def scheduler() -> Manifest:
    """The scheduler. One at a time: two would share the run's workers out between them."""
    volume, mount = certificates()
    health = {"path": "/health", "port": "dashboard"}
    container = {
        "name": "scheduler",
        "image": given("image"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["dask", "scheduler"],
        "args": [
            *("--protocol", "tls", "--port", str(contract.SCHEDULER_PORT)),
            *("--dashboard-address", f":{contract.DASHBOARD_PORT}"),
        ],
        "env": environment(
            {
                "DASK_LOGGING": repr(LOGGING),
                # What a lost worker had in hand is not to blame: spot nodes go, several in a row.
                f"{_SCHEDULER}ALLOWED_FAILURES": "5",
                # What waits, waits where any worker can take it.
                f"{_SCHEDULER}WORKER_SATURATION": "1.0",
                f"{_SCHEDULER}NO_WORKERS_TIMEOUT": "15 minutes",
                # As much as is worth a worker: of what is not known yet, each task is.
                f"{_SCHEDULER}UNKNOWN_TASK_DURATION": f"{contract.WORK_SECONDS:g} seconds",
                f"{_SCHEDULER}IDLE_TIMEOUT": f"{given('deadline')} seconds",
                # A task that holds the interpreter for minutes is not a lost worker.
                f"{_SCHEDULER}WORKER_TTL": "10 minutes",
            }
        ),
        "envFrom": settings(secrets=False),
        "ports": [
            {"name": "dask", "containerPort": contract.SCHEDULER_PORT},
            {"name": "dashboard", "containerPort": contract.DASHBOARD_PORT},
        ],
        "readinessProbe": {"httpGet": health, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {
            "httpGet": health,
            "initialDelaySeconds": 60,
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
        "resources": base.resources(*(given(f"scheduler-{name}") for name in ("cpu", "memory", "storage"))),
        "securityContext": base.container_security(),
        "volumeMounts": [mount],
    }
    spec = {
        "serviceAccountName": contract.ACCOUNT_SCHEDULER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": base.pod_security(),
        "affinity": base.never_spot(),
        "containers": [container],
        "volumes": [volume],
    }
    return _deployment(SCHEDULER_NAME, "scheduler", spec, replicas=1, strategy={"type": "Recreate"})


def workers() -> Manifest:
    """The workers, none at first: the driver sets their number once it knows how much there is to do."""
    volume, mount = certificates()
    container = {
        "name": "worker",
        "image": given("image"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["dask", "worker"],
        "args": [
            *(ADDRESS, "--nworkers", "1", "--nthreads", given("worker-threads")),
            # As much as the pod has, so that Dask knows when to spill, and says so when it ends a worker.
            *("--memory-limit", f"$({contract.ENV_MEMORY})", "--local-directory", _SPILL),
            *("--host", "$(POD_IP)", "--worker-port", str(contract.WORKER_PORT)),
            *("--nanny-port", str(contract.NANNY_PORT), "--dashboard-address", f":{contract.DASHBOARD_PORT}"),
            # Metrics and health are served all the same. Nobody could reach more of it, and it starts slower.
            "--no-dashboard",
            # A worker that finds no scheduler ends, and its container is started again.
            *("--death-timeout", "120"),
        ],
        "env": [
            *environment(
                {
                    "DASK_DISTRIBUTED__WORKER__MEMORY__MAX_SPILL": given("worker-spill"),
                    "DASK_LOGGING": repr(LOGGING),
                    contract.ENV_WORKER_PORT: str(contract.WORKER_PORT),
                }
            ),
            {"name": contract.ENV_MEMORY, "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        ],
        "envFrom": settings(),
        "ports": [
            {"name": "worker", "containerPort": contract.WORKER_PORT},
            {"name": "nanny", "containerPort": contract.NANNY_PORT},
            {"name": "dashboard", "containerPort": contract.DASHBOARD_PORT},
        ],
        "lifecycle": {
            "preStop": {
                "exec": {"command": ["python", "-m", "lightwork.pods.retire", "--seconds", str(RETIRE)]}
            }
        },
        "resources": base.resources(*(given(f"worker-{name}") for name in ("cpu", "memory", "storage"))),
        "securityContext": base.container_security(),
        "volumeMounts": [mount, {"name": "spill", "mountPath": _SPILL}],
    }
    spec = {
        "serviceAccountName": contract.ACCOUNT_WORKER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": base.pod_security(),
        "affinity": prefer_spot(given("spot")),
        "tolerations": [tolerate_spot(given("spot"))],
        "containers": [container],
        "volumes": [volume, {"name": "spill", "emptyDir": {"sizeLimit": given("worker-storage")}}],
    }
    return _deployment(WORKERS_NAME, "worker", spec, replicas=0)


def prefer_spot(spot: str) -> Manifest:
    """The affinity of what may be on spot nodes, or of what rather is not: `true` or `false`."""
    preferred = {"matchExpressions": [{"key": contract.LABEL_SPOT, "operator": "In", "values": [spot]}]}
    prefer = [{"weight": 100, "preference": preferred}]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": prefer}}


def tolerate_spot(spot: str) -> Manifest:
    """The toleration of the taint of spot nodes, whose value is `true`; any other tolerates nothing."""
    return {"key": contract.LABEL_SPOT, "operator": "Equal", "value": spot, "effect": "NoSchedule"}


def _deployment(
    name: str, role: str, spec: Manifest, *, replicas: int, strategy: Manifest | None = None
) -> Manifest:
    # To save a node, the autoscaler may move a worker, which hands over; never the scheduler, which cannot.
    annotations = {EVICTABLE: str(role == "worker").lower()}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(role)},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            **({"strategy": strategy} if strategy else {}),
            "selector": {"matchLabels": selector(role)},
            "template": {"metadata": {"labels": labels(role), "annotations": annotations}, "spec": spec},
        },
    }

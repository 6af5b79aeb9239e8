"""The Dask objects of one run: a scheduler behind a Service, and workers that are scaled up from zero.

Each is a single object, since Argo can set the Workflow as owner of only one object per step.
Argo fills in the values in double braces when a run starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightwork.kube import contract
from lightwork.manifests import base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.kube.contract import Manifest

SCHEDULER_NAME = "{{inputs.parameters.name}}-scheduler"
WORKERS_NAME = "{{inputs.parameters.name}}-workers"
ADDRESS = f"tls://{SCHEDULER_NAME}.{{{{workflow.namespace}}}}.svc:{contract.SCHEDULER_PORT}"
"""The address by the Service's name, which stays the same when the scheduler's pod is replaced."""

GRACE = 60
"""Seconds between SIGTERM and SIGKILL of a worker. A spot node gives two minutes' notice."""

ANY_NODE = "none"
"""A value that no node's label has."""
RETIRE = 45
"""Seconds for a worker to hand its results over; the rest of the grace is for the process to exit."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": "lightwork.pods.logs.handler"}},
    "root": {"level": "INFO", "handlers": ["lines"]},
    # Workers that join, leave or are lost: a few lines per run.
    "loggers": {"distributed": {"level": "INFO"}},
}
"""The value of `DASK_LOGGING` for Dask's processes: JSON log lines from the very first."""

EVICTABLE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""The annotation of a pod that tells the autoscaler whether it may move the pod."""

_SPILL = "/spill"
_COMM = "DASK_DISTRIBUTED__COMM__"
_SCHEDULER = "DASK_DISTRIBUTED__SCHEDULER__"
_LEAN = {
    # It takes about two percent of the workers' time. The scheduler's dashboard says that it is off.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    # Each server measures the delay of its event loop that often: at Dask's 20 ms, 1 % of a core for each.
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    # Figures of the machine for the dashboard; those of disks are the node's, and not the pod's.
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "2s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__DISK": "False",
}
"""Settings that spare processor time in Dask's processes."""


def placeholder(name: str) -> str:
    """Return the placeholder of one of the template's parameters, which Argo fills in."""
    return f"{{{{inputs.parameters.{name}}}}}"


def placeholder_of_any(name: str) -> str:
    """Return the placeholder of a parameter that may be any text.

    It is an expression: Argo quotes what replaces a plain placeholder as Go does, which is not always JSON.
    """
    return f"{{{{=inputs.parameters['{name}']}}}}"


def labels(role: str) -> dict[str, str]:
    """Return the labels of one role's objects and pods in a run."""
    return {
        "app.kubernetes.io/part-of": "lightwork",
        contract.LABEL_TENANT: placeholder("tenant"),
        contract.LABEL_PIPELINE: placeholder("pipeline"),
        **selector(role),
    }


def selector(role: str) -> dict[str, str]:
    """Return the labels that select one role's pods in one step of a run."""
    return {
        contract.LABEL_RUN: "{{workflow.name}}",
        contract.LABEL_STEP: placeholder("step"),
        contract.LABEL_ROLE: role,
    }


def environment(role: str, more: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the environment of one of the three roles, with mutual TLS by the tenant's certificates."""
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
        contract.ENV_PIPELINE: placeholder("pipeline"),
        contract.ENV_RUN: "{{workflow.name}}",
        contract.ENV_STEP: placeholder("step"),
        contract.ENV_ROLE: role,
        **more,
    }
    pod = [("POD_NAME", "metadata.name"), ("POD_IP", "status.podIP")]
    return [{"name": name, "value": value} for name, value in variables.items()] + [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in pod
    ]


def settings(*, secrets: bool = True) -> list[dict[str, Any]]:
    """Return the sources of further variables: the tenant's settings, and its Secret if there is one."""
    sources: list[dict[str, Any]] = [{"configMapRef": {"name": contract.SETTINGS}}]
    return [*sources, {"secretRef": {"name": contract.SECRETS, "optional": True}}] if secrets else sources


def certificates() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the volume of the tenant's certificates and its mount."""
    volume = {"name": "tls", "secret": {"secretName": contract.TLS, "defaultMode": 0o440}}
    return volume, {"name": "tls", "mountPath": contract.TLS_FOLDER, "readOnly": True}


def service() -> Manifest:
    """Return the Service, whose address the workers and the driver know from the start."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SCHEDULER_NAME, "labels": labels("scheduler")},
        "spec": {
            "selector": selector("scheduler"),
            # Early clients are refused and retry, which is seconds faster than waiting for a readiness probe.
            "publishNotReadyAddresses": True,
            "ports": [
                {"name": "dask", "port": contract.SCHEDULER_PORT, "targetPort": "dask"},
                {"name": "dashboard", "port": contract.DASHBOARD_PORT, "targetPort": "dashboard"},
            ],
        },
    }


def scheduler() -> Manifest:
    """Return the scheduler. Two must never run at once: they would split the run's workers between them."""
    volume, mount = certificates()
    health = {"path": "/health", "port": "dashboard"}
    container = {
        "name": "scheduler",
        "image": placeholder("image"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["dask", "scheduler"],
        "args": [
            *("--protocol", "tls", "--port", str(contract.SCHEDULER_PORT)),
            *("--dashboard-address", f":{contract.DASHBOARD_PORT}"),
        ],
        "env": environment(
            "scheduler",
            {
                "DASK_LOGGING": repr(LOGGING),
                **_LEAN,
                # A task is not at fault when its worker is lost: several spot nodes may go in a row.
                f"{_SCHEDULER}ALLOWED_FAILURES": "5",
                # Tasks queue at the scheduler, where any worker can take them.
                f"{_SCHEDULER}WORKER_SATURATION": "1.0",
                f"{_SCHEDULER}NO_WORKERS_TIMEOUT": "15 minutes",
                # Long enough that each task of unknown duration is worth a worker of its own.
                f"{_SCHEDULER}UNKNOWN_TASK_DURATION": f"{contract.WORK_SECONDS:g} seconds",
                f"{_SCHEDULER}IDLE_TIMEOUT": f"{placeholder('deadline')} seconds",
                # A worker whose task holds the GIL for minutes is not lost.
                f"{_SCHEDULER}WORKER_TTL": "10 minutes",
            },
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
        "resources": base.resources(
            *(placeholder(f"scheduler-{name}") for name in ("cpu", "memory", "storage"))
        ),
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
    """Return the workers: none at first, until the driver sets their number by the work there is."""
    volume, mount = certificates()
    container = {
        "name": "worker",
        "image": placeholder("image"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["dask", "worker"],
        "args": [
            *(ADDRESS, "--nworkers", "1", "--nthreads", placeholder("worker-threads")),
            # The pod's memory, so that Dask knows when to spill, and logs when it restarts a worker.
            *("--memory-limit", f"$({contract.ENV_MEMORY})", "--local-directory", _SPILL),
            *("--host", "$(POD_IP)", "--worker-port", str(contract.WORKER_PORT)),
            *("--nanny-port", str(contract.NANNY_PORT), "--dashboard-address", f":{contract.DASHBOARD_PORT}"),
            # Metrics and health are served anyway. Nobody could reach the rest, and it slows the start down.
            "--no-dashboard",
            *("--resources", placeholder("worker-offers")),
            # A worker that finds no scheduler exits, and its container restarts.
            *("--death-timeout", "120"),
            # It tells the driver how the worker's process has ended.
            *("--preload-nanny", "lightwork.cluster.ends"),
        ],
        "env": [
            *environment(
                "worker",
                {
                    "DASK_DISTRIBUTED__WORKER__MEMORY__MAX_SPILL": placeholder("worker-spill"),
                    "DASK_LOGGING": repr(LOGGING),
                    **_LEAN,
                    contract.ENV_WORKER_PORT: str(contract.WORKER_PORT),
                },
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
        "resources": _with_devices(
            base.resources(*(placeholder(f"worker-{name}") for name in ("cpu", "memory", "storage")))
        ),
        "securityContext": base.container_security(),
        "volumeMounts": [mount, {"name": "spill", "mountPath": _SPILL}],
    }
    spec = {
        "serviceAccountName": contract.ACCOUNT_WORKER,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": base.pod_security(),
        "affinity": on_nodes(placeholder("spot"), placeholder("never-on")),
        "tolerations": [tolerate_spot(placeholder("spot"))],
        "containers": [container],
        "volumes": [volume, {"name": "spill", "emptyDir": {"sizeLimit": placeholder("worker-storage")}}],
    }
    return _deployment(WORKERS_NAME, "worker", spec, replicas=0)


def _with_devices(resources: Manifest) -> Manifest:
    """Return requests and limits with the worker's devices, which `scaler` merges into them."""
    devices = {"<<": placeholder("worker-devices")}
    return {kind: {**amounts, **devices} for kind, amounts in resources.items()}


def on_nodes(spot: str, never: str) -> Manifest:
    """Return the affinity of pods that may be on spot nodes, or must be.

    A node without the label suits all of them: a cluster at hand has no spot nodes.

    Args:
        spot: `true` to prefer spot nodes, `false` to prefer other nodes.
        never: the label's value of the nodes that the pods must not be on, as `never_on` returns it.
    """
    refused = {"key": contract.LABEL_SPOT, "operator": "NotIn", "values": [never]}
    preferred = {"matchExpressions": [{"key": contract.LABEL_SPOT, "operator": "In", "values": [spot]}]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [refused]}]}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": required,
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": preferred}],
        }
    }


def never_on(*, spot: bool, on_demand_fallback: bool) -> str:
    """Return the label's value of the nodes that pods must not be on.

    Args:
        spot: whether spot nodes are allowed.
        on_demand_fallback: whether other nodes are allowed too.
    """
    if on_demand_fallback:
        return ANY_NODE
    return "false" if spot else "true"


def tolerate_spot(spot: str) -> Manifest:
    """Return a toleration of the spot taint, whose value is `true`; another value tolerates nothing."""
    return {"key": contract.LABEL_SPOT, "operator": "Equal", "value": spot, "effect": "NoSchedule"}


def _deployment(
    name: str, role: str, spec: Manifest, *, replicas: int, strategy: Manifest | None = None
) -> Manifest:
    # The autoscaler may move a worker, which hands its results over, but not the scheduler, which cannot.
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

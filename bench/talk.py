"""The talk's design, implemented from its description in a namespace of its own; and one pod per task."""

from __future__ import annotations

import json
import time
from typing import Any

from bench.measure import wait_for

NAMESPACE = "bench-talk"
AT_ONCE = 10
"""How many pods run at once when each task is a pod."""
_SIZE = {"cpu": "100m", "memory": "512Mi"}
_CODE = """
import json, sys, time
from distributed import Client
address, elements, seconds, workers = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
def moment(number, seconds):
    start = time.time()
    time.sleep(seconds)
    return start
client = Client(address, timeout=180)
client.wait_for_workers(1, timeout=180)
starts = client.gather(client.map(moment, range(elements), seconds=seconds, pure=False))
with open("/tmp/result.json", "w") as file:
    json.dump({"first": min(starts), "last": max(starts) + seconds, "elements": elements}, file)
"""


def set_up() -> None:
    """Create the namespace, a service account with the rights of the talk's steps, and the templates."""
    from tests.cluster.kube import apply

    rules = [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "get", "delete", "list"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "talk"}
    subject = {"kind": "ServiceAccount", "name": "talk", "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io/v1"
    apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            _object("v1", "ServiceAccount", "talk"),
            {**_object(rbac, "Role", "talk"), "rules": rules},
            {**_object(rbac, "RoleBinding", "talk"), "roleRef": role, "subjects": [subject]},
            _template(),
            _single(),
        ]
    )


def remove() -> None:
    """Delete the namespace and everything in it."""
    from tests.cluster.kube import kubectl

    kubectl("delete", "namespace", NAMESPACE, "--wait=true", timeout=180)


def run(elements: int, seconds: float, workers: int) -> dict[str, float]:
    """Measure one run of the talk's design; the figures of `figures`."""
    submitted = time.time()
    name = _submit("talk", elements=elements, seconds=seconds, workers=workers)
    status = _wait_for_end(name)
    ended = time.time()
    wait_for("deletion of the talk's objects", lambda: not leftovers(), 300)
    gone = time.time()
    outputs = [
        parameter["value"]
        for node in status["nodes"].values()
        for parameter in node.get("outputs", {}).get("parameters", ())
    ]
    return figures(submitted, ended, gone, json.loads(outputs[0]))


def figures(submitted: float, ended: float, gone: float, result: dict[str, float]) -> dict[str, float]:
    """Compute a run's figures in seconds.

    Args:
        submitted: when it was submitted, in seconds since 1970.
        ended: when the workflow ended.
        gone: when everything was deleted.
        result: when the first element began (`first`) and the last one ended (`last`).

    Returns:
        `start`, from submit to the first element; `around`, the workflow less the computation; `gone`, from
        the last element until everything was deleted.
    """
    computing = result["last"] - result["first"]
    return {
        "start": result["first"] - submitted,
        "around": ended - submitted - computing,
        "gone": gone - result["last"],
    }


def left_after_terminate(workers: int, after: float) -> list[str]:
    """List the objects left some seconds after a run was terminated."""
    from tests.cluster.kube import kubectl

    name = _submit("talk", elements=100_000, seconds=0.02, workers=workers)
    wait_for_workers(NAMESPACE, "role=worker")
    patch = json.dumps({"spec": {"shutdown": "Terminate"}})
    kubectl("-n", NAMESPACE, "patch", "workflow", name, "--type=merge", "-p", patch)
    time.sleep(after)
    left = leftovers()
    kubectl("-n", NAMESPACE, "delete", "workflows,deployments,pods", "--all", "--wait=true", timeout=180)
    return left


def wait_for_workers(namespace: str, selector: str) -> None:
    """Wait until a worker's pod runs and has work."""
    from tests.cluster.kube import items

    def running() -> bool:
        pods = items("-n", namespace, "pods", "-l", selector)
        return any(pod["status"]["phase"] == "Running" for pod in pods)

    wait_for("a worker", running, 180)
    time.sleep(5)  # for it to get work


def one_pod_per_task(tasks: int) -> float:
    """Time so many tasks, in seconds, with a pod for each and `AT_ONCE` pods at once."""
    submitted = time.time()
    name = _submit("single", tasks=json.dumps(list(range(tasks))))
    status = _wait_for_end(name)
    pods = [node for node in status["nodes"].values() if node["type"] == "Pod"]
    if len(pods) != tasks:
        raise RuntimeError(f"{name}: expected {tasks} pods, got {len(pods)}")
    return time.time() - submitted


def leftovers() -> list[str]:
    """List the deployments, services and pods in the namespace, except for pods that have ended."""
    from tests.cluster.kube import items

    objects = items("-n", NAMESPACE, "deployments,services,pods")
    return sorted(
        f"{item['kind']}/{item['metadata']['name']}"
        for item in objects
        if item.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    )


def _submit(template: str, **parameters: object) -> str:
    from tests.cluster.kube import kubectl

    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{template}-", "namespace": NAMESPACE},
        "spec": {
            "workflowTemplateRef": {"name": template},
            "arguments": {"parameters": [{"name": key, "value": str(v)} for key, v in parameters.items()]},
        },
    }
    name: str = json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(workflow)))[
        "metadata"
    ]["name"]
    return name


def _wait_for_end(name: str) -> dict[str, Any]:
    from tests.cluster.kube import get

    status: dict[str, Any] = {}

    def ended() -> bool:
        nonlocal status
        status = get("-n", NAMESPACE, "workflow", name).get("status", {})
        return status.get("phase") in ("Succeeded", "Failed", "Error")

    wait_for(f"the end of {name}", ended, 600)
    if status["phase"] != "Succeeded":
        raise RuntimeError(f"{name}: {status['phase']}: {status.get('message')}")
    return status


def _object(api: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}}


def _image() -> str:
    from tests.cluster.images import probe_image

    return probe_image()


def _container(command: list[str], **more: Any) -> dict[str, Any]:
    resources = {"requests": _SIZE, "limits": _SIZE}
    return {"image": _image(), "imagePullPolicy": "Never", "command": command, "resources": resources, **more}


def _template() -> dict[str, Any]:
    """Build the talk's workflow: a daemon scheduler, workers given its IP, the pipeline; cleanup on exit."""
    scheduler = _container(
        ["dask", "scheduler", "--dashboard-address", ":8787"],
        readinessProbe={"tcpSocket": {"port": 8786}, "periodSeconds": 1},
    )
    worker = _container(["dask", "worker", "tcp://{{inputs.parameters.ip}}:8786", "--nthreads", "1"])
    labels = {"run": "{{workflow.name}}", "role": "worker"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "{{workflow.name}}-workers"},
        "spec": {
            "replicas": "{{workflow.parameters.workers}}",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "worker", **worker}]},
            },
        },
    }
    text = json.dumps(deployment).replace(
        '"{{workflow.parameters.workers}}"', "{{workflow.parameters.workers}}"
    )
    arguments = [f"{{{{workflow.parameters.{name}}}}}" for name in ("elements", "seconds", "workers")]
    pipeline = _container(["python", "-c", _CODE, "tcp://{{inputs.parameters.ip}}:8786", *arguments])
    address = {"parameters": [{"name": "ip"}]}
    scheduler_ip = {"parameters": [{"name": "ip", "value": "{{steps.scheduler.ip}}"}]}
    templates: list[dict[str, Any]] = [
        {
            "name": "main",
            "steps": [
                [{"name": "scheduler", "template": "scheduler"}],
                [{"name": "workers", "template": "workers", "arguments": scheduler_ip}],
                [{"name": "pipeline", "template": "pipeline", "arguments": scheduler_ip}],
            ],
        },
        {"name": "scheduler", "daemon": True, "container": scheduler},
        {"name": "workers", "inputs": address, "resource": {"action": "create", "manifest": text}},
        {
            "name": "pipeline",
            "inputs": address,
            "container": pipeline,
            "outputs": {"parameters": [{"name": "result", "valueFrom": {"path": "/tmp/result.json"}}]},
        },
        {
            "name": "exit",
            "resource": {"action": "delete", "flags": ["deployment", "{{workflow.name}}-workers"]},
        },
    ]
    return _workflow_template("talk", templates, ["elements", "seconds", "workers"], onExit="exit")


def _single() -> dict[str, Any]:
    """Build a workflow with one pod per task."""
    step = {"name": "task", "template": "task", "withParam": "{{workflow.parameters.tasks}}"}
    templates: list[dict[str, Any]] = [
        {"name": "main", "parallelism": AT_ONCE, "steps": [[step]]},
        {"name": "task", "container": _container(["python", "-c", "print(1 + 1)"])},
    ]
    return _workflow_template("single", templates, ["tasks"])


def _workflow_template(
    name: str, templates: list[dict[str, Any]], parameters: list[str], **more: Any
) -> dict[str, Any]:
    return {
        **_object("argoproj.io/v1alpha1", "WorkflowTemplate", name),
        "spec": {
            "entrypoint": "main",
            "serviceAccountName": "talk",
            "templates": templates,
            "arguments": {"parameters": [{"name": item} for item in parameters]},
            **more,
        },
    }

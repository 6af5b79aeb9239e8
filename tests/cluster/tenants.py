"""The example tenants, small enough for this machine, and their runs."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import yaml

from tests.cluster import pod_identity, stores
from tests.cluster.images import platform_image, probe_image
from tests.cluster.kube import apply, get, kubectl
from tests.cluster.progress import HarnessError, run, say, wait_for
from tests.cluster.settings import ROOT, S3_PORT, host, kubeconfig, run_folder
from tests.estate import files

ENVIRONMENT = "dev"
TENANTS = ("acme", "globex")
"""Those of `tests/estate/tenants` that are set up."""

LIGHTWORK = (sys.executable, "-c", "from lightwork.cli.main import main; main()")
"""The command `lightwork`, of the environment that the tests run in."""

WHERE = ("--env", ENVIRONMENT, "--tenant")
"""What says to `lightwork` which cluster; the tenant's name follows."""

SMALL = {"cpu": "100m", "memory": "512Mi", "storage": "1Gi"}
"""What each pod asks for here, in place of what the files say: the node has two cores."""


def namespace(tenant: str) -> str:
    """A tenant's namespace."""
    return f"tenant-{tenant}"


def bucket(tenant: str) -> str:
    """A tenant's bucket."""
    return f"lightwork-{ENVIRONMENT}-{tenant}"


def small_file(tenant: str) -> str:
    """A copy of a tenant's file with small pods and without schedules; its path."""
    document = yaml.safe_load((files.HERE / "tenants" / f"{tenant}.yaml").read_text())
    for entry in document["pipelines"].values():
        for one in entry.get("steps", {"": entry}).values():
            for role in ("size",) if "command" in one else ("workers", "scheduler", "driver"):
                one[role] = {**one.get(role, {}), **SMALL}
        if "schedule" in entry:
            entry["suspended"] = True
    if tenant == TENANTS[0]:
        document["pipelines"] |= _probes()
    target = run_folder() / "tenants" / f"{tenant}.yaml"
    target.parent.mkdir(exist_ok=True)
    target.write_text(yaml.safe_dump(document, sort_keys=False))
    return str(target)


def _probes() -> dict[str, Any]:
    """The tests' own pipeline, in an image of its own; once more with a deadline that it reaches."""
    probe = {
        "pipeline": "probe",
        "image": probe_image(),
        "parameters": {"elements": 2000, "seconds": 0.02, "label": "none", "fail": "", "megabytes": 0},
        "workers": {"count": 3, **SMALL},
        "scheduler": SMALL,
        "driver": SMALL,
        "max_parallel_runs": 2,
        "deadline": "15m",
    }
    clock = {**probe, "pipeline": "clock", "parameters": {"elements": 1000, "seconds": 0}}
    brief = {**probe, "deadline": "100s"}
    plain = {**probe, "pipeline": "plain", "parameters": {"numbers": 40}}
    steps = _probe_steps(probe)
    return {"probe": probe, "probe-brief": brief, "clock": clock, "plain": plain, "probe-steps": steps}


def _probe_steps(probe: dict[str, Any]) -> dict[str, Any]:
    """The probe twice, the second time beside a container that has the first one's result for a while."""
    roles = {key: probe[key] for key in ("pipeline", "image", "workers", "scheduler", "driver")}
    halve = "import sys; open('/tmp/outputs/elements', 'w').write(str(int(sys.argv[1]) // 2))"
    later = (
        "import json, sys, time; time.sleep(60); print(json.dumps({'event': 'later', 'argv': sys.argv[1:]}))"
    )
    python = {"size": SMALL, "image": probe["image"]}
    parameters = {**probe["parameters"], "elements": "${halve.elements}"}
    steps = {
        "halve": {
            **python,
            "command": ["python", "-c", halve],
            "args": ["${elements}"],
            "outputs": ["elements"],
        },
        "first": {**roles, "parameters": {**parameters, "label": "${label}"}},
        "later": {
            **python,
            "command": ["python", "-c", later],
            "args": ["${first.result}", 'a "quoted" ${label}'],
        },
        "second": {**roles, "after": ["first"], "parameters": {**parameters, "label": "${label}-2"}},
    }
    return {"parameters": {"elements": 600, "label": "none"}, "steps": steps, "deadline": "15m"}


def environment() -> dict[str, str]:
    """The variables with which `lightwork` finds the cluster."""
    return {"KUBECONFIG": str(kubeconfig())}


def render(tenant: str) -> list[dict[str, Any]]:
    """What `lightwork tenant render` prints for a tenant."""
    variables = {
        "AWS_ENDPOINT_URL": stores.s3_url(),
        "AWS_REGION": stores.REGION,
        "AWS_DEFAULT_REGION": stores.REGION,
    }
    options = [f"--variable={name}={value}" for name, value in variables.items()]
    words = [*LIGHTWORK, "tenant", "render", small_file(tenant)]
    text = run([*words, "--env", ENVIRONMENT, "--image", platform_image(), *options], cwd=ROOT)
    return [item for item in yaml.safe_load_all(text) if item]


def set_up(tenant: str) -> None:
    """Make a tenant: bucket and account, its pods' identity, namespace and all that is in it."""
    stores.add_tenant(tenant, bucket(tenant))
    for account in pod_identity.ACCOUNTS:
        pod_identity.associate(namespace(tenant), account, tenant)
    objects = render(tenant)
    # A Job cannot be changed: that of an image before goes first.
    kubectl("-n", namespace(tenant), "delete", "job", "certificates", "--ignore-not-found", check=False)
    apply([*objects, _way_to_the_servers(tenant)])
    wait = ["-n", namespace(tenant), "wait", "--for=condition=Complete", "job/certificates", "--timeout=120s"]
    kubectl(*wait, timeout=130)


def _way_to_the_servers(tenant: str) -> dict[str, Any]:
    """Where policies are enforced: the tests' S3 server is on another port than AWS's."""
    to = {"to": [{"ipBlock": {"cidr": f"{host()}/32"}}], "ports": [{"port": S3_PORT, "protocol": "TCP"}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "tests-s3", "namespace": namespace(tenant)},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [to]},
    }


def submit(tenant: str, pipeline: str, **parameters: str) -> str:
    """Submit a run by `lightwork submit`; the Workflow's name."""
    words = [*LIGHTWORK, "submit", "--json", pipeline, *(f"{key}={text}" for key, text in parameters.items())]
    said = run([*words, *WHERE, tenant], cwd=ROOT, env=environment())
    name: str = json.loads(said.splitlines()[-1])["run"]
    say(f"submitted {namespace(tenant)}/{name}")
    return name


def names(tenant: str, pipeline: str) -> list[str]:
    """The Workflows of a pipeline that are there, oldest first."""
    listed = get("-n", namespace(tenant), "workflows", "-l", f"lightwork/pipeline={pipeline}")["items"]
    listed.sort(key=lambda item: item["metadata"]["creationTimestamp"])
    return [item["metadata"]["name"] for item in listed]


def status(tenant: str, run_name: str) -> dict[str, Any]:
    """A Workflow's status; empty when it is gone."""
    listed = get("-n", namespace(tenant), "workflows", "--field-selector", f"metadata.name={run_name}")[
        "items"
    ]
    return dict(listed[0].get("status", {})) if listed else {}


def messages(status: dict[str, Any]) -> str:
    """What a Workflow's status says happened: its own message and those of its steps."""
    found = [status, *status.get("nodes", {}).values()]
    return "; ".join(dict.fromkeys(item["message"] for item in found if item.get("message")))


def wait_for_end(tenant: str, run_name: str, *, seconds: float) -> dict[str, Any]:
    """Wait until a Workflow has ended; its status."""
    until = time.monotonic() + seconds
    found: dict[str, Any] = {}
    while time.monotonic() < until:
        found = status(tenant, run_name)
        if found.get("phase") in ("Succeeded", "Failed", "Error"):
            say(f"{run_name}: {found['phase']} {messages(found)}".rstrip())
            return found
        time.sleep(1)
    raise HarnessError(f"{run_name}: not ended after {seconds:.0f} s: {describe(tenant, run_name)}")


def pods(tenant: str, run_name: str, role: str | None = None) -> list[dict[str, Any]]:
    """The pods of a run: those of Argo's steps and those of its Deployments."""
    found = get("-n", namespace(tenant), "pods")["items"]
    labels = ("lightwork/run", "workflows.argoproj.io/workflow")
    mine = [pod for pod in found if any(pod["metadata"]["labels"].get(key) == run_name for key in labels)]
    if role is None:
        return mine
    return [pod for pod in mine if pod["metadata"]["labels"].get("lightwork/role") == role]


def leftovers(tenant: str, run_name: str) -> list[str]:
    """What of a run is still there, but for the Workflow and Argo's completed pods."""
    label = f"lightwork/run={run_name}"
    found = get("-n", namespace(tenant), "deployments,replicasets,services,pods", "-l", label)["items"]
    names = [f"{item['kind']}/{item['metadata']['name']}" for item in found]
    for pod in pods(tenant, run_name):
        name = f"Pod/{pod['metadata']['name']}"
        if pod["status"]["phase"] in ("Succeeded", "Failed"):
            names = [one for one in names if one != name]
        elif name not in names:
            names.append(name)
    return sorted(names)


def wait_until_clear(tenant: str, run_name: str, *, seconds: float) -> float:
    """Wait until nothing of a run is left; how many seconds it took."""
    begun = time.monotonic()

    def clear() -> bool:
        left = leftovers(tenant, run_name)
        if left and time.monotonic() - begun > seconds - 2:
            raise HarnessError(f"left: {', '.join(left)}")
        return not left

    wait_for(f"the end of all of {run_name}", clear, seconds=seconds, every=1)
    return time.monotonic() - begun


def describe(tenant: str, run_name: str) -> str:
    """What is known of a run, for when a test fails."""
    nodes = status(tenant, run_name).get("nodes", {}).values()
    lines = [f"{node.get('displayName')}: {node.get('phase')} {node.get('message', '')}" for node in nodes]
    for pod in pods(tenant, run_name):
        name = pod["metadata"]["name"]
        lines.append(f"pod {name}: {pod['status'].get('phase')}")
        log = kubectl("-n", namespace(tenant), "logs", name, "--all-containers", "--tail=30", check=False)
        lines.append(log)
    events = kubectl("-n", namespace(tenant), "get", "events", "--sort-by=.lastTimestamp", check=False)
    return "\n".join([*lines, *events.splitlines()[-15:]])

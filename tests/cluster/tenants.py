"""The example tenants, scaled down for this machine, and their runs."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from lightwork.kube import contract
from tests.cluster import pod_identity, policies, stores
from tests.cluster.images import platform_image, probe_image
from tests.cluster.kube import apply, get, kubectl, kubectl_wait
from tests.cluster.progress import HarnessError, run, say, wait_for
from tests.cluster.settings import ROOT, kubeconfig, of_current_context, run_folder
from tests.estate import files
from tests.waiting import patience

ENVIRONMENT = "dev"
TENANTS = ("acme", "globex")
"""The tenants of `tests/estate/tenants` that the tests use."""

LIGHTWORK = (sys.executable, "-c", "from lightwork.cli.main import main; main()")
"""The command `lightwork` of the tests' own environment."""

WHERE = ("--env", ENVIRONMENT, "--tenant")
"""The options that select the cluster; the tenant's name follows."""

NO_IMAGE = "localhost/lightwork/not-there:1"
"""The image of an entry whose runs cannot start."""

DEVICE, DEVICES = "lightwork.test/gpu", 2
"""A resource of nodes, and how many of it the tests' own runs may request."""

SMALL = {"cpu": "100m", "memory": "512Mi", "storage": "1Gi"}
"""The size of each pod, in place of the files': the node has two cores."""


def namespace(tenant: str) -> str:
    """Return a tenant's namespace."""
    return f"tenant-{tenant}"


def bucket(tenant: str) -> str:
    """Return a tenant's bucket."""
    return f"lightwork-{ENVIRONMENT}-{tenant}"


def small_file(tenant: str) -> str:
    """Write a copy of a tenant's file with small pods and suspended schedules; return its path."""
    document = small((files.HERE / "tenants" / f"{tenant}.yaml").read_text())
    if tenant == TENANTS[0]:
        document["pipelines"] |= _probes()
        document["quota"]["resources"] = {DEVICE: DEVICES}
    else:
        document["pipelines"] |= queues()
    return str(keep(tenant, document))


def small(text: str) -> dict[str, Any]:
    """Return the content of a tenant's file with small pods and suspended schedules."""
    document: dict[str, Any] = yaml.safe_load(text)
    for entry in document.get("pipelines", {}).values():
        for step in entry.get("steps", {"": entry}).values():
            for role in ("size",) if "command" in step else ("workers", "scheduler", "driver"):
                step[role] = {**step.get(role, {}), **SMALL}
        if "schedule" in entry:
            entry["suspended"] = True
    return document


def keep(tenant: str, document: dict[str, Any]) -> Path:
    """Write a tenant's file to the run folder; return its path."""
    target = run_folder() / "tenants" / f"{tenant}.yaml"
    target.parent.mkdir(exist_ok=True)
    target.write_text(yaml.safe_dump(document, sort_keys=False))
    return target


def probe_entry() -> dict[str, Any]:
    """Return an entry for the tests' own pipeline, in its own image."""
    return {
        "pipeline": "probe",
        "image": probe_image(),
        "parameters": {"elements": 2000, "seconds": 0.02, "label": "none", "fail": "", "megabytes": 0},
        "workers": {"count": 3, **SMALL},
        "scheduler": SMALL,
        "driver": SMALL,
        "max_parallel_runs": 2,
        "deadline": "15m",
    }


def _probes() -> dict[str, Any]:
    """Return entries for the tests' own pipelines; one with a deadline it will miss."""
    probe = probe_entry()
    # Not one of this machine, which has no registry: the driver never starts.
    missing = {**probe, "image": NO_IMAGE, "max_parallel_runs": 1}
    clock = {**probe, "pipeline": "clock", "parameters": {"elements": 1000, "seconds": 0}}
    brief = {**probe, "deadline": "100s"}
    plain = {**probe, "pipeline": "plain", "parameters": {"numbers": 40}}
    hourly = {"schedule": "0 * * * *", "timezone": "Europe/Berlin", "suspended": True}
    interval = {**probe, **hourly, "pipeline": "interval", "parameters": {}, "max_parallel_runs": 1}
    daily = {"schedule": "0 0 * * *", "timezone": "UTC", "suspended": True}
    night = {**interval, **daily, "pipeline": "night", "max_parallel_runs": 3}
    steps = _probe_steps(probe)
    faults = {**probe, "pipeline": "faults", "parameters": {"kind": "exit", "call": False}}
    faults["workers"] = {**probe["workers"], "count": 2, "storage": "300Mi"}
    fallback = {**probe, "workers": {**probe["workers"], "on_demand_fallback": True}}
    one_device = {"count": DEVICES, **SMALL, "threads": 2, "resources": {DEVICE: 1}}
    devices = {**probe, "pipeline": "devices", "parameters": {"elements": 6, "each": 1}}
    careful = {**probe, "pipeline": "careful", "parameters": {"label": "none"}, "limits": {"api": 1}}
    return {
        "devices": {**devices, "workers": one_device, "max_parallel_runs": 1},
        "careful": careful,
        "faults": faults,
        "probe": probe,
        "probe-brief": brief,
        "probe-fallback": fallback,
        "probe-no-image": missing,
        "clock": clock,
        "plain": plain,
        "interval": interval,
        "interval-steps": _interval_steps(probe),
        "night": {**night, "workers": {**probe["workers"], "count": 1}},
        "probe-steps": steps,
        **_words(probe),
    }


FILE_TEXTS = {
    "a": "run {{workflow.name}}",
    "b": "{{=1+1}}",
    "c": "$(LIGHTWORK_RUN) $$ $é",
    "d": 'a "quoted"\n\ttext with }} and \\u007b\r\n',
    "e": "lightwork:json:1",
    "f": "@noon",
    "g": "\x7f \u2028 \ufeff \U000e0001 \u202e ü 🌍 ",
    "h": "",
}
"""Texts that Argo, kubelet or YAML could change."""


def _words(probe: dict[str, Any]) -> dict[str, Any]:
    """Return an entry whose pipeline tells what texts it got, and one that passes them through steps."""
    names = "abcdefghijkm"
    words = {
        **probe,
        "pipeline": "words",
        "parameters": {**dict.fromkeys(names, ""), **FILE_TEXTS, "label": "none"},
    }
    roles = {key: probe[key] for key in ("pipeline", "image", "workers", "scheduler", "driver")}
    python = {"size": SMALL, "image": probe["image"]}
    echo = (
        "import json, sys; open('/tmp/outputs/text', 'w', newline='').write(sys.argv[1] + chr(10));"
        " print(json.dumps({'event': 'echo', 'argv': sys.argv[1:]}))"
    )
    fixed = FILE_TEXTS["a"] + FILE_TEXTS["c"]
    # The two streams reach the log by ways of their own, so that lines of one moment may change places.
    fail = (
        "import sys, time; print('first', flush=True); time.sleep(1);"
        " print('last: \x1b[2J', sys.argv[1], file=sys.stderr); sys.exit(3)"
    )
    steps = {
        "echo": {
            **python,
            "command": ["python", "-c", f"{echo} #{fixed}"],
            "args": ["${text}", "a ${text}${text}", fixed],
            "outputs": ["text"],
        },
        "words": {
            **roles,
            "pipeline": "words",
            "parameters": {
                "a": "${text}",
                "b": "${echo.text}",
                "c": "{${text}${echo.text}",
                "d": fixed,
                "e": "${long}",
                "label": "${label}",
            },
        },
        "last": {
            **python,
            "command": ["python", "-c", echo],
            "args": ["${words.result}", "${echo.text}"],
            "outputs": ["text"],
        },
    }
    failing = {"fail": {**python, "command": ["python", "-c", fail], "args": ["${text}"]}}
    many = {"parameters": {"text": "", "long": "", "label": "none"}, "steps": steps, "deadline": "15m"}
    fails = {"parameters": {"text": ""}, "steps": failing, "deadline": "15m"}
    once = {"steps": {"echo": {**python, "command": ["echo", "once"]}}, "deadline": "15m"}
    return {"words": words, "words-steps": many, "words-fail": fails, "words-once": once}


def queues() -> dict[str, Any]:
    """Return entries whose runs are one small pod each, for queues: with one and with two places."""
    code = "import sys, time; time.sleep(float(sys.argv[1]))"
    pod = {"command": ["python", "-c", code], "args": ["${seconds}"], "image": probe_image(), "size": SMALL}
    entry = {"steps": {"pause": pod}, "parameters": {"seconds": 1}, "deadline": "5m"}
    entries = {f"queue-{name}": {**entry, "max_parallel_runs": 1 + (name > "b")} for name in "abcde"}
    short = {**entry, "deadline": "20s", "ends_within": "20s"}
    hourly = {"schedule": "0 * * * *", "timezone": "UTC", "suspended": True}
    fired = {f"queue-{word}": {**entry, **hourly, "when_busy": word} for word in ("skip", "wait")}
    return {**entries, "queue-short": short, **fired}


def _probe_steps(probe: dict[str, Any]) -> dict[str, Any]:
    """Return an entry that runs the probe twice, the second time beside a slow container step."""
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


def _interval_steps(probe: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with a pipeline that works on the run's interval, and a container with its result."""
    roles = {key: probe[key] for key in ("image", "workers", "scheduler", "driver")}
    taken = {"start": "${start}", "end": "${end}"}
    steps = {
        "first": {**roles, "pipeline": "interval", "parameters": taken},
        "report": {"size": SMALL, "command": ["echo"], "args": ["${first.result}"]},
    }
    hourly = {"schedule": "0 * * * *", "timezone": "Europe/Berlin", "suspended": True}
    return {**hourly, "interval": ["start", "end"], "steps": steps, "deadline": "15m"}


def environment() -> dict[str, str]:
    """Return the variables by which `lightwork` finds the cluster."""
    return {"KUBECONFIG": str(kubeconfig())}


def render(tenant: str, file: str | None = None) -> list[dict[str, Any]]:
    """Return the objects that `lightwork tenant render` prints for a tenant, by default an example tenant."""
    variables = {
        "AWS_ENDPOINT_URL": stores.s3_url(),
        "AWS_REGION": stores.REGION,
        "AWS_DEFAULT_REGION": stores.REGION,
    }
    options = [f"--variable={name}={value}" for name, value in variables.items()]
    words = [*LIGHTWORK, "tenant", "render", file or small_file(tenant)]
    text = run([*words, "--env", ENVIRONMENT, "--image", platform_image(), *options], cwd=ROOT)
    return [item for item in yaml.safe_load_all(text) if item]


def set_up(tenant: str, file: str | None = None) -> None:
    """Create a tenant: bucket and account, its pods' identity, its namespace and everything in it.

    Args:
        tenant: its name.
        file: its file; by default it is an example tenant.
    """
    stores.add_tenant(tenant, bucket(tenant))
    for account in pod_identity.ACCOUNTS:
        pod_identity.associate(namespace(tenant), account, tenant)
    pod_identity.associate(namespace(tenant), contract.ACCOUNT_STEP, stores.steps_of(tenant))
    controller = stores.controller_of(tenant)
    pod_identity.associate(namespace(tenant), contract.ACCOUNT_CONTROLLER, controller)
    objects = render(tenant, file)
    if not of_current_context():
        objects = [item for item in objects if item["kind"] != "NetworkPolicy"]
        objects += policies.as_on_aws(run_folder() / "tenants" / f"{tenant}.yaml", ENVIRONMENT)
    # A Job is immutable, so delete the one of an earlier image first.
    kubectl("-n", namespace(tenant), "delete", "job", "certificates", "--ignore-not-found", check=False)
    apply(objects)
    where = ("-n", namespace(tenant))
    kubectl_wait(*where, "wait", "--for=condition=Complete", "job/certificates", seconds=120)


def submit(tenant: str, pipeline: str, **parameters: str) -> str:
    """Submit a run by `lightwork submit`; return the Workflow's name."""
    words = [*LIGHTWORK, "submit", "--json", pipeline, *(f"{key}={text}" for key, text in parameters.items())]
    output = run([*words, *WHERE, tenant], cwd=ROOT, env=environment())
    name: str = json.loads(output.splitlines()[-1])["run"]
    say(f"submitted {namespace(tenant)}/{name}")
    return name


def names(tenant: str, pipeline: str) -> list[str]:
    """Return the names of a pipeline's existing Workflows, oldest first."""
    listed = get("-n", namespace(tenant), "workflows", "-l", f"lightwork/pipeline={pipeline}")["items"]
    listed.sort(key=lambda item: item["metadata"]["creationTimestamp"])
    return [item["metadata"]["name"] for item in listed]


def status(tenant: str, run_name: str) -> dict[str, Any]:
    """Return a Workflow's status; empty if it was deleted."""
    listed = get("-n", namespace(tenant), "workflows", "--field-selector", f"metadata.name={run_name}")[
        "items"
    ]
    return dict(listed[0].get("status", {})) if listed else {}


def messages(status: dict[str, Any]) -> str:
    """Return the messages in a Workflow's status: its own and those of its steps."""
    parts = [status, *status.get("nodes", {}).values()]
    return "; ".join(dict.fromkeys(item["message"] for item in parts if item.get("message")))


def wait_for_end(tenant: str, run_name: str, *, seconds: float) -> dict[str, Any]:
    """Wait until a Workflow has ended; return its status.

    Args:
        tenant: the tenant.
        run_name: the Workflow's name.
        seconds: how long it takes at most on an idle machine.
    """
    limit = patience(seconds)
    until = time.monotonic() + limit
    while time.monotonic() < until:
        current = status(tenant, run_name)
        if current.get("phase") in ("Succeeded", "Failed", "Error"):
            say(f"{run_name}: {current['phase']} {messages(current)}".rstrip())
            return current
        time.sleep(1)
    raise HarnessError(f"{run_name}: still running after {limit:.0f} s: {describe(tenant, run_name)}")


def pods(tenant: str, run_name: str, role: str | None = None) -> list[dict[str, Any]]:
    """Return the pods of a run: those of Argo's steps and those of its Deployments."""
    all_pods = get("-n", namespace(tenant), "pods")["items"]
    labels = ("lightwork/run", "workflows.argoproj.io/workflow")
    selected = [
        pod for pod in all_pods if any(pod["metadata"]["labels"].get(key) == run_name for key in labels)
    ]
    if role is None:
        return selected
    return [pod for pod in selected if pod["metadata"]["labels"].get("lightwork/role") == role]


def leftovers(tenant: str, run_name: str) -> list[str]:
    """List a run's remaining objects, except for the Workflow and Argo's completed pods."""
    label = f"lightwork/run={run_name}"
    objects = get("-n", namespace(tenant), "deployments,replicasets,services,pods", "-l", label)["items"]
    names = [f"{item['kind']}/{item['metadata']['name']}" for item in objects]
    for pod in pods(tenant, run_name):
        name = f"Pod/{pod['metadata']['name']}"
        if pod["status"]["phase"] in ("Succeeded", "Failed"):
            names = [other for other in names if other != name]
        elif name not in names:
            names.append(name)
    return sorted(names)


def wait_until_clear(tenant: str, run_name: str, *, seconds: float) -> float:
    """Wait until nothing of a run is left; return how many seconds it took."""
    start = time.monotonic()
    limit = patience(seconds)

    def clear() -> bool:
        left = leftovers(tenant, run_name)
        if left and time.monotonic() - start > limit - 2:
            raise HarnessError(f"left: {', '.join(left)}")
        return not left

    wait_for(f"cleanup of {run_name}", clear, seconds=seconds, every=1)
    return time.monotonic() - start


def describe(tenant: str, run_name: str) -> str:
    """Describe a run for the message of a failed test: its nodes, pods, logs and events."""
    nodes = status(tenant, run_name).get("nodes", {}).values()
    lines = [f"{node.get('displayName')}: {node.get('phase')} {node.get('message', '')}" for node in nodes]
    for pod in pods(tenant, run_name):
        name = pod["metadata"]["name"]
        lines.append(f"pod {name}: {pod['status'].get('phase')}")
        log = kubectl("-n", namespace(tenant), "logs", name, "--all-containers", "--tail=30", check=False)
        lines.append(log)
    events = kubectl("-n", namespace(tenant), "get", "events", "--sort-by=.lastTimestamp", check=False)
    return "\n".join([*lines, *events.splitlines()[-15:]])

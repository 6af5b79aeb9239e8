"""`submit --wait`, `stop`, `logs` and `dashboard`, as a person uses them: with few rights, and a laptop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightwork.kube import contract
from lightwork.manifests.people import RULES
from lightwork.manifests.steps import ROLE
from tests.cluster import probes, tenants
from tests.cluster.images import platform_image
from tests.cluster.kube import apply, cluster, get, items, kubectl
from tests.cluster.progress import say, wait_for
from tests.cluster.settings import ROOT
from tests.unit.lightwork.terminal import Terminal
from tests.waiting import VARIABLE, patience

WIDE = 100
"""Columns of a terminal that shows the whole line of a run's progress, with the run's name."""
ARCHIVE = {
    "apiGroups": [""],
    "resources": ["services/proxy"],
    "verbs": ["get"],
    "resourceNames": ["https:argo-server:2746"],
}
"""What somebody needs in Argo's namespace, beside the rights of a tenant's people, to ask the archive."""
RBAC = "rbac.authorization.k8s.io"


def bound(namespace: str, account: str, home: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a Role and its binding to a service account of another namespace."""
    metadata = {"name": account, "namespace": namespace}
    role = {"kind": "Role", "name": account, "apiGroup": RBAC}
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": home}]
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": subjects,
        },
    ]


def kubeconfig_of(account: str, folder: Path) -> str:
    """Write a kubeconfig with the token of a service account of `default`; return its path."""
    token = kubectl("-n", "default", "create", "token", account, "--duration=1h").strip()
    names = {"cluster": "c", "user": "u"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster()}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": f"lightwork-{tenants.ENVIRONMENT}", "context": names}],
    }
    path = folder / account
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture(scope="module")
def people(both_tenants, tmp_path_factory) -> Iterator[dict[str, dict[str, str]]]:
    """Return the environment of a data engineer of both tenants, and that of a stranger."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("engineer", "stranger"):
        apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "metadata": {"name": name, "namespace": "default"},
                }
            ]
        )
    for tenant in both_tenants:
        apply(bound(tenants.namespace(tenant), "engineer", "default", RULES))
    apply(bound("argo", "engineer", "default", [ARCHIVE]))
    yield {name: {"KUBECONFIG": kubeconfig_of(name, folder)} for name in ("engineer", "stranger")}
    for tenant in both_tenants:
        kubectl(
            "-n", tenants.namespace(tenant), "delete", "role,rolebinding", "engineer", "--ignore-not-found"
        )
    kubectl("-n", "argo", "delete", "role,rolebinding", "engineer", "--ignore-not-found")
    kubectl("-n", "default", "delete", "serviceaccount", "engineer", "stranger", "--ignore-not-found")


def words(command: str, *arguments: str, tenant: str) -> list[str]:
    return [*tenants.LIGHTWORK, command, *arguments, *tenants.WHERE, tenant]


def start(environment: dict[str, str], *arguments: str, tenant: str) -> subprocess.Popen[str]:
    """Start a command whose output goes to pipes."""
    return subprocess.Popen(
        words(*arguments, tenant=tenant),
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def call(environment: dict[str, str], *arguments: str, tenant: str) -> tuple[int, str, str]:
    """Run a command to its end; return its exit code, and what it printed."""
    process = start(environment, *arguments, tenant=tenant)
    out, err = process.communicate(timeout=patience(300))
    say(f"{' '.join(arguments[:2])}: {process.returncode}: {err.splitlines()[-1] if err else ''}")
    return process.returncode, out, err


def test_on_a_terminal_a_person_sees_a_run_from_its_start_to_its_result(acme, people, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "15")  # the run takes minutes
    label = probes.new_label()
    probe = ["probe", "elements=9000", "seconds=0.02", f"label={label}", "--wait"]
    program, *rest = words("submit", *probe, tenant=acme)
    terminal = Terminal(tmp_path, *rest, program=program, columns=WIDE, **people["engineer"])
    try:
        terminal.wait_for("submitted probe-")
        terminal.wait_for("of 9,000 elements")
        run = re.findall(r"submitted (\S+) to", terminal.text)[0]
        with ThreadPoolExecutor() as pool:
            ended = pool.submit(read_to_end, terminal)
            dashboard(people["engineer"], run, acme)
            wait_for("Argo's progress", lambda: progress(acme, run).endswith("/9000"), seconds=150)
            assert ended.result(600) == 0
    finally:
        terminal.stop()
    text, _, end = terminal.text.rpartition(f"{run}: Succeeded, in ")
    updates = [line for line in text.splitlines() if re.search(r"  \d+:\d\d$", line)]
    say("\n".join(updates))
    assert max(map(len, updates)) < WIDE
    assert re.search(r"[\d,]+ of 9,000 elements, \d+/s, \d+:\d\d left, 3 workers", text)
    line, _, result = end.partition("\n")
    assert line.endswith(" s, 9,000 elements, 0 of them cached")
    assert json.loads(result)["computed"] == 9000


def read_to_end(terminal: Terminal) -> int:
    """Read what a program shows until it ends, which takes minutes; return its exit code."""
    terminal.read_until(lambda: re.search("lightwork:|Succeeded|Failed", terminal.text), "the end of the run")
    return terminal.end()


def dashboard(environment: dict[str, str], run: str, tenant: str) -> None:
    """Look at the dashboard of a run, and close it."""
    with start(environment, "dashboard", run, "--no-open", tenant=tenant) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        with urllib.request.urlopen(address, timeout=patience(60)) as response:
            assert "Dask" in response.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(patience(60)) == 130


def progress(tenant: str, run: str) -> str:
    """Return what Argo shows as the progress of a run's driver."""
    nodes = tenants.status(tenant, run).get("nodes", {}).values()
    drivers = [node for node in nodes if node["type"] == "Pod" and "driver" in node["displayName"]]
    return str(drivers[0].get("progress")) if drivers else ""


def test_a_laptop_asleep_for_longer_than_the_workflow_lives_gets_the_runs_own_exit_code(globex, people):
    engineer, administrator = people["engineer"], tenants.environment()
    processes = {
        "archive": start(engineer, "submit", "queue-c", "seconds=5", "--wait", tenant=globex),
        "events": start(administrator, "submit", "queue-d", "seconds=5", "--wait", tenant=globex),
        "failed": start(engineer, "submit", "queue-e", "seconds=five", "--wait", "--json", tenant=globex),
    }
    runs = {}
    for name, process in processes.items():
        assert process.stderr is not None
        runs[name] = process.stderr.readline().split()[1]
        process.stderr.readline()  # what is shown first: it follows
        process.send_signal(signal.SIGSTOP)
    try:
        left = set(runs.values())
        wait_for(
            "the Workflows to go",
            lambda: left.isdisjoint(tenants.names(globex, "queue-c") + _names(globex)),
            seconds=240,
            every=2,
        )
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGCONT)
    ends = {}
    for name, process in processes.items():
        out, err = process.communicate(timeout=patience(120))
        ends[name] = process.returncode, out, err
        say(f"{name}: {process.returncode}: {err.splitlines()[-1]}")
    assert ends["archive"][0] == 0
    assert "as the archive says" in ends["archive"][2]
    assert ends["events"][0] == 0
    assert "as the events say" in ends["events"][2]
    assert ends["failed"][0] == 1
    told = json.loads(ends["failed"][1])
    assert (told["phase"], told["told_by"]) == ("Failed", "archive")
    assert "could not convert string to float" in told["message"] or "exit code 1" in told["message"]
    code, _, err = call(engineer, "stop", runs["archive"], tenant=globex)
    assert code == 2
    assert re.search(r"cannot be stopped: it ended \d+ (s|minutes) ago: Succeeded", err), err
    code, _, err = call(engineer, "logs", runs["archive"], tenant=globex)
    assert code == 2
    assert f"kept in s3://{tenants.bucket(globex)}/{globex}/argo/{runs['archive']}/" in err
    code, _, err = call(engineer, "logs", f"{runs['archive']}x", tenant=globex)
    assert code == 2
    assert f"globex has no run '{runs['archive']}x'" in err


def _names(tenant: str) -> list[str]:
    return [item["metadata"]["name"] for item in items("-n", tenants.namespace(tenant), "workflows")]


def test_the_place_in_the_queue_is_told_and_stopping_twice_is_no_mistake(globex, people):
    engineer = people["engineer"]
    first = [tenants.submit(globex, "queue-a", seconds="25") for _ in range(2)]
    time.sleep(1.1)  # of runs that are submitted in the same second, any may be first
    process = start(engineer, "submit", "queue-a", "--wait", tenant=globex)
    assert process.stderr is not None
    seen = [line.rstrip() for line in process.stderr]
    say("\n".join(seen))
    assert process.wait(patience(60)) == 0
    own = seen[0].split()[1]
    waits = [line for line in seen if "waits for its turn: 1 of at most 1 of the runs of queue-a" in line]
    assert any(line.endswith("; 1 run before it") for line in waits), seen
    assert any(line.endswith("; it is next") for line in waits), seen
    assert seen[-1].startswith(f"{own}: Succeeded")
    code, _, err = call(engineer, "stop", first[0], tenant=globex)
    assert (code, "cannot be stopped: it ended" in err) == (2, True)


def test_a_missing_image_is_told_while_the_run_waits(acme, people):
    engineer, image = people["engineer"], "lightwork.invalid/nothing:1"
    template = get("-n", tenants.namespace(acme), "workflowtemplate", "probe")
    text = json.dumps(template["spec"])
    (own,) = set(re.findall(r'"name": "image", "value": "([^"]+)"', text))
    labels = template["metadata"]["labels"]
    metadata = {"name": "no-image", "namespace": tenants.namespace(acme), "labels": labels}
    spec = json.loads(text.replace(own, image))
    apply(
        [
            {
                "apiVersion": template["apiVersion"],
                "kind": "WorkflowTemplate",
                "metadata": metadata,
                "spec": spec,
            }
        ]
    )
    process = start(engineer, "submit", "no-image", "--wait", "--json", tenant=acme)
    assert process.stderr is not None
    try:
        seen: list[str] = []
        for line in process.stderr:
            seen.append(line.rstrip())
            if image in line:
                break
        say("\n".join(seen))
        assert re.search(rf"(driver|scheduler) waits: the image {image} cannot be pulled", seen[-1]), seen
        run = seen[0].split()[1]
        for said in ("is stopping;", "is stopping already;"):
            code, _, err = call(engineer, "stop", run, tenant=acme)
            assert (code, said in err) == (0, True), err
        out, _ = process.communicate(timeout=patience(120))
        assert process.returncode == 1
        told = json.loads(out)
        assert told["phase"] == "Failed"
        assert any(image in item["text"] for item in told["history"])
    finally:
        process.kill()
        kubectl("-n", tenants.namespace(acme), "delete", "workflowtemplate", "no-image")


def test_a_stranger_is_told_which_right_is_missing(acme, people):
    stranger = people["stranger"]
    run = tenants.submit(acme, "plain", numbers="1")
    lacks = "system:serviceaccount:default:stranger lacks the right to"
    where = f"in namespace {tenants.namespace(acme)}; an administrator of the cluster grants it"
    for command, right in (
        (("submit", "plain"), "list workflowtemplates.argoproj.io"),
        (("stop", run), "get workflows.argoproj.io"),
        (("logs", run), "list pods"),
        (("dashboard", run, "--no-open"), "get workflows.argoproj.io"),
    ):
        code, out, err = call(stranger, *command, tenant=acme)
        assert (code, out) == (1, "")
        assert err.rstrip().endswith(f"{lacks} {right} {where}"), err
        assert len(err.splitlines()) == 1
    code, _, err = call(tenants.environment(), "submit", "plain", tenant="acmee")
    assert (code, err) == (2, "lightwork: dev has no tenant 'acmee'; did you mean 'acme'?\n")


MANY = 420


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("sprig.repeat(4000, 'x')", "compressedNodes"),
        ("item + sprig.randAlphaNum(4000)", "offloadNodeStatusVersion"),
    ],
)
def test_a_large_workflow_says_why_it_failed(acme, people, value, stored):
    """Its nodes are larger than Argo keeps as they are: compressed, or in its database."""
    name = f"large-{stored[:4].lower()}"
    entry = get("-n", tenants.namespace(acme), "workflowtemplate", "plain")
    copied = ("serviceAccountName", "securityContext", "podMetadata", "ttlStrategy", "podGC")
    base = {key: entry["spec"][key] for key in copied}
    code = "import sys; open('/dev/termination-log', 'w').write('no files of today'); sys.exit(1)"
    fails = {"image": platform_image(), "command": ["python", "-c", code]}
    spec = {
        **base,
        "entrypoint": "main",
        "templates": [
            {
                "name": "main",
                "steps": [
                    [
                        {
                            "name": "many",
                            "template": "pause",
                            "withSequence": {"count": str(MANY)},
                            "arguments": {"parameters": [{"name": "text", "value": f"{{{{={value}}}}}"}]},
                        }
                    ],
                    [{"name": "fails", "template": "fails"}],
                ],
            },
            {"name": "pause", "inputs": {"parameters": [{"name": "text"}]}, "suspend": {"duration": "1"}},
            # The network lets only pods of a known role reach the API.
            {"name": "fails", "metadata": {"labels": {contract.LABEL_ROLE: ROLE}}, "container": fails},
        ],
    }
    metadata = {"name": name, "namespace": tenants.namespace(acme)}
    apply(
        [{"apiVersion": entry["apiVersion"], "kind": "WorkflowTemplate", "metadata": metadata, "spec": spec}]
    )
    process = start(people["engineer"], "submit", name, "--wait", "--json", tenant=acme)
    try:
        assert process.stderr is not None
        run = process.stderr.readline().split()[1]
        wait_for("the large status", lambda: tenants.status(acme, run).get(stored), seconds=120, every=1)
        out, err = process.communicate(timeout=patience(200))
        say(err.splitlines()[-1])
        assert process.returncode == 1
        assert json.loads(out)["message"] == "fails: no files of today"
    finally:
        process.kill()
        kubectl("-n", tenants.namespace(acme), "delete", "workflowtemplate", name)

"""A person of a tenant, with the rights of their role and no others: `docs/first-day.md`, and refusals.

They log in by `lightwork login`. AWS is moto, which gives the role to whom its trust names. In front of the
API server stands what EKS has there: it takes the tokens of AWS, and puts a role into the group of its entry.
"""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.policies import tenant as tenant_policies
from lightwork.kube import contract, logins
from tests import eks
from tests.cluster import probes, stores, tenants
from tests.cluster.impersonation import administrator
from tests.cluster.kube import cluster, items, kubectl
from tests.cluster.progress import run, say, wait_for
from tests.cluster.settings import ROOT
from tests.waiting import patience

pytestmark = pytest.mark.core

PAGE = (ROOT / "docs" / "first-day.md").read_text()
SAMPLE = "windy-city-20261124t063518-k3x9q"
"""The run of the page."""
EKS_CLUSTER = f"lightwork-{tenants.ENVIRONMENT}"
CORE, ARGO = "/api/v1", f"/apis/{contract.ARGO}"


@dataclass
class Person:
    """A person's machine.

    Attributes:
        environment: the variables of their shell.
        front: what stands before the API server.
    """

    environment: dict[str, str]
    front: eks.Front

    def type(self, line: str, *, check: bool = True, timeout: float = 300) -> str:
        """Run a command line as in a shell; return its output."""
        return run(["bash", "-c", line], cwd=ROOT, env=self.environment, check=check, timeout=timeout)

    def token(self) -> str:
        """Return a token, as the context of the kubeconfig gets it."""
        printed = self.type(f"lightwork login --env {tenants.ENVIRONMENT} --tenant acme --token")
        return str(json.loads(printed.splitlines()[-1])["status"]["token"])


def role_of(tenant: str) -> str:
    return logins.role_of_people(tenants.ENVIRONMENT, tenant, eks.ACCOUNT)


def as_the_s3_server_knows_them(session: Any) -> None:
    """Let a session have the keys of the tenant's people on the S3 server, which has no STS of its own."""
    key = stores.credentials(stores.people_of(session.role_arn.rpartition("-")[2]))
    session.access_key_id, session.secret_access_key, session.session_token = key["access"], key["secret"], ""


@pytest.fixture(scope="module")
def jane(both_tenants: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A data engineer of acme, whom its file names; globex has people of its own."""
    folder = tmp_path_factory.mktemp("jane")
    entries = {role_of(tenant): [contract.people_group(tenant)] for tenant in both_tenants}
    url = urllib.parse.urlsplit(cluster()["server"])
    server = (str(url.hostname), url.port or 443)
    with eks.aws(as_the_s3_server_knows_them) as amazon:
        name = amazon.add_person("jane")
        others = amazon.add_person("mary")
        for tenant, principal in (("acme", name), ("globex", others)):
            amazon.add_role(role_of(tenant), tenant_policies.trust_people(principals=(principal,)))
        with eks.running(eks.Front(EKS_CLUSTER, server, administrator(), entries, folder)) as front:
            amazon.add_cluster(EKS_CLUSTER, front.endpoint, front.authority)
            yield Person(
                {
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "HOME": str(folder),
                    "KUBECONFIG": str(folder / "kubeconfig"),
                    "AWS_ENDPOINT_URL_S3": stores.s3_url(),
                    **amazon.people["jane"],
                },
                front,
            )


def lines() -> list[str]:
    """Return the commands of the page, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_a_person_goes_through_their_first_day(jane: Person) -> None:
    export, login, first, *looks, second, dashboard, stop = lines()
    assert export == "export LIGHTWORK_TENANT=acme"
    jane.environment["LIGHTWORK_TENANT"] = "acme"

    said = jane.type(f"{login} --lake s3://{tenants.bucket('acme')} 2>&1")
    assert f"logged in as jane: context lightwork-{tenants.ENVIRONMENT}-acme" in said
    assert "windy-city" in said

    said = jane.type(f"{first} 2>&1", timeout=400)
    (name,) = re.findall(r"submitted (\S+) to tenant-acme", said)
    assert f"{name}: Succeeded" in said, said
    printed = [jane.type(line.replace(SAMPLE, name)) for line in looks]
    say("\n".join(text[:400] for text in printed))
    logs, runs, shown, artifacts = printed
    assert '"pipeline": "windy-city"' in logs or "windy-city" in logs
    assert re.search(r"windy-city +succeeded", runs), runs
    assert re.match(rf"{name} succeeded", shown), shown
    assert artifacts.strip()

    label = probes.new_label()
    longer = second.replace("windy-city", f"probe elements=9000 seconds=0.02 label={label}")
    (name,) = re.findall(r"submitted (\S+) to", jane.type(f"{longer} 2>&1"))
    look_at(jane, dashboard.replace(SAMPLE, name))
    said = jane.type(f"{stop.replace(SAMPLE, name)} 2>&1")
    assert f"{name} is stopping" in said
    ended = tenants.wait_for_end("acme", name, seconds=120)
    assert ended["phase"] == "Failed"


def look_at(person: Person, line: str) -> None:
    """Open a dashboard as soon as there is one, and close it."""
    word = line.split()[2]
    wait_for(
        "the scheduler",
        lambda: any(
            pod["status"]["phase"] == "Running" and pod["status"]["containerStatuses"][0]["ready"]
            for pod in tenants.pods("acme", word, "scheduler")
        ),
        seconds=180,
    )
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=ROOT,
        env={**os.environ, **person.environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        printed = process.stdout.readline().split()
        assert len(printed) > 1, process.communicate(timeout=patience(60))
        with urllib.request.urlopen(printed[1], timeout=patience(60)) as response:
            assert "Dask" in response.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(patience(60)) == 130
    finally:
        process.kill()


def ask(person: Person, token: str, verb: str, path: str, body: dict[str, Any] | None = None) -> int:
    """Return the status of a request; nothing is changed by it, even if it is allowed."""
    query = "" if verb == "GET" else "?dryRun=All"
    kind = "application/merge-patch+json" if verb == "PATCH" else "application/json"
    request = urllib.request.Request(
        f"{person.front.endpoint}{path}{query}",
        method=verb,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
    )
    context = ssl.create_default_context(cadata=person.front.authority.decode())
    try:
        with urllib.request.urlopen(request, timeout=patience(60), context=context) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


@pytest.fixture(scope="module")
def token(jane: Person) -> str:
    jane.type(
        f"lightwork login --env {tenants.ENVIRONMENT} --tenant acme --account {eks.ACCOUNT}"
        f" --region {eks.REGION} --lake s3://{tenants.bucket('acme')}"
    )
    return jane.token()


def workflow(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": contract.ARGO,
        "kind": "Workflow",
        "metadata": {"generateName": "windy-city-", "namespace": namespace},
        "spec": {"workflowTemplateRef": {"name": "windy-city"}},
    }


def named(api: str, kind: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "by-jane"}, **content}


OWN_IMAGE = {
    "entrypoint": "driver",
    "workflowTemplateRef": {"name": contract.SCALER, "clusterScope": True},
    "arguments": {"parameters": [{"name": "image", "value": "example.com/mine:1"}]},
}
OWN, OTHER = f"/namespaces/{tenants.namespace('acme')}", f"/namespaces/{tenants.namespace('globex')}"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
APPS = "/apis/apps/v1"


def test_every_right_of_the_role_is_one_that_works(jane: Person, token: str) -> None:
    pods = items("-n", tenants.namespace("acme"), "pods", "-l", f"{contract.LABEL_ROLE}=controller")
    pod = next(item["metadata"]["name"] for item in pods if item["status"]["phase"] == "Running")
    for verb, path, body in (
        ("GET", f"{ARGO}{OWN}/workflowtemplates", None),
        ("GET", f"{ARGO}{OWN}/workflowtemplates/windy-city", None),
        ("GET", f"{ARGO}{OWN}/cronworkflows", None),
        ("GET", f"{ARGO}{OWN}/workflows", None),
        ("GET", f"{CORE}{OWN}/pods", None),
        ("GET", f"{CORE}{OWN}/pods/{pod}", None),
        ("GET", f"{CORE}{OWN}/pods/{pod}/log", None),
        ("GET", f"{CORE}{OWN}/events", None),
        ("GET", f"{CORE}{OWN}/resourcequotas", None),
        ("POST", f"{ARGO}{OWN}/workflows", workflow(tenants.namespace("acme"))),
        ("POST", f"{CORE}{OWN}/configmaps", named("v1", "ConfigMap", data={}, immutable=True)),
    ):
        assert ask(jane, token, verb, path, body) in (200, 201), f"{verb} {path}"
    for verb, path in (("GET", f"{ARGO}{OWN}/workflows/none"), ("PATCH", f"{ARGO}{OWN}/workflows/none")):
        assert ask(jane, token, verb, path, {} if verb == "PATCH" else None) == 404, "allowed, and not there"


REFUSED = (
    # Another tenant.
    ("GET", f"{ARGO}{OTHER}/workflowtemplates", None),
    ("GET", f"{ARGO}{OTHER}/workflows", None),
    ("POST", f"{ARGO}{OTHER}/workflows", workflow(tenants.namespace("globex"))),
    ("PATCH", f"{ARGO}{OTHER}/workflows/any", {}),
    ("GET", f"{ARGO}{OTHER}/cronworkflows", None),
    ("GET", f"{CORE}{OTHER}/pods", None),
    ("GET", f"{CORE}{OTHER}/pods/any/log", None),
    ("GET", f"{CORE}{OTHER}/pods/any/portforward", None),
    ("GET", f"{CORE}{OTHER}/events", None),
    ("GET", f"{CORE}{OTHER}/secrets", None),
    ("POST", f"{CORE}{OTHER}/configmaps", named("v1", "ConfigMap")),
    # The cluster.
    ("GET", f"{CORE}/namespaces", None),
    ("GET", f"{CORE}/nodes", None),
    ("GET", f"{ARGO}/workflows", None),
    ("GET", f"{CORE}/pods", None),
    ("GET", f"{ARGO}/clusterworkflowtemplates", None),
    ("GET", f"{CORE}/namespaces/argo/secrets", None),
    ("GET", f"{CORE}/namespaces/argo/services/https:argo-server:2746/proxy/api/v1/info", None),
    ("POST", f"{RBAC}/clusterrolebindings", named("rbac.authorization.k8s.io/v1", "ClusterRoleBinding")),
    # What their tenant has and they have not.
    ("GET", f"{CORE}{OWN}/secrets", None),
    ("GET", f"{CORE}{OWN}/secrets/{contract.TLS}", None),
    ("GET", f"{CORE}{OWN}/configmaps", None),
    ("PATCH", f"{CORE}{OWN}/configmaps/{contract.SEMAPHORES}", {"data": {"windy-city": "9"}}),
    ("PATCH", f"{ARGO}{OWN}/workflowtemplates/windy-city", {"spec": {"serviceAccountName": "driver"}}),
    ("PATCH", f"{ARGO}{OWN}/cronworkflows/windy-city", {"spec": {"suspend": False}}),
    ("POST", f"{ARGO}{OWN}/cronworkflows", named(contract.ARGO, "CronWorkflow", spec={})),
    ("DELETE", f"{ARGO}{OWN}/cronworkflows/windy-city", None),
    ("DELETE", f"{ARGO}{OWN}/workflows/any", None),
    ("DELETE", f"{CORE}{OWN}/pods/any", None),
    ("POST", f"{CORE}{OWN}/pods", named("v1", "Pod", spec={"containers": []})),
    ("GET", f"{CORE}{OWN}/pods/any/exec", None),
    ("POST", f"{CORE}{OWN}/pods/any/attach", None),
    ("GET", f"{CORE}{OWN}/pods/any/proxy", None),
    ("POST", f"{CORE}{OWN}/serviceaccounts/driver/token", named("authentication.k8s.io/v1", "TokenRequest")),
    ("GET", f"{APPS}{OWN}/deployments", None),
    ("PATCH", f"{APPS}{OWN}/deployments/controller", {"spec": {"replicas": 0}}),
    ("POST", f"{RBAC}{OWN}/rolebindings", named("rbac.authorization.k8s.io/v1", "RoleBinding")),
    ("PATCH", f"{RBAC}{OWN}/roles/people", {"rules": []}),
    # The platform's own template with an image of theirs: test_gate.py has more.
    ("POST", f"{ARGO}{OWN}/workflows", {**workflow(tenants.namespace("acme")), "spec": OWN_IMAGE}),
    ("PATCH", f"{CORE}{OWN}/resourcequotas/quota", {"spec": {"hard": {"pods": "999"}}}),
)


def test_everything_outside_is_refused(jane: Person, token: str) -> None:
    allowed = [f"{verb} {path}" for verb, path, body in REFUSED if ask(jane, token, verb, path, body) != 403]
    assert not allowed


def test_another_tenant_is_refused_in_one_line(jane: Person, token: str) -> None:
    where = f"--env {tenants.ENVIRONMENT} --tenant globex"
    own = f"--context lightwork-{tenants.ENVIRONMENT}-acme"
    for command, right in (
        ("submit queue-a", "list workflowtemplates.argoproj.io"),
        ("stop any", "get workflows.argoproj.io"),
        ("logs any", "list pods"),
        ("schedule", "list cronworkflows.argoproj.io"),
        ("queue", "list workflows.argoproj.io"),
        ("schedule now windy-city", "list cronworkflows.argoproj.io"),
        ("backfill windy-city --from 2026-11-01", "list workflowtemplates.argoproj.io"),
    ):
        said = jane.type(f"lightwork {command} {where} {own} 2>&1 >/dev/null; test $? = 1")
        (line,) = said.splitlines()
        assert f"lacks the right to {right} in namespace tenant-globex" in line
        assert ":assumed-role/lightwork-dev-people-acme/jane lacks" in line, "who it was"
    said = jane.type(
        f"lightwork login {where} --account {eks.ACCOUNT} --region {eks.REGION} 2>&1; test $? = 1"
    )
    (line,) = said.splitlines()
    assert line.startswith(f"lightwork: AWS does not let you assume {role_of('globex')}")


def test_a_person_sees_schedules_and_queue_and_what_is_amiss_and_does_not_resume_what_the_file_suspends(
    jane: Person, token: str
) -> None:
    where = f"--env {tenants.ENVIRONMENT} --tenant acme"
    listed = json.loads(jane.type(f"lightwork schedule {where} --json"))["schedules"]
    assert {"windy-city": "suspended"}.items() <= {item["pipeline"]: item["state"] for item in listed}.items()
    assert isinstance(json.loads(jane.type(f"lightwork queue {where} --json"))["runs"], list)
    found = json.loads(jane.type(f"lightwork doctor {where} --json; test $? -le 1").splitlines()[-1])
    refused = [line for line in found["unseen"] if "lacks the right" in line]
    assert len(refused) == 2, found
    assert all("list deployments.apps" in line or "list services" in line for line in refused)
    said = jane.type(f"lightwork backfill windy-city --from 2026-11-01 {where} 2>&1; test $? = 2")
    assert "windy-city takes no interval" in said
    said = jane.type(f"lightwork schedule resume windy-city {where} 2>&1; test $? = 2")
    (line,) = said.splitlines()
    assert "windy-city is suspended by the tenant's file (suspended: true): change the file" in line


def test_whoever_is_taken_out_is_refused_at_once_with_the_token_that_they_have(
    jane: Person, token: str, both_tenants: tuple[str, ...]
) -> None:
    templates = f"{ARGO}{OWN}/workflowtemplates"
    assert ask(jane, token, "GET", templates) == 200
    entry = jane.front.entries.pop(role_of("acme"))
    try:
        assert ask(jane, token, "GET", templates) == 401, "as without an access entry"
        said = jane.type(f"lightwork stop any --env {tenants.ENVIRONMENT} --tenant acme 2>&1; test $? = 1")
        assert "the cluster does not accept the credentials of this context" in said
    finally:
        jane.front.entries[role_of("acme")] = entry
    kubectl("-n", tenants.namespace("acme"), "delete", "rolebinding", contract.PEOPLE)
    try:
        wait_for("the refusal", lambda: ask(jane, token, "GET", templates) == 403, seconds=20)
    finally:
        tenants.set_up("acme")
    wait_for("the right", lambda: ask(jane, token, "GET", templates) == 200, seconds=20)


@pytest.mark.parametrize("wrong", ["", "k8s-aws-v1.bm8", "eyJhbGciOiJSUzI1NiJ9.e30.x"])
def test_a_stranger_has_no_way_in(jane: Person, wrong: str) -> None:
    assert ask(jane, wrong, "GET", f"{ARGO}{OWN}/workflowtemplates") == 401

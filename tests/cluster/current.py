"""The cluster of the current kube context (CLUSTER=current): kind, k3d, or any other.

Kubernetes exists already. The tests' own servers run on this machine, at the address that the cluster's
nodes reach it by. Everything that was applied is deleted again, and nothing else.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import kube, pod_identity
from tests.cluster.progress import HarnessError, phase, run, say
from tests.cluster.settings import CREDENTIALS_IP, host, kubeconfig, run_folder

LOAD = "LIGHTWORK_CLUSTER_LOAD"
"""The environment variable with the command that loads an image's archive, `{}`, into the cluster's nodes."""
CONTEXT = "lightwork-dev"
"""The context's name in the tests' copy of the kubeconfig, where `lightwork --env dev` looks for it."""


def find() -> None:
    """Copy the current context from the kubeconfig, and find the address by which nodes reach this machine.

    Raises:
        HarnessError: there is no current context, its cluster does not respond, or the cluster is in use.
    """
    if shutil.which("kubectl") is None:
        raise HarnessError("CLUSTER=current needs kubectl on PATH, and a current context")
    document = yaml.safe_load(run(["kubectl", "config", "view", "--raw", "--minify", "--flatten"]))
    context = document["contexts"][0]
    (run_folder() / "context").write_text(context["name"])
    context["name"] = document["current-context"] = CONTEXT
    kubeconfig().touch(mode=0o600)
    kubeconfig().write_text(yaml.safe_dump(document))
    taken = [name for name in _namespaces() if name == "argo" or name.startswith("tenant-")]
    if taken:
        raise HarnessError(
            f"the cluster of context {context_name()} has {', '.join(taken)} already: the tests need a"
            " cluster of their own, such as a new kind"
        )
    (run_folder() / "host").write_text(_source_address(_node_address()))
    say(f"context {context_name()}; its pods reach this machine at {host()}")


def context_name() -> str:
    """Return the name of the context that was current when the tests began."""
    return (run_folder() / "context").read_text()


def listen_for_credentials() -> None:
    """Add the address of the credentials endpoint to this machine, unless it has it already."""
    entry = f"{CREDENTIALS_IP}/32"
    if CREDENTIALS_IP in run(["ip", "-brief", "address"]):
        return
    run(["ip", "address", "add", entry, "dev", "lo"])
    _address_note().touch()


def loader(context: str, archive: Path) -> list[str]:
    """Return the command that loads an image into the nodes of a context's cluster.

    Args:
        context: the context's name; `kind-...` and `k3d-...` are supported.
        archive: the image, as saved by docker or buildah.

    Raises:
        HarnessError: the context is not supported and `LOAD` is not set.
    """
    if command := os.environ.get(LOAD):
        words = shlex.split(command)
        if not any("{}" in word for word in words):
            raise HarnessError(f"{LOAD} is {command!r}; it needs {{}}, which stands for the image's archive")
        return [word.replace("{}", str(archive)) for word in words]
    kind, _, name = context.partition("-")
    if kind == "kind":
        return ["kind", "load", "image-archive", str(archive), "--name", name]
    if kind == "k3d":
        return ["k3d", "image", "import", str(archive), "--cluster", name]
    raise HarnessError(
        f"context {context}: unknown how to load images into its nodes; set {LOAD} to a command, such as"
        " 'minikube image load {}'"
    )


def bring_in(archives: dict[str, Path]) -> None:
    """Load images into the cluster's nodes, each once."""
    note = run_folder() / "loaded-images"
    loaded = note.read_text().splitlines() if note.exists() else []
    for name, archive in archives.items():
        if name in loaded:
            continue
        with phase(f"load {name}"):
            run(loader(context_name(), archive), timeout=600)
        with note.open("a") as file:
            file.write(f"{name}\n")


def clear() -> None:
    """Delete what was applied: first the webhook, which blocks pods; then the namespaces; then the rest."""
    note = run_folder() / kube.APPLIED
    entries = [json.loads(line) for line in note.read_text().splitlines()] if note.exists() else []
    applied = list(dict.fromkeys(tuple(entry) for entry in reversed(entries)))
    hook = pod_identity.webhook_name()
    namespaces = [name for kind, _, name in applied if kind == "Namespace"]
    others = [entry for entry in applied if entry[1] not in namespaces and entry[0] != "Namespace"]
    _delete([entry for entry in others if entry[2] == hook])
    if namespaces:
        words = ["delete", "namespace", *namespaces, "--ignore-not-found", "--wait", "--timeout=150s"]
        kube.kubectl(*words, timeout=160, check=False)
    _delete([entry for entry in others if entry[2] != hook])
    left = [name for name in namespaces if name in _namespaces()]
    if left:
        raise HarnessError(f"these namespaces are stuck in deletion: {', '.join(left)}")


def forget() -> None:
    """Remove the address that was added, and the run folder."""
    if _address_note().exists():
        run(["ip", "address", "delete", f"{CREDENTIALS_IP}/32", "dev", "lo"], check=False)
    shutil.rmtree(run_folder())


def _delete(objects: list[tuple[str, str | None, str]]) -> None:
    for kind, namespace, name in objects:
        where = ["-n", namespace] if namespace else []
        words = ["delete", kind, name, "--ignore-not-found", "--wait=false"]
        kube.kubectl(*where, *words, check=False)


def _address_note() -> Path:
    return run_folder() / "took-the-credentials-address"


def _namespaces() -> list[str]:
    return [item["metadata"]["name"] for item in kube.items("namespaces")]


def _node_address() -> str:
    for node in kube.items("nodes"):
        for address in node["status"].get("addresses", []):
            if address["type"] == "InternalIP" and ipaddress.ip_address(address["address"]).version == 4:
                return str(address["address"])
    raise HarnessError("no node of the cluster has an internal IPv4 address")


def _source_address(address: str) -> str:
    """Return this machine's source address for packets to another address."""
    routes: list[dict[str, Any]] = json.loads(run(["ip", "-json", "route", "get", address]))
    return str(routes[0]["prefsrc"])

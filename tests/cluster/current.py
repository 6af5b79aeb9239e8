"""The cluster of the current kube context (CLUSTER=current): kind, k3d, or whatever it points at.

Kubernetes is there already; the tests' own servers run on this machine, where its pods reach them by the
address that leads to its node. All that was applied is taken away again, and nothing else.
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
"""The environment variable with a command that brings an image's archive, `{}`, into the cluster's nodes."""
CONTEXT = "lightwork-dev"
"""What the context is named in the tests' copy of the kubeconfig, as `lightwork --env dev` looks for it."""


def find() -> None:
    """Copy what the kubeconfig says of the current context, and find the address that the nodes know us by.

    Raises:
        HarnessError: there is no current context, its cluster does not answer, or it holds what is not ours.
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
            f"the cluster of context {context_name()} has {', '.join(taken)} already: the tests want one"
            " that holds nothing else, such as a new kind"
        )
    (run_folder() / "host").write_text(_towards(_node_address()))
    say(f"context {context_name()}; its pods reach this machine at {host()}")


def context_name() -> str:
    """The name of the context that was current when the tests began."""
    return (run_folder() / "context").read_text()


def listen_for_credentials() -> None:
    """Take the address of the credentials' endpoint, unless the machine has it already."""
    entry = f"{CREDENTIALS_IP}/32"
    if CREDENTIALS_IP in run(["ip", "-brief", "address"]):
        return
    run(["ip", "address", "add", entry, "dev", "lo"])
    _address_note().touch()


def loader(context: str, archive: Path) -> list[str]:
    """The command that brings an image into the nodes of the cluster of a context.

    Args:
        context: its name: `kind-...` and `k3d-...` are known.
        archive: the image, as docker and buildah save it.

    Raises:
        HarnessError: nobody knows how.
    """
    if own := os.environ.get(LOAD):
        words = shlex.split(own)
        if not any("{}" in word for word in words):
            raise HarnessError(f"{LOAD} is {own!r}; it has no {{}}, which stands for the image's archive")
        return [word.replace("{}", str(archive)) for word in words]
    kind, _, name = context.partition("-")
    if kind == "kind":
        return ["kind", "load", "image-archive", str(archive), "--name", name]
    if kind == "k3d":
        return ["k3d", "image", "import", str(archive), "--cluster", name]
    raise HarnessError(
        f"context {context}: it is not known how its nodes get images; say it in {LOAD}, such as"
        " 'minikube image load {}'"
    )


def bring_in(archives: dict[str, Path]) -> None:
    """Bring images into the cluster's nodes, each once."""
    note = run_folder() / "loaded-images"
    there = note.read_text().splitlines() if note.exists() else []
    for name, archive in archives.items():
        if name in there:
            continue
        with phase(f"load {name}"):
            run(loader(context_name(), archive), timeout=600)
        with note.open("a") as file:
            file.write(f"{name}\n")


def clear() -> None:
    """Take away what was applied: the webhook, which pods wait for; the namespaces; then the rest."""
    note = run_folder() / kube.APPLIED
    entries = [json.loads(line) for line in note.read_text().splitlines()] if note.exists() else []
    applied = list(dict.fromkeys(tuple(entry) for entry in reversed(entries)))
    hook = pod_identity.webhook_name()
    namespaces = [name for kind, _, name in applied if kind == "Namespace"]
    gone = [one for one in applied if one[1] not in namespaces and one[0] != "Namespace"]
    _delete([one for one in gone if one[2] == hook])
    if namespaces:
        words = ["delete", "namespace", *namespaces, "--ignore-not-found", "--wait", "--timeout=150s"]
        kube.kubectl(*words, timeout=160, check=False)
    _delete([one for one in gone if one[2] != hook])
    left = [name for name in namespaces if name in _namespaces()]
    if left:
        raise HarnessError(f"namespaces that do not end: {', '.join(left)}")


def forget() -> None:
    """Give up the address that was taken, and remove the run folder."""
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


def _towards(address: str) -> str:
    """The address with which this machine's packets go to another."""
    found: list[dict[str, Any]] = json.loads(run(["ip", "-json", "route", "get", address]))
    return str(found[0]["prefsrc"])

"""Calls of the Kubernetes API, by kubectl."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.binaries import program
from tests.cluster.progress import run
from tests.cluster.settings import kubeconfig, of_current_context, run_folder

APPLIED = "applied.jsonl"
"""In the run folder: kind, namespace and name of each object that was applied, in that order."""


def kubectl(
    *arguments: str,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    config: Path | None = None,
) -> str:
    """What kubectl printed; HarnessError with its message if it failed."""
    words = [kubectl_program(), "--kubeconfig", str(config or kubeconfig()), *arguments]
    return run(words, stdin=stdin, check=check, timeout=timeout)


def kubectl_program() -> str:
    """The kubectl to use: the one that was built; for the current context the machine's own."""
    return "kubectl" if of_current_context() else str(program("kubectl"))


def cluster() -> dict[str, Any]:
    """The cluster's entry in the kubeconfig: `server`, `certificate-authority-data`."""
    found: dict[str, Any] = yaml.safe_load(kubeconfig().read_text())["clusters"][0]["cluster"]
    return found


def authority() -> Path:
    """A file with the certificate of the API server's authority."""
    file = run_folder() / "api-ca.crt"
    if not file.exists():
        file.write_bytes(base64.b64decode(cluster()["certificate-authority-data"]))
    return file


def stranger(token: str) -> list[str]:
    """Options of kubectl for who has a token and nothing else."""
    where = ["--kubeconfig", "/dev/null", "--server", cluster()["server"]]
    return [*where, "--certificate-authority", str(authority()), "--token", token]


def get(*arguments: str, timeout: float = 60) -> dict[str, Any]:
    """The answer of `kubectl get ... -o json`."""
    found: dict[str, Any] = json.loads(kubectl("get", *arguments, "-o", "json", timeout=timeout))
    return found


def items(*arguments: str) -> list[dict[str, Any]]:
    """The objects that `kubectl get` lists."""
    found: list[dict[str, Any]] = get(*arguments)["items"]
    return found


def page(namespace: str, pod: str, port: int, path: str) -> str:
    """What a pod answers to a GET of plain HTTP, asked through the API server."""
    return kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}")


@contextlib.contextmanager
def port_of(namespace: str, pod: str, port: int) -> Iterator[str]:
    """An address of this machine, `127.0.0.1:...`, that leads to a pod's port while the block runs."""
    from kubernetes import client, config
    from kubernetes.stream import portforward

    from lightwork.kube.forwarding import forwarded

    def connect() -> Any:
        core = client.CoreV1Api(config.new_client_from_config(config_file=str(kubeconfig())))
        call = core.connect_get_namespaced_pod_portforward
        return portforward(call, pod, namespace, ports=str(port)).socket(port)

    with forwarded(connect) as listening:
        yield f"127.0.0.1:{listening}"


def apply(objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects; those that exist are changed. Big ones too, so the server does the merging."""
    objects = list(objects)
    with (run_folder() / APPLIED).open("a") as note:
        for item in objects:
            kind = f"{item['kind']}.{item['apiVersion'].rpartition('/')[0]}".rstrip(".")
            metadata = item["metadata"]
            note.write(json.dumps([kind, metadata.get("namespace"), metadata["name"]]) + "\n")
    text = yaml.safe_dump_all(objects, sort_keys=False)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, timeout=120)

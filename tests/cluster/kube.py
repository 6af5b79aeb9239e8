"""Calls of the Kubernetes API through kubectl."""

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
from tests.waiting import patience

APPLIED = "applied.jsonl"
"""The file in the run folder with kind, namespace and name of each applied object, in order."""


def kubectl(
    *arguments: str,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    config: Path | None = None,
) -> str:
    """Run kubectl and return its output; raise HarnessError with its message if it fails."""
    words = [kubectl_program(), "--kubeconfig", str(config or kubeconfig()), *arguments]
    return run(words, stdin=stdin, check=check, timeout=timeout)


def kubectl_wait(*arguments: str, seconds: float) -> None:
    """Run a command of kubectl that waits: `wait` or `rollout status`.

    Args:
        arguments: the command, without `--timeout`.
        seconds: how long it takes at most on an idle machine.
    """
    kubectl(*arguments, f"--timeout={patience(seconds):.0f}s", timeout=seconds + 10)


def kubectl_program() -> str:
    """Return the kubectl to use: the one built here, or the machine's own for the current context."""
    return "kubectl" if of_current_context() else str(program("kubectl"))


def cluster() -> dict[str, Any]:
    """Return the cluster's entry in the kubeconfig: `server`, `certificate-authority-data`."""
    entry: dict[str, Any] = yaml.safe_load(kubeconfig().read_text())["clusters"][0]["cluster"]
    return entry


def authority() -> Path:
    """Return a file with the certificate of the API server's authority."""
    file = run_folder() / "api-ca.crt"
    if not file.exists():
        file.write_bytes(base64.b64decode(cluster()["certificate-authority-data"]))
    return file


def stranger(token: str) -> list[str]:
    """Return kubectl's options for a caller who has only a token."""
    server = ["--kubeconfig", "/dev/null", "--server", cluster()["server"]]
    return [*server, "--certificate-authority", str(authority()), "--token", token]


def get(*arguments: str, timeout: float = 60) -> dict[str, Any]:
    """Return the result of `kubectl get ... -o json`."""
    document: dict[str, Any] = json.loads(kubectl("get", *arguments, "-o", "json", timeout=timeout))
    return document


def items(*arguments: str) -> list[dict[str, Any]]:
    """Return the objects that `kubectl get` lists."""
    objects: list[dict[str, Any]] = get(*arguments)["items"]
    return objects


def page(namespace: str, pod: str, port: int, path: str) -> str:
    """Return a pod's response to a plain HTTP GET, sent through the API server."""
    return kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}")


@contextlib.contextmanager
def port_of(namespace: str, pod: str, port: int) -> Iterator[str]:
    """Forward a local port to a pod's port during the block; yields its address, `127.0.0.1:...`."""
    from kubernetes import client, config
    from kubernetes.stream import portforward

    from lightwork.kube.forwarding import forwarded

    def connect() -> Any:
        core = client.CoreV1Api(config.new_client_from_config(config_file=str(kubeconfig())))
        call = core.connect_get_namespaced_pod_portforward
        return portforward(call, pod, namespace, ports=str(port)).socket(port)

    with forwarded(connect) as local_port:
        yield f"127.0.0.1:{local_port}"


def apply(objects: Iterable[dict[str, Any]]) -> None:
    """Create or update objects. The server merges, so that large objects work too."""
    objects = list(objects)
    with (run_folder() / APPLIED).open("a") as note:
        for item in objects:
            kind = f"{item['kind']}.{item['apiVersion'].rpartition('/')[0]}".rstrip(".")
            metadata = item["metadata"]
            note.write(json.dumps([kind, metadata.get("namespace"), metadata["name"]]) + "\n")
    text = yaml.safe_dump_all(objects, sort_keys=False)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, timeout=120)

"""Connections from pods, to see what the network lets through."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.cluster.images import platform_image
from tests.cluster.kube import apply, get, kubectl, kubectl_wait

_SECONDS = 4
"""How long a pod waits for an answer: the first packet is sent again after 1 and after 3 seconds."""

_DIAL = """
import asyncio, json, sys

async def heard(host, port):
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    writer.close()
    return True

async def main():
    return await asyncio.gather(*(heard(*end) for end in json.loads(sys.argv[1])))

print(json.dumps(asyncio.run(main())))
""".replace("SECONDS", str(_SECONDS))
"""Prints for each host and port whether there was an answer, if only that nothing listens there.

A network policy drops packets, so that there is none. Any other error is one of the test itself.
"""

End = tuple[str, int]
"""A host and a port."""


def pod(namespace: str, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a pod that does nothing, has Python, and is admitted to a tenant's namespace."""
    small = {"cpu": "10m", "memory": "64Mi", "ephemeral-storage": "16Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": platform_image(),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", "import signal; signal.pause()"],
                    "resources": {"requests": small, "limits": small},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def start(pods: Iterable[dict[str, Any]]) -> None:
    """Create pods, and wait until all are ready and have their addresses."""
    pods = list(pods)
    apply(pods)
    for item in pods:
        where = ["-n", item["metadata"]["namespace"]]
        pod = f"pod/{item['metadata']['name']}"
        kubectl_wait(*where, "wait", "--for=condition=Ready", pod, seconds=60)


def end(pods: Iterable[dict[str, Any]]) -> None:
    """Delete pods."""
    for item in pods:
        metadata = item["metadata"]
        kubectl("-n", metadata["namespace"], "delete", "pod", metadata["name"], "--ignore-not-found")


def address(namespace: str, name: str) -> str:
    """Return a pod's address."""
    text: str = get("-n", namespace, "pod", name)["status"]["podIP"]
    return text


def heard(namespace: str, name: str, ends: Iterable[End], *, container: str = "main") -> list[bool]:
    """Return for each host and port whether a pod gets an answer from there."""
    words = ["-n", namespace, "exec", name, "-c", container, "--", "python", "-c", _DIAL]
    answers: list[bool] = json.loads(kubectl(*words, json.dumps(list(ends))))
    return answers


def heard_by_all(
    sources: Iterable[tuple[str, str, str]], ends: Iterable[End]
) -> dict[tuple[str, str], dict[End, bool]]:
    """Return the same for several pods at once, given by namespace, name and container."""
    sources, ends = list(sources), list(ends)

    def of(source: tuple[str, str, str]) -> list[bool]:
        return heard(*source[:2], ends, container=source[2])

    with ThreadPoolExecutor(len(sources)) as pool:
        return {
            source[:2]: dict(zip(ends, answers, strict=True))
            for source, answers in zip(sources, pool.map(of, sources), strict=True)
        }


def heard_by_the_node(end: End) -> bool:
    """Return whether this machine, the node, gets an answer from there."""
    try:
        socket.create_connection(end, timeout=_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return True

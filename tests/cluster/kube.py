"""Calls of the Kubernetes API, by kubectl."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.binaries import program
from tests.cluster.progress import run
from tests.cluster.settings import kubeconfig


def kubectl(
    *arguments: str,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    config: Path | None = None,
) -> str:
    """What kubectl printed; HarnessError with its message if it failed."""
    words = [str(program("kubectl")), "--kubeconfig", str(config or kubeconfig()), *arguments]
    return run(words, stdin=stdin, check=check, timeout=timeout)


def get(*arguments: str, timeout: float = 60) -> dict[str, Any]:
    """The answer of `kubectl get ... -o json`."""
    found: dict[str, Any] = json.loads(kubectl("get", *arguments, "-o", "json", timeout=timeout))
    return found


def items(*arguments: str) -> list[dict[str, Any]]:
    """The objects that `kubectl get` lists."""
    found: list[dict[str, Any]] = get(*arguments)["items"]
    return found


def apply(objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects; those that exist are changed. Big ones too, so the server does the merging."""
    text = yaml.safe_dump_all(objects, sort_keys=False)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text, timeout=120)

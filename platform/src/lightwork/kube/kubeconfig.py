"""One context in the user's kubeconfig. Everything else in the file stays as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from lightwork.errors import InputError, one_line

__all__ = ["EXEC_API", "added", "user_of_command"]

EXEC_API = "client.authentication.k8s.io/v1"
"""The version of the API by which a kubeconfig gets credentials of a command."""


def user_of_command(command: list[str]) -> dict[str, Any]:
    """Return a user of a kubeconfig whose credentials a command prints for each use."""
    program, *arguments = command
    return {
        "exec": {
            "apiVersion": EXEC_API,
            "command": program,
            "args": arguments,
            "interactiveMode": "Never",
        }
    }


def added(name: str, *, cluster: dict[str, Any], user: dict[str, Any], namespace: str) -> tuple[Path, str]:
    """Return the kubeconfig with a context, a cluster and a user of a name, in place of those of that name.

    The current context stays what it is.

    Args:
        name: their name.
        cluster: address and certificate authority of the cluster.
        user: the user.
        namespace: the context's namespace.

    Returns:
        The file, which is the first that KUBECONFIG names, else `~/.kube/config`; and its new text.

    Raises:
        InputError: it cannot be read, or is not a kubeconfig.
    """
    path = _path()
    document = _read(path)
    context = {"cluster": name, "user": name, "namespace": namespace}
    for kind, entry in (("cluster", cluster), ("user", user), ("context", context)):
        items = document.get(f"{kind}s") or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise InputError(f"{path}: {kind}s: expected a list; repair the file, or set KUBECONFIG")
        others = [item for item in items if item.get("name") != name]
        document[f"{kind}s"] = [*others, {"name": name, kind: entry}]
    return path, yaml.safe_dump(document, sort_keys=False)


def _path() -> Path:
    named = [item for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    return Path(os.path.expanduser(named[0] if named else "~/.kube/config"))  # noqa: PTH111


def _read(path: Path) -> dict[str, Any]:
    from lightwork.documents import DATES_AS_TEXTS

    class Loader(yaml.SafeLoader):
        """A loader that leaves dates as they are written."""

        yaml_implicit_resolvers = DATES_AS_TEXTS

    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506  (a safe one)
    except FileNotFoundError:
        document = None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = one_line(error)
        raise InputError(f"{path}: cannot be read: {reason}; repair it, or set KUBECONFIG") from None
    if document is None:
        return {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    if not isinstance(document, dict):
        raise InputError(f"{path}: is not a kubeconfig; set KUBECONFIG to another file")
    return document

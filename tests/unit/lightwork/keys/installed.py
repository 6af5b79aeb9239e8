"""Hand-made installed distributions, as `pip` leaves them, and keys that are computed in another process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = json.dumps({"url": "file:///home/me/project", "dir_info": {}})
EDITABLE = json.dumps({"url": "file:///home/me/project", "dir_info": {"editable": True}})
ARCHIVE = json.dumps({"url": "https://example.org/pkg-1.0.tar.gz", "archive_info": {"hash": "sha256=0"}})
REPOSITORY = json.dumps({"url": "https://example.org/pkg.git", "vcs_info": {"vcs": "git", "commit_id": "0"}})
SOURCES = {"a folder": FOLDER, "an archive": ARCHIVE, "a repository": REPOSITORY, "an editable one": EDITABLE}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files to a folder."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def install(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    name: str = "own-pkg",
    version: str = "1.0",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write files to a folder of packages, and the metadata of the distribution that has them."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    inside = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n",
        f"{info}/INSTALLER": "pip\n",
        **{f"{info}/{key}": text for key, text in (metadata or {}).items()},
    }
    record = "".join(f"{path},sha256=0,1\n" for path in [*files, *inside, f"{info}/RECORD"])
    return write(folder, {**files, **inside, f"{info}/RECORD": record})


# Forks a process for each request: what it has imported stays, and no key was computed in it.
_SERVER = """
import importlib, json, os, sys, traceback
from lightwork.keys import Unkeyable, code_key, encode

def answer(request):
    sys.path[:0] = request["path"]
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.dont_write_bytecode = True
    scope = {}
    exec(request["before"], scope)
    if request["expression"]:
        return {"digest": encode(eval(request["expression"], scope)).hex()}
    module, _, attribute = request["name"].rpartition(".")
    try:
        key = code_key(getattr(importlib.import_module(module), attribute))
    except Unkeyable as error:
        return {"reason": str(error)}
    return {"digest": key.digest, **{f"{c.kind} {c.name}": c.digest for c in key.components}}

for line in sys.stdin:
    if (child := os.fork()) == 0:
        try:
            print(json.dumps(answer(json.loads(line))), flush=True)
        except BaseException:
            print(json.dumps({"error": traceback.format_exc()}), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@functools.cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        text=True,
    )
    atexit.register(server.communicate)
    return server


def components(
    *path: Path,
    name: str = "pkg.job.f",
    before: str = "",
    expression: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
) -> dict[str, Any]:
    """Compute a function's code key in another process: its digest, and its components by kind and name.

    Args:
        path: the folders first on the path.
        name: the function.
        before: code to run before its module is imported.
        expression: with the names of that code, a value to encode in place of the key of a function.
        env: further environment variables.
        cwd: the current folder.

    Returns:
        The digest under `digest`, and the digest of each component under `kind name`; for a function whose
        results are not cached the reason alone, under `reason`.
    """
    request = {
        "path": [str(folder) for folder in path],
        "name": name,
        "before": before,
        "expression": expression,
        "env": dict(env or {}),
        "cwd": str(cwd),
    }
    server = _server()
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    parts: dict[str, Any] = json.loads(server.stdout.readline())
    assert "error" not in parts, parts["error"]
    return parts


def digest(*path: Path, **options: Any) -> str:
    """Return the digest of a function's code key, computed in another process."""
    return str(components(*path, **options)["digest"])

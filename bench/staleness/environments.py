"""An environment for each peer, outside the repository, with what `requirements/peers/NAME.txt` pins."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "peers"


class InstallationError(Exception):
    """A peer's environment could not be made; the message is one line."""


def cache_folder() -> Path:
    """Return the folder of the environments: LIGHTWORK_BENCH_CACHE, or one in the user's cache folder."""
    if chosen := os.environ.get("LIGHTWORK_BENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightwork" / "bench"


def folder_of(name: str, requirements: str) -> Path:
    """Return the folder of a peer's environment; another pin or another Python has another one."""
    inputs = f"{requirements}\n{sys.version}\n{platform.platform()}"
    return cache_folder() / f"{name}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def python_of(name: str) -> Path:
    """Return the Python of a peer's environment, which is made first if it is not complete.

    Raises:
        InstallationError: the requirements cannot be installed.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    folder = folder_of(name, requirements.read_text())
    python, complete = folder / "bin" / "python", folder / ".complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            _say(f"installing {requirements.relative_to(ROOT)} into {folder}")
            _run(name, [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
            # pip reads its own settings, so an index that is configured for pip holds here, too.
            pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
            options = ["--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
            _run(name, [*pip, *options, "-r", str(requirements)])
            complete.touch()
    return python


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise InstallationError(f"{name}: cannot install requirements/peers/{name}.txt: {last}")


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)

"""Write packages to a folder, and compute the code key of a function in them after a fresh import."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import FileFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightwork.keys import CodeKey, code_key

KeyOf = Callable[..., CodeKey]


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for parent in path.relative_to(folder).parents:
            if parent != Path():
                (folder / parent / "__init__.py").touch()
    return folder


ELSEWHERE: dict[str, ModuleType] = {}
"""Modules that are not of a test: there are thousands, and `forget` looks at each once."""


def _names(module: object) -> Mapping[str, Any]:
    """Return what a module holds; `getattr` would import what is lazy."""
    try:
        return object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}  # not every library puts modules there


def forget(folder: Path) -> None:
    """Let what is imported from below a folder be imported anew."""
    for name, module in list(sys.modules.items()):
        if ELSEWHERE.get(name) is module:
            continue
        names = _names(module)
        file = names.get("__file__") or next(iter(names.get("__path__", ())), "")
        if str(file).startswith(str(folder)):
            del sys.modules[name]
        else:
            ELSEWHERE[name] = module
    for path, finder in sys.path_importer_cache.items():
        if isinstance(finder, FileFinder) and path.startswith(str(folder)):
            finder.invalidate_caches()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., object]]:
    """Import `name` (`package.module.attribute`) from files that are written to a new folder."""
    numbers = itertools.count()

    def loaded(files: Mapping[str, str], name: str = "pkg.job.f") -> object:
        folder = write(tmp_path / f"v{next(numbers)}", files)
        forget(tmp_path)
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    yield loaded
    forget(tmp_path)


@pytest.fixture
def key_of(load: Callable[..., object]) -> KeyOf:
    """Return the code key of `pkg.job.f`, or of another function, in these files."""
    return lambda files, name="pkg.job.f": code_key(load(files, name))


@pytest.fixture
def run() -> Callable[..., str]:
    """Run a script in another process and return its output."""

    def output(script: str, *path: Path, seed: str = "0") -> str:
        env = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        completed = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stdout.strip()

    return output


@pytest.fixture
def key_elsewhere(run: Callable[..., str]) -> KeyOf:
    """Return the code key of `pkg.job.f` in a folder, computed in another process."""
    script = (
        "import json; from lightwork.keys import code_key; from pkg.job import f; "
        "print(json.dumps(code_key(f).to_json()))"
    )
    return lambda folder, seed="0": CodeKey.from_json(json.loads(run(script, folder, seed=seed)))

"""The program's folder as Pulumi uses it: first on `sys.path`, and run as a package."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from infra.config.image import DIGEST
from tests.infra.conftest import REPOSITORY

INFRA = REPOSITORY / "infra"


def test_no_file_in_the_programs_folder_shadows_a_library() -> None:
    names = {path.stem for path in INFRA.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {"config", "manifests", "__main__"} <= names, "this must be the program's folder"
    hidden = names & (set(packages_distributions()) | sys.stdlib_module_names) - {"__main__"}
    assert not hidden, f"Pulumi puts infra/ first on sys.path: `import {hidden}` would find ours"


def test_each_folder_says_when_to_add_code_there() -> None:
    for folder in sorted({path.parent for path in INFRA.rglob("*.py")}):
        text = (folder / "__init__.py").read_text()
        assert "Add " in text, f"{folder.name}/__init__.py: say when to add code here"


@pytest.mark.slow
def test_pulumi_runs_the_folder_from_anywhere() -> None:
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(INFRA)!r}); import kubernetes, pulumi_kubernetes, yaml\n"
        f"from infra.offline.recording import run_program; from pathlib import Path\n"
        f"run = run_program(Path({str(REPOSITORY)!r}), 'local.acme'); assert run.error is None, run.error\n"
        "print(len(run.resources))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={DIGEST: f"sha256:{'a' * 64}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10

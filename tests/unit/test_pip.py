"""The image's `pip`: it installs with an installer of its own, which it removes, and keeps what is pinned."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's environment, without an installer; `pinned` may only have version 1."""
    folder = tmp_path_factory.mktemp("opt") / "lightwork"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / "bin" / "pip").write_bytes((REPOSITORY / "platform" / "pip").read_bytes())
    (folder / "bin" / "pip").chmod(0o755)
    (folder / "constraints.txt").write_text("pinned==1\n")
    return folder


def pip(packages: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(packages.parent), "PIP_NO_INDEX": "1", **more}
    command = [packages / "bin" / "pip", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_pip_installs_into_the_image_and_leaves_no_installer(packages: Path, tmp_path: Path) -> None:
    wheel(tmp_path, "small", "2")
    done = pip(packages, "install", "--find-links", str(tmp_path), "small")
    assert done.returncode == 0, done.stderr
    code = "import small, importlib.util; print(small.version, importlib.util.find_spec('pip'))"
    words = [packages / "bin" / "python", "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "2 None\n"
    assert os.listdir(packages.parent) == ["lightwork"], "the installer is removed"


@pytest.mark.slow
def test_pip_refuses_to_change_what_the_platform_pins(packages: Path, tmp_path: Path) -> None:
    wheel(tmp_path, "pinned", "2")
    done = pip(packages, "install", "--find-links", str(tmp_path), "pinned==2")
    assert done.returncode == 1
    assert "pinned==1" in done.stdout + done.stderr, "it names what it conflicts with"
    assert os.listdir(packages.parent) == ["lightwork"]


def test_pip_says_what_to_do_where_it_may_not_write() -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "bin").mkdir()
        program = Path(name, "bin", "pip")
        program.write_bytes((REPOSITORY / "platform" / "pip").read_bytes())
        for path in (program, program.parent, Path(name)):
            path.chmod(0o555)
        user = 65534 if os.geteuid() == 0 else None
        done = subprocess.run([program, "list"], user=user, capture_output=True, text=True, check=False)
        Path(name).chmod(0o755)
        program.parent.chmod(0o755)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "USER root" in line
    assert "USER 10001:10001" in line

"""The example of a repository of one's own: what it commits is true, and its own checks pass.

`tests/cluster/test_own_pipeline.py` publishes and runs it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightwork import tenants

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "daylight"
TENANT = EXAMPLE / "tenants" / "helios.yaml"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the example's package is installed."""
    import tomllib

    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("installed")
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text(points)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(EXAMPLE / "src")))}


def lightwork(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = "from lightwork.cli.main import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_description_is_what_the_code_has(installed: dict[str, str]) -> None:
    image = tenants.load(TENANT).pipelines["daylight"].image or ""
    done = lightwork("describe", "daylight", "--json", "--image", image, env=installed)
    assert done.stderr == ""
    assert done.stdout == (EXAMPLE / "tenants/descriptions/daylight.json").read_text()


def test_the_tenants_file_is_checked_without_the_code() -> None:
    done = lightwork("tenant", "validate", str(TENANT), env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{TENANT}: tenant helios: valid\n"


@pytest.mark.slow
def test_its_own_tests_pass(installed: dict[str, str]) -> None:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(EXAMPLE),
        "tests",
    ]
    done = subprocess.run(words, cwd=EXAMPLE, env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_job_sets_what_the_script_needs() -> None:
    content = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text())
    job, script = content["publish"], (EXAMPLE / "publish.sh").read_text()
    needed = set(re.findall(r"^#   ([A-Z_]+) ", script, flags=re.MULTILINE))
    by_hand = set(
        re.findall(r"^#   ([A-Z_]+) ", (EXAMPLE / ".gitlab-ci.yml").read_text(), flags=re.MULTILINE)
    )
    assert needed == {"IMAGE", "LIGHTWORK_IMAGE", "VERSION"}
    assert needed <= by_hand | job["variables"].keys()
    assert job["script"] == ["sh publish.sh"]
    assert job["rules"] == [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}]
    assert set(content["stages"]) == {content[name]["stage"] for name in ("test", "publish")}
    assert "services" not in job, "it needs no container engine beside it"
    written = re.findall(r"> (\w+\.(?:txt|json))$", script, flags=re.MULTILINE)
    assert written == job["artifacts"]["paths"]


def test_everything_that_is_installed_is_pinned_with_hashes() -> None:
    installs = re.findall(
        r"pip install (.*)", (EXAMPLE / "Dockerfile").read_text() + (EXAMPLE / ".gitlab-ci.yml").read_text()
    )
    assert len(installs) == 5
    for line in installs:
        assert "--require-hashes -r" in line or "--no-deps --no-index" in line, line


@pytest.mark.parametrize("image", ["registry.example/platform:1.4", "platform", ""])
def test_publishing_refuses_a_platform_without_a_digest(image: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "LIGHTWORK_IMAGE": image, "IMAGE": "r.example/d", "VERSION": "1"}
    done = subprocess.run(
        ["sh", "publish.sh"], cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"LIGHTWORK_IMAGE: expected an image with its digest, NAME@sha256:…, got {image}\n"
    )

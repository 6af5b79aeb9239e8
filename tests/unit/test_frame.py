"""The frame: what is pinned is what is declared, and every way to check a change is the same way."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import lightwork

REPOSITORY = Path(__file__).resolve().parents[2]
VERSION = "platform/src/lightwork/version.py"
REQUIREMENTS = REPOSITORY / "requirements"
PINNED = sorted(REQUIREMENTS.glob("*.txt"))
PEERS = sorted(REQUIREMENTS.glob("peers/*.txt"))
ASKED = sorted(REQUIREMENTS.glob("**/*.in"))
MAKEFILE = (REPOSITORY / "Makefile").read_text()


def asked(path: Path) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pinned(text: str) -> dict[str, tuple[Requirement, str]]:
    """The requirements of a compiled file by name, each with its whole entry: hashes and comments."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^-.*\n", "", text, flags=re.MULTILINE).strip())
    found = [(Requirement(re.split(r"\s\\|\n", entry)[0]), entry) for entry in entries]
    return {requirement.name: (requirement, entry) for requirement, entry in found}


def unsafe(text: str) -> list[str]:
    """What must not be in a compiled file."""
    wrong = [
        str(requirement)
        for requirement, entry in pinned(text).values()
        if not re.fullmatch(r"==[^*,]+", str(requirement.specifier)) or "--hash=sha256:" not in entry
    ]
    return wrong + re.findall(r".*://.*|^-.*|.*--(?:index|extra|find|trusted).*", text, flags=re.MULTILINE)


def declared(folder: str) -> list[Requirement]:
    with (REPOSITORY / folder / "pyproject.toml").open("rb") as file:
        return [Requirement(text) for text in tomllib.load(file)["project"]["dependencies"]]


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"(?:^|[\s\"'])make ([a-z-]+)", text))


def ci_jobs() -> dict[str, Any]:
    document = yaml.safe_load((REPOSITORY / ".gitlab-ci.yml").read_text())
    return {name: job for name, job in document.items() if isinstance(job, dict) and "script" in job}


@pytest.mark.parametrize("path", [*PINNED, *PEERS], ids=lambda path: path.name)
def test_every_requirement_has_one_version_and_its_hash_and_no_address(path: Path) -> None:
    assert not unsafe(path.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "a>=1 \\\n    --hash=sha256:0",
        "a==1",
        "a==1.* \\\n    --hash=sha256:0",
        "--index-url https://example.org\na==1 \\\n    --hash=sha256:0",
        "a==1 \\\n    --hash=sha256:0\n    # from https://example.org",
    ],
)
def test_a_requirement_that_is_not_pinned_is_found(text: str) -> None:
    assert unsafe(text)


@pytest.mark.parametrize("path", ASKED, ids=lambda path: path.name)
def test_what_is_pinned_is_what_is_asked_for(path: Path) -> None:
    compiled = pinned(path.with_suffix(".txt").read_text())
    mark = f"-r {path.relative_to(REPOSITORY)}"
    direct = {name.lower() for name, (_, entry) in compiled.items() if mark in entry}
    assert direct == {requirement.name.lower() for requirement in asked(path)}, "run `make lock`"


def test_make_lock_pins_everything_that_is_asked_for() -> None:
    names = re.search(r"for name in (.*); do", MAKEFILE)
    assert names
    asked_for = {str(path.relative_to(REQUIREMENTS).with_suffix("")) for path in ASKED}
    assert set(names[1].split()) == asked_for


def test_no_package_has_two_versions_in_what_is_installed_together() -> None:
    versions: dict[tuple[str, str], set[str]] = {}
    for path in PINNED:
        for name, (requirement, _) in pinned(path.read_text()).items():
            versions.setdefault((name, str(requirement.marker)), set()).add(str(requirement.specifier))
    assert not {name: found for name, found in versions.items() if len(found) > 1}


def test_what_the_packages_declare_is_what_is_pinned_for_the_run() -> None:
    needed = [one for one in declared("platform") + declared("pipelines") if one.name != "lightwork"]
    run = {one.name: one for one in asked(REPOSITORY / "requirements" / "run.in")}
    assert {(one.name, *sorted(one.extras)) for one in needed} == {
        (one.name, *sorted(one.extras)) for one in run.values()
    }
    compiled = pinned((REPOSITORY / "requirements" / "run.txt").read_text())
    for one in needed:
        version = str(compiled[one.name][0].specifier).removeprefix("==")
        assert one.specifier.contains(version), f"{one} is declared, {version} is pinned"


@pytest.mark.parametrize("name", ["lightwork", "lightwork-pipelines", "lightwork-infra"])
def test_the_version_is_the_one_in_the_code(name: str) -> None:
    assert importlib.metadata.version(name) == lightwork.__version__
    declared = [path.read_text(encoding="utf-8") for path in REPOSITORY.glob("*/pyproject.toml")]
    assert all('dynamic = ["version"]' in text for text in declared)


def test_a_new_module_of_a_pipeline_needs_no_reinstall() -> None:
    spec = find_spec("pipelines")
    assert spec is not None
    assert {Path(place) for place in spec.submodule_search_locations or ()} == {REPOSITORY / "pipelines"}


@pytest.mark.parametrize(
    ("folder", "inside", "package"),
    [("platform", "src/lightwork", "lightwork"), ("pipelines", "", "pipelines")],
)
def test_a_wheel_holds_every_file_of_its_package(
    folder: str, inside: str, package: str, tmp_path: Path
) -> None:
    copy = tmp_path / folder
    shutil.copytree(REPOSITORY / folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
    version = tmp_path / VERSION  # from which all packages take theirs
    version.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / VERSION, version)
    (copy / inside / "sample").mkdir()
    for name in ("code.py", "README.md", "input.csv"):
        (copy / inside / "sample" / name).touch()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path.relative_to(copy / inside) for path in (copy / inside).rglob("*") if path.is_file())
    assert held == {f"{package}/{file.as_posix()}" for file in files if file.name != "pyproject.toml"}


def test_every_target_says_what_it_does() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony
    told = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for target in phony[1].split():
        assert f"make {target} " in told, f"`make` alone does not list {target}"


def test_everything_that_calls_make_calls_targets_that_exist() -> None:
    existing = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    for name in (".gitlab-ci.yml", ".pre-commit-config.yaml", ".ci/run"):
        code = re.sub(r"#.*|command -v make.*|TOOLS: .*", "", (REPOSITORY / name).read_text())
        assert make_targets(code) <= existing, f"{name} calls what there is not"
        assert make_targets(code), f"{name} calls nothing"


def test_pre_commit_holds_what_ci_holds() -> None:
    document = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in document["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in document["repos"]} == {"local"}, "no hook is fetched"
    gates = set.union(*(make_targets("\n".join(job["script"])) for job in ci_jobs().values()))
    assert set.union(*(make_targets(hook["entry"]) for hook in hooks)) == gates - {"setup", "run", "bench"}


def test_every_check_of_ci_is_a_make_target() -> None:
    checks = {name: job for name, job in ci_jobs().items() if ".venv/bin/python" not in str(job["script"])}
    assert checks
    for name, job in checks.items():
        assert all(line.startswith("make ") for line in job["script"]), f"{name} does what no laptop does"


def test_what_a_change_must_pass_is_what_pre_commit_holds() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    document = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repository in document["repos"] for hook in repository["hooks"]]
    code = re.sub(r"#.*|command -v make.*", "", script.read_text())
    assert make_targets(code) == {"run", *make_targets("\n".join(hooks))}


def dockerfile() -> list[str]:
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "platform" / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [re.sub(r"\s*\\\n\s*", " ", line) for line in re.split(r"(?<!\\)\n", text) if line.strip()]


def test_the_image_is_built_on_the_base_it_is_given_and_runs_as_nobody_special() -> None:
    lines = dockerfile()
    assert re.fullmatch(r"ARG BASE_IMAGE(=\S+@sha256:[0-9a-f]{64})?", lines[0]), "no default without a digest"
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert set(bases) == {"${BASE_IMAGE}", "requirements"}
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"], (
        "a number, and not root"
    )


@pytest.mark.parametrize(
    ("base", "code"),
    [
        (f"python:3.11@sha256:{'a' * 64}", 0),
        ("localhost/lightwork/base:1", 0),
        ("python:3.11-slim-bookworm", 1),
        ("python", 1),
        ("mirror.example.com/localhost/python:3", 1),
        ("", 1),
    ],
)
def test_a_build_refuses_a_base_image_without_a_digest(base: str, code: int) -> None:
    """The first command of the first stage, run by a shell of this machine."""
    lines = dockerfile()
    assert lines[1:3] == ["FROM ${BASE_IMAGE} AS requirements", "ARG BASE_IMAGE"]
    done = subprocess.run(
        ["sh", "-c", lines[3].removeprefix("RUN ")],
        env={"BASE_IMAGE": base}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert ("expected an image with a digest" in done.stderr) is bool(code)


def test_the_image_installs_what_is_pinned_and_its_own_packages_apart() -> None:
    installs = [line for line in dockerfile() if " install " in line and " pip " in line]
    assert len(installs) == 4
    for line in installs:
        if "requirements/" in line:
            assert "--require-hashes" in line, line
        else:
            assert "--no-deps" in line, line
            assert "--no-index" in line, line


def test_the_images_context_holds_what_is_copied_and_nothing_else() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*", "an allow-list begins with nothing"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [
        line.split()[1:-1] for line in dockerfile() if line.startswith("COPY ") and "--from" not in line
    ]
    sources = {source for line in copied for source in line}
    assert {re.sub(r"[^/]+\.txt$", "*.txt", source) for source in sources} == allowed
    for source in sources:
        assert (REPOSITORY / source).exists(), f"{source} is not there"

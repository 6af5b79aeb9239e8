"""gitlab-ci-local reads the pipelines' files as these tests do.

`make ci-local` installs it. The tests are skipped without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.config.stack import ENVIRONMENTS
from tests.infra.ci import gitlab
from tests.infra.ci.test_pipeline import CHILDREN, MAIN, child

INSTALLED = gitlab.REPOSITORY / ".cache/npm/node_modules/.bin/gitlab-ci-local"
PROGRAM = shutil.which("gitlab-ci-local") or (str(INSTALLED) if INSTALLED.exists() else None)

if PROGRAM is None:
    pytest.skip("gitlab-ci-local is not installed: make ci-local", allow_module_level=True)

CHECKS = {"check", "test", "windy-city", "bench"}
PREVIEWS = {f"preview-{environment}" for environment in ENVIRONMENTS}
DEPLOYS = {*ENVIRONMENTS, *(f"plan-{environment}" for environment in ENVIRONMENTS)}
EVERY = "LIGHTWORK_ENVIRONMENTS=dev staging prod"


def run(folder: Path, *words: str, file: Path = gitlab.MAIN) -> str:
    """Run it with a state folder of the test's own, and return its output."""
    paths = [
        f"--{name}={os.path.relpath(path, gitlab.REPOSITORY)}"
        for name, path in (("state-dir", folder), ("file", file))
    ]
    process = subprocess.run(
        [str(PROGRAM), *paths, *words], cwd=gitlab.REPOSITORY, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def names(csv: str) -> set[str]:
    lines = [line for line in csv.splitlines() if ";" in line]
    return {line.partition(";")[0] for line in lines[1:]}


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        (["CI_COMMIT_BRANCH=main"], CHECKS | {"cluster-core"}),
        (["CI_COMMIT_BRANCH=main", EVERY], CHECKS | {"cluster-core", "build-image"} | DEPLOYS),
        (
            ["CI_COMMIT_BRANCH=main", "LIGHTWORK_ENVIRONMENTS=dev"],
            CHECKS | {"cluster-core", "build-image", "plan-dev", "dev"},
        ),
        (
            ["CI_COMMIT_BRANCH=feature", "CI_PIPELINE_SOURCE=merge_request_event", EVERY],
            CHECKS | {"cluster-core", "build-image-preview", "note"} | PREVIEWS,
        ),
        (
            ["CI_COMMIT_BRANCH=main", "CI_PIPELINE_SOURCE=schedule", EVERY],
            CHECKS | {"cluster-all"} | {f"drift-{environment}" for environment in ENVIRONMENTS},
        ),
    ],
)
def test_each_kind_of_pipeline_has_its_jobs(tmp_path: Path, variables: list[str], wanted: set[str]) -> None:
    options = [word for variable in variables for word in ("--variable", variable)]
    assert names(run(tmp_path, "--list-csv", *options)) == wanted


def same(theirs: gitlab.Job, ours: gitlab.Job) -> None:
    for key in ("script", "before_script", "stage", "resource_group", "id_tokens"):
        assert theirs.get(key) == ours.get(key, theirs.get(key)), key
    # It leaves out the value from the default.
    assert theirs.get("interruptible", ours["interruptible"]) == ours["interruptible"]
    for key, value in ours.get("environment", {}).items():
        assert theirs["environment"][key] == value


def test_it_expands_extends_as_these_tests_do(tmp_path: Path) -> None:
    theirs = yaml.safe_load(run(tmp_path, "--preview"))
    assert theirs["stages"][1:-1] == MAIN.content["stages"]
    for name, job in MAIN.jobs.items():
        if "trigger" not in job:
            same(theirs[name], job)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_reads_the_generated_pipelines(tmp_path: Path, environment: str) -> None:
    file = tmp_path / "jobs.yml"
    file.write_text(yaml.safe_dump(child(environment, "acme", "globex"), sort_keys=False))
    wanted = CHILDREN[environment].jobs
    assert names(run(tmp_path / "state", "--list-csv", file=file)) == set(wanted)
    theirs = yaml.safe_load(run(tmp_path / "state", "--preview", file=file))
    for name, job in wanted.items():
        same(theirs[name], job)

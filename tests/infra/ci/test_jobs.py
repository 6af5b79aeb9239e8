"""The pipeline generated from the stacks that a commit affects."""

from __future__ import annotations

import json
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from infra.ci import jobs
from infra.ci.deployed import Deployed
from infra.ci.jobs import Plan, groups, pipeline
from infra.config.image import DIGEST
from lightwork.errors import InputError, RunFailed
from tests.estate import files
from tests.infra.ci import gitlab

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = f"sha256:{'a' * 64}"
COMMIT = "c" * 40


def plan(*stacks: str, environment: str = "dev", **rest: object) -> Plan:
    return Plan(environment=environment, stacks=stacks, digest=IMAGE, **rest)  # type: ignore[arg-type]


def stack_jobs(content: dict[str, object]) -> dict[str, gitlab.Job]:
    """Return the jobs that deploy stacks."""
    jobs = gitlab.read(content).jobs
    return {name: job for name, job in jobs.items() if "lightwork-estate up" in " ".join(job["script"])}


def test_each_stack_has_a_job_and_a_resource_group_of_its_name() -> None:
    deploying = stack_jobs(pipeline(plan("dev", "dev.acme", "dev.globex")))
    assert list(deploying) == ["dev", "dev.acme", "dev.globex"], "one job per stack, the estate first"
    for name, job in deploying.items():
        assert job["resource_group"] == name, "two pipelines must not change one stack at once"
        assert job["interruptible"] is False, "a killed job leaves the state locked"
        assert job["environment"] == {"name": "dev"}, "AWS refuses a job without it"
    assert deploying["dev.acme"]["variables"]["CHOICE"] == "--tenant acme"
    assert deploying["dev"]["variables"]["CHOICE"] == "--estate"


def test_tenants_wait_for_their_estate_if_it_is_affected_and_for_nothing_else() -> None:
    both = stack_jobs(pipeline(plan("dev", "dev.acme")))
    assert (both["dev"]["needs"], both["dev.acme"]["needs"]) == ([], ["dev"])
    alone = stack_jobs(pipeline(plan("dev.acme", "dev.globex")))
    assert [job["needs"] for job in alone.values()] == [[], []], "tenants do not wait for each other"


def test_the_image_is_copied_before_any_stack_is_deployed() -> None:
    content = pipeline(plan("prod", "prod.acme", environment="prod", image_from="staging"))
    expanded = gitlab.read(content).jobs
    assert expanded["bring-image"]["variables"]["FROM"] == "staging"
    assert expanded["prod"]["needs"] == ["bring-image"]
    assert expanded["prod.acme"]["needs"] == ["bring-image", "prod"]


def test_the_deployment_is_recorded_after_all_stacks_and_the_test_run_comes_last() -> None:
    content = pipeline(plan("dev", "dev.acme", smoke="acme"))
    expanded = gitlab.read(content).jobs
    names = ("dev", "dev.acme", "deployed", "smoke")
    order = [content["stages"].index(expanded[name]["stage"]) for name in names]
    assert order == sorted(set(order)), "each in a later stage"
    for name in ("deployed", "smoke"):
        assert "needs" not in expanded[name], "a job with `needs` does not wait for its stage"
        assert expanded[name]["interruptible"] is False
    assert expanded["smoke"]["variables"]["TENANT"] == "acme"


def test_without_affected_stacks_the_deployment_is_recorded_and_nothing_is_run() -> None:
    expanded = gitlab.read(pipeline(plan(smoke="acme"))).jobs
    assert list(expanded) == ["deployed"], "GitLab refuses a pipeline without a job"


def test_every_job_gets_the_digest_in_the_variable_that_the_program_reads() -> None:
    content = pipeline(plan("dev.acme"))
    assert content["variables"] == {"ENV": "dev", DIGEST: IMAGE}
    for job in gitlab.read(content).jobs.values():
        assert job["variables"][DIGEST] == IMAGE


def test_a_few_tenants_have_a_job_each() -> None:
    names = [f"t{number}" for number in range(jobs.MOST_JOBS)]
    assert groups(names) == {name: [name] for name in sorted(names)}


@pytest.mark.parametrize("count", [51, 500, 3000])
def test_many_tenants_share_jobs_within_gitlabs_limits(count: int) -> None:
    names = [f"tenant-{number}" for number in range(count)]
    content = pipeline(plan("dev", *(f"dev.{name}" for name in names), smoke="acme"))
    deploying = stack_jobs(content)
    assert len(gitlab.read(content).jobs) <= 500, "GitLab's limit of deployment jobs"
    assert all(len(job.get("needs", [])) <= 50 for job in deploying.values()), "GitLab's limit of needs"
    assert len(yaml.safe_dump(content)) < 1_000_000, "GitLab's limit of a file"
    words = " ".join(job["variables"]["CHOICE"] for job in deploying.values()).split()
    assert sorted(words[2::2]) == sorted(names), "each tenant once"
    for name, job in deploying.items():
        assert job["resource_group"] == name, "one job of a batch at a time"


def test_a_tenant_stays_in_its_batch_when_others_come_and_go() -> None:
    many = [f"tenant-{number}" for number in range(300)]
    before = {name: batch for batch, names in groups(many).items() for name in names}
    after = {name: batch for batch, names in groups([*many[50:], "new"]).items() for name in names}
    assert all(before[name] == after[name] for name in many[50:]), "its resource group would change"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (plan("prod.acme"), "stack 'prod.acme': .*environment dev"),
        (plan("dve"), "stack 'dve': .*no environment 'dve'"),
        (Plan(environment="dev", stacks=("dev",), digest="latest"), f"{DIGEST}: .*'latest'"),
    ],
)
def test_a_wrong_plan_is_refused(wrong: Plan, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        pipeline(wrong)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake `lightwork-estate` that writes its arguments to a file and prints another file."""
    program = tmp_path / "bin" / "lightwork-estate"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/called\ncat {tmp_path}/prints\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(jobs, "installed", lambda name: str(program))
    return tmp_path


def test_the_stacks_are_those_that_the_driver_names(driver: Path) -> None:
    (driver / "prints").write_text('["dev", "dev.acme"]')
    assert jobs.touched("dev", COMMIT, driver) == ("dev", "dev.acme")
    assert (driver / "called").read_text().split() == [
        *("stacks", "--env", "dev", "--changed-since", COMMIT, "--json")
    ]
    jobs.touched("dev", None, driver)
    assert "--all" in (driver / "called").read_text().split(), "everything, without a commit to compare with"


@pytest.mark.parametrize("prints", ["", "dev dev.acme", '{"stacks": []}', "[1]"])
def test_unexpected_output_of_the_driver_is_a_failure_and_not_an_empty_pipeline(
    driver: Path, prints: str
) -> None:
    (driver / "prints").write_text(prints)
    with pytest.raises(RunFailed, match="JSON list of stacks"):
        jobs.touched("dev", None, driver)


def test_the_command_writes_a_pipeline_and_prints_the_stacks(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (driver / "prints").write_text('["staging", "staging.acme"]')
    monkeypatch.setenv(DIGEST, IMAGE)
    monkeypatch.setattr(jobs, "ROOT", files.repository(tmp_path / "repository"))
    output = driver / "made" / "jobs.yml"
    words = ["--env", "staging", "--changed-since", COMMIT, "--image-from", "dev", "--smoke", "acme"]
    assert jobs.main([*words, "--output", str(output)]) == 0
    assert capsys.readouterr().err == "staging: staging, staging.acme\n"
    wanted = plan("staging", "staging.acme", environment="staging", image_from="dev", smoke="acme")
    assert yaml.safe_load(output.read_text()) == json.loads(json.dumps(pipeline(wanted)))


def test_no_pipeline_is_generated_without_a_digest(
    driver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (driver / "prints").write_text("[]")
    monkeypatch.delenv(DIGEST)
    assert jobs.main(["--env", "dev", "--all"]) == 2
    assert capsys.readouterr().err.startswith(f"{DIGEST}: ")


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("nobody", "there is no tenants/nobody.yaml; available: acme"),
        ("elsewhere", "tenants/elsewhere.yaml: environments: dev "),
        ("idle", "tenants/idle.yaml: pipelines: windy-city "),
    ],
)
def test_a_tenant_that_cannot_run_the_test_pipeline_is_refused_before_anything_is_deployed(
    tmp_path: Path, tenant: str, message: str
) -> None:
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "acme.yaml").write_text((files.HERE / "tenants" / "acme.yaml").read_text())
    jobs.check_smoke(tmp_path, "dev", "acme")
    if tenant != "nobody":
        text = (folder / "acme.yaml").read_text().replace("name: acme", f"name: {tenant}")
        changed = {"elsewhere": ("[dev, staging, prod]", "[prod]"), "idle": ("windy-city:", "other:")}
        (folder / f"{tenant}.yaml").write_text(text.replace(*changed[tenant]))
    with pytest.raises(InputError) as refused:
        jobs.check_smoke(tmp_path, "dev", tenant)
    assert str(refused.value).startswith(f"--smoke: {message}")


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, list[str]]:
    """A repository with two commits, and a third that is not on any branch."""

    def git(*words: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    commits = []
    for number in range(3):
        git("commit", "--quiet", "--allow-empty", "--message", str(number))
        commits.append(git("rev-parse", "HEAD"))
    git("reset", "--quiet", "--hard", commits[1])
    return tmp_path, commits


def record(commit: str, digest: str = IMAGE) -> Deployed:
    return Deployed(commit=commit, digest=digest, at="2026-01-01T00:00:00+00:00")


def test_a_deployment_is_compared_with_the_deployed_commit(history: tuple[Path, list[str]]) -> None:
    root, commits = history
    assert jobs.since(record(commits[0]), IMAGE, root) == commits[0]


@pytest.mark.parametrize("reason", ["no record", "another image", "another history", "unknown"])
def test_all_stacks_are_deployed_if_the_difference_is_unknown(
    history: tuple[Path, list[str]], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root, commits = history
    deployed = {
        "no record": None,
        "another image": record(commits[0], f"sha256:{'b' * 64}"),
        "another history": record(commits[2]),
        "unknown": record("f" * 40),
    }[reason]
    assert jobs.since(deployed, IMAGE, root) is None
    assert capsys.readouterr().err.startswith("all stacks: "), "the log has the reason"

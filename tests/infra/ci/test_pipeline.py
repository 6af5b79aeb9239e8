"""`.gitlab-ci.yml` and the generated pipelines: the jobs' roles, their order and what they write."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.ci import assume, jobs
from infra.ci.deployed import COMMIT
from infra.config.image import DIGEST
from infra.config.settings import GitLab
from infra.config.stack import ENVIRONMENTS
from infra.policies import trust as policies_trust
from tests.infra.ci import gitlab
from tests.infra.iam import decide

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = f"sha256:{'a' * 64}"
FILES = [gitlab.MAIN, *sorted((gitlab.REPOSITORY / "ci").glob("*.yml"))]
MAIN = gitlab.main()
PROVIDER = "arn:aws:iam::111111111111:oidc-provider/gitlab.com"
PROJECT = GitLab(project="example/lightwork")


def child(environment: str, *tenants: str) -> dict[str, Any]:
    """Return the generated pipeline of an environment with these tenants."""
    plan = jobs.Plan(
        environment=environment,  # type: ignore[arg-type]
        stacks=(environment, *(f"{environment}.{tenant}" for tenant in tenants)),
        digest=IMAGE,
        image_from=None if environment == "dev" else "dev",
        smoke="acme",
    )
    return jobs.pipeline(plan)


CHILDREN = {environment: gitlab.read(child(environment, "acme", "globex")) for environment in ENVIRONMENTS}


def all_jobs() -> Iterator[tuple[str, gitlab.Job]]:
    yield from MAIN.jobs.items()
    for environment, pipeline in CHILDREN.items():
        for name, job in pipeline.jobs.items():
            yield f"{environment}/{name}", job


ALL = dict(all_jobs())
WRITERS = {name: job for name, job in ALL.items() if gitlab.role(job) == "apply"}
READERS = {name: job for name, job in ALL.items() if gitlab.role(job) == "preview"}


def test_every_file_is_valid_by_gitlabs_schema(tmp_path: Path) -> None:
    """All files at once: the schema is read for each process."""
    files = list(FILES)
    many = [f"tenant-{number}" for number in range(120)]
    for environment in ENVIRONMENTS:
        for name, tenants in (("few", ["acme"]), ("many", many)):
            files.append(tmp_path / f"{environment}-{name}.yml")
            files[-1].write_text(yaml.safe_dump(child(environment, *tenants), sort_keys=False))
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(files[0].read_text() + "\nextra: {script: [make check], interruptible: perhaps}\n")
    program = Path(sys.executable).parent / "check-jsonschema"
    words = [program, "--builtin-schema", "vendor.gitlab-ci", "--output-format", "json", *files, wrong]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert process.returncode == 1, "the schema accepts anything"
    found = json.loads(process.stdout)
    assert [Path(error["filename"]).name for error in found["errors"]] == ["wrong.yml"], found
    assert found["parse_errors"] == []


def test_there_are_jobs_of_both_roles() -> None:
    assert {"build-image", "dev/dev.acme", "prod/deployed", "staging/smoke"} <= set(WRITERS)
    assert {"preview-prod", "plan-staging", "drift-dev", "build-image-preview"} <= set(READERS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_writing_job_is_not_interruptible_and_has_a_resource_group_and_an_environment(name: str) -> None:
    job = WRITERS[name]
    assert job["interruptible"] is False, "a killed job leaves the state locked"
    assert job["resource_group"], "two commits must not write at once"
    (environment,) = {line.split()[line.split().index("--env") + 1] for line in gitlab.commands(job)}
    environment = job["variables"]["ENV"] if environment == "$ENV" else environment
    assert job["environment"]["name"] == environment, "the role is the environment's"
    if "lightwork-estate up" in " ".join(job["script"]):
        assert job["resource_group"] == name.partition("/")[2], "the stack's own"
        assert "action" not in job["environment"], "GitLab must know that it is a deployment"


def test_a_job_and_its_child_pipeline_share_no_resource_group() -> None:
    outer = {job["resource_group"] for job in MAIN.jobs.values() if "trigger" in job}
    inner = {job["resource_group"] for pipeline in CHILDREN.values() for job in pipeline.jobs.values()}
    assert not outer & inner, "a deadlock: the pipeline would wait for the job that waits for it"
    for environment, pipeline in CHILDREN.items():
        groups = [job["resource_group"] for job in pipeline.jobs.values()]
        assert len(groups) == len(set(groups)), f"{environment}: one job each"


@pytest.mark.parametrize("name", READERS)
def test_a_reading_job_has_no_environment_and_so_cannot_assume_the_deploying_role(name: str) -> None:
    assert "environment" not in READERS[name]


def subject(job: gitlab.Job, branch: str = "main") -> str:
    """Return the subject in the job's token, with the required setting of the project."""
    environment = job.get("environment")
    claims = {"project_path": PROJECT.project, "ref_type": "branch", "ref": branch}
    if environment:
        claims |= {"environment": environment["name"], "environment_protected": "true"}
    return ":".join(f"{claim}:{claims[claim]}" for claim in policies_trust.SUBJECT if claim in claims)


def trusted(kind: str, environment: str, job: gitlab.Job, branch: str = "main") -> bool:
    trust = (
        policies_trust.preview(provider_arn=PROVIDER, gitlab=PROJECT)
        if kind == "preview"
        else policies_trust.apply(provider_arn=PROVIDER, gitlab=PROJECT, environment=environment)
    )
    audience = job["id_tokens"][assume.TOKEN]["aud"]
    context = {"gitlab.com:aud": audience, "gitlab.com:sub": subject(job, branch)}
    principal = {"Federated": PROVIDER}
    return decide([trust], "sts:AssumeRoleWithWebIdentity", "", context, principal=principal)


@pytest.mark.parametrize("name", WRITERS)
def test_the_deploying_role_trusts_writing_jobs_of_its_environment_only(name: str) -> None:
    job = WRITERS[name]
    own = job["environment"]["name"]
    for environment in ENVIRONMENTS:
        assert trusted("apply", environment, job) == (environment == own), environment
    assert not trusted("apply", own, job, branch="feature"), "a branch could deploy itself"


@pytest.mark.parametrize("name", READERS)
def test_the_previewing_role_trusts_reading_jobs_and_the_deploying_one_does_not(
    name: str,
) -> None:
    for environment in ENVIRONMENTS:
        assert trusted("preview", environment, READERS[name], branch="feature/x")
        assert not trusted("apply", environment, READERS[name])


def test_a_job_that_copies_an_image_may_read_its_source() -> None:
    for environment in ("staging", "prod"):
        assert trusted("preview", "dev", CHILDREN[environment].jobs["bring-image"])


def test_jobs_without_a_role_have_no_token_of_aws() -> None:
    for name, job in ALL.items():
        assert ("id_tokens" in job) == (gitlab.role(job) is not None), name


def test_no_file_contains_a_key_or_a_password() -> None:
    for file in [*FILES, *sorted((gitlab.REPOSITORY / "ci").glob("*.sh"))]:
        text = file.read_text()
        secrets = re.findall(
            r"AWS_(?:ACCESS_KEY|SECRET|SESSION)\w*|AKIA\w+|glpat-\S+|password", text, re.IGNORECASE
        )
        assert not secrets, f"{file.name}: {secrets}"
    assert "AWS_ACCESS_KEY" not in yaml.safe_dump(child("dev", "acme"))


def test_no_job_uses_docker_or_services() -> None:
    for name, job in ALL.items():
        assert "services" not in job, name
        assert "docker" not in " ".join(job.get("script", [])), name


def test_only_the_deployment_to_prod_is_manual() -> None:
    with_when = {name for name, job in MAIN.jobs.items() for rule in job.get("rules", []) if "when" in rule}
    assert with_when == {"prod", "bench", "note"}
    (rule,) = MAIN.jobs["prod"]["rules"]
    assert (rule["when"], rule["allow_failure"]) == ("manual", False), "a failure must not be green"
    assert not [job for job in CHILDREN["prod"].jobs.values() if "rules" in job], "one approval is enough"


@pytest.mark.parametrize(("environment", "before"), [("staging", "dev"), ("prod", "staging")])
def test_an_environment_is_deployed_after_the_previous_one_and_its_test_run(
    environment: str, before: str
) -> None:
    assert before in MAIN.jobs[f"plan-{environment}"]["needs"]
    assert MAIN.jobs[environment]["needs"] == [f"plan-{environment}"]
    assert MAIN.jobs[before]["trigger"]["strategy"] == "depend", "the job must wait for its pipeline"
    assert "--smoke" in MAIN.jobs[f"plan-{before}"]["variables"]["WITH"]
    pipeline = CHILDREN[before]
    assert pipeline.content["stages"][-1] == pipeline.jobs["smoke"]["stage"], "the test run comes last"
    assert not pipeline.jobs["smoke"].get("allow_failure")


def test_nothing_is_deployed_from_a_schedule_or_a_merge_request() -> None:
    for name in ("build-image", "dev", "staging", "prod", "plan-dev", "plan-staging", "plan-prod"):
        (rule,) = MAIN.jobs[name]["rules"]
        assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"], name
        assert '$CI_PIPELINE_SOURCE != "schedule"' in rule["if"], f"{name}: the schedule is on main too"


def test_without_the_variable_for_environments_no_job_accesses_aws() -> None:
    assert MAIN.content["variables"]["LIGHTWORK_ENVIRONMENTS"] == ""
    for name, job in MAIN.jobs.items():
        if gitlab.role(job) or "trigger" in job or name == "note":
            for rule in job["rules"]:
                (pattern,) = re.findall(r"\$LIGHTWORK_ENVIRONMENTS =~ /(.+)/$", rule["if"])
                assert not re.search(pattern, ""), name
                assert not re.search(pattern, "develop"), f"{name}: matches a part of a word"
                wanted = job["variables"].get("ENV") or (name if name in ENVIRONMENTS else "dev")
                before = ENVIRONMENTS[: ENVIRONMENTS.index(wanted) + 1]
                assert re.search(pattern, " ".join(before)), name
                for left_out in before:
                    rest = " ".join(entry for entry in before if entry != left_out)
                    assert not re.search(pattern, rest), f"{name}: needs a job that would be missing"


def test_the_digest_is_passed_unchanged_from_the_build_to_prod() -> None:
    (line,) = gitlab.commands(MAIN.jobs["build-image"])
    assert line.endswith("--dotenv image.env")
    assert MAIN.jobs["build-image"]["artifacts"]["reports"]["dotenv"] == "image.env"
    for environment in ENVIRONMENTS:
        assert "build-image" in MAIN.jobs[f"plan-{environment}"]["needs"], "the source of the digest"
        pipeline = CHILDREN[environment]
        assert pipeline.content["variables"][DIGEST] == IMAGE
        for name, job in pipeline.jobs.items():
            assert job["variables"][DIGEST] == IMAGE, f"{environment}/{name}"
            assert not re.search(r":(latest|main)\b|--tag", " ".join(job["script"])), "a tag can be moved"
        # Otherwise the main pipeline's variables, such as TOOLS, would override the jobs' own.
        assert MAIN.jobs[environment]["trigger"]["forward"] == {"yaml_variables": False}
    assert [name for name, job in ALL.items() if "image build" in " ".join(job.get("script", []))] == [
        "build-image-preview",
        "build-image",
    ], "an image is built once"


def test_the_note_is_written_even_if_a_preview_fails() -> None:
    job = MAIN.jobs["note"]
    needs = [need if isinstance(need, str) else need["job"] for need in job["needs"]]
    assert needs == [f"preview-{environment}" for environment in ENVIRONMENTS]
    assert job["rules"][0]["when"] == "always"
    assert job["resource_group"] == "note-$CI_MERGE_REQUEST_IID"
    for environment in ENVIRONMENTS:
        preview = MAIN.jobs[f"preview-{environment}"]
        assert preview["artifacts"]["when"] == "always"
        assert preview["variables"]["ENV"] == environment
        assert "--summary-dir summary/$ENV" in " ".join(preview["script"])


def test_each_environment_is_checked_for_drift_every_night() -> None:
    for environment in ENVIRONMENTS:
        job = MAIN.jobs[f"drift-{environment}"]
        assert all('$CI_PIPELINE_SOURCE == "schedule"' in rule["if"] for rule in job["rules"])
        assert "infra.ci.drift" in " ".join(job["script"])
        assert not job.get("allow_failure"), "a difference must be red"
        assert job["needs"] == [], "a failed test must not hide drift"


def test_jobs_that_compare_commits_have_a_full_clone() -> None:
    for name, job in ALL.items():
        script = " ".join(job.get("script", []))
        if "--changed-since" in script or "--since-deployed" in script or "infra.ci.drift" in script:
            assert job["variables"]["GIT_DEPTH"] == "0", f"{name}: a shallow clone lacks the older commit"


def test_a_deployment_is_not_cancelled_by_the_next_commit() -> None:
    (main,) = [rule for rule in MAIN.content["workflow"]["rules"] if "CI_COMMIT_BRANCH" in rule["if"]]
    assert main["auto_cancel"] == {"on_new_commit": "none"}
    for pipeline in CHILDREN.values():
        assert pipeline.content["workflow"]["auto_cancel"] == {"on_new_commit": "none"}


def test_images_are_pinned_and_the_engine_has_its_librarys_version() -> None:
    variables = MAIN.content["variables"]
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm", variables["JOB_IMAGE"])
    pinned = re.findall(
        r"^pulumi==(\S+)", (gitlab.REPOSITORY / "requirements/dev.txt").read_text(), re.MULTILINE
    )
    assert variables["PULUMI_IMAGE"] == f"pulumi/pulumi:{pinned[0]}"
    for name, job in ALL.items():
        image = job.get("image", "")
        assert (image["name"] if isinstance(image, dict) else image) in ("$JOB_IMAGE", "$PULUMI_IMAGE"), name


def test_jobs_have_the_programs_that_they_run() -> None:
    for name, job in ALL.items():
        script = " ".join(job.get("script", []))
        if any(part in script for part in ("lightwork-estate", "infra.ci.drift", "infra.ci.smoke")):
            image = job["image"]
            assert isinstance(image, dict), name
            assert image["entrypoint"] == [""], f"{name}: the job's shell would be an argument of pulumi"
        if "infra.ci.image" in script:
            wanted = {"skopeo"} if "bring" in script else {"git", "skopeo", "buildah"}
            assert wanted <= set(job["variables"]["TOOLS"].split()), name
        if "infra.ci.jobs" in script:
            assert "git" in job["variables"]["TOOLS"].split(), name


def test_every_module_and_option_in_a_job_exists() -> None:
    modules = set()
    for job in ALL.values():
        for line in gitlab.commands(job):
            modules |= set(re.findall(r"-m (infra\.[\w.]+)", line))
    assert {"infra.ci.assume", "infra.ci.image", "infra.ci.jobs", "infra.ci.note"} <= modules
    for module in modules:
        command = importlib.import_module(module).command
        commands = [command, *getattr(command, "commands", {}).values()]
        existing = {option for entry in commands for parameter in entry.params for option in parameter.opts}
        for job in ALL.values():
            for line in gitlab.commands(job):
                words = line.rpartition(" -- ")[2].split()
                if module in words:
                    options = {word for word in words[words.index(module) :] if word.startswith("--")}
                    assert options <= existing, f"{module}: {options}"


def test_a_new_tenant_adds_a_job_and_changes_no_other(tmp_path: Path) -> None:
    before = {name: json.dumps(job) for name, job in child("dev", "acme").items()}
    after = {name: json.dumps(job) for name, job in child("dev", "acme", "newcomer").items()}
    assert set(after) - set(before) == {"dev.newcomer"}
    assert {name: after[name] for name in before} == before


def test_the_commit_is_read_from_gitlabs_own_variable() -> None:
    assert COMMIT == "CI_COMMIT_SHA"


def test_the_script_for_tools_does_nothing_if_they_are_installed() -> None:
    script = gitlab.REPOSITORY / "ci" / "tools.sh"
    process = subprocess.run(
        [shutil.which("sh") or "sh", script, "sh", "cat"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout + process.stderr) == (0, "")


def test_the_script_for_tools_names_those_that_it_cannot_install(tmp_path: Path) -> None:
    script = gitlab.REPOSITORY / "ci" / "tools.sh"
    process = subprocess.run(
        [shutil.which("sh") or "sh", script, "buildah"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "lacks buildah" in process.stderr
    assert "no apt-get" in process.stderr

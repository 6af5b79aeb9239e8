"""`.gitlab-ci.yml` and the pipelines made from the stacks: who writes what, as whom, and after what."""

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
    """The pipeline that an environment's commit gets."""
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
LOOKERS = {name: job for name, job in ALL.items() if gitlab.role(job) == "preview"}


@pytest.mark.parametrize("environment", ["", *ENVIRONMENTS])
def test_gitlabs_own_schema_takes_every_file(tmp_path: Path, environment: str) -> None:
    files = FILES
    if environment:
        many = [f"tenant-{number}" for number in range(120)]
        files = [tmp_path / "few.yml", tmp_path / "many.yml"]
        files[0].write_text(yaml.safe_dump(child(environment, "acme"), sort_keys=False))
        files[1].write_text(yaml.safe_dump(child(environment, *many), sort_keys=False))
    program = Path(sys.executable).parent / "check-jsonschema"
    words = [program, "--builtin-schema", "vendor.gitlab-ci", *files]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(files[0].read_text() + "\nextra: {script: [make check], interruptible: perhaps}\n")
    refused = subprocess.run([*words[:3], wrong], capture_output=True, text=True, check=False)
    assert refused.returncode == 1, "the schema takes anything"


def test_there_are_jobs_of_both_roles() -> None:
    assert {"build-image", "dev/dev.acme", "prod/deployed", "staging/smoke"} <= set(WRITERS)
    assert {"preview-prod", "plan-staging", "drift-dev", "build-image-preview"} <= set(LOOKERS)


@pytest.mark.parametrize("name", WRITERS)
def test_what_writes_is_not_interrupted_and_alone_and_in_an_environment(name: str) -> None:
    job = WRITERS[name]
    assert job["interruptible"] is False, "a state's lock would be left behind"
    assert job["resource_group"], "two commits would write at once"
    (environment,) = {line.split()[line.split().index("--env") + 1] for line in gitlab.commands(job)}
    environment = job["variables"]["ENV"] if environment == "$ENV" else environment
    assert job["environment"]["name"] == environment, "the role is the environment's"
    if "lightwork-estate up" in " ".join(job["script"]):
        assert job["resource_group"] == name.partition("/")[2], "the stack's own"
        assert "action" not in job["environment"], "GitLab guards what it knows to be a deployment"


def test_no_two_kinds_of_job_wait_for_each_other_in_one_resource_group() -> None:
    outer = {job["resource_group"] for job in MAIN.jobs.values() if "trigger" in job}
    inner = {job["resource_group"] for pipeline in CHILDREN.values() for job in pipeline.jobs.values()}
    assert not outer & inner, "a pipeline would wait for the job that waits for it"
    for environment, pipeline in CHILDREN.items():
        groups = [job["resource_group"] for job in pipeline.jobs.values()]
        assert len(groups) == len(set(groups)), f"{environment}: one job each"


@pytest.mark.parametrize("name", LOOKERS)
def test_what_looks_has_no_environment_and_so_cannot_become_the_role_that_deploys(name: str) -> None:
    assert "environment" not in LOOKERS[name]


def subject(job: gitlab.Job, branch: str = "main") -> str:
    """What GitLab writes into the job's token, with the project's setting as it has to be."""
    environment = job.get("environment")
    claims = {"project_path": PROJECT.project, "ref_type": "branch", "ref": branch}
    if environment:
        claims |= {"environment": environment["name"], "environment_protected": "true"}
    return ":".join(f"{claim}:{claims[claim]}" for claim in policies_trust.SUBJECT if claim in claims)


def let_in(kind: str, environment: str, job: gitlab.Job, branch: str = "main") -> bool:
    trust = (
        policies_trust.preview(provider_arn=PROVIDER, gitlab=PROJECT)
        if kind == "preview"
        else policies_trust.apply(provider_arn=PROVIDER, gitlab=PROJECT, environment=environment)
    )
    audience = job["id_tokens"][assume.TOKEN]["aud"]
    context = {"gitlab.com:aud": audience, "gitlab.com:sub": subject(job, branch)}
    who = {"Federated": PROVIDER}
    return decide([trust], "sts:AssumeRoleWithWebIdentity", "", context, principal=who)


@pytest.mark.parametrize("name", WRITERS)
def test_the_trust_of_the_deploying_role_lets_these_jobs_in_and_in_their_environment_alone(name: str) -> None:
    job = WRITERS[name]
    own = job["environment"]["name"]
    for environment in ENVIRONMENTS:
        assert let_in("apply", environment, job) == (environment == own), environment
    assert not let_in("apply", own, job, branch="feature"), "a branch could deploy itself"


@pytest.mark.parametrize("name", LOOKERS)
def test_the_trust_of_the_previewing_role_lets_these_jobs_in_and_the_deploying_ones_does_not(
    name: str,
) -> None:
    for environment in ENVIRONMENTS:
        assert let_in("preview", environment, LOOKERS[name], branch="feature/x")
        assert not let_in("apply", environment, LOOKERS[name])


def test_whoever_brings_an_image_may_look_where_it_comes_from() -> None:
    for environment in ("staging", "prod"):
        assert let_in("preview", "dev", CHILDREN[environment].jobs["bring-image"])


def test_jobs_without_a_role_have_no_token_of_aws() -> None:
    for name, job in ALL.items():
        assert ("id_tokens" in job) == (gitlab.role(job) is not None), name


def test_no_file_has_a_key_or_a_password() -> None:
    for file in [*FILES, *sorted((gitlab.REPOSITORY / "ci").glob("*.sh"))]:
        text = file.read_text()
        found = re.findall(
            r"AWS_(?:ACCESS_KEY|SECRET|SESSION)\w*|AKIA\w+|glpat-\S+|password", text, re.IGNORECASE
        )
        assert not found, f"{file.name}: {found}"
    assert "AWS_ACCESS_KEY" not in yaml.safe_dump(child("dev", "acme"))


def test_no_job_is_privileged_or_starts_a_docker() -> None:
    for name, job in ALL.items():
        assert "services" not in job, name
        assert "docker" not in " ".join(job.get("script", [])), name


def test_prod_is_by_hand_and_nothing_else_that_deploys_is() -> None:
    by_hand = {name for name, job in MAIN.jobs.items() for rule in job.get("rules", []) if "when" in rule}
    assert by_hand == {"prod", "bench", "note"}
    (rule,) = MAIN.jobs["prod"]["rules"]
    assert (rule["when"], rule["allow_failure"]) == ("manual", False), "a prod that failed must not be green"
    assert not [job for job in CHILDREN["prod"].jobs.values() if "rules" in job], "it is pressed once"


@pytest.mark.parametrize(("environment", "before"), [("staging", "dev"), ("prod", "staging")])
def test_an_environment_is_deployed_only_after_the_one_before_it_and_its_run(
    environment: str, before: str
) -> None:
    assert before in MAIN.jobs[f"plan-{environment}"]["needs"]
    assert MAIN.jobs[environment]["needs"] == [f"plan-{environment}"]
    assert MAIN.jobs[before]["trigger"]["strategy"] == "depend", "else it is over once it has begun"
    assert "--smoke" in MAIN.jobs[f"plan-{before}"]["variables"]["WITH"]
    pipeline = CHILDREN[before]
    assert pipeline.content["stages"][-1] == pipeline.jobs["smoke"]["stage"], "the run is the end of it"
    assert not pipeline.jobs["smoke"].get("allow_failure")


def test_nothing_is_deployed_from_a_schedule_or_a_merge_request() -> None:
    for name in ("build-image", "dev", "staging", "prod", "plan-dev", "plan-staging", "plan-prod"):
        (rule,) = MAIN.jobs[name]["rules"]
        assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"], name
        assert '$CI_PIPELINE_SOURCE != "schedule"' in rule["if"], f"{name}: the schedule is main's too"


def test_a_project_that_names_no_environment_has_no_job_that_asks_aws() -> None:
    assert MAIN.content["variables"]["LIGHTWORK_ENVIRONMENTS"] == ""
    for name, job in MAIN.jobs.items():
        if gitlab.role(job) or "trigger" in job or name == "note":
            for rule in job["rules"]:
                (pattern,) = re.findall(r"\$LIGHTWORK_ENVIRONMENTS =~ /(.+)/$", rule["if"])
                assert not re.search(pattern, ""), name
                assert not re.search(pattern, "develop"), f"{name}: a part of a word is no environment"
                wanted = job["variables"].get("ENV") or (name if name in ENVIRONMENTS else "dev")
                before = ENVIRONMENTS[: ENVIRONMENTS.index(wanted) + 1]
                assert re.search(pattern, " ".join(before)), name
                for left_out in before:
                    rest = " ".join(entry for entry in before if entry != left_out)
                    assert not re.search(pattern, rest), f"{name}: would need a job that is not there"


def test_the_digest_is_one_variable_from_the_build_to_prod() -> None:
    (line,) = gitlab.commands(MAIN.jobs["build-image"])
    assert line.endswith("--dotenv image.env")
    assert MAIN.jobs["build-image"]["artifacts"]["reports"]["dotenv"] == "image.env"
    for environment in ENVIRONMENTS:
        assert "build-image" in MAIN.jobs[f"plan-{environment}"]["needs"], "it has it from there"
        pipeline = CHILDREN[environment]
        assert pipeline.content["variables"][DIGEST] == IMAGE
        for name, job in pipeline.jobs.items():
            assert job["variables"][DIGEST] == IMAGE, f"{environment}/{name}"
            assert not re.search(r":(latest|main)\b|--tag", " ".join(job["script"])), "a tag says no digest"
        # Else what the main pipeline's file says would win over what the jobs say, TOOLS among it.
        assert MAIN.jobs[environment]["trigger"]["forward"] == {"yaml_variables": False}
    assert [name for name, job in ALL.items() if "image build" in " ".join(job.get("script", []))] == [
        "build-image-preview",
        "build-image",
    ], "nothing is built on the way"


def test_the_previews_come_together_in_one_note_also_if_one_fails() -> None:
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


def test_every_night_each_environment_is_looked_at_for_drift() -> None:
    for environment in ENVIRONMENTS:
        job = MAIN.jobs[f"drift-{environment}"]
        assert all('$CI_PIPELINE_SOURCE == "schedule"' in rule["if"] for rule in job["rules"])
        assert "infra.ci.drift" in " ".join(job["script"])
        assert not job.get("allow_failure"), "a difference is red"
        assert job["needs"] == [], "a failed test hides no drift"


def test_what_compares_commits_has_all_of_them() -> None:
    for name, job in ALL.items():
        script = " ".join(job.get("script", []))
        if "--changed-since" in script or "--since-deployed" in script or "infra.ci.drift" in script:
            assert job["variables"]["GIT_DEPTH"] == "0", f"{name}: in a shallow clone they are not there"


def test_a_commit_on_its_way_is_not_stopped_by_the_next_one() -> None:
    (main,) = [rule for rule in MAIN.content["workflow"]["rules"] if "CI_COMMIT_BRANCH" in rule["if"]]
    assert main["auto_cancel"] == {"on_new_commit": "none"}
    for pipeline in CHILDREN.values():
        assert pipeline.content["workflow"]["auto_cancel"] == {"on_new_commit": "none"}


def test_images_are_pinned_and_the_engine_is_of_the_version_of_its_library() -> None:
    variables = MAIN.content["variables"]
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm", variables["JOB_IMAGE"])
    pinned = re.findall(
        r"^pulumi==(\S+)", (gitlab.REPOSITORY / "requirements/dev.txt").read_text(), re.MULTILINE
    )
    assert variables["PULUMI_IMAGE"] == f"pulumi/pulumi:{pinned[0]}"
    for name, job in ALL.items():
        image = job.get("image", "")
        assert (image["name"] if isinstance(image, dict) else image) in ("$JOB_IMAGE", "$PULUMI_IMAGE"), name


def test_what_runs_the_engine_or_the_cluster_has_its_programs() -> None:
    for name, job in ALL.items():
        script = " ".join(job.get("script", []))
        if any(part in script for part in ("lightwork-estate", "infra.ci.drift", "infra.ci.smoke")):
            image = job["image"]
            assert isinstance(image, dict), name
            assert image["entrypoint"] == [""], f"{name}: else the job's shell is an argument of pulumi"
        if "infra.ci.image" in script:
            wanted = {"skopeo"} if "bring" in script else {"git", "skopeo", "buildah"}
            assert wanted <= set(job["variables"]["TOOLS"].split()), name
        if "infra.ci.jobs" in script:
            assert "git" in job["variables"]["TOOLS"].split(), name


def test_every_module_and_option_that_a_job_names_is_there() -> None:
    asked = set()
    for job in ALL.values():
        for line in gitlab.commands(job):
            for module in re.findall(r"-m (infra\.[\w.]+)", line):
                asked.add(module)
    assert {"infra.ci.assume", "infra.ci.image", "infra.ci.jobs", "infra.ci.note"} <= asked
    for module in asked:
        command = importlib.import_module(module).command
        parts = [command, *getattr(command, "commands", {}).values()]
        known = {option for part in parts for parameter in part.params for option in parameter.opts}
        for job in ALL.values():
            for line in gitlab.commands(job):
                words = line.rpartition(" -- ")[2].split()
                if module in words:
                    options = {word for word in words[words.index(module) :] if word.startswith("--")}
                    assert options <= known, f"{module}: {options}"


def test_onboarding_a_tenant_makes_its_jobs_and_touches_no_ci_file(tmp_path: Path) -> None:
    before = {name: json.dumps(job) for name, job in child("dev", "acme").items()}
    after = {name: json.dumps(job) for name, job in child("dev", "acme", "newcomer").items()}
    assert set(after) - set(before) == {"dev.newcomer"}
    assert {name: after[name] for name in before} == before, "and no other job is another one"


def test_the_commit_is_read_from_gitlabs_own_variable() -> None:
    assert COMMIT == "CI_COMMIT_SHA"


def test_the_script_that_installs_tools_does_nothing_where_they_are_there() -> None:
    script = gitlab.REPOSITORY / "ci" / "tools.sh"
    done = subprocess.run(
        [shutil.which("sh") or "sh", script, "sh", "cat"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_script_that_installs_tools_says_so_where_it_cannot(tmp_path: Path) -> None:
    script = gitlab.REPOSITORY / "ci" / "tools.sh"
    done = subprocess.run(
        [shutil.which("sh") or "sh", script, "buildah"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "lacks buildah" in done.stderr
    assert "no apt-get" in done.stderr

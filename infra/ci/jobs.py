"""Generate the GitLab pipeline that deploys a commit to an environment, from the stacks that it affects.

    python -m infra.ci.jobs --env dev --since-deployed --smoke acme > dev.yml

The jobs copy the image if necessary, then deploy the estate, then the tenants, each stack in its own job and
resource group. Then the deployment is recorded, and a pipeline is run as a test. A new tenant gets a job
without a change to any CI file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from infra.ci import deployed
from infra.ci.common import ROOT, call, environment, installed, run, settings_and_names
from infra.config.image import DIGEST, checked
from infra.config.stack import ENVIRONMENTS, StackName
from lightwork import tenants
from lightwork.cli.output import echo
from lightwork.errors import InputError, RunFailed, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.ci.deployed import Deployed
    from lightwork.tenants import Environment

Job = dict[str, Any]

INCLUDED = ("ci/common.yml", "ci/deploy.yml")
"""The files with the templates that the jobs extend, and their shell commands."""

STAGES = ("image", "estate", "tenants", "deployed", "smoke")

MOST_JOBS = 50
"""The maximum number of tenants' jobs; with more tenants, a job deploys several. GitLab refuses a pipeline
with more than 500 deployment jobs, and on the free plan more than 500 active jobs of any kind. A runner needs
a minute or two to start a job, while the stack itself takes seconds.
"""

SMOKE = "windy-city"
"""The pipeline that is run as a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A deployment.

    Attributes:
        environment: the environment to deploy to.
        stacks: the affected stacks, the estate first.
        digest: the digest of the image that tenants run.
        image_from: the environment to copy the image from; None if this environment's repository has it.
        smoke: the tenant for which a pipeline is run at the end; None for no run.
    """

    environment: Environment
    stacks: tuple[str, ...]
    digest: str
    image_from: Environment | None = None
    smoke: str | None = None


def pipeline(plan: Plan) -> dict[str, Any]:
    """Return the pipeline, as the content of a GitLab YAML file.

    Raises:
        InputError: a stack belongs to another environment, or the image's digest is not valid.
    """
    names = [_tenant(plan.environment, stack) for stack in plan.stacks]
    checked(plan.digest)
    environment, jobs = plan.environment, {}
    if plan.image_from:
        jobs["bring-image"] = _job(
            plan, ".bring-image", "image", f"image-{environment}", action="prepare", FROM=plan.image_from
        )
    if None in names:
        jobs[environment] = _job(plan, ".stack", "estate", environment, CHOICE="--estate")
        jobs[environment]["needs"] = list(jobs)[:-1]
    needs = list(jobs)
    for name, group in groups([name for name in names if name is not None]).items():
        choice = " ".join(f"--tenant {tenant}" for tenant in group)
        stack = str(StackName(environment=environment, tenant=name))
        jobs[stack] = {**_job(plan, ".stack", "tenants", stack, CHOICE=choice), "needs": needs}
    jobs["deployed"] = _job(plan, ".deployed", "deployed", f"deployed-{environment}")
    if plan.smoke and plan.stacks:
        # `prepare` does not count as a deployment, but is restricted to those who may deploy.
        jobs["smoke"] = _job(
            plan, ".smoke", "smoke", f"smoke-{environment}", action="prepare", TENANT=plan.smoke
        )
    return {
        "include": [{"local": f"/{file}"} for file in INCLUDED],
        "workflow": {"auto_cancel": {"on_new_commit": "none"}},
        "stages": list(STAGES),
        "variables": {"ENV": environment, DIGEST: plan.digest},
        **jobs,
    }


def groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the tenants of each job, by the name that the job and its resource group contain.

    Up to MOST_JOBS tenants get a job each. More are distributed by a hash of the tenant's name, so that a
    tenant stays in the same resource group however many others there are.
    """
    if len(names) <= MOST_JOBS:
        return {name: [name] for name in sorted(names)}
    batches: dict[str, list[str]] = {}
    for name in sorted(names):
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % MOST_JOBS
        batches.setdefault(f"batch-{number:02d}", []).append(name)
    return dict(sorted(batches.items()))


def touched(environment: Environment, since: str | None, root: Path = ROOT) -> tuple[str, ...]:
    """Return the stacks that a change affects, the estate first, as `lightwork-estate stacks` prints them.

    Args:
        environment: the environment.
        since: the commit to compare with; None for all stacks.
        root: the repository's root.

    Raises:
        InputError: the command is not installed.
        RunFailed: the command failed, or did not print a list of stacks.
    """
    choice = ["--all"] if since is None else ["--changed-since", since]
    words = [installed("lightwork-estate"), "stacks", "--env", environment, *choice, "--json"]
    output = call(words, cwd=root)
    try:
        stacks = json.loads(output)
    except ValueError:
        stacks = None
    if not isinstance(stacks, list) or not all(isinstance(stack, str) for stack in stacks):
        raise RunFailed(f"{' '.join(words)}: expected a JSON list of stacks, got {output.strip()[:200]!r}")
    return tuple(stacks)


def since(record: Deployed | None, digest: str, root: Path = ROOT) -> str | None:
    """Return the commit to compare with; None, after printing the reason, if all stacks must be deployed.

    Args:
        record: the record of the environment's last deployment.
        digest: the digest of the image to deploy.
        root: the repository's root.
    """
    if record is None:
        reason = "no deployment is recorded"
    elif record.digest != digest:
        reason = "the image has changed"
    else:
        try:
            call(["git", "merge-base", "--is-ancestor", record.commit, "HEAD"], cwd=root)
        except RunFailed:
            reason = f"{record.commit} is not an ancestor of this commit"
        else:
            return record.commit
    echo(f"all stacks: {reason}", err=True)
    return None


def check_smoke(root: Path, environment: Environment, tenant: str) -> None:
    """Check that a tenant can run the test pipeline.

    Raises:
        InputError: the tenant does not exist, is not in this environment, or does not have the pipeline.
    """
    path = root / "tenants" / f"{tenant}.yaml"
    if not path.exists():
        existing = [file.stem for file in path.parent.glob("*.yaml")]
        raise InputError(f"--smoke: there is no tenants/{tenant}.yaml{near(tenant, existing)}")
    loaded = tenants.load(path)
    if environment not in loaded.environments:
        raise InputError(f"--smoke: tenants/{tenant}.yaml: environments: {environment} is not in the list")
    if SMOKE not in loaded.pipelines:
        raise InputError(f"--smoke: tenants/{tenant}.yaml: pipelines: {SMOKE} is missing")


@click.command(help=__doc__)
@environment
@click.option("--changed-since", metavar="REV", help="Deploy what changed since this commit.")
@click.option("--since-deployed", is_flag=True, help="Deploy what changed since the last deployment.")
@click.option("--all", "everything", is_flag=True, help="Deploy every stack.")
@click.option("--image-from", type=click.Choice(ENVIRONMENTS), help="The environment to copy the image from.")
@click.option("--smoke", metavar="TENANT", help=f"Run {SMOKE} for this tenant at the end.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file.  [default: stdout]"
)
def command(
    env: Environment,
    changed_since: str | None,
    since_deployed: bool,
    everything: bool,
    image_from: Environment | None,
    smoke: str | None,
    output: Path | None,
) -> None:
    """Print the pipeline, or write it."""
    if [changed_since is not None, since_deployed, everything].count(True) != 1:
        raise click.UsageError("give exactly one of --changed-since REV, --since-deployed and --all")
    digest = os.environ.get(DIGEST, "")
    if smoke:
        check_smoke(ROOT, env, smoke)
    revision = changed_since
    if since_deployed:
        _, names = settings_and_names(ROOT, env)
        revision = since(deployed.read(deployed.client(names), names), digest)
    content = pipeline(
        Plan(
            environment=env,
            stacks=touched(env, revision),
            digest=digest,
            image_from=image_from,
            smoke=smoke,
        )
    )
    text = yaml.safe_dump(content, sort_keys=False, width=110)
    if output is None:
        echo(text, nl=False)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    stacks = [
        name
        for name, job in content.items()
        if isinstance(job, dict) and "CHOICE" in job.get("variables", {})
    ]
    echo(f"{env}: {', '.join(stacks) or 'no stack is touched'}", err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return run(command, "infra.ci.jobs", arguments)


def _job(plan: Plan, template: str, stage: str, group: str, action: str = "start", **variables: str) -> Job:
    """Return a job in the environment and in a resource group."""
    environment = {"name": plan.environment, **({} if action == "start" else {"action": action})}
    return {
        "extends": template,
        "stage": stage,
        "environment": environment,
        "resource_group": group,
        **({"variables": variables} if variables else {}),
    }


def _tenant(environment: Environment, stack: str) -> str | None:
    """Return the tenant of a stack; None for the estate's stack."""
    name = StackName.parse(stack)
    if name.environment != environment:
        raise InputError(f"stack {stack!r}: does not belong to the environment {environment}")
    return name.tenant


if __name__ == "__main__":
    sys.exit(main())

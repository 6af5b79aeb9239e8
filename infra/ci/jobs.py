"""The jobs that deploy a commit to an environment: a pipeline of GitLab's, made from the stacks it touches.

    python -m infra.ci.jobs --env dev --since-deployed --smoke acme > dev.yml

The image comes first where it has to be brought, then the estate, then the tenants, each stack in a job and a
resource group of its own; then it is recorded what stands there, and a pipeline is run for real. A new tenant
is a new job here, and no change of a CI file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from infra.ci import deployed
from infra.ci.common import ROOT, call, environment, known, own, run
from infra.config.image import DIGEST
from infra.config.stack import ENVIRONMENTS, StackName
from lightwork import tenants
from lightwork.errors import InputError, RunFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.ci.deployed import Deployed
    from lightwork.tenants import Environment

Job = dict[str, Any]

INCLUDED = ("ci/common.yml", "ci/deploy.yml")
"""What the jobs extend; people read the shell there."""

STAGES = ("image", "estate", "tenants", "deployed", "smoke")

MOST_JOBS = 50
"""With more tenants than this, a job does several. GitLab refuses a pipeline with more than 500 jobs that
deploy, and the free plan 500 active jobs of any kind; a runner takes a minute or two before a job of it
begins, the stack itself takes seconds.
"""

AT_ONCE = 4
"""How many stacks a job that does several works on at a time."""

SMOKE = "windy-city"
"""The pipeline that is run for real."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a deployment is made from.

    Attributes:
        environment: where to.
        stacks: the stacks that are touched, the estate first.
        digest: the image that tenants run.
        image_from: the environment whose repository has the image already; None where it is this one.
        smoke: the tenant for which a pipeline is run at the end; None for no run.
    """

    environment: Environment
    stacks: tuple[str, ...]
    digest: str
    image_from: Environment | None = None
    smoke: str | None = None


def pipeline(plan: Plan) -> dict[str, Any]:
    """The pipeline, as GitLab's YAML has it.

    Raises:
        InputError: a stack is not of this environment, or the image's digest is none.
    """
    names = [_of(plan.environment, stack) for stack in plan.stacks]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", plan.digest):
        raise InputError(f"{DIGEST}: found {plan.digest!r}; sha256: and 64 hexadecimal digits belong there")
    environment, jobs = plan.environment, {}
    if plan.image_from:
        jobs["bring-image"] = _job(
            plan, ".bring-image", "image", f"image-{environment}", action="prepare", FROM=plan.image_from
        )
    if None in names:
        jobs[environment] = _job(plan, ".stack", "estate", environment, CHOICE="--estate")
        jobs[environment]["needs"] = list(jobs)[:-1]
    before = list(jobs)
    for name, group in groups([name for name in names if name is not None]).items():
        choice = " ".join(f"--tenant {tenant}" for tenant in group)
        stack = str(StackName(environment=environment, tenant=name))
        jobs[stack] = {**_job(plan, ".stack", "tenants", stack, CHOICE=choice), "needs": before}
    jobs["deployed"] = _job(plan, ".deployed", "deployed", f"deployed-{environment}")
    if plan.smoke and plan.stacks:
        # `prepare` is no deployment of its own, and yet only for those who may deploy.
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
    """The tenants that share a job, by what their job and its resource group are called.

    One each, as long as these are few. Beyond that by a number that follows from the tenant's name alone, so
    that a tenant is in the same resource group in every pipeline that has so many.
    """
    if len(names) <= MOST_JOBS:
        return {name: [name] for name in sorted(names)}
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % MOST_JOBS
        found.setdefault(f"batch-{number:02d}", []).append(name)
    return dict(sorted(found.items()))


def touched(environment: Environment, since: str | None, root: Path = ROOT) -> tuple[str, ...]:
    """The stacks that a change touches, the estate first: what `lightwork-estate stacks` says.

    Args:
        environment: where.
        since: the commit that the change begins at; None for all stacks that there are.
        root: the repository.

    Raises:
        InputError: there is no such command, or it refuses.
        RunFailed: what it printed is no list of stacks.
    """
    choice = ["--all"] if since is None else ["--changed-since", since]
    words = [own("lightwork-estate"), "stacks", "--env", environment, *choice, "--json"]
    printed = call(words, cwd=root)
    try:
        found = json.loads(printed)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(stack, str) for stack in found):
        raise RunFailed(f"{' '.join(words)}: printed no JSON list of stacks: {printed.strip()[:200]!r}")
    return tuple(found)


def since(record: Deployed | None, digest: str, root: Path = ROOT) -> str | None:
    """The commit to begin at; None where everything has to be looked at, with a line that says why.

    Args:
        record: what stands in the environment.
        digest: the image that is to run.
        root: the repository.
    """
    if record is None:
        why = "nothing is recorded as deployed"
    elif record.digest != digest:
        why = "the image is another one"
    else:
        try:
            call(["git", "merge-base", "--is-ancestor", record.commit, "HEAD"], cwd=root)
        except RunFailed:
            why = f"{record.commit} is not before this commit"
        else:
            return record.commit
    print(f"all stacks: {why}", file=sys.stderr)
    return None


def check_smoke(root: Path, environment: Environment, tenant: str) -> None:
    """Look whether a tenant can run the pipeline that is run for real.

    Raises:
        InputError: there is no such tenant, it is not in this environment, or it has no such pipeline.
    """
    path = root / "tenants" / f"{tenant}.yaml"
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise InputError(f"--smoke: there is no tenants/{tenant}.yaml; there are {there or 'none'}")
    found = tenants.load(path)
    if environment not in found.environments:
        raise InputError(f"--smoke: tenants/{tenant}.yaml: environments: {environment} is not among them")
    if SMOKE not in found.pipelines:
        raise InputError(f"--smoke: tenants/{tenant}.yaml: pipelines: {SMOKE} is not among them")


@click.command(help=__doc__)
@environment
@click.option("--changed-since", metavar="REV", help="What has changed since a commit.")
@click.option("--since-deployed", is_flag=True, help="What has changed since what stands there.")
@click.option("--all", "everything", is_flag=True, help="Every stack.")
@click.option(
    "--image-from", type=click.Choice(ENVIRONMENTS), help="Whose repository the image is copied from."
)
@click.option("--smoke", metavar="TENANT", help=f"Run {SMOKE} for this tenant at the end.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to [the terminal].")
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
        raise click.UsageError("say one of --changed-since REV, --since-deployed and --all")
    digest = os.environ.get(DIGEST, "")
    if smoke:
        check_smoke(ROOT, env, smoke)
    revision = changed_since
    if since_deployed:
        _, names = known(ROOT, env)
        revision = since(deployed.read(deployed.client(names), names), digest)
    made = pipeline(
        Plan(
            environment=env,
            stacks=touched(env, revision),
            digest=digest,
            image_from=image_from,
            smoke=smoke,
        )
    )
    text = yaml.safe_dump(made, sort_keys=False, width=110)
    if output is None:
        print(text, end="")
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    stacks = [name for name, job in made.items() if isinstance(job, dict) and "CHOICE" in _said(job)]
    print(f"{env}: {', '.join(stacks) or 'no stack is touched'}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return run(command, "infra.ci.jobs", arguments)


def _said(job: Job) -> dict[str, str]:
    said: dict[str, str] = job.get("variables", {})
    return said


def _job(plan: Plan, template: str, stage: str, group: str, action: str = "start", **variables: str) -> Job:
    """A job in the environment, alone in its resource group."""
    environment = {"name": plan.environment, **({} if action == "start" else {"action": action})}
    return {
        "extends": template,
        "stage": stage,
        "environment": environment,
        "resource_group": group,
        **({"variables": variables} if variables else {}),
    }


def _of(environment: Environment, stack: str) -> str | None:
    """The tenant of a stack; None for the estate's."""
    name = StackName.parse(stack)
    if name.environment != environment:
        raise InputError(f"stack {stack!r}: is not of the environment {environment}")
    return name.tenant


if __name__ == "__main__":
    sys.exit(main())

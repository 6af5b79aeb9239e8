"""A tenant as a stack of its own, among 1 to 500 tenants, against one stack for all of them.

The program runs as Pulumi runs it, against the engine that records (`infra.recording`): what is measured is
the program, and not AWS. Each figure is of a process of its own: its processor time, its most memory.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import Row, folder, timed, times, within
from tests.estate import files

if TYPE_CHECKING:
    from lightwork.tenants import Environment

ROOT = Path(__file__).resolve().parent.parent
COUNTS = (1, 10, 100, 500)
ONE_STACK = (10, 100, 500)
SAMPLES = 3
"""So many tenants of each number are looked at: the first, the middle one, the last."""
EXAMPLE = files.HERE / "tenants" / "acme.yaml"
"""The tenant that all of them are copies of: one of the tests' own, which no customer edits."""
ENVIRONMENT: Environment = "dev"
FILES = (1, 10, 100, 200)
"""So many tenants' files are validated and rendered."""
ROUNDS = 20
"""So many files are validated in all, where there are few: a single one is too quick to be measured."""
FLAT = 1.25
SECONDS = 5.0
"""What choosing the stacks may take before the engine starts."""
DRIVER = "infra.driver.cli"


def run() -> list[Row]:
    """What a tenant's stack takes, what one stack for all, and how soon is known what to deploy."""
    own: dict[int, tuple[float, float]] = {}
    for count in COUNTS:
        with folder() as root:
            _repository(root, count)
            found = [_child(root, "own", name) for name in _samples(count)]
            own[count] = (_median([seconds for seconds, _ in found]), max(size for _, size in found))
            print(f"  {count} tenants: {_text(own[count])} a stack", file=sys.stderr, flush=True)
    whole: dict[int, tuple[float, float]] = {}
    for count in ONE_STACK:
        with folder() as root:
            _repository(root, count)
            whole[count] = _child(root, "whole", *_names(count))
            print(f"  {count} tenants in one stack: {_text(whole[count])}", file=sys.stderr, flush=True)
    most = COUNTS[-1]
    stacks = ", ".join(f"{count}: {_text(figures)}" for count, figures in own.items())
    one = ", ".join(f"{count}: {_text(figures)}" for count, figures in whole.items())
    return [
        within(
            f"processor time of a tenant's stack, {most} tenants / 1", FLAT, own[most][0], own[1][0], stacks
        ),
        within(f"memory of a tenant's stack, {most} tenants / 1", FLAT, own[most][1], own[1][1], stacks),
        times(
            f"one of {most} tenants: its own stack against one for all, processor time",
            10,
            own[most][0],
            whole[most][0],
            f"one stack: {one}",
        ),
        times(
            f"one of {most} tenants: its own stack against one for all, memory",
            3,
            own[most][1],
            whole[most][1],
            f"one stack: {one}",
        ),
        Row(
            f"all {most} tenants at once: stacks of their own / one for all",
            "",
            f"{own[most][0] * most / whole[most][0]:.1f}",
            None,
            "processor time, added up: the price of starting the program for each",
        ),
        _changed(most),
        _files(),
    ]


def _files() -> Row:
    """Validate and render every tenant's file, as a test does with the files there are: the time of one."""
    each = {}
    for count in FILES:
        with folder() as root:
            _repository(root, count)
            each[count], _ = _child(root, "files")
    most = FILES[-1]
    detail = ", ".join(f"{count}: {1000 * seconds:.1f} ms a file" for count, seconds in each.items())
    return within(
        f"processor time to validate and render a tenant's file, {most} files / 1",
        FLAT,
        each[most],
        each[1],
        detail,
    )


def _validate(root: Path) -> float:
    """In the child: validate and render all files, often enough to be measured; the seconds of one file."""
    from lightwork import discovery, manifests, tenants
    from lightwork.manifests.common import Target
    from lightwork.tenants import checks

    paths = sorted((root / "tenants").glob("*.yaml"))
    pipelines = discovery.pipelines()

    def once(path: Path) -> None:
        loaded = tenants.read(path)
        checks.check(loaded, pipelines)
        for environment in loaded.tenant.environments:
            target = Target(environment=environment, image="r.example/lightwork:1", lake="s3://lake")
            assert manifests.to_yaml(manifests.tenant_objects(loaded.tenant, target, pipelines))

    once(paths[0])  # what is imported and built once does not count
    rounds = max(1, ROUNDS // len(paths))
    begin = time.process_time()
    for _ in range(rounds):
        for path in paths:
            once(path)
    return (time.process_time() - begin) / (rounds * len(paths))


def _samples(count: int) -> list[str]:
    names = _names(count)
    return [names[count * part // SAMPLES] for part in range(SAMPLES)]


def _names(count: int) -> list[str]:
    return [f"t{number:03}" for number in range(count)]


def _repository(root: Path, count: int) -> None:
    """The program and so many tenants, each with two pipelines and a secret, as the example has them."""
    from infra.pretending import ACCOUNT

    files.repository(root, ACCOUNT)
    example = EXAMPLE.read_text(encoding="utf-8")
    for path in (root / "tenants").glob("*.yaml"):
        path.unlink()
    for name in _names(count):
        text = example.replace("name: acme\n", f"name: {name}\n")
        (root / "tenants" / f"{name}.yaml").write_text(text, encoding="utf-8")


def _child(root: Path, what: str, *names: str) -> tuple[float, float]:
    """Processor seconds and megabytes of a process that records these tenants."""
    command = [sys.executable, "-m", "bench.estate", what, str(root), *names]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def _record(what: str, root: Path, names: list[str]) -> None:
    """In the child: record a tenant's stack, or a stack that holds all of these."""
    from infra.recording import record, run_program
    from infra.tenant_target import DIGEST

    os.environ[DIGEST] = f"sha256:{'0' * 64}"
    if what == "own":
        run = run_program(root, f"{ENVIRONMENT}.{names[0]}")
    else:
        run = record(lambda: _everybody(root, names), ENVIRONMENT)
    assert run.error is None, run.error
    buckets = [found.inputs["bucket"] for found in run.all("aws:s3/bucket:Bucket")]
    assert len(set(buckets)) == len(names), f"{len(buckets)} buckets"


def _everybody(root: Path, names: list[str]) -> None:
    """What the program would be with all tenants in one stack: read once what they share, then build each."""
    import pulumi

    from infra import estate_outputs, settings
    from infra.naming import Names
    from infra.providers import aws_provider, kubernetes_provider
    from infra.tenant import Tenant, TenantArgs
    from infra.tenant_target import image, load_tenant
    from lightwork import discovery

    declared = settings.load(root, ENVIRONMENT)
    own = Names(environment=ENVIRONMENT, account=declared.account, region=declared.region)
    aws = aws_provider(declared, own)
    known = estate_outputs.load(declared)
    cluster = kubernetes_provider(
        declared, cluster=known.cluster_name, endpoint=known.cluster_endpoint, ca=known.cluster_ca
    )
    for name in names:
        stack = settings.StackName.parse(f"{ENVIRONMENT}.{name}")
        args = TenantArgs(
            tenant=load_tenant(root, stack),
            settings=declared,
            names=own,
            estate=known,
            image=image(known.image_repository_url),
            pipelines=discovery.pipelines(),
        )
        Tenant(name, args, pulumi.ResourceOptions(providers=[aws, cluster]))


def _changed(count: int) -> Row:
    """What the driver needs to know which stacks a new tenant's file touches, in a repository of many."""
    what = f"--changed-since, one new tenant among {count}"
    reach = f"under {SECONDS:g} s"
    if importlib.util.find_spec("infra.driver") is None:
        return Row(what, reach, "not measured", None, "there is no infra/driver here")
    with folder() as root:
        _repository(root, count)
        for name in ("platform", "pipelines", "requirements"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", root)
        _git(root, "init", "--quiet")
        _commit(root)
        example = EXAMPLE.read_text(encoding="utf-8")
        (root / "tenants" / "newcomer.yaml").write_text(example.replace("name: acme\n", "name: newcomer\n"))
        _commit(root)
        # The module of that repository, and not the one of this.
        start = f"from {DRIVER} import main; main()"
        words = ["stacks", "--env", ENVIRONMENT, "--changed-since", "HEAD~1", "--json"]

        def ask() -> Any:
            done = subprocess.run(
                [sys.executable, "-c", start, *words], cwd=root, stdout=subprocess.PIPE, check=True
            )
            return json.loads(done.stdout)

        assert ask() == [f"{ENVIRONMENT}.newcomer"], f"another choice: {ask()}"
        seconds = timed(ask, repeat=5)
        python = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), repeat=5)
    return Row(
        what, reach, f"{seconds:.2f} s", seconds < SECONDS, f"python -c pass: {python:.2f} s; medians of 5"
    )


def _commit(root: Path) -> None:
    _git(root, "add", "--all")
    _git(
        root,
        "-c",
        "user.name=bench",
        "-c",
        "user.email=bench@example.com",
        "commit",
        "--quiet",
        "-m",
        "files",
    )


def _git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True)


def _median(found: list[float]) -> float:
    return sorted(found)[len(found) // 2]


def _text(figures: tuple[float, float]) -> str:
    seconds, megabytes = figures
    return f"{seconds:.1f} s and {megabytes:.0f} MB"


def main(what: str, root: str, *names: str) -> None:
    """The child: do the work, and print processor seconds and megabytes as JSON."""
    seconds = None
    with files.own_pipelines():
        if what == "files":
            seconds = _validate(Path(root))
        else:
            _record(what, Path(root), list(names))
    used = resource.getrusage(resource.RUSAGE_SELF)
    if seconds is None:
        seconds = used.ru_utime + used.ru_stime
    print(json.dumps([seconds, used.ru_maxrss / 1024]), flush=True)
    os._exit(0)  # the mocks leave event loops behind, which complain when they are taken down


if __name__ == "__main__":
    main(*sys.argv[1:])

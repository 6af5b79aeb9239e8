"""One stack per tenant, among 1 to 500 tenants, against one stack for all tenants.

The program runs as under Pulumi, against an engine that records, so the benchmark measures the program and
not AWS. Each figure is the processor time or the peak memory of a process of its own.
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
"""Number of tenants that are measured for each count, spread evenly."""
EXAMPLE = files.HERE / "tenants" / "acme.yaml"
"""The tenant that all others are copies of, from the tests' own files."""
ENVIRONMENT: Environment = "dev"
FILES = (1, 10, 100, 200)
"""So many tenants' files are validated and rendered."""
ROUNDS = 20
"""So many files are validated in all, where there are few: a single one is too quick to be measured."""
FLAT = 1.25
SECONDS = 5.0
"""Limit for choosing the stacks, before the engine starts."""
DRIVER = "infra.driver.cli"


def run() -> list[Row]:
    """Measure a tenant's stack, one stack for all tenants, and the choice of stacks to deploy."""
    separate: dict[int, tuple[float, float]] = {}
    for count in COUNTS:
        with folder() as root:
            _repository(root, count)
            samples = [_child(root, "separate", name) for name in _samples(count)]
            separate[count] = (_median([seconds for seconds, _ in samples]), max(size for _, size in samples))
            print(f"  {count} tenants: {_text(separate[count])} per stack", file=sys.stderr, flush=True)
    shared: dict[int, tuple[float, float]] = {}
    for count in ONE_STACK:
        with folder() as root:
            _repository(root, count)
            shared[count] = _child(root, "shared", *_names(count))
            print(f"  {count} tenants in one stack: {_text(shared[count])}", file=sys.stderr, flush=True)
    most = COUNTS[-1]
    separate_detail = ", ".join(f"{count}: {_text(figures)}" for count, figures in separate.items())
    shared_detail = ", ".join(f"{count}: {_text(figures)}" for count, figures in shared.items())
    return [
        within(
            f"processor time of a tenant's stack, {most} tenants / 1",
            FLAT,
            separate[most][0],
            separate[1][0],
            separate_detail,
        ),
        within(
            f"memory of a tenant's stack, {most} tenants / 1",
            FLAT,
            separate[most][1],
            separate[1][1],
            separate_detail,
        ),
        times(
            f"one of {most} tenants: its own stack against one for all, processor time",
            10,
            separate[most][0],
            shared[most][0],
            f"one stack: {shared_detail}",
        ),
        times(
            f"one of {most} tenants: its own stack against one for all, memory",
            3,
            separate[most][1],
            shared[most][1],
            f"one stack: {shared_detail}",
        ),
        Row(
            f"all {most} tenants at once: separate stacks / one for all",
            "",
            f"{separate[most][0] * most / shared[most][0]:.1f}",
            None,
            "total processor time: the price of starting the program once per stack",
        ),
        _changed_since(most),
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
    from lightwork import manifests, tenants
    from lightwork.functions import discovery
    from lightwork.manifests.base import Target
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
    """Write the program and so many tenants, each with the pipelines and the secret of the example."""
    from infra.offline.answers import ACCOUNT

    files.repository(root, ACCOUNT)
    example = EXAMPLE.read_text(encoding="utf-8")
    for path in (root / "tenants").glob("*.yaml"):
        path.unlink()
    for name in _names(count):
        text = example.replace("name: acme\n", f"name: {name}\n")
        (root / "tenants" / f"{name}.yaml").write_text(text, encoding="utf-8")


def _child(root: Path, layout: str, *names: str) -> tuple[float, float]:
    """Measure a process that records these tenants: processor seconds, and peak memory in MB."""
    command = [sys.executable, "-m", "bench.estate", layout, str(root), *names]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = json.loads(process.stdout.splitlines()[-1])
    return seconds, megabytes


def _record(layout: str, root: Path, names: list[str]) -> None:
    """Record one tenant's stack (`separate`), or a stack with all of these tenants (`shared`)."""
    from infra.config.image import DIGEST
    from infra.offline.recording import record, run_program

    os.environ[DIGEST] = f"sha256:{'0' * 64}"
    if layout == "separate":
        run = run_program(root, f"{ENVIRONMENT}.{names[0]}")
    else:
        run = record(lambda: _all_tenants(root, names), ENVIRONMENT)
    assert run.error is None, run.error
    buckets = [resource.inputs["bucket"] for resource in run.all("aws:s3/bucket:Bucket")]
    assert len(set(buckets)) == len(names), f"{len(buckets)} buckets"


def _all_tenants(root: Path, names: list[str]) -> None:
    """Build all tenants in one stack: read what they share once, then build each."""
    import pulumi

    from infra.aws.providers import aws_provider, kubernetes_provider
    from infra.config import settings
    from infra.config.image import image
    from infra.config.naming import Names
    from infra.estate import outputs
    from infra.tenant.target import load_tenant
    from infra.tenant.tenant import Tenant, TenantArgs
    from lightwork.functions import discovery

    environment = settings.load(root, ENVIRONMENT)
    physical_names = Names.of(environment)
    aws = aws_provider(environment, physical_names)
    estate = outputs.load(environment)
    cluster = kubernetes_provider(environment, **estate.cluster)
    for name in names:
        args = TenantArgs(
            tenant=load_tenant(root, environment, name),
            settings=environment,
            names=physical_names,
            estate=estate,
            image=image(estate.image_repository_url),
            pipelines=discovery.pipelines(),
        )
        Tenant(name, args, pulumi.ResourceOptions(providers=[aws, cluster]))


def _changed_since(count: int) -> Row:
    """Time how long the driver takes to choose the stack of one new tenant among many."""
    what = f"--changed-since, one new tenant among {count}"
    target = f"under {SECONDS:g} s"
    if importlib.util.find_spec("infra.driver") is None:
        return Row(what, target, "not measured", None, "infra/driver is missing")
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
        # Run from the new repository, so that its own copy of the module is imported.
        start = f"from {DRIVER} import main; main()"
        words = ["stacks", "--env", ENVIRONMENT, "--changed-since", "HEAD~1", "--json"]

        def choose() -> Any:
            process = subprocess.run(
                [sys.executable, "-c", start, *words], cwd=root, stdout=subprocess.PIPE, check=True
            )
            return json.loads(process.stdout)

        assert choose() == [f"{ENVIRONMENT}.newcomer"], f"wrong choice: {choose()}"
        seconds = timed(choose, repeat=5)
        python = timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), repeat=5)
    return Row(
        what, target, f"{seconds:.2f} s", seconds < SECONDS, f"python -c pass: {python:.2f} s; medians of 5"
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


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _text(figures: tuple[float, float]) -> str:
    seconds, megabytes = figures
    return f"{seconds:.1f} s and {megabytes:.0f} MB"


def main(layout: str, root: str, *names: str) -> None:
    """Do the work in the child process, and print processor seconds and peak megabytes as JSON."""
    seconds = None
    with files.own_pipelines():
        if layout == "files":
            seconds = _validate(Path(root))
        else:
            _record(layout, Path(root), list(names))
    used = resource.getrusage(resource.RUSAGE_SELF)
    if seconds is None:
        seconds = used.ru_utime + used.ru_stime
    print(json.dumps([seconds, used.ru_maxrss / 1024]), flush=True)
    os._exit(0)  # skip the shutdown of the event loops that the mocks leave behind: it prints errors


if __name__ == "__main__":
    main(*sys.argv[1:])

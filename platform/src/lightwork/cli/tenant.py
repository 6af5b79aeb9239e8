"""`lightwork tenant`: a customer's file, checked, shown, and turned into Kubernetes objects."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import show_table
from lightwork.errors import InputError
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightwork.manifests.base import Target
    from lightwork.tenants import Loaded, Tenant


@contextlib.contextmanager
def _each_on_its_line() -> Iterator[None]:
    """Print the lines of an error that has several, each as its own."""
    try:
        yield
    except InputError as error:
        lines = str(error).splitlines()
        if len(lines) < 2:
            raise
        for line in lines:
            click.echo(f"lightwork: {line}", err=True)
        raise click.exceptions.Exit(2) from None


@click.group("tenant")
def tenant_command() -> None:
    """Check, show and render a tenant's file. NAME is a path, or the name of a file in tenants/."""


@tenant_command.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def validate(files: tuple[str, ...]) -> None:
    """Check files: exit code 2 and a line for each mistake, or a line for each that is right."""
    problems: list[str] = []
    for name in files:
        try:
            loaded, warnings = _checked(name)
        except InputError as error:
            problems += str(error).splitlines()
            continue
        _warn(warnings)
        click.echo(f"{loaded.path}: tenant {loaded.tenant.name} is right")
    if problems:
        with _each_on_its_line():
            raise InputError("\n".join(problems))


@tenant_command.command("new")
@click.argument("name")
@click.option("--folder", default="tenants", metavar="FOLDER", help="Where to write it; tenants by default.")
@click.option("--pipeline", "pipelines", multiple=True, metavar="NAME", help="A pipeline that it runs.")
def new(name: str, folder: str, pipelines: tuple[str, ...]) -> None:
    """Write a commented file for a new tenant."""
    from pydantic import TypeAdapter, ValidationError

    from lightwork.functions import discovery
    from lightwork.tenants import TenantName, template

    try:
        TypeAdapter(TenantName).validate_python(name)
    except ValidationError:
        allowed = "2 to 20 of a-z, 0-9 and -, with a letter first, for example acme"
        raise InputError(f"tenant new: {name!r} is not a tenant's name; expected {allowed}") from None
    for pipeline in pipelines:
        discovery.find(pipeline)
    path = Path(folder) / f"{name}.yaml"
    text = template.render(name, list(pipelines), template.SCHEMA_NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"tenant new: {path} exists already; it was left as it is") from None
    except OSError as error:
        raise InputError(f"tenant new: {path} cannot be written: {error.strerror}") from None
    click.echo(f"wrote {path}; check it with `lightwork tenant validate {path}`")


@tenant_command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show what a tenant gets: at rest, for each run, and when its schedules fire."""
    with _each_on_its_line():
        loaded, warnings = _checked(name)
    tenant = loaded.tenant
    click.echo(f"{tenant.name}: {', '.join(tenant.environments)}; namespace {tenant.namespace}\n")
    show_table(
        ["", "pods", "cpu", "memory", "storage"], _sizes(tenant), right=("pods", "cpu", "memory", "storage")
    )
    from lightwork.tenants import fit

    if (count := fit.concurrent(tenant)) is not None:
        click.echo(f"\nNot all of them fit at once: {count} run(s) at a time, whichever; the others wait.")
    if rows := _steps(tenant):
        click.echo()
        show_table(["pipeline", "step", "what", "after", "cpu", "memory"], rows, right=("cpu", "memory"))
    if rows := _times(tenant):
        click.echo()
        show_table(["pipeline", "schedule", "next, on its clock", "in UTC"], rows)
    _warn(warnings)


@tenant_command.command("render")
@click.argument("name")
@click.option("--env", "environment", required=True, metavar="ENV", help="dev, staging or prod.")
@click.option(
    "--image", metavar="IMAGE", help="The platform's image [LIGHTWORK_IMAGE].", envvar="LIGHTWORK_IMAGE"
)
@click.option("--lake", metavar="URL", help="The tenant's lake; s3://lightwork-ENV-NAME by default.")
@click.option(
    "--variable", "variables", multiple=True, metavar="NAME=VALUE", help="For the pods' environment."
)
def render(
    name: str, environment: str, image: str | None, lake: str | None, variables: tuple[str, ...]
) -> None:
    """Print the YAML of all of a tenant's Kubernetes objects, in the order to apply them."""
    from lightwork import manifests
    from lightwork.functions import discovery

    with _each_on_its_line():
        loaded, warnings = _checked(name)
    target = _target(loaded, environment, image, lake, variables)
    _warn(warnings)
    click.echo(
        manifests.to_yaml(manifests.tenant_objects(loaded.tenant, target, discovery.pipelines())), nl=False
    )


@tenant_command.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of tenants' files, which editors complete from."""
    from lightwork.tenants import template

    click.echo(template.json_schema(), nl=False)


def _checked(name: str) -> tuple[Loaded, list[str]]:
    """A tenant's file, checked as a whole, and the warnings about it."""
    from lightwork import tenants
    from lightwork.functions import discovery
    from lightwork.tenants import checks

    loaded = tenants.read(tenants.find(name))
    return loaded, checks.check(loaded, discovery.pipelines())


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f"lightwork: warning: {line}", err=True)


def _target(
    loaded: Loaded, environment: str, image: str | None, lake: str | None, variables: Sequence[str]
) -> Target:
    from lightwork.manifests.base import Target

    found = next((known for known in loaded.tenant.environments if known == environment), None)
    if found is None:
        there = ", ".join(loaded.tenant.environments)
        raise InputError(
            f"{loaded.place('environments')}: {environment!r} is not among them; there are: {there}"
        )
    for item in variables:
        if not item.partition("=")[0] or "=" not in item:
            raise InputError(f"tenant render: --variable {item!r} is not NAME=VALUE")
    return Target(
        environment=found,
        image=image or f"lightwork:{__version__}",
        lake=lake or f"s3://lightwork-{found}-{loaded.tenant.name}",
        variables=dict(item.split("=", 1) for item in variables),
    )


def _sizes(tenant: Tenant) -> list[list[Any]]:
    from lightwork.tenants import fit

    def row(title: str, need: fit.Need) -> list[Any]:
        return [title, *(need.text(which) for which in ("pods", "cpu", "memory", "storage"))]

    rows = [row("quota", fit.limit(tenant.quota)), row("at rest", fit.Need())]
    for name, entry in tenant.pipelines.items():
        runs = f", at most {entry.max_parallel_runs} runs" if entry.max_parallel_runs > 1 else ""
        rows.append(row(f"a run of {name}{runs}", fit.run(entry)))
    return rows


def _steps(tenant: Tenant) -> list[list[Any]]:
    """The steps of the entries that have several, with what each waits for and asks for."""
    from lightwork.tenants import fit, graph
    from lightwork.tenants.model import ContainerStep

    rows = []
    for name, entry in tenant.pipelines.items():
        waits_for = graph.dependencies(entry)
        for step_name, step in (entry.steps or {}).items():
            if isinstance(step, ContainerStep):
                what = f"container: {step.command[0]}"
            else:
                what = f"{step.pipeline}, up to {step.workers.count} workers"
            need = fit.step(step)
            sizes = [need.text("cpu"), need.text("memory")]
            rows.append([name, step_name, what, ", ".join(waits_for[step_name]), *sizes])
    return rows


def _times(tenant: Tenant) -> list[list[Any]]:
    from lightwork.tenants import schedules

    rows = []
    now = dt.datetime.now(dt.UTC)
    for name, entry in tenant.pipelines.items():
        if entry.schedule is None or entry.timezone is None:
            rows.append([name, "none", "when submitted", ""])
            continue
        moments = schedules.times(entry.schedule, entry.timezone, now, 3)
        local = "\n".join(f"{moment:%a %Y-%m-%d %H:%M %z}" for moment in moments)
        utc = "\n".join(f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}" for moment in moments)
        state = "\nsuspended" if entry.suspended else ""
        rows.append([name, f"{entry.schedule}\n{entry.timezone}{state}", local, utc])
    return rows

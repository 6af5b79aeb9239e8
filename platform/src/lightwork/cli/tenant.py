"""`lightwork tenant`: create, check, show and render a tenant's file."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, running
from lightwork.cli.output import echo, json_option, one_environment, show_json, show_table
from lightwork.errors import InputError
from lightwork.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lightwork.manifests.base import Target
    from lightwork.tenants import Loaded, Tenant
    from lightwork.tenants.sharing import Groups


@contextlib.contextmanager
def _one_line_a_mistake() -> Iterator[None]:
    """Print each mistake in a file as a line of its own."""
    try:
        yield
    except InputError as error:
        if len(str(error).splitlines()) < 2:
            raise
        running.lines("lightwork", str(error))
        raise click.exceptions.Exit(2) from None


@click.group("tenant", cls=running.Group, invoke_without_command=True)
@click.pass_context
def tenant_command(ctx: click.Context) -> None:
    """Create, check, show and render a tenant's file. NAME is a path, or the name of a file in tenants/."""
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())


@tenant_command.command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=candidates.tenant_files)
def validate(files: tuple[str, ...]) -> None:
    """Check files: print a line for each valid file and for each mistake.

    The exit code is 2 if there is any mistake.
    """
    from lightwork.tenants import sharing

    problems: list[str] = []
    groups = sharing.Groups()
    for name in files:
        try:
            loaded, warnings = _check(name, groups)
        except InputError as error:
            problems += str(error).splitlines()
            continue
        _warn(warnings)
        echo(f"{loaded.path}: tenant {loaded.tenant.name}: valid")
    if problems:
        with _one_line_a_mistake():
            raise InputError("\n".join(problems))


@tenant_command.command("new")
@click.argument("name")
@click.option(
    "--folder",
    default="tenants",
    metavar="FOLDER",
    help="The folder for the file; tenants by default.",
    shell_complete=candidates.folders,
)
@click.option(
    "--pipeline",
    "pipelines",
    multiple=True,
    metavar="NAME",
    help="A pipeline that the tenant runs; repeatable.",
    shell_complete=candidates.pipelines,
)
def new(name: str, folder: str, pipelines: tuple[str, ...]) -> None:
    """Write a commented file for a new tenant."""
    from pydantic import TypeAdapter, ValidationError

    from lightwork.functions import discovery
    from lightwork.tenants import TenantName, template

    try:
        TypeAdapter(TenantName).validate_python(name)
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        if reason.startswith("is a name of"):
            raise InputError(f"tenant new: {name!r} {reason}") from None
        allowed = "2 to 20 characters of a-z, 0-9 and -, starting with a letter, for example acme"
        raise InputError(f"tenant new: {name!r} is not a valid tenant name; expected {allowed}") from None
    for pipeline in pipelines:
        discovery.find(pipeline)
    path = Path(folder) / f"{name}.yaml"
    text = template.render(name, list(pipelines), template.SCHEMA_NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"tenant new: {path} exists already and was not changed") from None
    except OSError as error:
        raise InputError(f"tenant new: {path} cannot be written: {error.strerror}") from None
    echo(f"wrote {path}; check it with `lightwork tenant validate {path}`")


@tenant_command.command("show")
@click.argument("name", shell_complete=candidates.tenant_files)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a tenant's quota, what each run needs, and the next times of its schedules."""
    with _one_line_a_mistake():
        loaded, warnings = _check(name)
    tenant = loaded.tenant
    if as_json:
        show_json(_object(tenant, warnings))
        return
    leaving = "; leaving: its schedules start no runs" if tenant.leaving else ""
    environments = ", ".join(tenant.environments)
    echo(f"{tenant.name}: environments {environments}; namespace {tenant.namespace}{leaving}")
    echo(f"people: {_people(tenant)}\n")
    columns = _resources(tenant)
    show_table(["", *columns], _sizes(tenant), right=columns)
    from lightwork.tenants import fit

    if (count := fit.concurrent(tenant)) is not None:
        echo(f"\nThe quota has no room for all runs at once: at most {count} at a time; the others wait.")
    if rows := _steps(tenant):
        echo()
        show_table(["pipeline", "step", "runs", "waits for", "cpu", "memory"], rows, right=("cpu", "memory"))
    if rows := _times(tenant):
        echo()
        show_table(["pipeline", "schedule", "next runs, local time", "next runs, UTC"], rows)
    _warn(warnings)


@tenant_command.command("render")
@click.argument("name", shell_complete=candidates.tenant_files)
@one_environment(help="dev, staging or prod.", required=True)
@click.option(
    "--image", metavar="IMAGE", help="The image of all pods [LIGHTWORK_IMAGE].", envvar="LIGHTWORK_IMAGE"
)
@click.option(
    "--lake",
    metavar="URL",
    help="The tenant's lake; s3://lightwork-ENV-NAME by default.",
    shell_complete=candidates.folders,
)
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="An environment variable for all pods; repeatable.",
)
def render(
    name: str, environment: str, image: str | None, lake: str | None, variables: tuple[str, ...]
) -> None:
    """Print all Kubernetes objects of a tenant as YAML, in the order in which to apply them."""
    from lightwork import manifests
    from lightwork.functions import discovery

    with _one_line_a_mistake():
        loaded, warnings = _check(name)
    target = _target(loaded, environment, image, lake, variables)
    _warn(warnings)
    objects = manifests.tenant_objects(loaded.tenant, target, discovery.pipelines())
    echo(manifests.to_yaml(objects), nl=False)


@tenant_command.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a tenant's file, from which editors complete its fields."""
    from lightwork.tenants import template

    echo(template.json_schema(), nl=False)


def _check(name: str, groups: Groups | None = None) -> tuple[Loaded, list[str]]:
    """Read and check a tenant's file; return it with the warnings about it."""
    from lightwork import tenants
    from lightwork.functions import discovery
    from lightwork.tenants import checks, sharing

    loaded = tenants.read(tenants.find(name))
    warnings = checks.check(loaded, discovery.pipelines())
    return loaded, [*warnings, *(groups or sharing.Groups()).warnings(loaded)]


def _warn(lines: Sequence[str]) -> None:
    for line in lines:
        echo(f"lightwork: warning: {line}", err=True)


def _target(
    loaded: Loaded, environment: str, image: str | None, lake: str | None, variables: Sequence[str]
) -> Target:
    from lightwork.manifests.base import Target

    environments = loaded.tenant.environments
    chosen = next((item for item in environments if item == environment), None)
    if chosen is None:
        raise InputError(
            f"{loaded.place('environments')}: does not list {environment!r}; found {', '.join(environments)}"
        )
    for item in variables:
        if not item.partition("=")[0] or "=" not in item:
            raise InputError(f"tenant render: --variable {item!r}: expected NAME=VALUE")
    for option, text in (("--image", image), ("--lake", lake)):
        if "{{" in (text or ""):
            raise InputError(f"tenant render: {option} {text!r} contains {{{{, which Argo fills in")
    return Target(
        environment=chosen,
        image=image or f"lightwork:{__version__}",
        lake=lake or f"s3://lightwork-{chosen}-{loaded.tenant.name}",
        variables=dict(item.split("=", 1) for item in variables),
    )


def _object(tenant: Tenant, warnings: Sequence[str]) -> dict[str, Any]:
    """Return what `tenant show --json` prints: the same as its tables, by name."""
    from lightwork.tenants import fit

    def named(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        return [dict(zip(columns, row, strict=True)) for row in rows]

    times = [
        {
            "pipeline": name,
            "schedule": entry.schedule,
            "timezone": entry.timezone,
            "suspended": bool(entry.suspended),
            "next": [moment.isoformat() for moment in _next(tenant, name)],
        }
        for name, entry in tenant.pipelines.items()
    ]
    steps = ["pipeline", "step", "runs", "waits_for", "cpu", "memory"]
    return {
        "name": tenant.name,
        "state": tenant.state,
        "environments": list(tenant.environments),
        "namespace": tenant.namespace,
        "people": tenant.people.model_dump(mode="json") if tenant.people else None,
        "needs": named(["of", *_resources(tenant)], _sizes(tenant)),
        "runs_at_once": fit.concurrent(tenant),
        "steps": named(steps, _steps(tenant)),
        "schedules": times,
        "warnings": list(warnings),
    }


def _people(tenant: Tenant) -> str:
    """Return who uses the tenant's pipelines, besides the platform's operators."""
    if tenant.people is None:
        return "none named; only the platform's operators start its runs by hand"
    group = [f"the group {tenant.people.group} on Argo's page"] if tenant.people.group else []
    return ", ".join([*tenant.people.principals, *group])


def _resources(tenant: Tenant) -> list[str]:
    """Return the names of the resources that a tenant's pods request."""
    return ["pods", "cpu", "memory", "storage", *tenant.quota.resources]


def _sizes(tenant: Tenant) -> list[list[Any]]:
    from lightwork.tenants import fit

    columns = _resources(tenant)

    def row(title: str, need: fit.Need) -> list[Any]:
        return [title, *(need.text(resource) for resource in columns)]

    rows = [row("quota", fit.limit(tenant.quota)), row("at rest", fit.Need())]
    for name, entry in tenant.pipelines.items():
        runs = f", at most {entry.max_parallel_runs} runs" if entry.max_parallel_runs > 1 else ""
        rows.append(row(f"a run of {name}{runs}", fit.run(entry)))
    return rows


def _steps(tenant: Tenant) -> list[list[Any]]:
    """Return a row for each step of entries with several: what it runs, waits for and requests."""
    from lightwork.tenants import fit, graph
    from lightwork.tenants.model import ContainerStep

    rows = []
    for name, entry in tenant.pipelines.items():
        waits_for = graph.dependencies(entry)
        for step_name, step in (entry.steps or {}).items():
            if isinstance(step, ContainerStep):
                action = f"container: {step.command[0]}"
            else:
                action = f"{step.pipeline}, up to {step.workers.count} workers"
            need = fit.step(step)
            sizes = [need.text("cpu"), need.text("memory")]
            rows.append([name, step_name, action, ", ".join(waits_for[step_name]), *sizes])
    return rows


def _times(tenant: Tenant) -> list[list[Any]]:
    rows = []
    for name, entry in tenant.pipelines.items():
        if entry.schedule is None:
            rows.append([name, "none", "only when submitted", ""])
            continue
        moments = _next(tenant, name)
        local = "\n".join(f"{moment:%a %Y-%m-%d %H:%M %z}" for moment in moments)
        utc = "\n".join(f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}" for moment in moments)
        why_not = "the tenant is leaving" if tenant.leaving else "suspended"
        rows.append([name, f"{entry.schedule}\n{entry.timezone}", local or f"none: {why_not}", utc])
    return rows


def _next(tenant: Tenant, name: str) -> list[dt.datetime]:
    """Return the next three times at which an entry's schedule starts a run."""
    from lightwork.tenants import schedules

    entry = tenant.pipelines[name]
    if not tenant.fires(name) or entry.schedule is None or entry.timezone is None:
        return []
    return schedules.times(entry.schedule, entry.timezone, dt.datetime.now(dt.UTC), 3)

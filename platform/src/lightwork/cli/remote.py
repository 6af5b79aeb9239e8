"""`lightwork submit`, `stop` and `logs`: runs in a cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import show_json
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.kube.runs import Remote


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which cluster and whose namespace."""
    for option in (
        click.option("--context", metavar="NAME", help="A kubeconfig context [lightwork-ENV]."),
        click.option("--tenant", metavar="NAME", help="Whose namespace [LIGHTWORK_TENANT]."),
        click.option("--env", "environment", required=True, metavar="ENV", help="dev, staging or prod."),
    ):
        command = option(command)
    return command


def _remote(environment: str, tenant: str | None, context: str | None) -> Remote:
    from lightwork import settings
    from lightwork.kube.runs import Remote

    return Remote(environment, settings.resolve_tenant(tenant), context)


@click.command("submit")
@click.argument("pipeline", metavar="PIPELINE")
@click.argument("items", nargs=-1, metavar="[NAME=VALUE]...")
@_where
@click.option("--wait", is_flag=True, help="Follow the run to its end; exit code 1 if it fails.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def submit_command(
    pipeline: str,
    items: tuple[str, ...],
    environment: str,
    tenant: str | None,
    context: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Start a run of a tenant's pipeline in a cluster, with parameters given as NAME=VALUE."""
    from lightwork.errors import RunFailed

    values = _texts(pipeline, items)
    remote = _remote(environment, tenant, context)
    run = remote.submit(pipeline, values)
    click.echo(f"submitted {run} in {remote.namespace}", err=True)
    status = None
    if wait:
        for status in remote.follow(run):
            text = f"{status.phase or 'not looked at yet'} {status.progress} {status.message}".rstrip()
            click.echo(f"{run}: {text}", err=True)
    if as_json:
        show_json({"run": run, "namespace": remote.namespace, "phase": status.phase if status else ""})
    elif not wait:
        click.echo(f"follow it: lightwork logs {run} --env {environment} --tenant {remote.tenant}", err=True)
    if status is not None and status.phase != "Succeeded":
        raise RunFailed(f"{run}: {status.phase}: {status.message or 'no message'}")


@click.command("stop")
@click.argument("run", metavar="RUN")
@_where
@click.option("--terminate", is_flag=True, help="At once: without the exit handler.")
def stop_command(
    run: str, environment: str, tenant: str | None, context: str | None, terminate: bool
) -> None:
    """End a run in a cluster; what it has computed is kept."""
    _remote(environment, tenant, context).stop(run, at_once=terminate)
    click.echo(f"{run} is ending; what it has computed is kept", err=True)


@click.command("logs")
@click.argument("run", metavar="RUN")
@_where
@click.option(
    "--role", type=click.Choice(["driver", "scheduler", "worker", "step"]), help="Only pods of this role."
)
def logs_command(
    run: str, environment: str, tenant: str | None, context: str | None, role: str | None
) -> None:
    """Print what a run's pods in a cluster have written so far."""
    for pod, line in _remote(environment, tenant, context).logs(run, role):
        click.echo(f"{pod}  {line}")


@click.command("dashboard")
@click.argument("run", metavar="RUN")
@_where
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On this machine [a free one].")
@click.option("--no-open", is_flag=True, help="Print the address, and open no browser.")
def dashboard_command(
    run: str, environment: str, tenant: str | None, context: str | None, port: int, no_open: bool
) -> None:
    """Show a run's Dask dashboard in the browser, until the run ends or Ctrl-C."""
    from lightwork.kube.contract import DASHBOARD_PORT
    from lightwork.kube.forwarding import forwarded

    remote = _remote(environment, tenant, context)
    if (status := remote.status(run)).ended:
        raise InputError(f"{run} has ended already: {status.phase}; its dashboard went with it")
    remote.scheduler(run)
    # Asked for each connection: a scheduler that was lost comes back as another pod.
    with forwarded(lambda: remote.open_port(remote.scheduler(run), DASHBOARD_PORT), port) as listening:
        address = f"http://127.0.0.1:{listening}/status"
        click.echo(f"{run}: {address} (Ctrl-C ends it)")
        if not no_open and sys.stdout.isatty():
            click.launch(address)
        *_, last = remote.follow(run)
    click.echo(f"{run} has ended: {last.phase}", err=True)


def _texts(pipeline: str, items: tuple[str, ...]) -> dict[str, str]:
    """The parameters as texts, checked against the signature where the pipeline is known here."""
    from lightwork.functions import discovery, parameters

    chosen = discovery.named(pipeline)
    if chosen is not None:
        required = [name for name, item in parameters.of(chosen).items() if item.required]
        if set(required) <= {item.partition("=")[0] for item in items}:
            parameters.parse(chosen, items)
    found: dict[str, str] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator or not name:
            raise InputError(f"{pipeline}: {item!r} has no '='; expected name=value")
        if name in found:
            raise InputError(f"{pipeline}: parameter {name} is given twice")
        found[name] = text
    return found

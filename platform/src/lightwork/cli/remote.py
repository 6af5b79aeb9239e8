"""`lightwork submit`, `stop` and `dashboard`: runs in a cluster."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates
from lightwork.cli.output import echo, one_environment, show_json
from lightwork.cli.running import STOPPED_CODE
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.kube.runs import Remote
    from lightwork.lake import Lake

UNKNOWN_CODE = 3
"""The exit code of `submit --wait` if it cannot be known how the run ended."""

lake_option = click.option(
    "--lake",
    metavar="URL",
    help="The tenant's lake, such as s3://bucket, which knows ended runs too [LIGHTWORK_LAKE, else the one"
    " that you have logged in to].",
    shell_complete=candidates.folders,
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select the cluster and the namespace; the environment is required."""
    return _with_options(command, required=True)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same options for a command that looks at this machine if no environment is given."""
    return _with_options(command, required=False)


def _with_options(command: Callable[..., Any], *, required: bool) -> Callable[..., Any]:
    for option in (
        click.option(
            "--context",
            metavar="NAME",
            help="A context of the kubeconfig; lightwork-ENV-TENANT or lightwork-ENV by default.",
            shell_complete=candidates.contexts,
        ),
        click.option(
            "--tenant",
            metavar="NAME",
            help="The tenant [LIGHTWORK_TENANT].",
            shell_complete=candidates.tenants,
        ),
        one_environment(
            help="dev, staging or prod." if required else "dev, staging or prod; this machine by default.",
            required=required,
        ),
    ):
        command = option(command)
    return command


def tenant_of(name: str | None) -> str:
    """Return the tenant that an option or the environment names.

    Raises:
        InputError: neither does.
    """
    from lightwork import settings

    if name is None and not os.environ.get(settings.ENV_TENANT):
        raise InputError(f"--tenant is missing; expected --tenant NAME, or {settings.ENV_TENANT}")
    return settings.resolve_tenant(name)


def _remote(environment: str, tenant: str | None, context: str | None) -> Remote:
    from lightwork.kube.runs import Remote

    return Remote(environment, tenant_of(tenant), context)


@click.command("submit")
@click.argument("pipeline", metavar="PIPELINE", shell_complete=candidates.pipelines)
@click.argument("items", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=candidates.parameters)
@cluster_options
@click.option("--wait", is_flag=True, help="Wait for the run to end; exit with 1 if it fails.")
@lake_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def submit_command(
    pipeline: str,
    items: tuple[str, ...],
    environment: str,
    tenant: str | None,
    context: str | None,
    wait: bool,
    lake: str | None,
    as_json: bool,
) -> None:
    """Start a run of a tenant's pipeline in a cluster, with parameters as NAME=VALUE.

    NAME=@FILE gives the content of a file, of up to 1,000,000 bytes; write @@ for a value that begins with @.

    With --wait, the exit code is 0 if the run succeeded, 1 if it did not, and 3 if that cannot be known.
    """
    values = _parameters(pipeline, items)
    remote = _remote(environment, tenant, context)
    run = ""
    options = where(environment, remote.tenant, context)
    try:
        run = remote.submit(pipeline, values)
        echo(f"submitted {run} to {remote.namespace}", err=True)
        if wait:
            _wait(remote, run, lake_of(lake, remote), options, as_json=as_json)
    except KeyboardInterrupt:
        _say_what_goes_on(run or f"a run of {pipeline} that was submitted already", run, options)
        raise click.exceptions.Exit(STOPPED_CODE) from None
    if not wait and as_json:
        show_json({"run": run, "namespace": remote.namespace, "phase": ""})
    elif not wait:
        echo(f"see its logs: lightwork logs {run} {options}", err=True)


def where(environment: str, tenant: str, context: str | None) -> str:
    """Return the options that select a namespace, for a command that a message names."""
    return f"--env {environment}{f' --context {context}' if context else ''} --tenant {tenant}"


def lake_of(url: str | None, remote: Remote) -> Lake | None:
    """Return the tenant's lake, if an option, the environment or `lightwork login` names it."""
    from lightwork import settings
    from lightwork.cli import lakes
    from lightwork.kube import logins

    named = url is not None or os.environ.get(settings.ENV_LAKE)
    login = None if named else logins.find(remote.environment, remote.tenant)
    if not named and login is None:
        return None
    return lakes.opened(url, remote.tenant, login)


def _wait(remote: Remote, run: str, lake: Lake | None, where: str, *, as_json: bool) -> None:
    """Show what goes on in a run until it ends, and how it ends.

    Raises:
        RunFailed: it did not succeed.
        Exit: how it ended cannot be known.
    """
    from lightwork.cli import waiting
    from lightwork.errors import LightworkError, RunFailed

    shown = waiting.Shown(run)
    try:
        picture = waiting.follow(remote, run, lake, shown)
    except LightworkError as error:
        if as_json:
            show_json({**waiting.to_json(shown, remote.namespace, run), "phase": "", "message": str(error)})
        echo(f"lightwork: {run}: how it ends is not known: {error}", err=True)
        echo(f"lightwork: ask again: lightwork logs {run} {where}", err=True)
        raise click.exceptions.Exit(UNKNOWN_CODE) from error
    finally:
        shown.close()
    state = picture.status
    if as_json:
        show_json(waiting.to_json(shown, remote.namespace, run))
    if state.phase != "Succeeded":
        raise RunFailed(f"{run}: {state.phase}: {state.message or 'no message'}")
    waiting.say_end(picture, with_result=not as_json)


def _say_what_goes_on(what: str, run: str, where: str) -> None:
    """Say after Ctrl-C that the run goes on in the cluster, and how to follow and to stop it."""
    name = run or "RUN"
    echo(
        f"lightwork: no longer waiting; {what} goes on, and the same command would start another one;"
        f" see its logs: lightwork logs {name} {where}; stop it: lightwork stop {name} {where}",
        err=True,
    )


@click.command("stop")
@click.argument("run", metavar="RUN", shell_complete=candidates.runs)
@cluster_options
@click.option("--terminate", is_flag=True, help="Stop at once, without the exit handler.")
def stop_command(
    run: str, environment: str, tenant: str | None, context: str | None, terminate: bool
) -> None:
    """Stop a run in a cluster; its finished results are kept."""
    is_new = _remote(environment, tenant, context).stop(run, at_once=terminate)
    echo(f"{run} is stopping{'' if is_new else ' already'}; its finished results are kept", err=True)


@click.command("dashboard")
@click.argument("run", metavar="RUN", shell_complete=candidates.runs)
@cluster_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=0,
    help="The local port; a free one by default.",
)
@click.option("--no-open", is_flag=True, help="Print the address and do not open a browser.")
def dashboard_command(
    run: str, environment: str, tenant: str | None, context: str | None, port: int, no_open: bool
) -> None:
    """Show the Dask dashboard of a run in the browser, until the run ends or Ctrl-C."""
    from lightwork.kube.contract import DASHBOARD_PORT
    from lightwork.kube.forwarding import forwarded

    remote = _remote(environment, tenant, context)
    if (status := remote.status(run)).ended:
        raise InputError(f"{run} has no dashboard any more: {status.end()}")
    remote.scheduler(run)
    # Looked up for each connection, because a lost scheduler is replaced by another pod.
    with forwarded(lambda: remote.open_port(remote.scheduler(run), DASHBOARD_PORT), port) as listening:
        address = f"http://127.0.0.1:{listening}/status"
        echo(f"{run}: {address} (Ctrl-C to stop)")
        if not no_open and sys.stdout.isatty():
            click.launch(address)
        *_, last = remote.follow(run)
    echo(f"{run} has ended: {last.phase}", err=True)


def _parameters(pipeline: str, items: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters as strings, checked against the signature if the pipeline is installed here."""
    from lightwork.functions import discovery, given, parameters

    texts = given.texts(pipeline, items)
    installed = discovery.named(pipeline)
    if installed is not None:
        required = [name for name, item in parameters.of(installed).items() if item.required]
        # The tenant's file may have the required ones, and `from_texts` would miss them.
        if set(required) <= texts.keys():
            parameters.from_texts(installed, texts)
    return texts

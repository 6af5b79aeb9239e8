"""`lightwork submit`, `stop`, `logs` and `dashboard`: runs in a cluster."""

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

_lake_option = click.option(
    "--lake",
    metavar="URL",
    help="The tenant's lake, such as s3://bucket, which knows ended runs too [LIGHTWORK_LAKE, else the one"
    " that you have logged in to].",
    shell_complete=candidates.folders,
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select the cluster and the namespace."""
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
        one_environment(help="dev, staging or prod.", required=True),
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
@_lake_option
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
    where = f"--env {environment}{f' --context {context}' if context else ''} --tenant {remote.tenant}"
    try:
        run = remote.submit(pipeline, values)
        echo(f"submitted {run} to {remote.namespace}", err=True)
        if wait:
            _wait(remote, run, _lake(lake, remote), where, as_json=as_json)
    except KeyboardInterrupt:
        _say_what_goes_on(run or f"a run of {pipeline} that was submitted already", run, where)
        raise click.exceptions.Exit(STOPPED_CODE) from None
    if not wait and as_json:
        show_json({"run": run, "namespace": remote.namespace, "phase": ""})
    elif not wait:
        echo(f"see its logs: lightwork logs {run} {where}", err=True)


def _lake(url: str | None, remote: Remote) -> Lake | None:
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


@click.command("logs")
@click.argument("run", metavar="RUN", shell_complete=candidates.runs)
@cluster_options
@click.option(
    "--role", type=click.Choice(["driver", "scheduler", "worker", "step"]), help="Only the pods of this role."
)
@_lake_option
def logs_command(
    run: str, environment: str, tenant: str | None, context: str | None, role: str | None, lake: str | None
) -> None:
    """Print what the pods of a run in a cluster have logged so far.

    The logs of drivers and steps that are gone are read from the lake, if it is named.
    """
    from lightwork.kube.runs import NoPodsError

    remote = _remote(environment, tenant, context)
    kept = _lake(lake, remote)
    try:
        for pod, line in remote.logs(run, role):
            echo(f"{pod}  {line}")
    except NoPodsError:
        if kept is None or not _print_kept(kept, run, role):
            raise


def _print_kept(lake: Lake, run: str, role: str | None) -> bool:
    """Print the logs that Argo has kept of a run's ended pods; return whether there are any."""
    found = False
    for entry in lake.entries(f"argo/{run}"):
        pod = entry.path.split("/")[2]
        if entry.path.endswith("/main.log") and role in (None, "driver" if "-driver-" in pod else "step"):
            found = True
            for line in lake.read(entry.path).decode(errors="replace").splitlines():
                echo(f"{pod}  {line}")
    return found


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

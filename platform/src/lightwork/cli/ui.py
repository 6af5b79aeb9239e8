"""`lightwork ui`: the history of a tenant's runs as a page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import counted, echo, environment_option, lake_option, tenant_option
from lightwork.cli.running import STOPPED_CODE
from lightwork.errors import InputError
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightwork.lake import Lake
    from lightwork.ui.overview import Next
    from lightwork.ui.pages import Place
    from lightwork.ui.schedules import Firings

_FIRINGS = 10.0
"""Seconds for which a file waits for the cluster's schedules."""


@click.command("ui")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=0,
    help="The port on this machine; a free one by default.",
)
@click.option("--no-open", is_flag=True, help="Print the address and do not open a browser.")
@click.option(
    "--out",
    metavar="FILE",
    help="Write the page into a file that opens anywhere, and end.",
    shell_complete=candidates.files,
)
@click.option(
    "--context",
    metavar="NAME",
    help="The context of the kubeconfig for --env; lightwork-ENV-TENANT or lightwork-ENV by default.",
    shell_complete=candidates.contexts,
)
@lake_option
@environment_option
@tenant_option
def ui_command(
    port: int,
    no_open: bool,
    out: str | None,
    context: str | None,
    lake: str | None,
    environment: str | None,
    tenant: str | None,
) -> None:
    """Show the history as a page: pipelines, their runs, and what each run did, until Ctrl-C.

    The page is on this machine, for you alone; with --env it shows what you may see in that environment.
    """
    from lightwork import settings
    from lightwork.ui.pages import Place
    from lightwork.ui.schedules import Firings

    if out is not None and (port or no_open):
        raise InputError("ui: --out writes a file; expected it without --port and --no-open")
    if context is not None and environment is None:
        raise InputError("ui: --context names a cluster; expected --env ENV as well")
    opened = lakes.shown(lake, tenant, environment)
    name = settings.resolve_tenant(tenant)
    place = Place(tenant=name, lake=shown(opened), environment=environment or "")
    firings = Firings(_schedules(name, environment, context))
    if out is None:
        _serve(opened, place, firings, port, opens=not no_open and sys.stdout.isatty())
    else:
        _write(opened, place, firings, out)


def _schedules(tenant: str, environment: str | None, context: str | None) -> Callable[[], dict[str, Next]]:
    from lightwork.ui import schedules

    def ask() -> dict[str, Next]:
        if environment is None:
            return schedules.by_file(tenant)
        from lightwork.kube.schedules import Schedules

        return schedules.by_cluster(Schedules(environment, tenant, context))

    return ask


def _serve(lake: Lake, place: Place, firings: Firings, port: int, *, opens: bool) -> None:
    from lightwork.ui.server import Server
    from lightwork.ui.site import Site

    site = Site(lake, place, firings)
    with Server(port, site) as server:
        site.prepare()
        echo(f"{place.tenant}: {server.door.address()} (Ctrl-C to stop)")
        sys.stdout.flush()
        try:
            if opens:
                click.launch(server.door.once())
            server.serve_forever()
        except KeyboardInterrupt:
            echo("lightwork: the page is no longer there", err=True)
            raise click.exceptions.Exit(STOPPED_CODE) from None


def _write(lake: Lake, place: Place, firings: Firings, out: str) -> None:
    from lightwork.ui.export import export
    from lightwork.ui.pages import Firing

    firings.refresh(_FIRINGS)
    problem = firings.problem if firings.known is not None else "the cluster has not answered"
    count, without = export(lake, place, Firing(known=firings.known or {}, problem=problem), out)
    left_out = f"; {counted(without, 'run')} left out" if without else ""
    echo(f"{out}: {counted(count, 'run')}{left_out}")

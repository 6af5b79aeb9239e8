"""`lightwork search`: the log lines of a tenant in a cluster, also those of runs that are gone."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates
from lightwork.cli.output import counted, echo, json_option, show_json
from lightwork.cli.remote import cluster_options, tenant_of
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.search.lines import Found, Logs

MOST = 100_000
"""The most lines that one command prints."""


@click.command("search")
@click.argument("text", required=False, metavar="[TEXT]")
@cluster_options
@click.option("--run", metavar="RUN", help="Only lines of this run.", shell_complete=candidates.runs)
@click.option(
    "--pipeline",
    metavar="NAME",
    help="Only lines that name this pipeline.",
    shell_complete=candidates.pipelines,
)
@click.option("--since", metavar="TIME", help="Since when: 2h or 7d ago, or 2026-11-27T20:00.")
@click.option("--until", metavar="TIME", help="Until when, in the same form.")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=1000,
    metavar="N",
    help="The most lines to print, the newest ones; 1000 by default.",
)
@json_option
def search_command(
    text: str | None,
    environment: str,
    tenant: str | None,
    context: str | None,
    run: str | None,
    pipeline: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Search the log lines of a tenant, for TEXT: words that follow each other, in any case.

    The lines are in OpenSearch, also those of runs whose pods are gone, some seconds after they were written.
    """
    from lightwork.search.lines import Query

    query = Query(
        text=text,
        run=run,
        pipeline=pipeline,
        since=moment("since", since) if since else None,
        until=moment("until", until) if until else None,
    )
    with opened(environment, tenant_of(tenant), context) as logs:
        found = logs.newest(query, limit)
    if as_json:
        show_json({"lines": [asdict(line) for line in found.lines], "total": found.total})
        return
    _show(found)


@contextlib.contextmanager
def opened(environment: str, tenant: str, context: str | None) -> Iterator[Logs]:
    """Open the logs of a tenant, with the rights of its people, while the `with` block runs.

    Args:
        environment: the environment.
        tenant: the tenant.
        context: a context of the kubeconfig; that of the login by default.

    Raises:
        InputError: nobody has logged in there, or the tenant has no logs to search.
    """
    from lightwork.kube import eks, logins
    from lightwork.kube.log_store import LogStore
    from lightwork.search.domain import Domain, UnreachableError, through
    from lightwork.search.lines import Logs

    login = logins.find(environment, tenant)
    if login is None:
        told = "the logs are searched with a role on AWS, and you have not logged in"
        raise InputError(f"{told}{logins.how(environment, tenant)}")
    remote = LogStore(environment, tenant, context)
    place = remote.place()
    credentials = eks.credentials(login)
    with remote.relayed() as way:
        domain = Domain(f"https://{place.endpoint}", place.region, credentials, through(way.port))
        try:
            yield Logs(domain, place.stream)
        except UnreachableError as error:
            raise way.explained(error) from error


def moment(option: str, text: str) -> str:
    """Return a moment in ISO 8601, from an age such as `2h` or from a date and time of this machine's zone.

    Raises:
        InputError: it is neither.
    """
    from lightwork.tenants import quantities

    now = dt.datetime.now(dt.UTC)
    try:
        return (now - dt.timedelta(seconds=quantities.seconds(text))).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        pass
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC).isoformat()
    except (ValueError, OverflowError):
        example = now.astimezone().strftime("%Y-%m-%dT%H:%M")
        raise InputError(
            f"--{option}: expected an age such as 2h or 7d, or {example}, got {text!r}"
        ) from None


def _show(found: Found) -> None:
    for line in found.lines:
        echo(f"{line.time}  {line.pod}  {line.text}")
    if not found.lines:
        echo("no line matches; lines arrive some seconds after they were written", err=True)
    elif (more := found.total - len(found.lines)) > 0:
        echo(
            f"{counted(more, 'older line')} match too; see more with --limit, or narrow the search with"
            " --since, --until or --run",
            err=True,
        )

"""`lightwork doctor`: what is amiss in a tenant's namespace or lake, each with the command that mends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lightwork.cli import lakes
from lightwork.cli.output import echo, json_option, show_json
from lightwork.cli.remote import lake_of, lake_option, place_options, tenant_of, where
from lightwork.errors import InputError, LightworkError

if TYPE_CHECKING:
    from lightwork.kube.checks import Finding, Namespace
    from lightwork.lake import Lake

_NEWEST = 20
"""The newest runs of a lake that are looked at."""


@click.command("doctor")
@place_options
@lake_option
@json_option
def doctor_command(
    environment: str | None, tenant: str | None, context: str | None, lake: str | None, as_json: bool
) -> None:
    """Look for what is amiss: leftovers, held locks, pods that do not start, drift, clocks and versions.

    Without --env it looks at the lake of this machine. Each finding comes with the command that mends it. The
    exit code is 1 if there is any, else 0; what you may not look at is named.
    """
    findings, unseen = (
        _here(lake, tenant) if environment is None else _cluster(environment, tenant, context, lake)
    )
    if as_json:
        show_json({"findings": [asdict(item) for item in findings], "unseen": unseen})
    else:
        for item in findings:
            echo(f"{item.kind}: {item.what}\n  mend it: {item.mend}")
        for line in unseen:
            echo(f"not looked at: {line}", err=True)
        if not findings:
            echo("Nothing is amiss." if not unseen else "Nothing is amiss in what could be looked at.")
    if findings:
        raise click.exceptions.Exit(1)


def _here(lake: str | None, tenant: str | None) -> tuple[list[Finding], list[str]]:
    return _of_lake(lakes.shown(lake, tenant))


def _cluster(
    environment: str, tenant: str | None, context: str | None, lake: str | None
) -> tuple[list[Finding], list[str]]:
    from lightwork.kube.checks import Namespace

    namespace = Namespace(environment, tenant_of(tenant), context)
    findings = namespace.findings(where(environment, namespace.tenant, context))
    drifted, unread = _drift(namespace)
    unseen = [*namespace.unseen, *unread]
    opened = lake_of(lake, namespace)
    if opened is None:
        unseen.append("the lake: log in, or name it by --lake")
    else:
        of_lake, unread = _of_lake(opened)
        findings, unseen = [*findings, *of_lake], [*unseen, *unread]
    return [*findings, *drifted], unseen


def _of_lake(opened: Lake) -> tuple[list[Finding], list[str]]:
    from lightwork.runs import checkup
    from lightwork.store.records import recent

    newest = recent(opened, _NEWEST)
    findings = [
        *checkup.clocks(opened),
        *checkup.lost(newest),
        *checkup.versions(newest[0] if newest else None),
    ]
    try:
        return [*findings, *checkup.unfinished(opened)], []
    except LightworkError as error:  # a tenant's people may not list unfinished uploads
        return findings, [f"unfinished files in the lake: {error}"]


def _drift(namespace: Namespace) -> tuple[list[Finding], list[str]]:
    """Return where the tenant's file, if it is here, differs from the cluster."""
    from lightwork import tenants
    from lightwork.runs import checkup

    try:
        tenant = tenants.load(tenants.find(namespace.tenant))
    except InputError as error:
        return [], [f"drift: the tenant's file is not here: {error}"]
    deployed, unseen = {}, []
    for kind in checkup.COMPARED:
        try:
            deployed[kind] = namespace.objects(kind)
        except LightworkError as error:
            unseen.append(f"drift: {error}")
    return checkup.drift(tenant, namespace.environment, deployed), unseen

"""`lightwork retry`: a run once more, with its parameters and the present code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import echo, environment_option, lake_option, show_json, tenant_option
from lightwork.cli.show import find, run_argument
from lightwork.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("retry")
@run_argument
@click.option(
    "--on",
    metavar="WHERE",
    help="Where to run on this machine or from it, as for `lightwork run`.",
    shell_complete=candidates.places,
)
@click.option(
    "--context",
    metavar="NAME",
    help="With --env: a context of the kubeconfig.",
    shell_complete=candidates.contexts,
)
@lake_option
@environment_option
@tenant_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print the new run as one JSON object on the last line."
)
def retry_command(
    run: str,
    on: str | None,
    context: str | None,
    lake: str | None,
    environment: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Run a pipeline again with the parameters of an earlier run and the present code.

    It is a new run, and each of the two tells of the other. What the earlier one has computed is not computed
    again. With --env, the new run is submitted to the cluster; else it runs here.
    """
    from lightwork.cli.run import refused

    outcomes: list[object] = []
    try:
        record = find(lakes.shown(lake, tenant, environment), run)
        _refuse_running(record)
        if environment is not None:
            _submit(record, environment, tenant, context, as_json=as_json)
        else:
            _run(record, on, lake, tenant, outcomes, as_json=as_json)
    except Exception as error:
        if as_json and not outcomes:
            show_json(refused(error))
        raise


def _refuse_running(record: Mapping[str, Any]) -> None:
    """Refuse a run that goes on.

    Raises:
        InputError: it does.
    """
    if record["status"] in ("running", "submitted"):
        raise InputError(f"retry: {record['name']} is {record['status']}; stop it, or wait for its end")


def _run(
    record: Mapping[str, Any],
    on: str | None,
    lake: str | None,
    tenant: str | None,
    outcomes: list[object],
    *,
    as_json: bool,
) -> None:
    from lightwork import run_names, settings
    from lightwork.cli.run import run
    from lightwork.functions import discovery, parameters
    from lightwork.runs.run import Identity

    target = discovery.find(str(record["pipeline"]))
    place = settings.resolve_on(on, str(record["on"]) if record["on"] in settings.PLACES else "local")
    options = {
        "parameters": parameters.check(target, record["parameters"]),
        "on": place,
        "workers": settings.resolve_workers(None) if place == "local" else None,
        "lake": settings.resolve_lake(lake),
        "tenant": settings.resolve_tenant(tenant),
    }
    identity = Identity(run_names.new(target.name), target.name, str(record["name"]))
    run(target, options, outcomes.append, as_json=as_json, identity=identity)


def _submit(
    record: Mapping[str, Any], environment: str, tenant: str | None, context: str | None, *, as_json: bool
) -> None:
    from lightwork.cli.remote import tenant_of
    from lightwork.functions.parameter_types import to_text
    from lightwork.kube.runs import Remote

    if unknown := record.get("long_parameters"):
        raise InputError(
            f"retry: the value of {', '.join(unknown)} was too long for the Workflow of {record['name']}, and"
            " no driver has recorded it; submit it again with its value"
        )
    remote = Remote(environment, tenant_of(tenant), context)
    values = {name: to_text(value) for name, value in record["parameters"].items()}
    run = remote.submit(str(record["pipeline"]), values, retry_of=str(record["name"]))
    echo(f"submitted {run} to {remote.namespace}", err=True)
    if as_json:
        show_json(
            {"run": run, "status": "submitted", "retry_of": record["name"], "namespace": remote.namespace}
        )

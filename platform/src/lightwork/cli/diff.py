"""`lightwork diff`: what differs between two runs: parameters, code, versions, results."""

from __future__ import annotations

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import (
    echo,
    environment_option,
    json_option,
    lake_option,
    show_json,
    show_table,
    tenant_option,
)
from lightwork.cli.show import find, run_argument


@click.command("diff")
@run_argument
@click.argument("other", metavar="RUN", shell_complete=candidates.runs_in_lake)
@lake_option
@environment_option
@tenant_option
@json_option
def diff_command(
    run: str, other: str, lake: str | None, environment: str | None, tenant: str | None, as_json: bool
) -> None:
    """Show what differs between two runs: parameters, code keys, commit, versions, elements and results."""
    from lightwork.runs.differences import LACKING, differences, text

    opened = lakes.shown(lake, tenant, environment)
    found = differences(find(opened, run), find(opened, other))
    if as_json:
        rows = [
            {
                "field": item.field,
                "first": None if item.first is LACKING else item.first,
                "second": None if item.second is LACKING else item.second,
            }
            for item in found
        ]
        show_json({"runs": [run, other], "differences": rows})
    elif not found:
        echo("Nothing differs: parameters, code, versions and results are the same.")
    else:
        texts = [[item.field, text(item.first), text(item.second)] for item in found]
        show_table(["", run, other], texts, fold=(run, other))

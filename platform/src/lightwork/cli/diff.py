"""`lightwork diff`: what differs between two runs: parameters, code, versions, results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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

_COMPARED = ("pipeline", "status", "parameters", "code_keys", "git_commit", "versions", "elements", "result")
_LONGEST = 300
"""Characters of a value that are shown; `--json` has all of it."""
_LACKING = object()


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
    opened = lakes.shown(lake, tenant, environment)
    first, second = (_flat({key: find(opened, name)[key] for key in _COMPARED}) for name in (run, other))
    names = sorted({*first, *second}, key=lambda name: (_COMPARED.index(name.partition(".")[0]), name))
    differing = [name for name in names if first.get(name, _LACKING) != second.get(name, _LACKING)]
    if as_json:
        rows = [{"field": name, "first": first.get(name), "second": second.get(name)} for name in differing]
        show_json({"runs": [run, other], "differences": rows})
    elif not differing:
        echo("Nothing differs: parameters, code, versions and results are the same.")
    else:
        texts = [
            [name, _text(first.get(name, _LACKING)), _text(second.get(name, _LACKING))] for name in differing
        ]
        show_table(["", run, other], texts, fold=(run, other))


def _flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return the values inside mappings by their path, joined by dots; a list is one value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{start}{key}.")
        else:
            found[f"{start}{key}"] = value
    return found


def _text(value: Any) -> str:
    if value is _LACKING:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

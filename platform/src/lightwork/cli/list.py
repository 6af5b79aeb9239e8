"""`lightwork list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from lightwork.parameters import Parameter


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """Show the pipelines, with their parameters."""
    from lightwork import discovery, parameters
    from lightwork.errors import InputError

    found, problems = [], dict(discovery.broken())
    for name, pipeline in discovery.pipelines().items():
        try:
            found.append((name, pipeline, list(parameters.of(pipeline).values())))
        except InputError as error:
            problems[pipeline.module] = str(error)
    if as_json:
        show_json({"pipelines": [_object(*item) for item in found], "broken": problems})
        return
    if found:
        rows = [(name, pipeline.doc.partition("\n")[0], _signature(known)) for name, pipeline, known in found]
        show_table(["pipeline", "what it does", "parameters"], rows)
    elif not problems:
        click.echo("No pipelines yet; make one with `lightwork new NAME`.")
    for module, reason in problems.items():
        click.echo(f"lightwork: {module} cannot be used: {reason}", err=True)


def _object(name: str, pipeline: Any, known: list[Parameter]) -> dict[str, Any]:
    from lightwork.parameter_types import to_text

    shown = [
        {"name": item.name, "type": item.type, "required": item.required}
        | ({} if item.required else {"default": to_text(item.default)})
        for item in known
    ]
    return {"name": name, "module": pipeline.module, "doc": pipeline.doc, "parameters": shown}


def _signature(known: list[Parameter]) -> str:
    """One parameter a line: `max_timestamps=10000  int > 0`."""
    from lightwork.parameter_types import to_text

    lines = []
    for item in known:
        start = item.name if item.required else f"{item.name}={to_text(item.default)}"
        lines.append(f"{start}  ({item.type}{', required' if item.required else ''})")
    return "\n".join(lines) or "none"

"""`lightwork list` and `lightwork new`: the pipelines that are installed here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import json_option, show_json, show_table

if TYPE_CHECKING:
    from lightwork.functions.parameters import Parameter


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Show the pipelines, with their parameters."""
    from lightwork.errors import InputError
    from lightwork.functions import discovery, parameters

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
    from lightwork.functions.parameter_types import to_text

    shown = [
        {"name": item.name, "type": item.type, "required": item.required}
        | ({} if item.required else {"default": to_text(item.default)})
        for item in known
    ]
    return {"name": name, "module": pipeline.module, "doc": pipeline.doc, "parameters": shown}


def _signature(known: list[Parameter]) -> str:
    """One parameter a line: `max_timestamps=10000  int > 0`."""
    from lightwork.functions.parameter_types import to_text

    lines = []
    for item in known:
        start = item.name if item.required else f"{item.name}={to_text(item.default)}"
        lines.append(f"{start}  ({item.type}{', required' if item.required else ''})")
    return "\n".join(lines) or "none"


@click.command("new")
@click.argument("name", metavar="NAME")
@click.option("--into", metavar="FOLDER", help="Where; by default the package of pipelines found here.")
@json_option
def new_command(name: str, into: str | None, as_json: bool) -> None:
    """Make a new pipeline with its test, ready to run; NAME is words joined by `-`."""
    from lightwork.functions import discovery, scaffold

    made = scaffold.make(name, into)
    here = Path.cwd().resolve()
    files = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in made.files]
    commands = [f"python -m pytest {files[made.files.index(made.test)]}", f"lightwork run {made.name}"]
    if as_json:
        show_json({"name": made.name, "files": files, "installed": made.installed, "next": commands})
        return
    click.echo("\n".join(f"made {file}" for file in files))
    if not made.installed:
        click.echo(
            f"\n{made.package} is not yet where lightwork looks for pipelines. Name it in the pyproject.toml"
            f' of its project, then install that with `pip install --editable .`:\n\n[project.entry-points."'
            f'{discovery.GROUP}"]\n{made.package.replace(".", "-")} = "{made.package}"'
        )
    click.echo("\nnext:\n" + "\n".join(f"  {line}" for line in commands))

"""`lightwork new`."""

from __future__ import annotations

from pathlib import Path

import click

from lightwork.cli.output import json_option, show_json


@click.command("new")
@click.argument("name", metavar="NAME")
@click.option("--into", metavar="FOLDER", help="Where; by default the package of pipelines found here.")
@json_option
def command(name: str, into: str | None, as_json: bool) -> None:
    """Make a new pipeline with its test, ready to run; NAME is words joined by `-`."""
    from lightwork import discovery, scaffold

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

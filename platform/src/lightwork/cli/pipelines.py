"""`lightwork list` and `lightwork new`: the installed pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates
from lightwork.cli.output import echo, json_option, show_json, show_table
from lightwork.errors import InputError, one_line

if TYPE_CHECKING:
    from lightwork.functions.parameters import Parameter


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Show the installed pipelines and their parameters."""
    from lightwork.functions import discovery, parameters

    usable, problems = [], dict(discovery.broken())
    for name, pipeline in discovery.pipelines().items():
        try:
            usable.append((name, pipeline, list(parameters.of(pipeline).values())))
        except InputError as error:
            problems[pipeline.module] = str(error)
    if as_json:
        show_json({"pipelines": [_object(*item) for item in usable], "broken": problems})
        return
    if usable:
        rows = [
            (name, pipeline.doc.partition("\n")[0], _signature(items)) for name, pipeline, items in usable
        ]
        columns = ["pipeline", "description", "parameters"]
        show_table(columns, rows, fold=columns[1:])
    elif not problems:
        echo("No pipelines yet; create one with `lightwork new NAME`.")
    for module, reason in problems.items():
        echo(f"lightwork: warning: {module} cannot be used: {one_line(reason)}", err=True)


def describe(name: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a title and, for each parameter of a pipeline, its name with its default, and its type.

    Raises:
        InputError: there is no such pipeline, or its signature is wrong.
    """
    from lightwork.functions import discovery, parameters
    from lightwork.functions.parameter_types import is_structured, to_text

    pipeline = discovery.find(name)
    rows = []
    for item in parameters.of(pipeline).values():
        text = f"{item.type}{' as JSON' if is_structured(item.annotation) else ''}"
        start = item.name if item.required else f"{item.name}={to_text(item.default)}"
        rows.append((start, f"{text}, required" if item.required else text))
    doc = one_line(pipeline.doc.partition("\n\n")[0])
    return f"Parameters of {name}" + (f" ({doc.rstrip('.')})" if doc else ""), rows or [("none", "")]


def tasks(name: str) -> list[tuple[str, str]]:
    """Return the tasks in a pipeline's module that have options, each with these."""
    import sys

    from lightwork.functions import discovery
    from lightwork.functions.decorated import TaskFunction

    module = sys.modules[discovery.find(name).module]
    found = {item.name: item for item in vars(module).values() if isinstance(item, TaskFunction)}
    rows = [(item.__name__, item.options.given()) for item in found.values()]
    return [(task, one_line(", ".join(options))) for task, options in rows if options]


@click.command("describe")
@click.argument("names", nargs=-1, metavar="[PIPELINE]...", shell_complete=candidates.pipelines)
@click.option("--image", metavar="NAME@sha256:...", help="The image that this is; only with --json.")
@json_option
def describe_command(names: tuple[str, ...], image: str | None, as_json: bool) -> None:
    """Show what pipelines take: their parameters with types and defaults; all pipelines without a name.

    With --json, run in an image, it prints the description that a tenant's file names beside that image.
    """
    from lightwork.functions import discovery, parameters
    from lightwork.tenants import descriptions

    if not names and (broken := discovery.broken()):
        lines = (f"{module} cannot be imported: {one_line(reason)}" for module, reason in broken.items())
        raise InputError("\n".join(lines))
    if image is not None and not as_json:
        raise InputError("describe: --image is a part of the description that --json prints; add --json")
    pipelines = [discovery.find(name) for name in dict.fromkeys(names or discovery.pipelines())]
    if as_json:
        objects = [
            _object(item.name, item, list(parameters.of(item).values()))
            | {"doc": one_line(item.doc.partition("\n")[0])}
            for item in pipelines
        ]
        echo(json.dumps(descriptions.document(image, objects), indent=2))
        return
    for item in pipelines:
        title, rows = describe(item.name)
        echo(f"{title}:")
        show_table(["parameter", "type"], rows, fold=["type"])


def _object(name: str, pipeline: Any, parameters: list[Parameter]) -> dict[str, Any]:
    """Return a pipeline, its parameters and what its tasks ask for, as JSON has them."""
    from lightwork.functions import wanted
    from lightwork.functions.parameters import to_json

    signature = [to_json(item) for item in parameters]
    further = {
        "interval": list(pipeline.interval or ()),
        "resources": wanted.resources(pipeline),
        "limits": wanted.limits(pipeline),
    }
    return {
        "name": name,
        "module": pipeline.module,
        "doc": pipeline.doc,
        "parameters": signature,
        **{key: value for key, value in further.items() if value},
    }


def _signature(parameters: list[Parameter]) -> str:
    """Return one parameter a line, such as `max_timestamps=10000  (int > 0)`."""
    from lightwork.functions.parameter_types import to_text

    lines = []
    for item in parameters:
        start = item.name if item.required else f"{item.name}={to_text(item.default)}"
        lines.append(f"{start}  ({item.type}{', required' if item.required else ''})")
    return "\n".join(lines) or "none"


@click.command("new")
@click.argument("name", metavar="NAME")
@click.option(
    "--into",
    metavar="FOLDER",
    help="The folder of a package of pipelines; by default the one found here.",
    shell_complete=candidates.folders,
)
@json_option
def new_command(name: str, into: str | None, as_json: bool) -> None:
    """Create a pipeline with a test, ready to run; NAME is lower-case words joined by `-`."""
    from lightwork.functions import discovery, scaffold

    created = scaffold.make(name, into)
    here = Path.cwd().resolve()
    files = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in created.files]
    commands = [
        f"python -m pytest {files[created.files.index(created.test)]}",
        f"lightwork run {created.name}",
    ]
    if as_json:
        show_json({"name": created.name, "files": files, "installed": created.installed, "next": commands})
        return
    echo("\n".join(f"created {file}" for file in files))
    if not created.installed:
        echo(
            f"\nlightwork does not find the package {created.package} yet. Add these lines to its project's"
            f" pyproject.toml, then run `pip install --editable .` there:\n\n"
            f'[project.entry-points."{discovery.GROUP}"]\n'
            f'{created.package.replace(".", "-")} = "{created.package}"'
        )
    echo("\nnext:\n" + "\n".join(f"  {line}" for line in commands))

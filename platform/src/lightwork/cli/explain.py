"""`lightwork explain`: the key of a task's results, and why it changed."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates
from lightwork.cli.output import (
    cell,
    console,
    json_option,
    lake_option,
    show_json,
    show_table,
    tenant_option,
    when,
)
from lightwork.errors import InputError, near
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.functions.decorated import Pipeline, TaskFunction
    from lightwork.keys import CodeKey
    from lightwork.store.results import CodeResults, ResultStore


@click.command("explain")
@click.argument("pipeline", metavar="PIPELINE", shell_complete=candidates.pipelines)
@click.argument("task", metavar="TASK", shell_complete=candidates.tasks)
@click.argument("items", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=candidates.parameters)
@click.option(
    "--value",
    "with_value",
    is_flag=True,
    help="Also read the call's cached result. That runs code that the lake's owner has put into it.",
)
@lake_option
@tenant_option
@json_option
def explain_command(
    pipeline: str,
    task: str,
    items: tuple[str, ...],
    with_value: bool,
    lake: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Show what the cache key of a TASK is made of, and what changed since earlier results.

    With the arguments of a call as NAME=VALUE, also show whether that call's result is cached.
    """
    from lightwork import logs, settings
    from lightwork.functions import discovery
    from lightwork.keys import Unkeyable, code_key
    from lightwork.lake import open_lake
    from lightwork.lake.patience import LOOK_SECONDS
    from lightwork.store.results import ResultStore

    if with_value and not items:
        raise InputError("explain: --value needs the arguments of a call; expected name=value")
    logs.configure()  # what is damaged is told by log lines
    function = _task(discovery.find(pipeline), task)
    arguments = _arguments(function, items) if items else None
    opened = open_lake(
        settings.resolve_lake(lake),
        tenant=settings.resolve_tenant(tenant),
        patience=settings.resolve_patience(LOOK_SECONDS),
    )
    store = ResultStore(opened, function.name)
    facts: dict[str, Any] = {"pipeline": pipeline, "task": function.name, "lake": shown(opened)}
    try:
        code = code_key(function)
    except Unkeyable as error:
        facts |= {"cached": False, "reason": str(error)}
    else:
        cached = function.options.cache
        facts |= {"cached": cached, "reason": "" if cached else "the task has cache=False"}
        results = store.open(code, mends=False).refresh()
        facts |= _code(code, store, results)
        if arguments is not None:
            facts["call"] = _call(function, code, arguments, results, with_value)
    if as_json:
        show_json(facts)
    else:
        _show(facts)


def _task(pipeline: Pipeline[..., Any], name: str) -> TaskFunction[..., Any]:
    from lightwork.functions import discovery

    tasks = discovery.tasks(pipeline)
    for short, task in tasks.items():
        if name in (short, task.name, short.replace("_", "-")):
            return task
    raise InputError(f"{pipeline.name}: there is no task {name!r}{near(name, tasks)}")


def _arguments(task: TaskFunction[..., Any], items: Sequence[str]) -> dict[str, Any]:
    """Return the values of a call's arguments.

    A parameter's type says how to read its text; without a type, it is read as JSON, or else as a string.
    """
    from lightwork.functions import parameter_types
    from lightwork.functions.parameters import REQUIRED, Parameter, value_of

    label = task.__name__
    try:
        parameters = inspect.signature(task.fn, eval_str=True).parameters
    except Exception:  # noqa: BLE001 - the types may exist for type checkers only
        parameters = task.signature.parameters
    values: dict[str, Any] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator:
            raise InputError(f"{label}: {item!r} has no '='; expected name=value for {', '.join(parameters)}")
        if name not in parameters:
            raise InputError(f"{label}: there is no parameter {name!r}{near(name, parameters)}")
        if name in values:
            raise InputError(f"{label}: parameter {name} is given twice; expected once")
        annotation = parameters[name].annotation
        try:
            is_typed = annotation is not REQUIRED and not isinstance(annotation, str)
            parameter_types.validator(annotation if is_typed else str)
        except Exception:  # noqa: BLE001 - a type that Pydantic cannot check
            is_typed = False
        type_text = parameter_types.describe(annotation)
        parameter = Parameter(name, annotation, parameters[name].default, type_text)
        values[name] = value_of(label, parameter, text) if is_typed else _literal(text)
    missing = [
        item.name
        for item in parameters.values()
        if item.default is REQUIRED
        and item.name not in values
        and item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    ]
    if missing:
        expected = " ".join(f"{name}=VALUE" for name in missing)
        raise InputError(f"{label}: parameter {missing[0]} is missing; expected {expected}")
    return values


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _code(code: CodeKey, store: ResultStore, results: CodeResults) -> dict[str, Any]:
    """Return a code key, its components, the number of its results, and the changes since earlier code."""
    from lightwork.keys import differences

    versions = store.versions()
    earlier = next(((old, moment) for old, moment in versions if old.digest != code.digest), None)
    facts: dict[str, Any] = {
        "code_key": code.digest,
        "components": [
            {"kind": item.kind, "name": item.name, "digest": item.digest} for item in code.components
        ],
        "kept": results.count(),
        "code_versions": [{"code_key": old.digest, "first": moment} for old, moment in versions],
        "changed_since": None,
        "changes": [],
    }
    if earlier is not None:
        facts |= {"changed_since": earlier[1], "changes": differences(earlier[0], code)}
    return facts


def _call(
    task: TaskFunction[..., Any],
    code: CodeKey,
    arguments: dict[str, Any],
    results: CodeResults,
    with_value: bool,
) -> dict[str, Any]:
    """Return a call's key and whether its result is cached, by the index alone; its result if asked for."""
    from lightwork.keys import Unkeyable, call_key
    from lightwork.runs.jsonable import jsonable
    from lightwork.store.results import MISSING

    facts = {"arguments": jsonable(arguments)}
    bound = task.signature.bind(**arguments)
    try:
        key = call_key(task.fn, code, bound.args, bound.kwargs, task.options.ignore)
    except Unkeyable as error:
        return facts | {"key": None, "kept": False, "reason": str(error)}
    facts |= {"key": key.hex(), "kept": key in results}
    if with_value and facts["kept"]:
        (value,) = results.lookup([key])
        facts |= {"kept": False} if value is MISSING else {"result": jsonable(value)}
    return facts


def _show(facts: dict[str, Any]) -> None:
    from rich.markup import escape

    out = console()
    out.print(f"[bold]{escape(facts['task'])}[/]")
    if not facts["cached"]:
        out.print(f"not cached: {escape(facts['reason'])}", style="yellow")
    if "code_key" not in facts:
        return
    out.print(f"code key {facts['code_key']}, made of:\n")
    rows = [[item["kind"], item["name"], cell(item["digest"][:16], "dim")] for item in facts["components"]]
    show_table(["kind", "name", "digest"], rows, fold=["name"])
    out.print()
    out.print(f"cached results of this code: {facts['kept']:,} in {escape(facts['lake'])}", soft_wrap=True)
    if facts["changed_since"] is None:
        out.print("cached results of other code: none")
    else:
        out.print(f"changes since the newest other code, first cached {when(facts['changed_since'])}:")
        for sentence in facts["changes"]:
            out.print(f"  {escape(sentence)}", soft_wrap=True)
    if call := facts.get("call"):
        arguments = ", ".join(f"{name}={value!r}" for name, value in call["arguments"].items())
        state = "cached" if call["kept"] else "not cached; a run would compute it"
        state += f": {call['result']!r}" if "result" in call else ""
        reason = f" ({call['reason']})" if call.get("reason") else ""
        out.print(escape(f"{facts['task']}({arguments}): {state}{reason}"), soft_wrap=True)

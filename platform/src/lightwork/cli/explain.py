"""`lightwork explain`."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli.output import (
    console,
    json_option,
    lake_option,
    show_json,
    show_table,
    tenant_option,
    when,
    where,
)
from lightwork.errors import InputError, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightwork.functions.decorated import Pipeline, TaskFunction
    from lightwork.keys import CodeKey
    from lightwork.store.results import ResultStore


@click.command("explain")
@click.argument("pipeline", metavar="PIPELINE")
@click.argument("task", metavar="TASK")
@click.argument("items", nargs=-1, metavar="[NAME=VALUE]...")
@lake_option
@tenant_option
@json_option
def explain_command(
    pipeline: str, task: str, items: tuple[str, ...], lake: str | None, tenant: str | None, as_json: bool
) -> None:
    """Say what the key of a TASK's results is made of, and what changed since the last results.

    With the arguments of one call, NAME=VALUE, it also says whether that call's result is kept.
    """
    from lightwork import settings
    from lightwork.functions import discovery
    from lightwork.keys import Unkeyable, code_key
    from lightwork.lake import open_lake
    from lightwork.store.results import ResultStore

    chosen = _task(discovery.find(pipeline), task)
    arguments = _arguments(chosen, items) if items else None
    opened = open_lake(settings.resolve_lake(lake), tenant=settings.resolve_tenant(tenant))
    store = ResultStore(opened, chosen.name)
    found: dict[str, Any] = {"pipeline": pipeline, "task": chosen.name, "lake": where(opened)}
    try:
        code = code_key(chosen.fn, version=chosen.options.version)
    except Unkeyable as error:
        found |= {"cached": False, "reason": str(error)}
    else:
        cached = chosen.options.cache
        found |= {"cached": cached, "reason": "" if cached else "the task says cache=False"}
        found |= _code(code, store)
        if arguments is not None:
            found["call"] = _call(chosen, code, arguments, store)
    if as_json:
        show_json(found)
    else:
        _show(found)


def _task(pipeline: Pipeline[..., Any], name: str) -> TaskFunction[..., Any]:
    from lightwork.functions import discovery

    known = discovery.tasks(pipeline)
    for short, task in known.items():
        if name in (short, task.name, short.replace("_", "-")):
            return task
    raise InputError(f"{pipeline.name}: there is no task {name!r}{near(name, known)}")


def _arguments(task: TaskFunction[..., Any], items: Sequence[str]) -> dict[str, Any]:
    """The values of a call's arguments: by the parameter's type where it has one, else JSON or text."""
    from lightwork.functions import parameter_types as kinds
    from lightwork.functions.parameters import REQUIRED, Parameter, value_of

    where = task.fn.__name__
    try:
        known = inspect.signature(task.fn, eval_str=True).parameters
    except Exception:  # noqa: BLE001  (types that exist for checkers only)
        known = inspect.signature(task.fn).parameters
    given: dict[str, Any] = {}
    for item in items:
        name, separator, text = item.partition("=")
        if not separator:
            raise InputError(f"{where}: {item!r} has no '='; expected name=value, with {', '.join(known)}")
        if name not in known:
            raise InputError(f"{where}: there is no parameter {name!r}{near(name, known)}")
        if name in given:
            raise InputError(f"{where}: parameter {name} is given twice; expected once")
        annotation = known[name].annotation
        try:
            typed = annotation is not REQUIRED and not isinstance(annotation, str)
            kinds.validator(annotation if typed else str)
        except Exception:  # noqa: BLE001  (a type that nothing can be checked against)
            typed = False
        parameter = Parameter(name, annotation, known[name].default, kinds.describe(annotation))
        given[name] = value_of(where, parameter, text) if typed else _literal(text)
    missing = [
        item.name
        for item in known.values()
        if item.default is REQUIRED
        and item.name not in given
        and item.kind not in (item.VAR_KEYWORD, item.VAR_POSITIONAL)
    ]
    if missing:
        raise InputError(f"{where}: {missing[0]} is missing; expected name=value for {', '.join(missing)}")
    return given


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _code(code: CodeKey, store: ResultStore) -> dict[str, Any]:
    """The code key, what it is made of, and what is kept under it and under earlier ones."""
    from lightwork.keys import differences

    versions = store.versions()
    earlier = next(((old, moment) for old, moment in versions if old.digest != code.digest), None)
    found: dict[str, Any] = {
        "code_key": code.digest,
        "components": [
            {"kind": item.kind, "name": item.name, "digest": item.digest} for item in code.components
        ],
        "kept": len(store.open(code).refresh()),
        "code_versions": [{"code_key": old.digest, "first": moment} for old, moment in versions],
        "changed_since": None,
        "changes": [],
    }
    if earlier is not None:
        found |= {"changed_since": earlier[1], "changes": differences(earlier[0], code)}
    return found


def _call(
    task: TaskFunction[..., Any], code: CodeKey, arguments: dict[str, Any], store: ResultStore
) -> dict[str, Any]:
    from lightwork.keys import Unkeyable, call_key
    from lightwork.runs.jsonable import jsonable
    from lightwork.store.results import MISSING

    shown = {"arguments": jsonable(arguments)}
    bound = inspect.signature(task.fn).bind(**arguments)
    try:
        key = call_key(task.fn, code, bound.args, bound.kwargs, task.options.ignore)
    except Unkeyable as error:
        return shown | {"key": None, "kept": False, "reason": str(error)}
    (value,) = store.open(code).refresh().lookup([key])
    result = {} if value is MISSING else {"result": jsonable(value)}
    return shown | {"key": key.hex(), "kept": value is not MISSING} | result


def _show(found: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.text import Text

    out = console()
    out.print(f"[bold]{escape(found['task'])}[/]")
    if not found["cached"]:
        out.print(f"not cached: {escape(found['reason'])}", style="yellow")
    if "code_key" not in found:
        return
    out.print(f"code key {found['code_key']}, made of:")
    rows = [[item["kind"], item["name"], Text(item["digest"][:16], "dim")] for item in found["components"]]
    show_table(["kind", "name", "digest"], rows)
    out.print(f"{found['kept']:,} results of this code are kept in {escape(found['lake'])}.")
    if found["changed_since"] is None:
        out.print("No results of any other code of this task are kept.")
    else:
        since = when(found["changed_since"])
        out.print(f"Since the newest other code with results (first kept {since}):")
        for sentence in found["changes"]:
            out.print(f"  {escape(sentence)}", soft_wrap=True)
    if call := found.get("call"):
        arguments = ", ".join(f"{name}={value!r}" for name, value in call["arguments"].items())
        kept = f"is kept: {call['result']!r}" if call["kept"] else "is not kept; it would be computed"
        reason = f" ({call['reason']})" if call.get("reason") else ""
        out.print(escape(f"The result of {found['task']}({arguments}) {kept}{reason}"), soft_wrap=True)

"""`lightwork run`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates
from lightwork.cli.output import lake_option, show_json, tenant_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightwork.functions.decorated import Pipeline
    from lightwork.runs.outcome import Run
    from lightwork.runs.run import Identity


class RunCommand(click.Command):
    """A command whose help shows the parameters of the pipeline that is named before `--help`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the pipeline's name: Click shows the help before it looks at the arguments."""
        if any(item in ctx.help_option_names for item in args):
            ctx.meta[__name__] = self.make_parser(ctx).parse_args(list(args))[0].get("pipeline")
        try:
            return super().parse_args(ctx, self._with_tasks(ctx, list(args)))
        except click.UsageError as error:
            if "--json" in args:
                show_json(refused(error.format_message()))
            raise

    def _with_tasks(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give the task that follows `--refresh`, if one does, to the option `--refresh-task`.

        What stands after the pipeline's name, and has no `=`, cannot be anything else.
        """
        valued = {
            name
            for param in self.get_params(ctx)
            if not getattr(param, "is_flag", True)
            for name in param.opts
        }
        named = False
        for at, arg in enumerate(args):
            before = args[at - 1] if at else ""
            if arg == "--":
                break
            if arg.startswith("--refresh="):
                args[at] = f"--refresh-task={arg.partition('=')[2]}"
            elif before == "--refresh" and named and not arg.startswith("-") and "=" not in arg:
                args[at - 1 : at + 1] = ["--refresh-task", arg]
            elif not arg.startswith("-") and before not in valued:
                named = True
        return args

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the pipeline's parameters before the options."""
        name = ctx.meta.get(__name__)
        if isinstance(name, str):
            from lightwork.cli.pipelines import describe, tasks

            title, rows = describe(name)
            with formatter.section(title):
                formatter.write_dl(rows)
            if options := tasks(name):
                with formatter.section("Options of its tasks"):
                    formatter.write_dl(options)
        super().format_options(ctx, formatter)


@click.command("run", cls=RunCommand)
@click.argument("pipeline", required=False, metavar="PIPELINE", shell_complete=candidates.pipelines)
@click.argument("items", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=candidates.parameters)
@click.option(
    "--on",
    metavar="WHERE",
    help="serial, local, tcp://host:port, tls://host:port or coiled.",
    shell_complete=candidates.places,
)
@click.option(
    "--workers", metavar="N", help="The number of worker processes; the number of cores by default."
)
@tenant_option
@lake_option
@click.option(
    "--refresh",
    is_flag=True,
    help="Compute everything again and cache the new results; `--refresh TASK`, after the pipeline's name,"
    " only those of a task, such as speed.",
)
@click.option(
    "--refresh-task", "refresh_tasks", multiple=True, hidden=True, shell_complete=candidates.cached_tasks
)
@click.option("--no-cache", is_flag=True, help="Neither read nor write cached results.")
@click.option(
    "--dashboard", is_flag=True, help="Serve Dask's dashboard of a local run; the log names the address."
)
@click.option("--json", "as_json", is_flag=True, help="Print the run as one JSON object on the last line.")
@click.option(
    "--only",
    metavar="[TASK:]INDEX[,INDEX]...",
    help="Compute only these elements of a task, as `show` prints them, and stop; with --on serial.",
)
@click.option(
    "--result",
    "result_file",
    metavar="FILE",
    help="Write the pipeline's result to FILE as JSON.",
    shell_complete=candidates.files,
)
def run_command(
    pipeline: str | None,
    items: tuple[str, ...],
    on: str | None,
    workers: str | None,
    tenant: str | None,
    lake: str | None,
    refresh: bool,
    refresh_tasks: tuple[str, ...],
    no_cache: bool,
    dashboard: bool,
    as_json: bool,
    result_file: str | None,
    only: str | None,
) -> None:
    """Run a pipeline, with parameters as NAME=VALUE.

    Lists, dicts and models are given as JSON; `lightwork run PIPELINE --help` shows the parameters.
    NAME=@FILE gives the content of a file; write @@ for a value that begins with @. The place to run is --on,
    else LIGHTWORK_ON, else DASK_SCHEDULER_ADDRESS, else `local`: this machine's cores.
    """
    outcomes: list[Run] = []
    try:
        target, chosen = _checked(
            *(pipeline, items, on, workers, tenant, lake, refresh or refresh_tasks, no_cache, dashboard),
            *(result_file, only),
        )
        if only is not None:
            _debug(target, chosen, only, as_json=as_json)
            return
        run(target, chosen, outcomes.append, as_json=as_json, result_file=result_file)
    except Exception as error:
        if as_json and not outcomes:
            show_json(refused(error))
        raise


def run(
    target: Pipeline[..., Any],
    options: Mapping[str, Any],
    tell: Callable[[Run], None] = lambda _: None,
    *,
    as_json: bool,
    result_file: str | None = None,
    identity: Identity | None = None,
) -> None:
    """Run a pipeline, and show how it went: its summary and, as the last line of a `--json`, its object.

    Args:
        target: the pipeline.
        options: the other arguments of `run_pipeline`.
        tell: is called with the run when it has ended.
        as_json: print the object.
        result_file: the file for its result; None for none.
        identity: which run it is.

    Raises:
        RunFailed: it failed, or its record could not be written.
    """
    from lightwork.errors import RunFailed
    from lightwork.runs.run import Identity, run_pipeline

    outcomes: list[Run] = []
    identity = identity or Identity.of_driver(os.environ, target.name)
    try:
        with _stopped_by_sigterm():
            run_pipeline(target, **options, identity=identity, tell=outcomes.append)
    finally:
        for outcome in outcomes:
            tell(outcome)
            _show(outcome, as_json=as_json, result_file=result_file)
    if unrecorded := outcomes[-1].unrecorded:
        raise RunFailed(f"the run succeeded, but its record could not be written: {unrecorded}")


def _show(outcome: Run, *, as_json: bool, result_file: str | None) -> None:
    from lightwork.cli import fatal
    from lightwork.cli.summary import summarise

    # Whoever stopped it knows; and a log has the JSON object instead.
    if outcome.status != "stopped" and not fatal.is_event():
        summarise(outcome, stderr=as_json)
    if result_file is not None and outcome.status == "succeeded":
        write_result(result_file, outcome.result)
    if as_json:
        show_json(outcome.to_json())


def refused(error: object) -> dict[str, Any]:
    """Return the object that ends `--json` of a run that did not start, or whose end nobody could record."""
    from lightwork.errors import one_line

    return {"run": None, "status": "refused", "error": one_line(error), "result": None}


def _checked(
    pipeline: str | None,
    items: tuple[str, ...],
    on: str | None,
    workers: str | None,
    tenant: str | None,
    lake: str | None,
    refresh: bool | tuple[str, ...],
    no_cache: bool,
    dashboard: bool,
    result_file: str | None,
    only: str | None,
) -> tuple[Pipeline[..., Any], dict[str, Any]]:
    """Return the pipeline and the arguments of `run_pipeline`, checked in the order of the command line.

    Raises:
        InputError: one of them is wrong; nothing has started.
    """
    from lightwork import settings
    from lightwork.errors import InputError
    from lightwork.functions import discovery, parameters

    if pipeline is None:
        names = ", ".join(discovery.pipelines()) or "none yet; create one with `lightwork new NAME`"
        raise InputError(f"run: the pipeline's name is missing; available: {names}")
    if refresh and no_cache:
        raise InputError(
            "run: --refresh keeps new results and --no-cache keeps none; expected one of the two"
        )
    target = discovery.find(pipeline)
    values = parameters.parse(target, items)
    place = settings.resolve_on(on, "local")
    if dashboard and place == "serial":
        raise InputError("run: --dashboard: a serial run has none; run it with --on local")
    if only is not None and place != "serial":
        raise InputError("run: --only computes in this process; expected --on serial with it")
    count = settings.resolve_workers(workers)
    options = {
        "parameters": values,
        "on": place,
        "workers": count if workers is not None or place == "local" else None,
        "lake": settings.resolve_lake(lake),
        "tenant": settings.resolve_tenant(tenant),
        "refresh": refresh or False,
        "cache": not no_cache,
        "dashboard": dashboard,
    }
    if result_file is not None and not os.access(os.path.dirname(result_file) or ".", os.W_OK):  # noqa: PTH120
        raise InputError(f"run: --result {result_file}: its folder does not exist or is not writable")
    return target, options


def _debug(target: Pipeline[..., Any], options: Mapping[str, Any], only: str, *, as_json: bool) -> None:
    """Compute only some elements, and show their results."""
    from lightwork.cli.output import echo, json_text
    from lightwork.runs.debugging import debug

    found = debug(target, options["parameters"], only, lake=options["lake"], tenant=options["tenant"])
    if as_json:
        elements = [{"task": item.task, "index": item.index, "result": item.result} for item in found]
        show_json({"run": None, "status": "succeeded", "error": None, "result": None, "elements": elements})
        return
    for item in found:
        echo(f"{item.task}:{item.index}  {json_text(item.result)}")


def write_result(path: str, value: object) -> None:
    """Write a result to a file, as one line of JSON.

    Raises:
        InputError: the file cannot be written.
    """
    import json
    from pathlib import Path

    from lightwork.errors import InputError

    try:
        Path(path).write_text(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"run: --result {path} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which Kubernetes sends to stop a pod, end the run as Ctrl-C does."""
    import signal
    import threading

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

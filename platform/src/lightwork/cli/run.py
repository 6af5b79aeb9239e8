"""`lightwork run`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from lightwork.cli import candidates
from lightwork.cli.output import lake_option, show_json, tenant_option

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunCommand(click.Command):
    """A command whose help shows the parameters of the pipeline that is named before `--help`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the pipeline's name: Click shows the help before it looks at the arguments."""
        if any(item in ctx.help_option_names for item in args):
            ctx.meta[__name__] = self.make_parser(ctx).parse_args(list(args))[0].get("pipeline")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the pipeline's parameters before the options."""
        name = ctx.meta.get(__name__)
        if isinstance(name, str):
            from lightwork.cli.pipelines import describe

            title, rows = describe(name)
            with formatter.section(title):
                formatter.write_dl(rows)
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
@click.option("--refresh", is_flag=True, help="Compute everything again and cache the new results.")
@click.option("--no-cache", is_flag=True, help="Neither read nor write cached results.")
@click.option(
    "--dashboard", is_flag=True, help="Serve Dask's dashboard of a local run; the log names the address."
)
@click.option("--json", "as_json", is_flag=True, help="Print the run as one JSON object on the last line.")
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
    no_cache: bool,
    dashboard: bool,
    as_json: bool,
    result_file: str | None,
) -> None:
    """Run a pipeline, with parameters as NAME=VALUE.

    Lists, dicts and models are given as JSON; `lightwork run PIPELINE --help` shows the parameters.
    NAME=@FILE gives the content of a file; write @@ for a value that begins with @. The place to run is --on,
    else LIGHTWORK_ON, else DASK_SCHEDULER_ADDRESS, else `local`: this machine's cores.
    """
    from lightwork import settings
    from lightwork.errors import InputError, RunFailed
    from lightwork.functions import discovery, parameters
    from lightwork.runs.run import run_pipeline

    if pipeline is None:
        names = ", ".join(discovery.pipelines()) or "none yet; create one with `lightwork new NAME`"
        raise InputError(f"run: the pipeline's name is missing; available: {names}")
    if refresh and no_cache:
        raise InputError(
            "run: --refresh keeps new results and --no-cache keeps none; expected one of the two"
        )
    # Everything is checked before anything starts, in the order of the command line.
    target = discovery.find(pipeline)
    values = parameters.parse(target, items)
    place = settings.resolve_on(on, "local")
    if dashboard and place == "serial":
        raise InputError("run: --dashboard: a serial run has none; run it with --on local")
    count = settings.resolve_workers(workers)
    lake = settings.resolve_lake(lake)
    tenant = settings.resolve_tenant(tenant)
    if result_file is not None and not os.access(os.path.dirname(result_file) or ".", os.W_OK):  # noqa: PTH120
        raise InputError(f"run: --result {result_file}: its folder does not exist or is not writable")
    with _stopped_by_sigterm():
        result = run_pipeline(
            target,
            values,
            on=place,
            workers=count if workers is not None or place == "local" else None,
            lake=lake,
            tenant=tenant,
            refresh=refresh,
            cache=not no_cache,
            dashboard=dashboard,
        )
    from lightwork.cli.summary import summarise

    summarise(result, stderr=as_json)
    if result_file is not None:
        write_result(result_file, result.result)
    if as_json:
        show_json(result.to_json())
    if result.unrecorded:
        raise RunFailed(f"the run succeeded, but its record could not be written: {result.unrecorded}")


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

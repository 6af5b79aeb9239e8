"""`python -m bench [NAME ...]`: run the named benchmarks, or all that install nothing, and print a table."""

from __future__ import annotations

import importlib
import os
import sys

import click

from bench import measure
from bench.measure import Row, to_json

BENCHMARKS = {
    "startup": "startup of the command line",
    "keyboard": "help, Tab, silence and Ctrl-C on a real terminal",
    "tiny": "100,000 calls of x + 1",
    "shapes": "calls of 50 ms, and calls of lognormal duration",
    "cache": "lookup of cached results",
    "durable": "what it costs that results survive a power cut",
    "many": "100,000 results among 100 million, and on S3 among 10 million",
    "history": "runs, show, cost and the page of 100,000 runs, against lightwork --help",
    "windy": "windy-city against reading the files in every call",
    "stream": "ten million elements as a stream",
    "large": "large inputs against Dask and joblib, their memory, and keys of many values",
    "cores": "real work on all cores against joblib, Pool.map and LocalCluster, and its processor time",
    "scale": "many workers, many committers",
    "edits": "10,000 edits of random programs, a cached run against a plain one",
    "battery": "battery-health against a plain scan",
    "estate": "one stack per tenant against one stack for all tenants",
    "options": "processor time of maps that use no options of tasks, against the commit before these",
    "keys": "processor time of keys, against an older commit",
    "staleness": "edits that a cache must notice, against joblib, Prefect and Hamilton",
    "scaler": "the scaler against the talk's design and one pod per task, on `make cluster-up`",
}

ASKED_FOR = ("staleness", "many")
"""The benchmarks that run only when they are named: they install packages, or take gigabytes."""


@click.command(help=f"{__doc__}\n\n{', '.join(BENCHMARKS)}")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--apart", metavar="NAME", hidden=True)
def main(names: tuple[str, ...], apart: str | None) -> None:
    """Run the benchmarks and print the table; exit with 1 if a figure misses its target."""
    os.environ.pop("LIGHTWORK_ON", None)
    if apart:
        rows: list[Row] = importlib.import_module(f"bench.{apart}").run()
        print(to_json(rows))
        return
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(
            f"bench: unknown benchmark {unknown[0]!r}; expected one of {', '.join(BENCHMARKS)}",
            file=sys.stderr,
        )
        sys.exit(2)
    all_rows: list[Row] = []
    for name in names or [name for name in BENCHMARKS if name not in ASKED_FOR]:
        print(f"{name}: {BENCHMARKS[name]} ...", file=sys.stderr, flush=True)
        rows = measure.apart(name)
        for row in rows:
            print(f"  {row.what}: {row.measured} ({row.detail})", file=sys.stderr, flush=True)
        all_rows += rows
    _print(all_rows)
    if any(row.ok is False for row in all_rows):
        sys.exit(1)


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "target", "measured", "", "detail", title="both sides measured in this run")
    marks = {True: "[green]met[/]", False: "[red]missed[/]", None: "no target"}
    for row in rows:
        mark = "no result" if row.target and row.ok is None else marks[row.ok]
        table.add_row(row.what, row.target, row.measured, mark, row.detail)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    main(prog_name="bench")

"""`python -m bench [NAME ...]`: run the benchmarks, or those named, and print the table."""

from __future__ import annotations

import importlib
import os
import sys

import click

from bench import measure
from bench.measure import Row, to_json

BENCHMARKS = {
    "startup": "the command line's start",
    "tiny": "100,000 calls of x + 1",
    "shapes": "durations of 50 ms, and lognormal ones",
    "cache": "looking up what is done",
    "windy": "windy-city against the way that reads files in each call",
    "stream": "ten million elements as a stream",
    "scale": "many workers, many committers",
    "battery": "battery-health against a plain scan",
    "estate": "a tenant's stack among many, against one stack for all",
    "scaler": "the scaler against the talk's way and one pod a task, on the cluster of `make cluster-up`",
}


@click.command(help=f"{__doc__}\n\n{', '.join(BENCHMARKS)}")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--apart", metavar="NAME", hidden=True)
def main(names: tuple[str, ...], apart: str | None) -> None:
    """Run and print; exit code 1 if a figure was not reached."""
    os.environ.pop("LIGHTWORK_ON", None)
    if apart:
        rows: list[Row] = importlib.import_module(f"bench.{apart}").run()
        print(to_json(rows))
        return
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(
            f"bench: there is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}",
            file=sys.stderr,
        )
        sys.exit(2)
    found: list[Row] = []
    for name in names or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name]} ...", file=sys.stderr, flush=True)
        rows = measure.apart(name)
        for row in rows:
            print(f"  {row.what}: {row.found} ({row.detail})", file=sys.stderr, flush=True)
        found += rows
    _print(found)
    if any(row.ok is False for row in found):
        sys.exit(1)


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "reach", "found", "", "measured", title="both sides measured in this run")
    marks = {True: "[green]reached[/]", False: "[red]not reached[/]", None: "shown"}
    for row in rows:
        table.add_row(row.what, row.reach, row.found, marks[row.ok], row.detail)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    main(prog_name="bench")

"""`python -m bench [NAME ...]`: run the named benchmarks, or all of them, and print a table."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from bench.measure import Row, apart, to_json

BENCHMARKS = {
    "startup": "startup of the command line",
    "tiny": "100,000 calls of x + 1",
    "shapes": "calls of 50 ms, and calls of lognormal duration",
    "cache": "lookup of cached results",
    "windy": "windy-city against reading the files in every call",
    "stream": "ten million elements as a stream",
    "scale": "many workers, many committers",
    "battery": "battery-health against a plain scan",
    "estate": "one stack per tenant against one stack for all tenants",
    "scaler": "the scaler against the talk's design and one pod per task, on `make cluster-up`",
}


def main() -> int:
    """Run the benchmarks and print the table.

    Returns:
        0 if every figure meets its target, 1 if one does not, 2 for an unknown benchmark.
    """
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--apart", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.pop("LIGHTWORK_ON", None)
    if options.apart:
        rows: list[Row] = importlib.import_module(f"bench.{options.apart}").run()
        print(to_json(rows))
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        print(
            f"bench: unknown benchmark {unknown[0]!r}; expected one of {', '.join(BENCHMARKS)}",
            file=sys.stderr,
        )
        return 2
    all_rows: list[Row] = []
    for name in options.names or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name]} ...", file=sys.stderr, flush=True)
        rows = apart(name)
        for row in rows:
            print(f"  {row.what}: {row.measured} ({row.detail})", file=sys.stderr, flush=True)
        all_rows += rows
    _print(all_rows)
    return 0 if all(row.ok is not False for row in all_rows) else 1


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "target", "measured", "", "detail", title="both sides measured in this run")
    marks = {True: "[green]met[/]", False: "[red]missed[/]", None: "no target"}
    for row in rows:
        table.add_row(row.what, row.target, row.measured, marks[row.ok], row.detail)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    sys.exit(main())

"""`lightwork show` and `lightwork open`: one run, as its record, its failed elements and its report tell."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from lightwork.cli import candidates, lakes
from lightwork.cli.output import (
    counted,
    echo,
    environment_option,
    json_option,
    lake_option,
    show_json,
    show_table,
    show_words,
    size,
    styled,
    tenant_option,
    when,
)
from lightwork.errors import InputError, near, nearest, one_line
from lightwork.lake.base import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightwork.history.cost import Prices
    from lightwork.lake import Lake

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "stopped": "yellow",
    "skipped": "yellow",
    "submitted": "cyan",
    "running": "cyan",
    "lost": "red",
}
"""The styles of statuses on a terminal."""
_BEFORE = 30
"""Runs of the same pipeline before it that a run is compared with."""
_FAILURES = 20
"""Failed elements that are shown; `--json` has all that are kept."""
_ERROR_LINES = 5
"""Lines of errors at the end of its log that are shown."""
_LOG_END = 1 << 20
"""Bytes at the end of a log in which they are looked for."""

run_argument = click.argument("run", metavar="RUN", shell_complete=candidates.runs_in_lake)


def find(lake: Lake, name: str) -> dict[str, Any]:
    """Return the record of a run.

    Raises:
        InputError: there is none of this name.
    """
    from lightwork.history.sync import ask
    from lightwork.store import records

    # The history also has runs whose own records are kept no longer.
    record = records.run(lake, name) or ask(lake, lambda history: history.find(name))
    if record is not None:
        return record
    names = records.names(lake)
    guess = nearest(name, names) or ("; `lightwork runs` shows them" if names else near(name, names))
    raise InputError(f"there is no run {name!r} in {shown(lake)}{guess}")


@click.command("show")
@run_argument
@lake_option
@environment_option
@tenant_option
@json_option
def show_command(
    run: str, lake: str | None, environment: str | None, tenant: str | None, as_json: bool
) -> None:
    """Show a run: how it went, what failed, what it left, and how it compares with those before it."""
    from lightwork.store import failures

    opened = lakes.shown(lake, tenant, environment)
    record = find(opened, run)
    failed, omitted = failures.of_run(opened, run)
    before = _compared(opened, record)
    errors, cost = _errors(opened, run), _cost(opened, record)
    if as_json:
        more = {"failures": failed, "failures_omitted": omitted, "before": before, "log_errors": errors}
        more["cost"] = None if cost is None else {"cost": round(cost[0], 4), "currency": cost[1].currency}
        show_json({"run": run, **record, **more})
        return
    place = {"--lake": lake, "--env": environment, "--tenant": tenant}
    where = " ".join(f"{name} {shlex.quote(value)}" for name, value in place.items() if value)
    _show_head(record, before, cost)
    _show_parts(record)
    _show_failures(record, failed, omitted)
    _show_log([line for line in errors if one_line(line.get("event")) != one_line(record.get("error"))])
    _show_next(record, where)


def _show_head(
    record: Mapping[str, Any], before: Mapping[str, Any], cost: tuple[float, Prices] | None
) -> None:
    status = str(record["status"])
    show_words((record["name"], "bold"), (status, STYLES.get(status, "")))
    counts = record.get("elements") or {}
    phases = record.get("phases") or {}
    rows = {
        "pipeline": record.get("pipeline"),
        "on": record.get("on"),
        "started": when(record.get("started")),
        "seconds": _seconds(record, before),
        "elements": ", ".join(
            f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items() if number
        )
        or "none",
        "phases": ", ".join(f"{name} {number:,.1f} s" for name, number in phases.items() if number >= 0.05),
        "workers": "; ".join(
            f"{item['seconds']:,.0f} s of {item['size']}{_SPOT.get(item.get('spot'), '')}"
            for item in record.get("worker_seconds") or []
        ),
        "cost": "" if cost is None else f"{cost[0]:,.2f} {cost[1].currency} for its workers, at list prices",
        "parameters": ", ".join(f"{name}={_text(value)}" for name, value in record["parameters"].items()),
        "commit": record.get("git_commit"),
        "versions": ", ".join(f"{name} {text}" for name, text in record["versions"].items()),
        "retry of": record.get("retry_of"),
        "retried by": ", ".join(record["retried_by"]),
        "report": record.get("report"),
        "error": one_line(record.get("error") or ""),
    }
    for name, value in rows.items():
        if value not in (None, ""):
            show_words((f"{name:<12}", "dim"), (value, ""))


_SPOT = {True: " on spot", None: " on spot or on demand"}


def _seconds(record: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    seconds = record.get("seconds")
    if seconds is None:
        return ""
    text = f"{seconds:,.1f}"
    if before["succeeded"]:
        text += f"; median of the last {before['succeeded']} that succeeded: {before['median_seconds']:,.1f}"
    return text


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}… ({len(text):,} characters)"


def _show_parts(record: Mapping[str, Any]) -> None:
    """Show tables of tasks, attempts and artifacts, those that have more to say than the head."""
    from lightwork.store.attempts import COUNTS, FURTHER

    if len(tasks := record["tasks"]) > 1:
        echo()
        names = [*COUNTS, *(name for name in FURTHER if any(name in counts for counts in tasks.values()))]
        rows = [[task, *(f"{counts.get(name, 0):,}" for name in names)] for task, counts in tasks.items()]
        columns = [name.replace("_", " ") for name in names]
        show_table(["task", *columns], rows, right=columns)
    attempts = record["attempts"]
    if len(attempts) > 1 or any(item.get("step") for item in attempts):
        echo()
        rows = [
            [
                item["id"],
                styled(item["status"], STYLES.get(item["status"], "")),
                when(item["started"]),
                (item.get("elements") or {}).get("total", ""),
                item.get("pod") or "",
                one_line(item.get("error") or ""),
            ]
            for item in attempts
        ]
        columns = ["attempt", "status", "started", "elements", "pod", "error"]
        show_table(columns, rows, cut=("error",), drop=("pod", "elements", "started"))
    if artifacts := record["artifacts"]:
        echo()
        rows = [
            [
                item["name"],
                "" if item["rows"] is None else f"{item['rows']:,}",
                size(item["bytes"]),
                item["uri"],
            ]
            for item in artifacts
        ]
        show_table(["artifact", "rows", "size", "address"], rows, right=("rows", "size"), fold=("address",))


def _show_failures(record: Mapping[str, Any], failed: list[dict[str, Any]], omitted: int) -> None:
    if not failed:
        return
    echo()
    echo(counted(len(failed) + omitted, "failed element"))
    last = {item["id"] for item in record["attempts"][-1:]}
    rows = [
        [_index(row), row["task"].rpartition(".")[2], row["input"], one_line(row["error"])]
        for row in sorted(failed, key=lambda row: row["attempt"] not in last)[:_FAILURES]
    ]
    show_table(
        ["index", "task", "input", "error"],
        rows,
        right=("index",),
        cut=("input", "error"),
        drop=("task",),
    )
    if len(failed) > _FAILURES:
        echo(f"the first {_FAILURES} are shown; --json shows all, with their tracebacks")
    row = next((row for row in failed if row["index"] is not None), None)
    if row is not None and record.get("pipeline"):
        from lightwork.engine.only import command

        echo(f"debug one: {command(record['pipeline'], record['parameters'], row)}")


def _index(row: Mapping[str, Any]) -> str:
    from lightwork.engine.only import written

    return "" if row["index"] is None else written(row["map"], row["index"])


def _show_log(errors: list[dict[str, Any]]) -> None:
    if errors:
        echo()
        echo("the last errors in its log:")
    for line in errors:
        echo(f"  {when(line.get('timestamp'))}  {one_line(line.get('event'))}")


def _show_next(record: Mapping[str, Any], where: str) -> None:
    """Show which commands tell more of a run that has not succeeded, and try it again."""
    if record["status"] not in ("failed", "lost"):
        return
    echo()
    for what, command in (("its errors", "logs"), ("once mended", "retry")):
        words = ["lightwork", command, record["name"], *(["--errors"] if command == "logs" else []), where]
        echo(f"{what}: {' '.join(filter(None, words))}")


def _errors(lake: Lake, run: str) -> list[dict[str, Any]]:
    """Return the last lines of a run's log that are errors; none if its log is not in the lake."""
    path = f"runs/{run}/log.jsonl"
    entry = next((item for item in lake.entries(f"runs/{run}") if item.path == path), None)
    if entry is None:
        return []
    data = lake.read_range(path, max(0, entry.size - _LOG_END), _LOG_END)
    found: list[dict[str, Any]] = []
    for line in reversed(data.decode(errors="replace").splitlines()):
        try:
            event = json.loads(line)
        except ValueError:  # the first one is cut
            continue
        if isinstance(event, dict) and event.get("level") in ("error", "critical"):
            found.append(event)
        if len(found) == _ERROR_LINES:
            break
    return found[::-1]


def _compared(lake: Lake, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the runs of the same pipeline before a run went."""
    from lightwork.history.query import Filter, compared
    from lightwork.history.sync import ask

    only = Filter(pipeline=record.get("pipeline"), before=record["name"])
    return compared(
        ask(lake, lambda history: history.page(only, _BEFORE) if history.find(record["name"]) else [])
    )


def _cost(lake: Lake, record: Mapping[str, Any]) -> tuple[float, Prices] | None:
    """Return what a run's workers cost, by which prices; None if the lake has none for them."""
    from lightwork.history.cost import Prices, of_workers, size_of
    from lightwork.history.sync import ask
    from lightwork.store.documents import OddError

    workers = record.get("worker_seconds") or []
    if not any(size_of(str(item.get("size"))) for item in workers):
        return None  # a laptop's: nothing has to be asked for
    try:
        document = ask(lake, lambda history: history.prices())
        prices = None if document is None else Prices.of(document)
    except OddError:
        return None  # `lightwork cost` says that they are damaged
    cost = None if prices is None else of_workers(prices, workers)
    return None if prices is None or cost is None else (cost, prices)


@click.command("open")
@run_argument
@click.option("--step", metavar="STEP", help="The step whose report it is, if the run has several.")
@lake_option
@environment_option
@tenant_option
@json_option
def open_command(
    run: str,
    step: str | None,
    lake: str | None,
    environment: str | None,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Open the report of a run in the browser; with --json, only say where it is."""
    opened = lakes.shown(lake, tenant, environment)
    record = find(opened, run)
    report = record.get("report")
    if isinstance(report, dict):
        if step not in report:
            raise InputError(f"open: {run} has a report for each step: --step {' or '.join(sorted(report))}")
        report = report[step]
    if not report:
        raise InputError(f"open: {run} has no report: it {_without(record)}")
    if as_json:
        show_json({"run": run, "status": record["status"], "report": report})
        return
    path = _at_hand(opened, run, str(report))
    echo(str(path))
    click.launch(path)


def _without(record: Mapping[str, Any]) -> str:
    if record["status"] in ("running", "submitted"):
        return f"is {record['status']}"
    was = "was " if record["status"] in ("lost", "stopped", "skipped") else ""
    return f"{was}{record['status']} without one"


def _at_hand(lake: Lake, run: str, report: str) -> str:
    """Return the path of a report on this machine; one that is in S3 is fetched."""
    import tempfile
    from pathlib import Path

    if lake.root.startswith("file://"):
        return report
    name = report.rpartition("/")[2]
    folder = Path(tempfile.mkdtemp(prefix="lightwork-"))  # only for this user
    file = folder / f"{run}-{name}"
    file.write_bytes(lake.read(f"runs/{run}/{name}"))
    return str(file)

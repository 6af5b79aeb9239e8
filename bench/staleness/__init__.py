"""Edits of small programs, on lightwork and its peers: which are noticed, what is computed for nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.measure import WORKERS, Row, folder
from bench.staleness import server, verdicts
from bench.staleness.environments import InstallationError
from bench.staleness.programs import CompilerError, Edit, Text, lay
from bench.staleness.table import EDITS
from bench.staleness.tools import LIGHTWORK, PLAIN, Tool, chosen, variables
from bench.staleness.verdicts import Outcome, Run, Verdict

RUNNER = Path(__file__).with_name("runner.py")
PATIENCE = 300
"""Seconds after which a run of a program is ended."""


class ProgramError(Exception):
    """A program did not run to its end; the message is its last line."""


def run() -> list[Row]:
    """Make every edit with every tool, print the tables, and return a row for each tool."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended, too
    tools = chosen(os.environ.get("STALENESS_TOOLS", ""))
    edits = [edit for edit in EDITS if os.environ.get("STALENESS_KIND", "") in edit.kind]
    with folder() as place:
        try:
            pythons = {tool.name: tool.python() for tool in (PLAIN, *tools)}
        except InstallationError as failure:
            return [
                Row("staleness", "", str(failure), False, "the peers' packages come from the index of pip")
            ]
        outcomes = _outcomes(tools, edits, pythons, place)
    _show(tools, edits, outcomes)
    return [row for tool in tools for row in _rows(tool, verdicts.totals(tool, outcomes[tool.name]))]


def _outcomes(
    tools: Sequence[Tool], edits: Sequence[Edit], pythons: Mapping[str, Path], place: Path
) -> dict[str, dict[Edit, Outcome]]:
    """Return the outcome of each edit, by tool."""
    programs = _by_program(edits)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max(WORKERS, os.cpu_count() or 1)))
        plain = stack.enter_context(Bench(PLAIN, pythons[PLAIN.name], place))
        rights = pool.map(lambda group: _right(group, plain, place / "plain" / str(id(group))), programs)
        right = {edit: run for group in rights for edit, run in group.items()}
        apis = stack.enter_context(_servers(tools, pythons, place))
        benches = [
            stack.enter_context(Bench(tool, pythons[tool.name], place / "home", apis.get(tool.runner, "")))
            for tool in tools
        ]
        stack.callback(
            pool.shutdown, wait=False, cancel_futures=True
        )  # the first thing if the run is stopped
        # Neighbours in the queue belong to different tools, so that none waits for its own process.
        jobs = [
            (bench.tool.name, pool.submit(bench.outcomes, some, right, place / str(index) / str(number)))
            for number, group in enumerate(programs)
            for index, bench in enumerate(benches)
            if (some := [edit for edit in group if edit.group in bench.tool.groups])
        ]
        outcomes: dict[str, dict[Edit, Outcome]] = {tool.name: {} for tool in tools}
        for done, (name, job) in enumerate(jobs, 1):
            outcomes[name].update(job.result())
            if done % 50 == 0:
                print(f"  {done} of {len(jobs)} programs", file=sys.stderr, flush=True)
    return outcomes


@contextlib.contextmanager
def _servers(tools: Sequence[Tool], pythons: Mapping[str, Path], place: Path) -> Iterator[dict[str, str]]:
    """Run the servers that the tools need; yields their addresses by the tool's runner."""
    prefect = next((tool for tool in tools if tool.runner == "prefect"), None)
    if prefect is None:
        yield {}
        return
    with server.prefect(pythons[prefect.name], place / "server") as address:
        yield {"prefect": address}


def _by_program(edits: Sequence[Edit]) -> list[list[Edit]]:
    """Group edits of the same program, which is run only once before them."""
    groups: dict[int, list[Edit]] = {}
    for edit in edits:
        groups.setdefault(id(edit.program), []).append(edit)
    return list(groups.values())


def _right(edits: Sequence[Edit], plain: Bench, place: Path) -> dict[Edit, Run | CompilerError]:
    """Run a program after each of its edits without a cache.

    Raises:
        ValueError: an edit changes the results although it should not, or the other way round.
    """
    try:
        before = plain.run(edits[0].program, place)
        right = {edit: plain.run(edit.edited(), place, edit) for edit in edits}
    except CompilerError as failure:
        return dict.fromkeys(edits, failure)
    for edit, after in right.items():
        if (before.results == after.results) is not edit.harmless:
            raise ValueError(f"{edit.kind}: {before.results} before the edit, {after.results} after it")
    return dict(right)


class Bench:
    """Runs programs with one tool, one after another.

    Args:
        tool: the tool.
        python: the Python that has it.
        home: a folder for its own settings.
        api: the address of its server; empty if it needs none.
    """

    def __init__(self, tool: Tool, python: Path, home: Path, api: str = "") -> None:
        self._command = [str(python), "-P", str(RUNNER), tool.runner]
        self.tool = tool
        self._variables = variables(tool, home, server.loopback(api) if api else "")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            _stop(self._process)

    def outcomes(
        self, edits: Sequence[Edit], right: Mapping[Edit, Run | CompilerError], place: Path
    ) -> dict[Edit, Outcome]:
        """Run one program twice, and after each of some edits, each from the same state of the cache.

        Args:
            edits: edits of the same program.
            right: the right results after each.
            place: a folder for the program and the cache.
        """
        reason = edits[0].cannot.get(self.tool.runner)
        if reason:
            return dict.fromkeys(edits, Outcome(Verdict.NOT_APPLICABLE, detail=reason))
        try:
            self.run(edits[0].program, place)
            again = self.run(edits[0].program, place)
        except (ProgramError, CompilerError) as failure:
            verdict = Verdict.NOT_MEASURED if isinstance(failure, CompilerError) else Verdict.ERROR
            return dict.fromkeys(edits, Outcome(verdict, detail=str(failure)))
        (place / "cache").rename(place / "before")
        return {edit: self._outcome(edit, right[edit], again, place) for edit in edits}

    def _outcome(self, edit: Edit, right: Run | CompilerError, again: Run, place: Path) -> Outcome:
        if isinstance(right, CompilerError):
            return Outcome(Verdict.NOT_MEASURED, detail=str(right))
        shutil.rmtree(place / "cache", ignore_errors=True)
        shutil.copytree(place / "before", place / "cache")
        try:
            edited = self.run(edit.edited(), place, edit)
        except ProgramError as failure:
            return Outcome(Verdict.ERROR, again.computed == 0, str(failure))
        return verdicts.judge(edit, right, again, edited)

    def run(self, files: Mapping[str, Text], place: Path, edit: Edit | None = None) -> Run:
        """Write a program and run it in a new process.

        Args:
            files: the program.
            place: the folder of the cache, and of the program's folder.
            edit: the edit that was made, if it says where to and how to start the program.

        Raises:
            ProgramError: it did not run to its end.
            CompilerError: it holds a module in C, which cannot be compiled here.
        """
        program = place / ("moved" if edit and edit.move else "program")
        (place / "cache").mkdir(parents=True, exist_ok=True)
        lay(program, files, self.tool.header, self.tool.decorator)
        request = {
            "program": str(program),
            "cache": str(place / "cache"),
            "at": str(place if edit and edit.elsewhere else program),
            "output": str(place / "output"),
        }
        code = self._ask(json.dumps(request), edit.environment if edit else {})
        return parse(code, (place / "output").read_text())

    def _ask(self, request: str, environment: Mapping[str, str]) -> int:
        """Have a program run; returns its exit code. Its own environment needs an interpreter of its own."""
        if environment:
            process = self._start(environment)
            try:
                return _answer(process, request)
            finally:
                _stop(process)
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = self._start({})
            return _answer(self._process, request)

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            env={**self._variables, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def _answer(process: subprocess.Popen[str], request: str) -> int:
    """Send a request and return the exit code of the program; a program that takes too long is ended.

    Raises:
        ProgramError: it took too long, or the tool itself does not start.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    alarm = threading.Timer(PATIENCE, process.kill)
    alarm.start()
    try:
        process.stdin.write(f"{request}\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    finally:
        alarm.cancel()
    if not line:
        raise ProgramError(f"{' '.join(process.args)}: ended before it answered")  # type: ignore[arg-type]
    return int(line)


def _stop(process: subprocess.Popen[str]) -> None:
    """End a process, which ends by itself once its standard input does."""
    with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
        process.communicate(timeout=30)
    if process.poll() is None:
        process.kill()
        process.wait()


def parse(code: int, output: str) -> Run:
    """Read what a program printed.

    Raises:
        ProgramError: it failed, or its last line is not what it should be.
    """
    lines = output.strip().splitlines()
    try:
        if code == 0:
            printed = json.loads(lines[-1])
            return Run(tuple(printed["results"]), int(printed["computed"]))
    except (IndexError, ValueError, KeyError, TypeError):
        pass
    raise ProgramError(f"exit code {code}: {lines[-1] if lines else 'no output'}")


def _rows(tool: Tool, sums: verdicts.Totals) -> list[Row]:
    """Make the rows of a tool; only lightwork has targets."""
    ours = tool.runner == LIGHTWORK
    claims = f"claims {sums.claimed} of {sums.claims}; " if sums.claims != sums.changes else ""
    noticed = Row(
        f"{tool.name}: edits noticed",
        "all" if ours else "",
        f"{sums.noticed} of {sums.changes}",
        sums.noticed == sums.changes if ours else _ran(sums),
        f"{claims}{sums.stale} stale; {sums.kept} of {sums.programs} unchanged programs kept",
    )
    harmless = Row(
        f"{tool.name}: kept after harmless edits",
        "all" if ours else "",
        f"{sums.hits} of {sums.harmless}",
        sums.hits == sums.harmless if ours else _ran(sums),
        "",
    )
    return [*([noticed] if sums.changes else []), *([harmless] if sums.harmless else [])]


def _ran(sums: verdicts.Totals) -> bool | None:
    """Return False for a peer that ran nothing, which says nothing of it, and None otherwise."""
    return None if sums.errors < sums.changes + sums.harmless else False


def _remarks(tools: Sequence[Tool], outcomes: Mapping[str, Mapping[Edit, Outcome]]) -> list[str]:
    """Return a line for each error, with all the edits before it, and for each edit that lightwork missed."""
    edits: dict[tuple[str, str, str], list[str]] = {}
    for tool in tools:
        for edit, outcome in outcomes[tool.name].items():
            if outcome.verdict is Verdict.ERROR or (tool.runner == LIGHTWORK and outcome.detail):
                edits.setdefault((tool.name, outcome.verdict.value, outcome.detail), []).append(edit.kind)
    return [
        f"{name}: {verdict}: {detail} ({'; '.join(kinds)})"
        for (name, verdict, detail), kinds in edits.items()
    ]


def _show(
    tools: Sequence[Tool], edits: Sequence[Edit], outcomes: Mapping[str, Mapping[Edit, Outcome]]
) -> None:
    """Print the whole table, what lightwork missed, and the short table for the README."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    table = Table("edit", *(tool.name for tool in tools), title="after each edit, in a new process")
    for first, *cells in verdicts.matrix(tools, edits, outcomes):
        if cells:
            table.add_row(f"  {first}", *cells)
        else:
            table.add_row(f"[bold]{first}[/]")
    console.print(table)
    console.print("* not claimed by the tool's documentation   ! not kept even without an edit", markup=False)
    for line in _remarks(tools, outcomes):
        console.print(line, markup=False, soft_wrap=True)
    console.print(verdicts.headline(tools, outcomes), markup=False, soft_wrap=True)

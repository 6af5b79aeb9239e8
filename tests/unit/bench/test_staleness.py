"""The bench of edits: its table, what it makes of a run, and that peers stay on this machine."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import measure, staleness
from bench.__main__ import main
from bench.staleness import environments, server, tools, verdicts
from bench.staleness.programs import (
    ARGUMENTS,
    CALLED,
    GROUPS,
    HARMLESS,
    ITSELF,
    Edit,
    Replace,
    lay,
    written,
)
from bench.staleness.table import EDITS
from bench.staleness.tools import PLAIN, TOOLS, Tool
from bench.staleness.verdicts import Outcome, Run, Verdict, judge
from tests.waiting import patience

JOB = "@cached\ndef f(x: int) -> int:\n    return x + 1\n"
CHANGE = Edit("its body", ITSELF, {"job.py": JOB}, {"job.py": Replace("+ 1", "+ 2")})
COMMENT = Edit("a comment", HARMLESS, {"job.py": JOB}, {"job.py": Replace("return", "# why\n    return")})
ONE, TWO = Run(("1",), 1), Run(("2",), 1)
KEPT = Run(("1",), 0)


def tool(name: str = "ours", **more: object) -> Tool:
    return Tool(name, "plain", **more)  # type: ignore[arg-type]


# The table


def test_each_kind_of_edit_is_there_once_and_in_a_group() -> None:
    assert len({edit.kind for edit in EDITS}) == len(EDITS)
    assert {edit.group for edit in EDITS} == set(GROUPS)
    assert sum(not edit.harmless for edit in EDITS) >= 60


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.kind)
def test_an_edit_applies_and_every_tool_can_read_both_programs(edit: Edit) -> None:
    for files in (edit.program, edit.edited()):
        assert "@cached" in str(files["job.py"])
        for one in (PLAIN, *TOOLS):
            for name, text in files.items():
                if name.endswith(".py"):
                    ast.parse(written(str(text), one.header, one.decorator))


def test_an_edit_whose_text_is_not_there_once_is_refused() -> None:
    edit = Edit("a typo", ITSELF, {"job.py": JOB}, {"job.py": Replace("+ 3", "+ 2")})
    with pytest.raises(ValueError, match=r"a typo: job\.py: '\+ 3' occurs 0 times, expected once"):
        edit.edited()


@pytest.mark.parametrize("one", [one for one in TOOLS if one.decorator], ids=lambda one: one.name)
def test_a_program_is_written_as_for_the_tool(one: Tool) -> None:
    text = written(JOB, one.header, one.decorator)
    assert "cached\n" not in text.replace("@memory.cache\n", "")
    assert text.startswith(one.header)
    assert f"{one.decorator}def f" in text
    assert written("N = 1\n", one.header, one.decorator) == "N = 1\n", (
        "only files with a cached function import it"
    )


def test_what_was_in_a_folder_before_is_gone(tmp_path: Path) -> None:
    lay(tmp_path / "p", {"job.py": JOB, "old.py": ""}, "", "")
    lay(tmp_path / "p", {"job.py": JOB}, "", "")
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["job.py"]


def test_a_file_that_stays_the_same_is_not_touched(tmp_path: Path) -> None:
    lay(tmp_path, {"job.py": JOB, "data.txt": "1"}, "", "")
    os.utime(tmp_path / "job.py", (1, 1))
    os.utime(tmp_path / "data.txt", (1, 1))
    lay(tmp_path, {"job.py": JOB, "data.txt": "2"}, "", "")
    assert (tmp_path / "job.py").stat().st_mtime == 1
    assert (tmp_path / "data.txt").stat().st_mtime > 1


# Verdicts


@pytest.mark.parametrize(
    ("edit", "right", "edited", "verdict"),
    [
        (CHANGE, TWO, TWO, Verdict.RIGHT),
        (CHANGE, TWO, KEPT, Verdict.STALE),
        (CHANGE, TWO, Run(("3",), 1), Verdict.STALE),
        (COMMENT, ONE, KEPT, Verdict.HIT),
        (COMMENT, ONE, ONE, Verdict.MISS),
        (COMMENT, ONE, Run(("2",), 0), Verdict.STALE),
    ],
)
def test_a_run_is_judged_by_its_results_first(edit: Edit, right: Run, edited: Run, verdict: Verdict) -> None:
    assert judge(edit, right, KEPT, edited).verdict is verdict


def test_a_tool_that_keeps_nothing_is_told_from_one_that_notices() -> None:
    assert judge(CHANGE, TWO, KEPT, TWO).kept
    assert not judge(CHANGE, TWO, ONE, TWO).kept


def test_totals_leave_out_what_was_not_measured_and_count_claims_apart() -> None:
    helper = Edit("a helper", CALLED, {"job.py": JOB})
    compiled = Edit("in C", ITSELF, {"job.py": JOB})
    outcomes = {
        CHANGE: Outcome(Verdict.RIGHT, kept=True),
        helper: Outcome(Verdict.STALE, kept=True),
        compiled: Outcome(Verdict.NOT_MEASURED),
        COMMENT: Outcome(Verdict.MISS),
    }
    sums = verdicts.totals(tool(claims=frozenset({ITSELF, ARGUMENTS})), outcomes)
    assert (sums.noticed, sums.changes) == (1, 2)
    assert (sums.claimed, sums.claims) == (1, 1)
    assert (sums.hits, sums.harmless) == (0, 1)
    assert (sums.kept, sums.programs, sums.stale) == (2, 3, 1)


def test_the_tables_show_what_is_not_claimed_and_what_is_not_kept() -> None:
    ours, theirs = tool(), tool("theirs", claims=frozenset())
    outcomes = {
        "ours": {CHANGE: Outcome(Verdict.RIGHT), COMMENT: Outcome(Verdict.HIT, kept=True)},
        "theirs": {CHANGE: Outcome(Verdict.STALE, kept=True)},
    }
    rows = verdicts.matrix([ours, theirs], [CHANGE, COMMENT], outcomes)
    assert [ITSELF] in rows
    assert ["its body", "right!", "stale*"] in rows
    assert ["a comment", "hit", "-"] in rows
    assert verdicts.headline([ours, theirs], outcomes).splitlines()[2:] == [
        "| ours | 1 of 1 | 1 of 1 | 1 of 1 |",
        "| theirs | 0 of 1 | not measured | not measured |",
    ]


def test_a_peer_that_ran_nothing_is_no_figure_of_it() -> None:
    peer = tool("theirs", peer="theirs")
    failed, right = Outcome(Verdict.ERROR, detail="no module"), Outcome(Verdict.RIGHT)
    other = Edit("another", ITSELF, {"job.py": JOB})
    rows = staleness._rows(peer, verdicts.totals(peer, {CHANGE: failed, other: failed}))
    assert [row.ok for row in rows] == [False]
    rows = staleness._rows(peer, verdicts.totals(peer, {CHANGE: failed, other: right}))
    assert [row.ok for row in rows] == [None]
    remarks = staleness._remarks([peer], {"theirs": {CHANGE: failed, other: failed}})
    assert remarks == ["theirs: error: no module (its body; another)"]


# Runs


def test_the_last_line_of_a_run_is_read() -> None:
    line = json.dumps({"results": ["1", "'a'"], "computed": 2})
    assert staleness.parse(0, f"chatter\n{line}\n") == Run(("1", "'a'"), 2)


@pytest.mark.parametrize(
    ("code", "output", "message"),
    [
        (1, "Traceback\nValueError: no", "exit code 1: ValueError: no"),
        (0, "", "exit code 0: no output"),
        (0, "[1]", r"exit code 0: \[1\]"),
    ],
)
def test_a_failed_run_says_its_last_line(code: int, output: str, message: str) -> None:
    with pytest.raises(staleness.ProgramError, match=f"^{message}$"):
        staleness.parse(code, output)


def test_a_program_runs_in_processes_of_its_own(tmp_path: Path) -> None:
    with staleness.Bench(PLAIN, Path(sys.executable), tmp_path / "home") as bench:
        right = {CHANGE: bench.run(CHANGE.edited(), tmp_path / "right")}
        assert right[CHANGE] == Run(("3", "4"), 2)
        outcome = bench.outcomes([CHANGE], right, tmp_path / "edits")[CHANGE]
        assert outcome == Outcome(Verdict.RIGHT, kept=False)
        with pytest.raises(staleness.ProgramError, match="ZeroDivisionError"):
            bench.run({"job.py": "@cached\ndef f(x):\n    return 1 / 0\n"}, tmp_path / "fails")


def test_a_program_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "PATIENCE", 0.5)
    with staleness.Bench(PLAIN, Path(sys.executable), tmp_path / "home") as bench:
        job = "import time\n\n\n@cached\ndef f(x):\n    time.sleep(10)\n"
        with pytest.raises(staleness.ProgramError, match="ended before it answered"):
            bench.run({"job.py": job}, tmp_path)


def test_an_edit_that_changes_nothing_is_a_mistake_in_the_table(tmp_path: Path) -> None:
    nothing = Edit("nothing", ITSELF, {"job.py": JOB}, {"job.py": Replace("x + 1", "1 + x")})
    with (
        staleness.Bench(PLAIN, Path(sys.executable), tmp_path / "home") as bench,
        pytest.raises(ValueError, match="nothing: "),
    ):
        staleness._right([nothing], bench, tmp_path)


@pytest.mark.slow
def test_each_edit_of_the_table_changes_the_results_or_does_not_as_it_says(tmp_path: Path) -> None:
    with staleness.Bench(PLAIN, Path(sys.executable), tmp_path) as bench:
        for number, edits in enumerate(staleness._by_program(EDITS)):
            staleness._right(edits, bench, tmp_path / str(number))


# Peers stay here


@pytest.mark.parametrize("address", ["http://127.0.0.1:4200/api", "http://[::1]:4200/api"])
def test_a_server_may_listen_on_this_machine_alone(address: str) -> None:
    assert server.loopback(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://0.0.0.0:4200/api",
        "http://10.0.0.1/api",
        "https://api.example.org",
        "http://127.evil.org/",
        "4200",
    ],
)
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="not an address of the loopback interface"):
        server.loopback(address)
    with pytest.raises(ValueError, match="not an address of the loopback interface"):
        staleness.Bench(PLAIN, Path(sys.executable), Path(), address)


def test_peers_send_nothing_and_inherit_no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "https://example.org/api")
    monkeypatch.setenv("HTTPS_PROXY", "http://example.org:3128")
    for one in TOOLS:
        environment = tools.variables(one, tmp_path, "")
        assert environment["DO_NOT_TRACK"] == "1"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert environment["HAMILTON_TELEMETRY_ENABLED"] == "false"
        assert "PREFECT_API_URL" not in environment
        assert environment["HTTPS_PROXY"] == environment["https_proxy"] == tools.CLOSED
    assert tools.variables(TOOLS[0], tmp_path, "http://127.0.0.1:1/api")["PREFECT_API_URL"]


def test_the_server_ends_with_its_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\n"
        f'exec "{sys.executable}" -c "import http.server, sys; a = sys.argv; '
        "h = type('H', (http.server.BaseHTTPRequestHandler,), "
        "{'do_GET': lambda self: (self.send_response(200), self.end_headers())}); "
        "at = a[a.index('--host') + 1], int(a[a.index('--port') + 1]); "
        'http.server.HTTPServer(at, h).serve_forever()" "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(server, "SECONDS", patience(10))
    with server.prefect(fake, tmp_path / "server") as address:
        assert address.startswith("http://127.0.0.1:")
        assert server._answers(address)
    assert not server._answers(address)


def test_a_server_that_ends_at_once_is_reported(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(RuntimeError, match="ended with 3"), server.prefect(fake, tmp_path / "server"):
        pass


# Environments


def test_the_peers_are_installed_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(measure, "apart", lambda name: ran.append(name) or [])
    CliRunner().invoke(main, [])
    assert "keys" in ran
    assert "staleness" not in ran
    CliRunner().invoke(main, ["staleness"])
    assert ran[-1] == "staleness"


def test_tools_are_chosen_by_a_part_of_their_names() -> None:
    assert [one.name for one in tools.chosen("joblib; hamilton")] == ["joblib.Memory", "Hamilton"]
    assert [one.name for one in tools.chosen("lightwork")] == ["lightwork"], (
        "a whole name means only that one"
    )
    assert tools.chosen("") == TOOLS
    with pytest.raises(ValueError, match="no tool is named 'redun'; known are lightwork"):
        tools.chosen("redun")


def test_each_peer_has_requirements() -> None:
    pinned = {path.stem for path in environments.REQUIREMENTS.glob("*.txt")}
    assert pinned == {one.peer for one in TOOLS if one.peer}


def test_another_pin_has_another_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIGHTWORK_BENCH_CACHE", str(tmp_path))
    assert environments.folder_of("a", "b==1").parent == tmp_path
    assert environments.folder_of("a", "b==1") == environments.folder_of("a", "b==1")
    assert environments.folder_of("a", "b==1") != environments.folder_of("a", "b==2")
    assert not environments.cache_folder().is_relative_to(environments.ROOT)


def test_an_environment_is_made_once_and_again_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIGHTWORK_BENCH_CACHE", str(tmp_path))
    commands: list[list[str]] = []

    def run(name: str, command: list[str]) -> None:
        commands.append(command)
        Path(command[-1]).mkdir(exist_ok=True) if "venv" in command else None
        if len(commands) == 2:
            raise environments.InstallationError(name)

    monkeypatch.setattr(environments, "_run", run)
    with pytest.raises(environments.InstallationError):
        environments.python_of("joblib")
    environments.python_of("joblib")
    assert len(commands) == 4, "an incomplete environment is made again"
    environments.python_of("joblib")
    assert len(commands) == 4
    assert "--require-hashes" in commands[-1]
    assert "installing requirements/peers/joblib.txt into" in capsys.readouterr().err


def test_a_failed_installation_is_one_line() -> None:
    with pytest.raises(
        environments.InstallationError, match=r"^a: cannot install requirements/peers/a\.txt: last$"
    ):
        environments._run("a", [sys.executable, "-c", "import sys; sys.exit('first\\nlast')"])

"""Sessions without `with` that nobody closes: cells that run again, functions in loops, threads."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from lightwork import InputError, connect, current_session, task
from lightwork.runs import openings
from tests.coroutines import run_coroutine
from tests.waiting import patience, wait_until


@task
def double(x: int) -> int:
    return 2 * x


def opened(folder: Path, tenant: str = "acme", **options):
    return connect("serial", lake=folder / "lake", tenant=tenant, progress="off", **options)


def use() -> None:
    assert list(double.map([1, 2])) == [2, 4]


def is_open(count: int) -> bool:
    gc.collect()
    return len(openings.sessions()) == count


@pytest.fixture(autouse=True)
def _none_is_left():
    assert not openings.sessions()
    yield
    for session in openings.sessions():
        session.close()
    wait_until(lambda: is_open(0), "all sessions closed")


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTWORK_LAKE", raising=False)
    return tmp_path


def test_a_second_session_with_the_same_arguments_closes_the_first(lake):
    first = opened(lake)
    use()
    second = opened(lake)
    assert not first.closed  # a `with` statement may follow
    use()
    assert first.closed
    assert current_session() is second
    with pytest.raises(InputError, match="called again with the same arguments"):
        first.__enter__()


@pytest.mark.parametrize(
    "difference",
    [
        {"tenant": "globex"},
        pytest.param({"refresh": True}, marks=pytest.mark.slow),
        pytest.param({"parameters": {"n": 1}}, marks=pytest.mark.slow),
    ],
)
def test_a_session_with_other_arguments_closes_the_first_once_nobody_refers_to_it(lake, difference):
    session = opened(lake)
    session.artifacts.write("table", pd.DataFrame({"a": [1]}))
    use()
    kept = session
    session = opened(lake, **difference)
    use()
    assert not kept.closed
    assert is_open(2)
    del kept
    wait_until(lambda: is_open(1), "the first session closed")
    assert current_session() is session
    session.close()


def test_a_session_that_is_still_referred_to_is_current_again(lake):
    first = opened(lake)
    use()
    second = opened(lake, tenant="globex")
    use()
    second.close()
    assert current_session() is first
    use()
    first.close()
    with pytest.raises(InputError):
        current_session()


@pytest.mark.sample(1)
@pytest.mark.parametrize("used", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("same", [True, False])
def test_a_function_that_opens_without_closing_can_be_called_often(lake, used, same):
    def function(number: int) -> None:
        session = opened(lake, tenant="acme" if same else f"tenant-{number}")
        assert current_session() is session
        if used:
            use()

    for number in range(6):
        function(number)
    # The last one stays current, and if it has not been used, so does the one before it.
    wait_until(lambda: is_open(1) or (not used and is_open(2)), "the others closed")


def test_a_session_within_a_with_statement_replaces_none(lake):
    first = opened(lake)
    use()
    with opened(lake) as inner:
        use()
        assert current_session() is inner
    assert current_session() is first
    use()
    with opened(lake) as outer:
        without = opened(lake)
        use()
        assert not outer.closed
        without.close()
        assert current_session() is outer


def test_an_input_that_opens_a_session_leaves_the_one_that_reads_it(lake):
    def rows():
        opened(lake)
        yield from double.map([1, 2, 3])

    session = opened(lake)
    assert list(double.map(rows())) == [4, 8, 12]
    assert not session.closed


def test_coroutines_that_run_at_once_keep_their_own(lake):
    async def work(both: asyncio.Barrier):
        session = opened(lake)
        use()
        await both.wait()
        use()
        assert current_session() is session

    async def main():
        both = asyncio.Barrier(2)
        await asyncio.gather(work(both), work(both))
        session = opened(lake)  # the coroutines have ended
        use()
        assert openings.sessions() == [session]

    run_coroutine(main())


@pytest.mark.slow
def test_cells_of_a_notebook(lake):
    """Each runs as a task of its own in one thread, as kernels do it."""
    names = {"opened": opened, "lake": lake, "use": use}
    kernel = asyncio.new_event_loop()

    async def cell(code: str) -> None:
        exec(code, names)

    def run(*cells: str) -> None:
        for code in cells:
            kernel.run_until_complete(cell(code))

    connecting = "session = opened(lake)"
    try:
        run(connecting, "use()", connecting, "use()", "session.map; use()", connecting, "use()")
        assert openings.sessions() == [names["session"]]
        run("session = opened(lake, tenant='globex')", "use()")
        wait_until(lambda: is_open(1), "the session of the cell as it was before")
        run("assert session.elements['total'] == 2", "session.close()")
    finally:
        kernel.close()


def in_thread(function) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@pytest.mark.slow
def test_threads_keep_their_own_until_they_end(lake):
    ready, end = threading.Barrier(3, timeout=patience(30)), threading.Event()
    errors, kept = [], []

    def work() -> None:
        try:
            session = opened(lake)
            use()
            ready.wait()
            end.wait(patience(30))
            assert current_session() is session
            use()
        except BaseException as error:
            errors.append(error)

    threads = [in_thread(work), in_thread(work)]
    ready.wait()
    assert is_open(2)
    end.set()
    for thread in threads:
        thread.join()
    assert not errors
    in_thread(lambda: kept.append(opened(lake, tenant="kept"))).join()
    session = opened(lake)
    use()
    wait_until(lambda: is_open(2), "the sessions of threads that have ended")
    assert openings.sessions() == [kept[0], session]


SCRIPT = """
import gc, threading, time
from pathlib import Path
from lightwork import connect, task

@task(cache=False)
def one(x): return 1

def processes():
    mine = Path(f"/proc/self/task").parent.name
    own = str(__import__("os").getpid())
    return sum(f"PPid:\\t{own}\\n" in (folder / "status").read_text()
               and "spawn_main" in (folder / "cmdline").read_text()
               for folder in Path("/proc").iterdir() if folder.name.isdigit() and folder.exists())

def settled(count):
    limit = time.monotonic() + 60
    while processes() != count and time.monotonic() < limit:
        gc.collect(); time.sleep(0.05)
    return processes()

def cell(workers):
    session = connect(on="local", workers=workers, lake="lake", progress="off")
    assert list(one.map(range(3))) == [1] * 3

if __name__ == "__main__":
    cell(1); print(settled(1))
    cell(1); print(settled(1))
    cell(2); print(settled(2))
    thread = threading.Thread(target=cell, args=(1,)); thread.start(); thread.join()
    cell(2); print(settled(2))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are counted in /proc")
def test_no_worker_process_is_left(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    shown, _ = process.communicate(timeout=patience(60))
    assert (shown.split(), process.returncode) == (["1", "1", "2", "2"], 0)

    def left() -> list[str]:
        groups = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
        return [fields[0] for fields in groups if fields[3] == str(process.pid)]

    wait_until(lambda: not left(), "the end of all processes")

"""A lake that is away is waited for, within one budget; what it refuses is raised at once."""

from __future__ import annotations

import builtins
import errno
import functools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lightwork import LakeAway
from lightwork.errors import LightworkError
from lightwork.lake import Lake, open_lake, syncing
from lightwork.lake import patience as policy
from lightwork.lake.threads import in_threads
from tests.unit.lightwork.outages import Gateway, gateway_in
from tests.waiting import patience, wait_until

AWAY = [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ECONNREFUSED]
REFUSED = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM]

CALLS = {
    "read": lambda lake: lake.read("a/x"),
    "read_range": lambda lake: lake.read_range("a/x", 0, 1),
    "write": lambda lake: lake.write("a/new", b"1"),
    "create": lambda lake: lake.create("a/created", b"1"),
    "entries": lambda lake: [entry.path for entry in lake.entries("a")],
    "folders": lambda lake: lake.folders(),
    "delete": lambda lake: lake.delete(["a/x"]),
    "exists": lambda lake: lake.exists("a/x"),
}
RESULTS = {
    "read": b"1",
    "read_range": b"1",
    "create": True,
    "entries": ["a/x"],
    "folders": ["a"],
    "exists": True,
}
_SYSTEM_CALLS = {
    "read": (builtins, "open"),
    "read_range": (builtins, "open"),
    "write": (os, "open"),
    "create": (os, "link"),
    "entries": (os, "scandir"),
    "folders": (os, "scandir"),
    "delete": (os, "unlink"),
    "exists": (os, "stat"),
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    """No wait of another test counts."""
    monkeypatch.setattr(policy, "_state", policy._State())


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Lake:
    monkeypatch.setattr(policy, "_FIRST_PAUSE", 0.002)
    lake = open_lake(tmp_path / "lake", tenant="acme", patience=patience(20))
    lake.write("a/x", b"1")
    return lake


def _failing(monkeypatch, place: object, name: str, lake: Lake, number: int, times: float) -> list[int]:
    """Let a function fail on paths in the lake; return the list to which each failure is appended."""
    real, failures = getattr(place, name), []

    @functools.wraps(real)
    def function(path, *args, **options):
        if str(path).startswith(str(lake._base)) and len(failures) < times:
            failures.append(number)
            raise OSError(number, os.strerror(number), path)
        return real(path, *args, **options)

    monkeypatch.setattr(place, name, function)
    return failures


@pytest.mark.parametrize("number", AWAY, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_a_folder_that_is_away_for_a_moment_is_waited_for(folder, monkeypatch, call, number) -> None:
    with monkeypatch.context() as patch:
        failures = _failing(patch, *_SYSTEM_CALLS[call], folder, number, 2)
        assert CALLS[call](folder) == RESULTS.get(call)
    assert failures == [number, number]
    assert folder.exists("a/new") is (call == "write")
    assert folder.exists("a/x") is (call != "delete")


@pytest.mark.parametrize("number", REFUSED, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_what_a_folder_refuses_is_raised_at_once(folder, monkeypatch, call, number) -> None:
    with monkeypatch.context() as patch:
        failures = _failing(patch, *_SYSTEM_CALLS[call], folder, number, 99)
        with pytest.raises(LightworkError, match=r"cannot \w+ .*; (give|free|mount)") as caught:
            CALLS[call](folder)
    assert failures == [number]
    assert not isinstance(caught.value, LakeAway)


def test_a_file_whose_name_could_not_be_synced_at_first_was_created_by_this_call(folder, monkeypatch) -> None:
    real, failures = syncing.sync_folder, []

    def fail_once(*args):
        if not failures:
            failures.append(1)
            raise OSError(errno.EIO, "Input/output error")
        real(*args)

    monkeypatch.setattr(syncing, "sync_folder", fail_once)
    assert folder.create("a/new", b"1") is True
    assert failures
    assert folder.create("a/new", b"2") is False


def test_a_link_whose_reply_was_lost_was_made_by_this_call(folder, monkeypatch) -> None:
    real = os.link

    def link(source, target):
        real(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", link)
    assert folder.create("a/new", b"1") is True


def _never(attempts: list[float]):
    def attempt():
        attempts.append(time.monotonic())
        raise LakeAway("cannot read x: it is away")

    return attempt


def test_the_wait_ends_with_the_budget_and_pauses_grow_and_vary() -> None:
    attempts: list[float] = []
    start = time.monotonic()
    with pytest.raises(LakeAway, match=r"^cannot read x: it is away; gave up after 1 s$"):
        policy.patiently("lake", 1.0, _never(attempts))
    assert 1.0 <= time.monotonic() - start < patience(2)
    assert 4 <= len(attempts) < 20


def test_without_patience_there_is_one_attempt() -> None:
    attempts: list[float] = []
    with pytest.raises(LakeAway, match=r"^cannot read x: it is away$"):
        policy.patiently("lake", 0, _never(attempts))
    with policy.hurried(), pytest.raises(LakeAway):
        policy.patiently("lake", 60, _never(attempts))
    assert len(attempts) == 2


def test_after_a_wait_further_calls_do_not_wait_again(monkeypatch) -> None:
    attempts: list[float] = []
    with pytest.raises(LakeAway):
        policy.patiently("lake", 0.2, _never(attempts))
    before = len(attempts)
    with pytest.raises(LakeAway, match="it is away; gave up"):
        policy.patiently("lake", 0.2, _never(attempts))
    with pytest.raises(LakeAway, match="it is away; gave up"), policy.hurried():
        policy.patiently("lake", 60, _never(attempts))
    assert len(attempts) == before
    assert policy.patiently("another lake", 0.2, lambda: 1) == 1
    monkeypatch.setattr(policy, "_ONE_WAIT", 0.0)
    assert policy.patiently("lake", 0.2, lambda: 2) == 2


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_a_call_in_the_background_that_gives_up_early_ends_no_wait_of_the_run(seconds: float) -> None:
    with pytest.raises(LakeAway):
        policy.patiently("lake", seconds, _never([]))
    assert policy.patiently("lake", 60, lambda: 1) == 1


def _interrupt_soon() -> None:
    threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()


@pytest.mark.parametrize("where", ["here", "threads"])
def test_an_interrupt_ends_a_wait_at_once(where: str) -> None:
    over = threading.Event()

    def attempt() -> None:
        if not over.is_set():
            raise LakeAway("cannot read x: it is away")

    def wait(_: int = 0) -> None:
        policy.patiently("lake", patience(60), attempt)

    _interrupt_soon()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        wait() if where == "here" else in_threads(wait, range(4), 4)
    assert time.monotonic() - start < patience(3)
    if where == "here":  # what the end of the run still has for the lake
        with pytest.raises(LakeAway, match="the wait for the lake lake was interrupted"):
            wait()
        assert time.monotonic() - start < patience(3)
    else:
        names = {f"lightwork-lake-{number}" for number in range(4)}
        wait_until(lambda: not names & {thread.name for thread in threading.enumerate()}, "all threads end")
    over.set()


def test_threads_return_results_in_order_and_raise_the_first_error() -> None:
    assert in_threads(lambda number: number * 2, range(50), 8) == [2 * number for number in range(50)]
    assert in_threads(str, [1], 8) == ["1"]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 // (number - 3), range(50), 8)


def test_many_calls_that_wait_say_so_once_and_once_when_it_is_back(monkeypatch, caplog) -> None:
    monkeypatch.setattr(policy, "_SAY_AFTER", 0.2)
    monkeypatch.setattr(policy, "_LOOK_EVERY", 0.05)
    back = threading.Event()

    def attempt() -> int:
        if not back.is_set():
            raise LakeAway("cannot read x: it is away")
        return 1

    def lines() -> list[str]:
        return [str(record.msg["event"]) for record in caplog.records if "lake" in str(record.msg)]

    with caplog.at_level("INFO"), ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(policy.patiently, "s3://b/acme", patience(60), attempt) for _ in range(8)]
        wait_until(lambda: len(lines()) > 0, "a line says what is waited for")
        time.sleep(0.3)
        back.set()
        assert [call.result() for call in calls] == [1] * 8
    assert len(lines()) == 2
    waiting = f"waiting up to {patience(60):g} s for the lake s3://b/acme: cannot read x: it is away"
    assert lines()[0] == waiting
    assert lines()[1].startswith("the lake s3://b/acme responds again after ")


def test_a_call_without_a_response_is_told_too_but_not_one_that_gets_data(monkeypatch, caplog) -> None:
    monkeypatch.setattr(policy, "_SAY_AFTER", 0.3)
    monkeypatch.setattr(policy, "_LOOK_EVERY", 0.05)

    def slow() -> None:
        for _ in range(8):
            time.sleep(0.1)
            policy.note_progress()

    with caplog.at_level("INFO"):
        policy.patiently("lake", 60, slow)
        policy.patiently("lake", 60, lambda: time.sleep(0.8), size=64 << 20)
        assert not caplog.records
        policy.patiently("lake", 60, lambda: time.sleep(0.8))
    assert "no response for" in str(caplog.records[0].msg)


def test_of_all_workers_that_wait_one_line_is_shown() -> None:
    def line(level: str, lake: str = "l") -> str:
        return f'{{"level": "{level}", "event": "x", "waits_for": "{lake}"}}'

    assert policy.is_news('{"level": "info", "event": "x"}')
    assert [policy.is_news(line("warning")) for _ in range(3)] == [True, False, False]
    assert policy.is_news(line("warning", "another"))
    assert [policy.is_news(line("info")) for _ in range(3)] == [True, False, False]


def test_a_worker_whose_lake_is_back_is_not_shown_while_this_process_still_waits(caplog) -> None:
    line = '{"level": "%s", "event": "x", "waits_for": "l"}'
    shown: list[bool] = []
    attempts = iter(range(3))

    def attempt() -> None:
        number = next(attempts)
        if number == 1:  # this process has met the outage, and two workers tell of it
            shown.extend(policy.is_news(line % level) for level in ("warning", "info", "warning", "info"))
        if number < 2:
            raise LakeAway("it is away")

    with caplog.at_level("INFO", "lightwork"):
        policy.patiently("l", patience(60), attempt)
    assert shown == [True, False, False, False]
    assert [record.msg["event"] for record in caplog.records] == ["the lake l responds again after 0 s"]


# The real server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with gateway_in(tmp_path_factory.mktemp("s3")) as gateway:
        yield gateway


@pytest.fixture
def bucket(server: Gateway, monkeypatch) -> Lake:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, text in server.environment().items():
        monkeypatch.setenv(name, text)
    lake = open_lake("s3://lake", tenant="acme", patience=patience(60))
    lake.delete([entry.path for entry in lake.entries()])
    lake.write("a/x", b"1")
    return lake


def test_a_server_that_is_started_again_is_waited_for_by_every_call(server, bucket) -> None:
    calls = dict(CALLS)
    del calls["delete"]
    server.stop()
    with ThreadPoolExecutor(len(calls)) as pool:
        running = {name: pool.submit(call, bucket) for name, call in calls.items()}
        time.sleep(0.5)
        assert not any(future.done() for future in running.values())
        server.start()
        results = {name: future.result() for name, future in running.items()}
    assert "a/x" in results["entries"]
    assert {**results, "entries": ["a/x"]} == {"write": None, **RESULTS}
    assert bucket.read("a/new") == bucket.read("a/created") == b"1"


def test_a_large_file_and_a_table_survive_an_outage(server, bucket, monkeypatch) -> None:
    import pyarrow as pa

    from lightwork.lake import s3
    from lightwork.store import tables_reading
    from lightwork.store.artifacts import Artifacts

    monkeypatch.setattr(s3, "_ONE_PUT", 6 << 20)
    monkeypatch.setattr(s3, "_PART", 5 << 20)
    data = os.urandom(12 << 20)
    artifacts = Artifacts(bucket, run_id="r", provenance={})
    artifacts.write("t", pa.table({"x": [1, 2]}))
    # Otherwise the lake's own reads, before those of pyarrow, wait until the server is there.
    monkeypatch.setattr(tables_reading, "_check_footers", lambda *_: None)
    document = artifacts._newest("t", None, "table")
    monkeypatch.setattr(Artifacts, "_newest", lambda *_: document)
    server.stop()
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(bucket.write, "big", data)
        reading = pool.submit(artifacts.read, "t")
        time.sleep(2.5)  # longer than pyarrow's own attempts
        server.start()
        writing.result()
        assert list(reading.result()["x"]) == [1, 2]
    assert bucket.read("big") == data


def test_a_frozen_server_is_given_up_when_the_patience_ends(server, bucket) -> None:
    hasty = bucket.with_patience(2.0)
    server.freeze()
    try:
        start = time.monotonic()
        with ThreadPoolExecutor(len(CALLS)) as pool:
            futures = [pool.submit(call, hasty) for call in CALLS.values()]
            errors = [future.exception() for future in futures]
        seconds = time.monotonic() - start
    finally:
        server.thaw()
    assert {type(error) for error in errors} == {LakeAway}
    assert 2.0 <= seconds < patience(5)


@pytest.mark.parametrize(
    "wrong", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "nobody"}], ids=["secret", "key"]
)
@pytest.mark.parametrize("call", ["read", "write", "entries"])
def test_wrong_credentials_are_refused_at_once(bucket, monkeypatch, wrong, call) -> None:
    for name, text in wrong.items():
        monkeypatch.setenv(name, text)
    start = time.monotonic()
    with pytest.raises(LightworkError, match=r"^cannot \w+ s3://lake/acme") as caught:
        CALLS[call](bucket)
    assert not isinstance(caught.value, LakeAway)
    assert time.monotonic() - start < patience(3)


def test_a_denied_write_is_refused_at_once_and_reading_goes_on(server, bucket) -> None:
    server.deny("s3:PutObject")
    try:
        for call in ("write", "create"):
            with pytest.raises(LightworkError, match=r"cannot write .*: access denied; [^;]*$") as caught:
                CALLS[call](bucket.with_patience(2.0))
            assert not isinstance(caught.value, LakeAway)
        assert bucket.read("a/x") == b"1"
    finally:
        server.allow()


@pytest.mark.parametrize("how", ["stop", pytest.param("freeze", marks=pytest.mark.slow)])
def test_pyarrow_says_whether_the_lake_is_away(server, bucket, how) -> None:
    system, base = bucket.arrow()
    assert system.open_input_file(f"{base}/a/x").read() == b"1"
    with pytest.raises(OSError, match="none") as missing:
        system.open_input_file(f"{base}/a/none")
    assert not bucket.is_away(missing.value)
    getattr(server, how)()
    try:
        with pytest.raises(OSError, match="AWS Error") as caught:
            system.open_input_file(f"{base}/a/x")
    finally:
        server.stop()
        server.start()
    assert bucket.is_away(caught.value), caught.value

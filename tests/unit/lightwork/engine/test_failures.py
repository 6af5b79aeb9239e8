"""Whatever an element raises or returns, it is that element's outcome: the map goes on."""

from __future__ import annotations

import asyncio
import bdb
import dataclasses
import inspect
import os
import signal
import threading

import pytest

from lightwork import ElementError, LightworkError, connect, task
from lightwork.functions import mapped


class StopRun(BaseException):
    pass


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int = 5


class SlottedError(Exception):
    __slots__ = ("code",)

    def __setattr__(self, name, value):
        raise AttributeError(name)


class TextError(Exception):
    def __str__(self):
        raise StopRun

    __repr__ = __str__


class ReducesBadlyError(Exception):
    def __reduce__(self):
        raise StopRun


class HidesError(Exception):
    """Has no attributes, except for pytest when it shows why a test failed."""

    def __getattribute__(self, name):
        if "_pytest/_code/" in "".join(str(frame.filename) for frame in inspect.stack(0)[1:8]):
            return super().__getattribute__(name)
        raise RuntimeError(name)


class TwoArgumentsError(Exception):
    """Pickles, and does not unpickle by its own means."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class HoldsLockError(Exception):
    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


def _load_here(pid):
    if os.getpid() != pid:
        raise StopRun
    return OnlyThereError("there")


class OnlyThereError(Exception):
    """Unpickles only in the process that pickled it."""

    def __reduce__(self):
        return _load_here, (os.getpid(),)


class OddResult:
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        raise StopRun

    __bool__ = __len__ = __hash__ = __eq__


def _load_nowhere():
    raise StopRun


class UnloadableResult:
    def __reduce__(self):
        return _load_nowhere, ()


class UnsendableResult:
    def __reduce__(self):
        raise StopRun


def recurse():
    return recurse()


def chain():
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise OSError("second") from error
    except OSError as error:
        raise FrozenError(7) from error


def context():
    try:
        raise HoldsLockError
    except HoldsLockError:
        raise ValueError("after it")  # noqa: B904


def group():
    try:
        raise KeyError("inner")
    except KeyError as error:
        inner = ValueError("one")
        inner.__cause__ = error
        raise ExceptionGroup("both", [inner, HoldsLockError()]) from error


def thread_dies():
    thread = threading.Thread(target=raising(StopRun()))
    thread.start()
    thread.join()
    raise ValueError("its thread died")


def raising(error):
    def run():
        raise error

    return run


def long_chain():
    error = None
    for number in range(2000):
        link = ValueError(number)
        link.__context__ = error
        error = link
    error.__cause__ = error.__context__
    raise error


MAKERS = {
    "ValueError": lambda: raising(ValueError("no"))(),
    "frozen": lambda: raising(FrozenError())(),
    "slotted": lambda: raising(SlottedError("slots"))(),
    "text raises": lambda: raising(TextError())(),
    "reduce raises": lambda: raising(ReducesBadlyError("text"))(),
    "attributes raise": lambda: raising(HidesError())(),
    "two arguments": lambda: raising(TwoArgumentsError(1, 2))(),
    "holds a lock": lambda: raising(HoldsLockError())(),
    "loads only there": lambda: raising(OnlyThereError("there"))(),
    "own BaseException": lambda: raising(StopRun("stop"))(),
    "pytest.skip": lambda: pytest.skip("skipped"),
    "pytest.fail": lambda: pytest.fail("failed"),
    "GeneratorExit": lambda: raising(GeneratorExit())(),
    "StopIteration": lambda: next(iter(())),
    "StopAsyncIteration": lambda: raising(StopAsyncIteration())(),
    "CancelledError": lambda: raising(asyncio.CancelledError())(),
    "TimeoutError": lambda: raising(TimeoutError())(),
    "OSError": lambda: raising(ConnectionResetError("gone"))(),
    "SystemExit": lambda: raising(SystemExit(3))(),
    "KeyboardInterrupt": lambda: raising(KeyboardInterrupt())(),
    "RecursionError": recurse,
    "MemoryError": lambda: raising(MemoryError())(),
    "huge text": lambda: raising(ValueError("x" * 10_000_000))(),
    "surrogates": lambda: raising(ValueError("\udcff"))(),
    "long chain": long_chain,
    "a LightworkError": lambda: raising(LightworkError("own"))(),
    "chain": chain,
    "context": context,
    "group": group,
    "thread dies": thread_dies,
    "unsendable result": UnsendableResult,
    "unloadable result": UnloadableResult,
}
ON_WORKERS_ONLY = {"unsendable result", "unloadable result"}
"""In one process these are results like others, which are not cached."""


@task(cache=False)
def make(kind: str) -> object:
    return MAKERS[kind]() if kind in MAKERS else kind


@task
def kept(kind: str) -> object:
    return MAKERS[kind]() if kind in MAKERS else kind


@pytest.fixture(params=list(MAKERS))
def kind(request, session):
    if session.on == "serial" and request.param in ON_WORKERS_ONLY:
        pytest.skip("a result like others on serial")
    return request.param


@pytest.mark.sample(24)
@pytest.mark.parametrize("function", [make.fn, kept.fn], ids=["plain", "cached"])
def test_it_is_the_failure_of_its_element_alone(session, kind, function):
    cache = function is kept.fn
    results = task(cache=cache, on_error="collect", retries=1, retry_delay=0)(function).map(["a", kind, "b"])
    first, error, last = results
    assert (first, last, type(error), error.index) == ("a", "b", ElementError, 1)
    assert results.stats.failed == 1
    assert "\n" not in str(error)
    assert len(str(error)) < 5000
    skipped = task(cache=cache, on_error="skip")(function).map(["a", kind, "b"])
    assert list(skipped) == ["a", "b"]
    with pytest.raises(ElementError) as caught:
        list(task(cache=cache)(function).map([kind]))
    assert caught.value.index == 0
    future = task(cache=cache)(function).submit(kind)
    with pytest.raises(ElementError):
        future.result()
    if kind not in ON_WORKERS_ONLY:
        assert isinstance(future.exception().__cause__, BaseException)
    assert task(cache=cache)(function).submit("after").result() == "after"


HOSTILE = ["attributes raise", "text raises", "own BaseException", "reduce raises", "holds a lock"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_so_in_a_process_that_has_mapped_an_array(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(mapped, "USED", True)
    with connect(on="serial", lake=tmp_path, progress="off"):
        error = outcome(None, kind, "map")
        assert type(error) is ElementError
        assert mapped.ADVICE not in str(error)


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_an_input_raises_ends_a_serial_map_as_it_is(tmp_path, kind):
    def elements():
        yield "a"
        MAKERS[kind]()

    with connect(on="serial", lake=tmp_path, progress="off"):
        seen = None
        try:
            list(kept.map(elements()))
        except BaseException as error:
            seen = type(error)
    assert seen not in (None, RuntimeError)


CAUSES = {
    "ValueError": ValueError,
    "frozen": FrozenError,
    "slotted": SlottedError,
    "two arguments": TwoArgumentsError,
    "holds a lock": HoldsLockError,
    "own BaseException": StopRun,
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "chain": FrozenError,
    "group": ExceptionGroup,
}


def outcome(session, kind, how):
    if how == "submit":
        return make.submit(kind).exception()
    return next(task(cache=False, on_error="collect")(make.fn).map([kind]))


@pytest.mark.parametrize("how", ["map", "submit"])
@pytest.mark.parametrize("kind", list(CAUSES))
def test_the_cause_is_the_exception_itself(session, kind, how):
    assert type(outcome(session, kind, how).__cause__).__name__ == CAUSES[kind].__name__


@pytest.mark.parametrize("how", ["map", "submit"])
def test_causes_contexts_and_groups_survive(session, how):
    error = outcome(session, "chain", how).__cause__
    assert error.code == 7
    assert str(error.__cause__) == "second"
    assert error.__cause__.__cause__.args == ("first",)
    after = outcome(session, "context", how).__cause__
    assert type(after.__context__).__name__ == "HoldsLockError"
    several = outcome(session, "group", how).__cause__
    assert [str(member) for member in several.exceptions] == ["one", "locked"]
    assert several.exceptions[0].__cause__.args == ("inner",)


@pytest.mark.parametrize("kind", ["loads only there", "reduce raises", "attributes raise"])
def test_what_does_not_load_by_its_own_means_is_built_from_its_parts(workers, kind):
    error = outcome(workers, kind, "map")
    assert type(error.__cause__).__name__ == error.error.partition(":")[0]


def test_what_cannot_be_sent_is_there_as_text(workers):
    error = outcome(workers, "huge text", "map")
    assert str(error.__cause__) == error.error


@task(cache=False)
def odd(number: int) -> object:
    return OddResult(number)


def test_a_result_with_odd_methods_is_a_result(session):
    assert [vars(result)["number"] for result in odd.map(range(3))] == [0, 1, 2]
    assert vars(odd.submit(4).result())["number"] == 4
    cached = task(odd.fn)
    for _ in range(2):
        assert [vars(result)["number"] for result in cached.map(range(3))] == [0, 1, 2]


def test_a_large_result_that_cannot_be_loaded_fails_alone(workers):
    @task(on_error="collect")
    def big(number: int) -> object:
        return UnloadableResult() if number == 1 else [bytes(5 << 20)]

    results = list(task(on_error="collect", batch=4)(big.fn).map(range(4)))
    assert [isinstance(result, ElementError) for result in results] == [False, True, False, False]


def test_neighbours_of_a_kept_result_that_cannot_be_loaded_are_found(workers):
    mixed = task(on_error="skip", batch=4)(kept.fn)
    elements = [["a"], "unloadable result", ["b"]]

    @task(on_error="skip", batch=4)
    def either(element: object) -> object:
        return UnloadableResult() if element == "unloadable result" else element

    assert list(either.map(elements)) == [["a"], ["b"]]
    again = either.map(elements)
    assert list(again) == [["a"], ["b"]]
    assert again.stats.cached == 2
    assert mixed.name.endswith("kept")


class LoadsBadly:
    def __reduce__(self):
        return _load_nowhere, ()


def test_an_argument_that_cannot_be_loaded_fails_its_call_alone(workers):
    @task(cache=False, on_error="collect")
    def show(value: object) -> str:
        return type(value).__name__

    first, second, third = show.map([1, LoadsBadly(), "a"])
    assert (first, third) == ("int", "str")
    assert isinstance(second, ElementError)
    assert isinstance(show.submit(LoadsBadly()).exception(), ElementError)


def test_retries_get_the_input_as_it_was(session):
    @task(cache=False, retries=2, retry_delay=0)
    def spoil(values: list[int]) -> list[int]:
        values.append(0)
        if len(values) > 2 or values[0] == 1:
            raise StopRun(str(values))
        return values

    error = spoil.submit([1]).exception()
    assert isinstance(error, ElementError)
    assert error.error == "StopRun: [1, 0]"
    error = next(task(cache=False, retries=2, retry_delay=0, on_error="collect")(spoil.fn).map([[1]]))
    assert error.error == "StopRun: [1, 0]"


# What ends the run


@task(cache=False, on_error="skip")
def quit_debugger(number: int) -> int:
    raise bdb.BdbQuit


def test_quitting_the_debugger_ends_the_run(session):
    expected = bdb.BdbQuit if session.on == "serial" else LightworkError
    with pytest.raises(expected) as caught:
        list(quit_debugger.map(range(3)))
    assert not isinstance(caught.value, ElementError)


def wrapped(number):
    try:
        os.kill(os.getpid(), number)
        for _ in range(1000):
            pass
    except KeyboardInterrupt as error:
        raise ValueError("wrapped") from error


SIGNALS = {
    "SIGINT": (signal.SIGINT, KeyboardInterrupt, lambda: os.kill(os.getpid(), signal.SIGINT)),
    "SIGINT made an error": (signal.SIGINT, KeyboardInterrupt, lambda: wrapped(signal.SIGINT)),
    "SIGTERM": (signal.SIGTERM, SystemExit, lambda: os.kill(os.getpid(), signal.SIGTERM)),
    "SIGUSR1": (signal.SIGUSR1, StopRun, lambda: os.kill(os.getpid(), signal.SIGUSR1)),
}


@pytest.fixture
def serial(tmp_path):
    from lightwork import connect

    with connect(on="serial", lake=tmp_path / "lake", progress="off") as opened:
        yield opened


@pytest.mark.parametrize("how", ["map", "submit"])
@pytest.mark.parametrize("name", list(SIGNALS))
def test_a_signal_ends_the_run(serial, name, how):
    number, error, send = SIGNALS[name]

    @task(cache=False, on_error="skip", retries=3, retry_delay=0)
    def interrupted(x: int) -> int:
        send()
        return x

    def stop(*_):
        raise error

    before = signal.getsignal(number)
    handler = signal.default_int_handler if number == signal.SIGINT else stop
    signal.signal(number, handler)
    try:
        with pytest.raises(error):
            list(interrupted.map(range(3))) if how == "map" else interrupted.submit(1)
        assert signal.getsignal(number) is handler
        assert list(task(cache=False, on_error="skip")(make.fn).map(["a", "KeyboardInterrupt", "b"])) == [
            "a",
            "b",
        ]
    finally:
        signal.signal(number, before)


def test_after_an_interrupt_an_element_may_raise_its_own(serial):
    results = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
    except KeyboardInterrupt:
        results = list(task(cache=False, on_error="skip")(make.fn).map(["a", "ValueError", "b"]))
    finally:
        signal.signal(signal.SIGINT, before)
    assert results == ["a", "b"]


@task(on_error="skip")
def halved(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


@task
def picky(number: int) -> int:
    raise KeyError(number)


def test_failed_elements_are_kept_and_all_are_counted_by_task(session):
    assert list(halved.map(range(4))) == [0, 1]
    assert list(halved.map([5])) == []
    with pytest.raises(ElementError):
        list(picky.map([1], shared={}))
    with pytest.raises(ElementError):
        picky.submit(2).result()
    tally = session.runner.tally
    rows = sorted(tally.failures.rows, key=lambda row: (row["task"], row["map"], str(row["index"])))
    assert [(row["map"], row["index"]) for row in rows] == [(1, 1), (1, 3), (2, 0), (1, 0), (1, None)]
    assert [row["error"] for row in rows[:3]] == [f"ValueError: {number} is odd" for number in (1, 3, 5)]
    assert all("Error" in row["traceback"] for row in rows)
    assert session.runner.counts_by_task() == {
        halved.name: {"total": 5, "cached": 0, "computed": 2, "failed": 3},
        picky.name: {"total": 2, "cached": 0, "computed": 0, "failed": 2},
    }
    assert tally.code_keys.keys() == {halved.name, picky.name}


def test_what_is_kept_of_failed_elements_is_bounded(monkeypatch):
    from lightwork.store import failures

    monkeypatch.setattr(failures, "MOST", 3)
    kept = failures.Failures()
    for number in range(5):
        kept.add(ElementError("t", number, "i" * 10_000, "e" * 10_000, "x" * 100_000))
    assert (len(kept.rows), kept.omitted, len(kept)) == (3, 2, 5)
    assert len(str(kept.rows)) < 3 * 25_000
    monkeypatch.setattr(failures, "MOST_CHARACTERS", 10)
    kept = failures.Failures()
    kept.add(ElementError("t", 1, "", "too long"))
    assert (kept.rows, kept.omitted) == ([], 1)

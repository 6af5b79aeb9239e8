"""What all tests share: a timeout for each, hypothesis without deadlines, and the tests that are slow."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.samples import mark_slow
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling

YOUNG = (50_000, 20, 20)
"""How many new objects, and collections of younger ones, make the collector look at each generation."""
TEST_SECONDS = 120
"""The most that a test takes on an idle machine; `pytest.mark.timeout` gives a test another limit."""

settings.register_profile(
    "lightwork",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("lightwork")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a wrong patience before anything is collected."""
    try:
        patience(1)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Spare the collector of cyclic garbage what the tests import: all of it stays until the end.

    It would look through some millions of objects, again and again, above all where a test collects garbage.
    It also looks at the tests' own objects less often than usual, which took a third of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*YOUNG)
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Look for garbage once, then spare the collector all that is left.

    pytest itself looks five times after this, for errors that garbage raises, and Python when it exits.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let a process of xdist end without taking apart all that it has imported, which takes seconds."""
    if hasattr(config, "workerinput"):
        atexit.register(_leave)


def _leave() -> None:
    """End this process once all others that wanted to be called at its end have been."""
    atexit.unregister(_leave)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Spread the tests over processes as `tests.scheduler` says, where the unit is a file."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.scheduler import Scheduler

    return Scheduler(config, log)


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """Share what botocore reads of its models between sessions, as clients of one session do.

    Reading them takes a quarter of a second for each session, and many tests open one of their own.
    """
    from botocore import session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", functools.cache(session.create_loader))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let SIGINT raise KeyboardInterrupt, as in a program that somebody starts at a terminal.

    It is ignored in what a script starts in the background, and a command line tested in this process leaves
    it with its default action, which would end the process.
    """
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test a timeout, skip what needs root without it, and leave most cases of some lists to slow.

    Without a timeout, a test that hangs would end no sooner than its job. Markers are complete before pytest
    chooses by `-m`.
    """
    for item in items:
        if item.get_closest_marker("root") is not None:
            item.add_marker("slow")
            item.add_marker(pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(patience(TEST_SECONDS)))
    mark_slow(items, _sample)


def _sample(item: pytest.Item) -> int | None:
    marker = item.get_closest_marker("sample")
    return None if marker is None or getattr(item, "callspec", None) is None else int(marker.args[0])

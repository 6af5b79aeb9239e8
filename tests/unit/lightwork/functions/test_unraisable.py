"""Interrupts that Python ignores, because they arrive where no exception can be raised, are sent again."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from lightwork.functions.unraisable import interrupt_again
from tests.waiting import patience


class Referred:
    """An object that may have weak references."""


def in_finalizer(act):
    class Finalized:
        def __del__(self):
            act()

    Finalized()


def in_weak_reference(act):
    thing = Referred()
    reference = weakref.ref(thing, lambda _: act())
    del thing
    assert reference() is None


def in_collection(act):
    def callback(phase, _info):
        if phase == "start":
            act()

    gc.callbacks.append(callback)
    gc.collect()


def interrupt(place, number):
    """Raise a signal in a place, and wait."""
    place(lambda: signal.raise_signal(number))
    time.sleep(patience(10))


PLACES = [in_finalizer, in_weak_reference, in_collection]


@pytest.fixture
def seen(monkeypatch):
    """What the hook in place before has seen."""
    found = []
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: found.append(ignored.exc_type))
    interrupt_again()
    callbacks = list(gc.callbacks)
    yield found
    gc.callbacks[:] = callbacks


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_that_python_ignores_ends_the_wait_after_it(seen, place):
    with pytest.raises(KeyboardInterrupt):
        interrupt(place, signal.SIGINT)
    assert seen == []


@pytest.mark.parametrize("place", PLACES)
def test_other_exceptions_are_shown_as_before(seen, place):
    def fail():
        raise ValueError

    place(fail)
    time.sleep(0.1)
    assert set(seen) == {ValueError}


def test_what_another_thread_ignores_interrupts_nothing(seen):
    def interrupted():
        raise KeyboardInterrupt

    thread = threading.Thread(target=in_finalizer, args=(interrupted,))
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert seen == [KeyboardInterrupt]


def test_the_signal_of_the_handler_in_place_is_sent(seen, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt(in_finalizer, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def test_the_hook_is_installed_once(seen):
    hook = sys.unraisablehook
    interrupt_again()
    assert sys.unraisablehook is hook


PROGRAM = """
import time
from lightwork import connect, task

@task(cache=False)
def nap(x):
    class Finalized:
        def __del__(self):
            print("here", flush=True)
            time.sleep(0.1)
    for _ in range(1000):
        Finalized()
        time.sleep(0.01)

if __name__ == "__main__":
    with connect("serial", lake="lake", progress="off"):
        list(nap.map(range(1000)))
"""


@pytest.mark.slow
def test_a_program_ends_by_an_interrupt_wherever_it_arrives(tmp_path):
    (tmp_path / "naps.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "naps.py"], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == "here\n", process.stderr.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=patience(20))
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 or process.returncode == -signal.SIGINT, errors
    assert errors.splitlines()[-1].endswith("the same command resumes from there")
    assert "ignored" not in errors

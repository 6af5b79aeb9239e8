"""After a session the process is as it was before it, however the session ends."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import os
import signal
import sys
import threading

import dask
import pytest

from lightwork import ElementError, connect, task


@task(cache=False)
def double(x: int) -> int:
    if x < 0:
        raise ValueError(x)
    return 2 * x


def snapshot():
    """Return what a session might change of the process."""
    root = logging.getLogger()
    names = [name for name in root.manager.loggerDict if name.partition(".")[0] != "lightwork"]
    loggers = {name: logging.getLogger(name) for name in (None, *names)}
    return {
        "environment": dict(os.environ),
        "dask": copy.deepcopy(dask.config.config),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "hook": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "levels": {
            name: (logger.level, logger.propagate, logger.disabled) for name, logger in loggers.items()
        },
        "handlers": {
            name: [(id(handler), handler.level) for handler in logger.handlers]
            for name, logger in loggers.items()
        },
    }


def plain(folder, on):
    with connect(on, workers=1, lake=folder, progress="off"):
        assert list(double.map(range(3))) == [0, 2, 4]


def failing(folder, on):
    with (
        pytest.raises(ElementError),
        connect(on, workers=1, lake=folder, progress="off"),
    ):
        list(double.map([-1]))


def left_early(folder, on):
    with connect(on, workers=1, lake=folder, progress="off"):
        for _ in double.map(range(1000)):
            break


def nested(folder, on):
    with (
        connect(on, workers=1, lake=folder / "outer", progress="off"),
        connect(on, workers=1, lake=folder / "inner", progress="off"),
    ):
        assert list(double.map([1])) == [2]


def crossed(folder, on):
    first = connect(on, workers=1, lake=folder / "a", progress="off").__enter__()
    assert list(double.map([1])) == [2]
    second = connect(on, workers=1, lake=folder / "b", progress="off").__enter__()
    assert list(double.map([1])) == [2]
    first.close()
    second.close()


def in_threads(folder, on):
    threads = [threading.Thread(target=plain, args=(folder / str(i), on)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory):
    """A first session imports Dask, which makes loggers."""
    plain(tmp_path_factory.mktemp("first"), "local")


@pytest.mark.parametrize("use", [plain, failing, left_early, nested, crossed, in_threads])
@pytest.mark.parametrize("on", ["serial", "local", "address"])
def test_the_process_is_as_before(request, tmp_path, monkeypatch, on, use):
    if on == "address":
        on = request.getfixturevalue("scheduler")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # a program without logging of its own
    logging.getLogger("distributed").setLevel(logging.INFO)
    before = snapshot()
    use(tmp_path, on)
    after = snapshot()
    for part in before:
        changed = (
            {key for key in before[part] if before[part][key] != after[part].get(key)}
            if isinstance(before[part], dict)
            else before[part] != after[part]
        )
        assert not changed, part
        if part == "environment":
            assert before[part].keys() == after[part].keys()

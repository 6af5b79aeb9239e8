"""After a session the process is as it was before it, however the session ends."""

from __future__ import annotations

import copy
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dask
import pytest

from lightwork import ElementError, connect, task

pytestmark = pytest.mark.slow


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


USES = (plain, failing, left_early, nested, crossed, in_threads)
PLACES = ("serial", "local", "address")


def changes(folder, address):
    """Return what each use of a session changed in this process, by use and place."""
    plain(folder / "first", "local")  # a first session imports Dask, which makes loggers
    os.environ["OMP_NUM_THREADS"] = "7"
    os.environ.pop("PYTHONHASHSEED", None)
    logging.getLogger("distributed").setLevel(logging.INFO)
    changed = {}
    for place in PLACES:
        for use in USES:
            before = snapshot()
            use(folder / place / use.__name__, address if place == "address" else place)
            after = snapshot()
            changed[f"{place} {use.__name__}"] = [
                part for part in before if _differs(before[part], after[part])
            ]
    return changed


def _differs(before, after):
    """Tell whether something is other than before; loggers that a session has made do not count."""
    if not isinstance(before, dict) or not all(isinstance(key, str | None) for key in before):
        return before != after
    return any(after.get(key) != value for key, value in before.items()) or (
        "PATH" in before and before.keys() != after.keys()
    )


def _shown(before, after):
    if not isinstance(before, dict):
        return f"{before} -> {after}"
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return ", ".join(f"{key}: {before.get(key)} -> {after.get(key)}" for key in keys)


@pytest.fixture(scope="module")
def changed(tmp_path_factory, scheduler):
    """Use sessions in a process of its own: those that other tests have left open belong to this one."""
    folder = tmp_path_factory.mktemp("as-before")
    done = subprocess.run(
        [sys.executable, __file__, str(folder), scheduler],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("place", PLACES)
def test_the_process_is_as_before(changed, place, use):
    assert changed[f"{place} {use.__name__}"] == []


if __name__ == "__main__":
    print(json.dumps(changes(Path(sys.argv[1]), sys.argv[2])))

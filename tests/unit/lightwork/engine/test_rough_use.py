"""Less usual uses: scripts, helper modules, methods, slow or broken inputs, closed sessions."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from lightwork import InputError, connect, task
from lightwork.cluster.revival import NO_WORKER_SECONDS
from lightwork.engine.job import pack, unpack
from tests.waiting import patience

pytestmark = pytest.mark.sample(3)


@task(cache=False)
def double(number):
    return 2 * number


class Uncached:
    def __init__(self, factor):
        self.factor = factor

    @task(cache=False)
    def times(self, number):
        return self.factor * number


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    @task
    def times(self, number):
        return self.factor * number

    @task(ignore=["self", "note"])
    def noted(self, number, note=""):
        return number


def run_script(folder, text, *arguments):
    script = folder / "script.py"
    script.write_text(text)
    command = [sys.executable, str(script), *map(str, arguments)]
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=patience(60), check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


KINDS = """
import enum, sys
from dataclasses import dataclass
from lightwork import connect, task

class Color(enum.Enum):
    RED = 1

@dataclass
class Point:
    x: int

@task
def color(x): return Color.RED

@task
def point(x): return Point(x)

with connect(on="serial", lake=sys.argv[1]) as session:
    print(list(color.map([1]))[0] is Color.RED, list(point.map([1]))[0] == Point(1))
    print(session.elements["cached"])
"""


@pytest.mark.slow
def test_a_cached_result_is_an_instance_of_the_scripts_own_class(tmp_path):
    assert run_script(tmp_path, KINDS, tmp_path / "lake") == ["True", "True", "0"]
    assert run_script(tmp_path, KINDS, tmp_path / "lake") == ["True", "True", "2"]


HELPER = """
from lightwork import task

BASE = 7

class Box:
    def __init__(self, value): self.value = value

class HelperError(Exception):
    pass

@task
def in_helper(x): return x + BASE

def plain(x): return x - BASE

@task
def fails(x): raise HelperError(str(x))
"""
USER = """
import sys
import dask
import helper
from helper import Box, HelperError, fails, in_helper, plain
from lightwork import ElementError, connect, task

@task
def uses(x): return plain(x) + helper.plain(x)

@task
def opens(box, more): return box.value + more.value

class OwnError(Exception):
    pass

@task(on_error="collect")
def raises(x): raise OwnError(x)

@task
def boxes(x): return Box(x)

with connect(on=sys.argv[1], lake=sys.argv[2], progress="off") as session:
    print(*in_helper.map(range(2)), *uses.map(range(2)))
    print(*opens.map([Box(1)], shared={"more": Box(2)}), opens.submit(Box(1), Box(3)).result())
    print(*[isinstance(box, Box) for box in boxes.map(range(2))])
    print(opens.submit(boxes.submit(5), Box(1)).result())
    print(*dask.compute(dask.delayed(in_helper)(1)))
    try:
        list(fails.map([4]))
    except ElementError as error:
        print(isinstance(error.__cause__, HelperError))
    print(*[isinstance(error.__cause__, OwnError) for error in raises.map([1])])
"""


def test_remote_workers_need_neither_the_script_nor_the_modules_beside_it(scheduler, tmp_path):
    (tmp_path / "helper.py").write_text(HELPER)
    printed = run_script(tmp_path, USER, scheduler, tmp_path / "lake")
    assert printed == ["7", "8", "-14", "-12", "3", "4", "True", "True", "6", "8", "True", "True"]


LOCKED = """
import threading
from lightwork import task

LOCK = threading.Lock()

@task(version="1")
def locked(x):
    with LOCK:
        return x + 1
"""


def test_a_task_may_use_a_global_that_cannot_be_pickled(tmp_path, monkeypatch):
    (tmp_path / "locked_module.py").write_text(LOCKED)
    monkeypatch.syspath_prepend(str(tmp_path))
    import locked_module

    with connect(on="serial", lake=tmp_path / "lake") as session:
        parcel = pack(session.runner.job(locked_module.locked, None), "jobs")
    assert unpack(parcel).fn is locked_module.locked.fn


def test_elements_before_an_error_of_the_input_have_results(session):
    def source():
        yield from range(3)
        raise OSError("the disk is gone")

    results, values = double.map(source()), []
    with pytest.raises(OSError, match="the disk is gone"):
        values.extend(iter(results))
    assert values == [0, 2, 4]
    assert results.stats.computed == 3


def test_results_of_a_slow_input_are_available_before_its_end(session):
    read, length = [], 400

    def source():
        for number in range(length):
            if not first:
                time.sleep(0.12)
            read.append(number)
            yield number

    first = []
    list(double.map([1]))  # wait for the workers
    results = double.map(source())
    first.append(next(results))
    assert first == [0]
    assert len(read) < length
    assert list(results) == [2 * number for number in range(1, length)]


@task
def megabytes(number):
    return bytes([number]) * (8 << 20)


@pytest.mark.slow
def test_only_a_few_large_results_are_held_in_memory_or_read_ahead(tmp_path):
    lake = tmp_path / "lake"
    with connect(on="serial", lake=lake, tenant="acme", progress="off") as session:
        uncommitted = []
        for number, _ in enumerate(megabytes.map(range(12)), 1):
            size = sum(entry.size for entry in session.lake.entries("results"))
            uncommitted.append(number - size // (8 << 20))
        assert max(uncommitted) < 8
        read = []
        next(megabytes.map(read.append(i) or i for i in range(12)))
        assert len(read) < 4


@pytest.mark.slow
def test_only_a_few_large_elements_are_read_ahead(session):
    read = []
    results = double.map(read.append(i) or bytes(16 << 20) for i in range(30))
    assert len(next(results)) == 32 << 20
    assert len(read) < 20


def test_a_method_can_be_a_task(session):
    three = Scaled(3)
    assert three.times(2) == 6
    assert list(three.times.map([1, 2])) == [3, 6]
    assert list(Scaled(4).times.map([1, 2])) == [4, 8]
    assert three.times.submit(5).result() == 15
    assert list(Scaled.times.map([three], [7])) == [21]
    assert list(three.noted.map([1])) == [1]


def test_calls_of_short_lived_instances_use_their_own_instance(session):
    assert [Uncached(factor).times.submit(10).result() for factor in range(20)] == [*range(0, 200, 10)]


@pytest.mark.parametrize("thing", [5, "text", Scaled(2)])
def test_only_a_function_can_be_a_task(thing):
    with pytest.raises(InputError, match="expected a function, got"):
        task(thing)


def test_shared_must_be_a_dict(session):
    with pytest.raises(InputError, match="shared: expected a dict, got list"):
        double.map([1], shared=[2])


def test_a_closed_session_refuses_to_run(scheduler, tmp_path):
    with connect(on=scheduler, lake=tmp_path, progress="off") as session:
        assert list(double.map([1])) == [2]
        late = double.map([2])
    with pytest.raises(InputError, match="the session is closed"):
        list(late)
    with pytest.raises(InputError, match="the session is closed"):
        session.map(double, [[1]], {}).wait()


def test_a_session_closed_by_hand_is_no_longer_current(tmp_path):
    outer = connect(on="serial", lake=tmp_path / "outer").__enter__()
    inner = connect(on="serial", lake=tmp_path / "inner").__enter__()
    inner.close()
    from lightwork import current_session

    assert current_session() is outer
    outer.close()


def test_an_interrupted_start_leaves_nothing_to_close_at_exit(monkeypatch):
    from lightwork.cluster.cluster import Cluster
    from lightwork.cluster.servers import LocalCluster

    started = []

    def interrupted(cluster, *_, **__):
        started.append(cluster)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalCluster, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Cluster("local", 1)
    assert [cluster.shutdown_on_close for cluster in started] == [False]


def test_a_tls_address_without_certificates_names_the_settings_it_needs(tmp_path):
    with (
        connect(on="tls://127.0.0.1:9", lake=tmp_path, progress="off"),
        pytest.raises(
            InputError,
            match=r"tls://127\.0\.0\.1:9.*needs certificates.*DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
        ),
    ):
        list(double.map([1]))


MAP = "print(list(task(lambda x: x).map([1])))"
BARE = f"""
from lightwork import connect, task
with connect(on='local', workers=1, lake='lake', progress='off'):
    {MAP}
"""
UNGUARDED = {
    "no guard": BARE,
    "a comment": f"{BARE}# if __name__ == '__main__': main()",
    "a docstring": f"'''Put it under if __name__ == '__main__'.'''{BARE}",
    "before the guard": f"{BARE}if __name__ == '__main__':\n    pass",
    "after the guard": f"if __name__ == '__main__':\n    pass{BARE}",
    "in the else part": f"if __name__ == '__main__':\n    pass\nelse:\n    pass{BARE}",
    "without with": f"from lightwork import connect, task\ns = connect(on='local', lake='lake')\n{MAP}",
    "in a function": f"def main():{BARE.replace(chr(10), chr(10) + '    ')}\nmain()",
}


@pytest.mark.parametrize("by_name", [False, True], ids=["a script", "python -m"])
@pytest.mark.parametrize("script", UNGUARDED.values(), ids=UNGUARDED)
def test_a_script_without_a_main_guard_is_refused_at_once(tmp_path, script, by_name):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "bare.py").write_text(f"print('first')\n{script}")
    process = subprocess.run(
        [sys.executable, *(["-m", "package.bare"] if by_name else ["package/bare.py"])],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(60), check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert process.stdout == "first\n"
    assert "bare.py starts worker processes" in process.stderr.splitlines()[-1]
    assert 'under `if __name__ == "__main__":`' in process.stderr.splitlines()[-1]


GUARDED = {
    "if": "if __name__ == '__main__':\n    HERE",
    "the other way round": "if '__main__' == __name__:\n    HERE",
    "a condition more": "if True and __name__ == '__main__':\n    HERE",
    "a function": "def main():\n    HERE\nif __name__ == '__main__':\n    main()",
    "in one line": "if __name__ == '__main__': HERE",
    "an expression": "__name__ == '__main__' and HERE",
    "leaving first": "import sys\nif __name__ != '__main__':\n    raise SystemExit\nHERE",
    "the else part": "if __name__ != '__main__':\n    pass\nelse:\n    HERE",
    "a thread": "from threading import Thread\nif __name__ == '__main__':\n"
    "    t = Thread(target=lambda: HERE)\n    t.start(); t.join()",
}


@pytest.mark.parametrize("script", GUARDED.values(), ids=GUARDED)
def test_a_guarded_script_is_accepted(tmp_path, script):
    call = "print(connect(on='local', lake='lake'))"
    (tmp_path / "guarded.py").write_text("from lightwork import connect\n" + script.replace("HERE", call))
    process = subprocess.run(
        [sys.executable, "guarded.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=patience(60), check=True,
    )  # fmt: skip
    assert process.stdout.startswith("<session on local"), process.stderr


def test_a_map_waits_for_a_worker_process_that_restarts_slowly(tmp_path):
    """Dask gives up a worker after 15 s by default, for good: on a busy machine all of them, one by one."""
    import dask
    from dask.utils import parse_timedelta

    @task
    def same(x: int) -> int:
        return x

    with connect(on="local", workers=1, lake=tmp_path, progress="off"):
        assert list(same.map(range(3))) == [0, 1, 2]
        timeout = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
    assert timeout > NO_WORKER_SECONDS

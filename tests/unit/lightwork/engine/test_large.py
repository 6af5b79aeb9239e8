"""Large inputs, which workers map read-only, and shared arguments, which no element changes for another."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lightwork import connect, task
from lightwork.engine.shared import freeze_shared
from lightwork.errors import ElementError, LightworkError
from lightwork.functions import mapped
from lightwork.functions.frozen import Frozen, freeze_input, freeze_views, open_argument
from lightwork.keys import encode

pytestmark = pytest.mark.sample(6)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightwork.runs.session import Session

COUNT = mapped.LARGE // 8 + 3
"""Numbers of eight bytes in an array that is mapped."""
ONS = ["serial", "workers", "local"]


@dataclass
class Holder:
    values: Any = field(default_factory=list)
    calls: int = 0


class Lazy:
    """Remembers something that does not count, as objects with a connection do."""

    def __init__(self) -> None:
        self.connection: object = None

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.connection = None


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Iterator[Session]:
    """A session on two worker processes of its own."""
    lake = tmp_path_factory.mktemp("local") / "lake"
    with connect("local", workers=2, lake=lake, tenant="acme", progress="off") as opened:
        yield opened


@pytest.fixture(params=ONS)
def anywhere(request, tmp_path) -> Iterator[Session]:
    """A serial session, one on the workers of a scheduler, and one on workers of its own."""
    if request.param == "local":
        opened = request.getfixturevalue("local")
        with opened_again(opened):
            yield opened
        return
    on = "serial" if request.param == "serial" else request.getfixturevalue("scheduler")
    with connect(on=on, lake=tmp_path / "lake", tenant="acme", progress="off") as opened:
        yield opened


def opened_again(session: Session) -> Any:
    """Make a session of the whole module the current one."""
    from lightwork.runs import current

    return current.inside(session)


# Shared arguments

CHANGES: dict[str, tuple[Any, Any]] = {
    "list": (lambda: [1, 2], lambda v: v.append(3)),
    "dict": (lambda: {"a": 1}, lambda v: v.__setitem__("a", v["a"] + 1)),
    "set": (lambda: {1}, lambda v: v.add(len(v))),
    "bytearray": (lambda: bytearray(b"ab"), lambda v: v.extend(b"c")),
    "nested": (lambda: ({"a": [1]}, 2), lambda v: v[0]["a"].append(0)),
    "long list": (lambda: list(range(3000)), lambda v: v.reverse()),
    "long dict": (lambda: {i: str(i) for i in range(3000)}, lambda v: v.popitem()),
    "one becomes true": (lambda: [1] * 3000, lambda v: v.__setitem__(7, True)),
    "list of lists": (lambda: [[i] for i in range(3000)], lambda v: v[2999].append(1)),
    "ordered dict": (lambda: collections.OrderedDict(a=1, b=2), lambda v: v.move_to_end("a")),
    "counter": (lambda: collections.Counter("aab"), lambda v: v.update("b")),
    "deque": (lambda: collections.deque([1, 2]), lambda v: v.rotate()),
    "default dict": (lambda: collections.defaultdict(list), lambda v: v[len(v)].append(1)),
    "array": (lambda: np.arange(3), lambda v: v.__iadd__(1)),
    "array in place": (lambda: np.arange(5000.0), lambda v: v.sort() or v.__setitem__(3, -1)),
    "array of objects": (lambda: np.array([[1], {2}], object), lambda v: v[0].append(1)),
    "series": (lambda: pd.Series([1, 2]), lambda v: v.__setitem__(0, v[0] + 1)),
    "frame": (lambda: pd.DataFrame({"a": [1, 2]}), lambda v: v.__setitem__(f"c{len(v.columns)}", 1)),
    "large frame": (
        lambda: pd.DataFrame({"a": np.arange(COUNT)}),
        lambda v: v.__setitem__(f"c{len(v.columns)}", 1),
    ),
    "dict of a large array": (lambda: {"a": np.arange(COUNT)}, lambda v: v.__setitem__("a", v["a"] + 1)),
    "instance": (lambda: Holder([1]), lambda v: setattr(v, "calls", v.calls + 1)),
    "inside an instance": (lambda: Holder({"a": [1]}), lambda v: v.values["a"].append(1)),
    "instance of lists": (lambda: [Holder() for _ in range(200)], lambda v: v[3].values.append(1)),
}


def show(value: Any) -> str:
    """Return a text that differs for different values."""
    if isinstance(value, pd.DataFrame):
        return f"{list(value.columns)} {value.to_numpy().sum()} {len(value)}"
    if isinstance(value, dict):
        return f"{type(value).__name__} {[(k, show(v)) for k, v in value.items()]}"
    return f"{value!r}"


@task
def look_and_change(x: int, value: Any, kind: str) -> str:
    seen = show(value)
    if x % 3 != 1:  # some elements change nothing
        CHANGES[kind][1](value)
    return f"{x} {seen}"


@task(cache=False)
def look_and_change_uncached(x: int, value: Any, kind: str) -> str:
    return look_and_change(x, value, kind)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("function", [look_and_change, look_and_change_uncached])
def test_each_element_sees_a_shared_argument_as_it_was(anywhere, kind, function):
    value = CHANGES[kind][0]()
    shown = show(value)
    results = list(function.map(range(20), shared={"value": value, "kind": kind}))
    assert results == [f"{x} {shown}" for x in range(20)]
    assert show(value) == shown


@task
def changes_and_fails(x: int, value: list[int]) -> int:
    value.append(x)
    if len(value) > 5001:
        raise ValueError("seen the change")
    if x == 7:
        raise ValueError("seven")
    return len(value)


@pytest.mark.parametrize("length", [0, 5000])
def test_a_failure_comes_from_its_own_element_not_from_an_earlier_one(anywhere, length):
    results = changes_and_fails.map(range(10), shared={"value": [0] * length})
    seen = []
    with pytest.raises(ElementError, match="seven") as error:
        seen.extend(results)
    assert error.value.index == 7
    assert seen == [length + 1] * len(seen)


@task(retries=2, retry_delay=0)
def changes_and_succeeds_later(x: int, value: list[int], folder: Path) -> int:
    value.append(x)
    marker = folder / str(x)
    if not marker.exists():
        marker.touch()
        raise ValueError("first attempt")
    return len(value)


@pytest.mark.parametrize("length", [0, 5000])
def test_a_retry_sees_the_shared_arguments_as_they_were(anywhere, length, tmp_path):
    results = changes_and_succeeds_later.map(
        range(3), shared={"value": [0] * length, "folder": str(tmp_path) and tmp_path}
    )
    assert list(results) == [length + 1] * 3


def test_who_changes_a_shared_argument_is_named_once(anywhere, caplog):
    value = CHANGES["long list"][0]()
    list(look_and_change.map(range(50, 90), shared={"value": value, "kind": "long list"}))
    warnings = [str(record.msg) for record in caplog.records if "is changed by an element" in str(record.msg)]
    assert len(warnings) == 1
    assert "shared argument value" in warnings[0]
    assert "ignore=" in warnings[0]


@task(ignore="value")
def count_with_ignored(x: int, value: Holder) -> int:
    value.calls += 1
    return value.calls


def test_an_ignored_shared_argument_is_one_object_for_the_elements_of_a_worker(anywhere, caplog):
    calls = list(count_with_ignored.map(range(30), shared={"value": Holder()}))
    assert max(calls) > 1
    assert "changed" not in caplog.text


@task(cache=False)
def connect_lazily(x: int, lazy: Lazy) -> bool:
    found = lazy.connection is not None
    lazy.connection = x
    return found


def test_what_an_object_leaves_out_of_its_pickle_is_kept_for_later_elements(anywhere, caplog):
    assert any(connect_lazily.map(range(64), shared={"lazy": Lazy()}))
    assert "changed" not in caplog.text


def test_shared_arguments_that_cannot_be_pickled_do_not_unprotect_the_others(tmp_path):
    lock = __import__("threading").Lock()

    class Here:
        def __init__(self) -> None:
            self.seen: list[int] = []

    @task(cache=False)
    def see(x: int, lock: Any, here: Here, seen: list[int], call: Any) -> tuple[int, int, int]:
        here.seen.append(x)
        seen.append(x)
        return call(x), len(here.seen), len(seen)

    shared = {"lock": lock, "here": Here(), "seen": [], "call": lambda x: x}
    with connect("serial", lake=tmp_path, progress="off"):
        assert list(see.map(range(3), shared=shared)) == [(0, 1, 1), (1, 1, 1), (2, 1, 1)]
    frozen = freeze_shared(shared, (), None, None)
    assert set(frozen.fixed) == {"lock", "call"}


@task
def last_of(x: int, value: Any) -> float:
    return float(value[x])


@pytest.mark.parametrize("make", [lambda: np.arange(COUNT), lambda: np.arange(10), lambda: list(range(9000))])
def test_the_caller_may_change_shared_arguments_between_two_results(anywhere, make):
    value = make()
    seen = []
    for result in last_of.map([0, 1, 2], shared={"value": value}):
        seen.append(result)
        value[:] = [9] * len(value)
    assert seen == [0, 1, 2]


# Large inputs

LARGE: dict[str, Any] = {
    "array": lambda: np.arange(float(COUNT)),
    "two dimensions": lambda: np.arange(2.0 * COUNT).reshape(2, COUNT),
    "fortran": lambda: np.asfortranarray(np.arange(2.0 * COUNT).reshape(2, COUNT)),
    "strided": lambda: np.arange(2.0 * COUNT)[::2],
    "reversed": lambda: np.arange(float(COUNT))[::-1],
    "dates": lambda: np.arange(COUNT).astype("M8[s]"),
    "durations": lambda: np.arange(COUNT).astype("m8[ms]"),
    "big endian": lambda: np.arange(COUNT, dtype=">i8"),
    "structured": lambda: np.zeros(COUNT, [("a", "i4"), ("b", "f8")]),
    "texts": lambda: np.array(["abc"] * (mapped.LARGE // 8)),
    "bool": lambda: np.zeros(mapped.LARGE + 5, bool),
    "read-only": lambda: np.frombuffer(bytes(mapped.LARGE + 8)),
}
AROUND: dict[str, Any] = {
    "itself": lambda a: a,
    "tuple": lambda a: (a, 1),
    "dict": lambda a: {"a": a},
    "nested": lambda a: [{"a": [a]}],
    "instance": Holder,
}
TABLES: dict[str, Any] = {
    "frame": lambda: pd.DataFrame({"a": np.arange(float(COUNT)), "b": ["x"] * COUNT}),
    "dates": lambda: pd.DataFrame({"a": pd.date_range("2020", periods=COUNT, freq="s")}),
    "series": lambda: pd.Series(np.arange(COUNT), name="n"),
    "categorical": lambda: pd.Series(pd.Categorical(["a", "b"] * 5 * COUNT)),
    "arrow": lambda: pa.table({"a": np.arange(COUNT), "b": ["x"] * COUNT}),
    "arrow slice": lambda: pa.table({"a": np.arange(2 * COUNT)}).slice(3, COUNT),
}


def array_in(value: Any) -> np.ndarray[Any, Any]:
    while not isinstance(value, np.ndarray):
        if hasattr(value, "calls"):  # a `Holder`, also one of a worker's own class
            value = value.values
        else:
            value = next(iter(value.values() if isinstance(value, dict) else value))
    return value


@task(cache=False)
def write_to(value: Any) -> str:
    array = array_in(value)
    array[0] = array[1]
    return "written"


@task(cache=False)
def write_to_shared(x: int, value: Any) -> str:
    return write_to(value)


@task(cache=False)
def give_back(value: Any) -> Any:
    return value


@task(cache=False)
def give_part(value: Any) -> Any:
    array = array_in(value)
    return array[-3:], {"all": array}, array.flags.writeable


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", ["array", "strided", "dates"])
def test_writing_to_a_large_array_fails_and_says_to_copy(anywhere, kind, around):
    array = LARGE[kind]()
    before = array.copy()
    value = AROUND[around](array)
    for results in (
        lambda: list(write_to.map([value])),
        lambda: list(write_to_shared.map([1], shared={"value": value})),
        lambda: write_to.submit(value).result(),
    ):
        with pytest.raises(ElementError, match=r"read-only.*x\.copy\(\)") as error:
            results()
        assert "\n" not in str(error.value)
    np.testing.assert_array_equal(array, before)


def test_a_small_array_may_be_written_to(anywhere):
    array = np.arange(100.0)
    assert list(write_to_shared.map([1, 2], shared={"value": array})) == ["written", "written"]
    assert array[0] == 0


@pytest.mark.parametrize("kind", LARGE)
def test_a_result_that_is_or_shows_a_mapped_array_is_a_copy_of_the_callers_own(anywhere, kind):
    array = LARGE[kind]()
    (whole,) = give_back.map([array])
    ((part, all_of_it, writeable),) = give_part.map([array])
    called = give_back.submit(array).result()
    assert not writeable
    for result, right in ((whole, array), (part, array[-3:]), (all_of_it["all"], array), (called, array)):
        np.testing.assert_array_equal(result, right)
        assert result.dtype == right.dtype
        assert not np.shares_memory(result, array) or kind == "read-only"
    if kind != "read-only":
        whole[0] = whole[1]
        called[0] = called[1]
    assert encode(array) == encode(LARGE[kind]())


@pytest.mark.parametrize("kind", TABLES)
def test_large_tables_arrive_as_they_are(anywhere, kind):
    table = TABLES[kind]()
    (result,) = give_back.map([table])
    assert type(result) is type(table)
    assert encode(result) == encode(table)


def test_an_element_is_what_it_was_when_it_was_read(anywhere):
    buffer = np.zeros(COUNT)

    def refilled() -> Iterator[np.ndarray[Any, Any]]:
        for x in range(4):
            buffer.fill(x)
            yield buffer

    @task
    def mean(array: np.ndarray[Any, Any]) -> float:
        return float(array.mean())

    assert list(mean.map(refilled())) == [0, 1, 2, 3]


def test_results_outlive_their_session(tmp_path, scheduler):
    array = np.arange(float(COUNT))
    for on in ("serial", scheduler):
        with connect(on, lake=tmp_path / "lake", progress="off"):
            results = list(give_back.map([array]))
            future = give_back.submit(array)
            future.result()
        assert results[0].sum() == future.result().sum() == array.sum()
        results[0][0] = 5


def test_files_of_large_inputs_go_with_the_session(tmp_path, scheduler):
    with connect(scheduler, lake=tmp_path / "lake", progress="off"):
        results = iter(last_of.map([0, 1], shared={"value": np.arange(COUNT)}))
        next(results)
        assert list((tmp_path / "lake").rglob("mapped/*/*"))
    assert not list((tmp_path / "lake").rglob("mapped*"))


# Places

PLACES: dict[str, Any] = {
    "memory": lambda path: mapped.SharedMemory(),
    "folder": lambda path: mapped.Folder(path / "mapped"),
    "none": lambda path: None,
}


@pytest.fixture(params=PLACES)
def place(request, tmp_path) -> Any:
    if request.param == "memory" and not mapped.SharedMemory.available():
        pytest.skip("this machine has no anonymous shared memory")
    return PLACES[request.param](tmp_path)


@pytest.mark.parametrize(
    "around", [name if name == "itself" else pytest.param(name, marks=pytest.mark.slow) for name in AROUND]
)
@pytest.mark.parametrize("kind", [*LARGE, *TABLES])
def test_a_frozen_input_is_the_same_and_cannot_be_changed(place, kind, around):
    value = AROUND[around]((LARGE.get(kind) or TABLES[kind])())
    frozen = freeze_input(value, place)
    assert type(frozen) is Frozen
    assert frozen.apart is not None
    assert len(frozen.data) < 3 * mapped.LARGE
    thawed = open_argument(frozen)
    assert encode(thawed) == encode(value)
    if kind in LARGE:
        assert not array_in(thawed).flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array_in(thawed).flags.writeable = True
    views = freeze_views(value)
    if kind in LARGE:
        assert not array_in(open_argument(views)).flags.writeable
    assert encode(open_argument(views)) == encode(value)


CHILD = """
import sys, time, pathlib
import numpy as np
from lightwork.functions import mapped
place = mapped.Folder(pathlib.Path(sys.argv[1])) if len(sys.argv) > 1 else mapped.SharedMemory()
source = place.put([np.arange(1 << 17)])
import pickle, base64
print(base64.b64encode(pickle.dumps(source)).decode(), flush=True)
time.sleep(600)
"""


def start(*arguments: str) -> tuple[subprocess.Popen[str], Any]:
    import base64
    import pickle

    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, pickle.loads(base64.b64decode(child.stdout.readline()))


@pytest.mark.slow
def test_memory_of_a_killed_process_is_gone_and_never_taken_for_another():
    child, source = start()
    try:
        assert source.view().nbytes == 64 + (8 << 17)
        for other in (
            mapped.Memory(source.pid, source.descriptor, b"x" * 16),
            mapped.Memory(os.getpid(), source.descriptor, source.token),
            mapped.Memory(source.pid, 0, source.token),
        ):
            with pytest.raises(LightworkError, match="its map has ended"):
                other.view()
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with pytest.raises(LightworkError, match="its map has ended"):
        source.view()


@pytest.mark.slow
def test_memory_is_freed_when_nobody_needs_it_and_cannot_be_written():
    opened = mapped._Descriptor.opened
    frozen = freeze_input(np.arange(COUNT), mapped.SharedMemory())
    assert mapped._Descriptor.opened == opened + 1
    with pytest.raises(PermissionError):
        os.write(frozen.apart.source.descriptor, b"x")
    array = open_argument(frozen)
    del frozen
    assert mapped._Descriptor.opened == opened
    assert array[7] == 7


@pytest.mark.slow
def test_the_folder_of_a_killed_process_is_deleted_by_the_next_and_that_of_a_living_one_is_not(tmp_path):
    base = tmp_path / "mapped"
    killed, _ = start(str(base))
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    living, source = start(str(base))
    try:
        assert len(list(base.iterdir())) == 1
        place = mapped.Folder(base)
        own = place.put([b"x"])
        assert len(list(base.iterdir())) == 2
        assert source.view().nbytes > 8 << 17
        assert own is not None
        del own
        place.close()
        assert len(list(base.iterdir())) == 1
    finally:
        os.kill(living.pid, signal.SIGKILL)
        living.wait()


@pytest.mark.slow
def test_too_many_or_unwritable_files_leave_the_buffers_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr(mapped, "_most_open", lambda: 0)
    file = tmp_path / "file"
    file.touch()
    for place in (mapped.SharedMemory(), mapped.Folder(file)):
        frozen = freeze_input(np.arange(COUNT), place)
        assert type(frozen.apart.source) is mapped.Copied
        assert open_argument(frozen)[9] == 9


@task(cache=False)
def touch_and_measure(x: int, table: np.ndarray[Any, Any], folder: Path) -> tuple[int, float]:
    """Read the whole table; wait until every worker has; return this process's share of memory in kB."""
    import time

    total = float(table[::512].sum())
    (folder / str(x)).touch()
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    return proportional(os.getpid()), total


def proportional(pid: int) -> int:
    """Return a process's proportional set size in kB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs smaps_rollup")
def test_a_large_shared_array_is_in_memory_once_for_all_workers(tmp_path):
    small, large = np.ones(COUNT), np.ones(100 << 17)
    shares = []
    with connect("local", workers=4, lake=tmp_path / "lake", progress="off"):
        for number, table in enumerate((small, large)):
            folder = tmp_path / str(number)
            folder.mkdir()
            results = list(touch_and_measure.map(range(4), shared={"table": table, "folder": folder}))
            assert {total for _, total in results} == {table[::512].sum()}
            shares.append(sum(share for share, _ in results))
    assert shares[1] - shares[0] < 125 << 10

"""What the decorators refuse, and tasks in classes."""

from __future__ import annotations

import abc
import copy
import dataclasses
import enum
import functools
import math
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pytest

from lightwork import InputError, connect, pipeline, task
from lightwork.functions import decorated

REPOSITORY = Path(__file__).resolve().parents[4]


def plain(x: int, n: int = 1) -> int:
    return x + n


NAN, INFINITE = math.nan, math.inf
ODD = [
    True,
    False,
    NAN,
    INFINITE,
    -1,
    -0.5,
    0,
    1,
    1.5,
    "1",
    "",
    b"1",
    None,
    [],
    [1],
    {},
    object(),
    np.zeros(2),
]
RIGHT: dict[str, list[Any]] = {
    "cache": [True, False],
    "version": ["1", "", None],
    "ignore": ["n", ["x", "n"], ("n",), {"n"}, iter(["n"]), [], {}, ""],
    "retries": [0, 1, np.int64(3)],
    "retry_delay": [0, 1, 1.5, np.float64(0.5)],
    "on_error": ["raise", "skip", "collect"],
    "batch": [1, 100, None, np.int64(3)],
    "retry_on": [OSError, (OSError, ValueError), iter([KeyError]), None],
    "timeout": [1, 1.5, None, np.float64(0.5), np.int64(3)],
    "ordered": [True, False],
    "expires": ["1s", "7d", "1.5h", "2w", None],
    "refresh": [True, False],
    "limit": ["1", "api", None],
    "concurrency": [None],
    "resources": [{"GPU": 1}, {"GPU": 0.5, "MEMORY": 8e9}, None],
}
RIGHT_CONNECT: dict[str, list[Any]] = {
    "on": ["serial", None],
    "workers": [1, "1", None],
    "lake": ["lake", Path("lake"), None],
    "tenant": ["acme", None],
    "refresh": [True, False, [], ["speed"], ("a.b",)],
    "cache": [True, False],
    "run_id": ["r1", "", "1", None],
    "pipeline": ["windy", "", "1"],
    "parameters": [{}, {"n": 1}, None],
    "progress": ["off", "lines", "bar", None],
}


def is_in(value: Any, values: list[Any]) -> bool:
    return any(
        (type(value) is type(other) and value is other) or (repr(value) == repr(other)) for other in values
    )


def one_line(refused: pytest.ExceptionInfo[InputError], option: str) -> None:
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) < 300
    assert option in text
    assert "expected" in text or "is not one of" in text


@pytest.mark.parametrize("option", RIGHT)
def test_right_options_of_a_task_are_taken(option):
    for value in RIGHT[option]:
        if value != "":
            task(**{option: value})(plain)


@pytest.mark.parametrize("value", ODD, ids=[f"{type(value).__name__}-{at}" for at, value in enumerate(ODD)])
@pytest.mark.parametrize("option", RIGHT)
def test_wrong_options_of_a_task_are_refused_in_one_line(option, value):
    if is_in(value, RIGHT[option]) and not (option == "ignore" and value == ""):
        return
    with pytest.raises(InputError) as refused:
        task(**{option: value})(plain)
    one_line(refused, option)


@pytest.mark.parametrize("option", RIGHT_CONNECT)
def test_right_options_of_connect_are_taken(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in RIGHT_CONNECT[option]:
        with connect(**({"on": "serial"} | {option: value})):
            pass


@pytest.mark.parametrize("value", ODD, ids=[f"{type(value).__name__}-{at}" for at, value in enumerate(ODD)])
@pytest.mark.parametrize("option", RIGHT_CONNECT)
def test_wrong_options_of_connect_are_refused_in_one_line(option, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if is_in(value, RIGHT_CONNECT[option]) or (option in ("lake", "tenant") and is_in(value, ["1"])):
        return
    with pytest.raises(InputError) as refused:
        connect(**({"on": "serial"} | {option: value}))
    one_line(refused, option)


async def coroutine(x: int) -> int:
    return x


def generator(x: int) -> Any:
    yield x


async def agenerator(x: int) -> Any:
    yield x


class Calls:
    async def __call__(self, x: int) -> int:
        return x

    async def method(self, x: int) -> int:
        return x

    def generate(self, x: int) -> Any:
        yield x

    @staticmethod
    async def static(x: int) -> int:
        return x


ASYNC = [
    coroutine,
    functools.partial(coroutine, 1),
    functools.partial(functools.partial(coroutine)),
    Calls(),
    functools.partial(Calls()),
    Calls().method,
    Calls.static,
    staticmethod(coroutine),
    classmethod(coroutine),
    functools.lru_cache(coroutine),
]
GENERATORS = [
    generator,
    agenerator,
    functools.partial(generator, 1),
    Calls().generate,
    staticmethod(generator),
    functools.lru_cache(generator),
]


@pytest.mark.parametrize("fn", ASYNC)
def test_async_functions_are_tasks_and_may_run_together(fn):
    assert task(concurrency=3)(fn).options.most_together == 3
    with pytest.raises(InputError, match="concurrency=3: expected an async function"):
        task(concurrency=3)(plain)


@pytest.mark.parametrize("fn", GENERATORS)
def test_generators_are_refused(fn):
    with pytest.raises(InputError, match="generator cannot be a task; return the values instead"):
        task(fn)


@pytest.mark.parametrize("fn", [1, "f", [plain], object(), property(plain), functools.partialmethod(plain)])
def test_what_cannot_be_called_is_refused(fn):
    with pytest.raises(InputError, match=r"@task: expected a function, got \w+"):
        task(fn)
    with pytest.raises(InputError, match=r"@pipeline: expected a function, got \w+"):
        pipeline(fn)


@pytest.mark.parametrize("fn", [coroutine, generator])
def test_async_functions_and_generators_are_not_pipelines(fn):
    with pytest.raises(InputError, match=r"@pipeline on \w+: .* cannot be a pipeline"):
        pipeline(fn)


def test_a_task_of_a_task_has_the_options_of_the_outer_one():
    outer = task(retries=2)(task(retries=1, version="1")(plain))
    assert (outer.fn, outer.options.retries, outer.options.version) == (plain, 2, None)
    assert task(pipeline(plain)).fn is plain


def test_the_attributes_of_a_function_do_not_hide_those_of_a_task():
    def made(x: int) -> int:
        return x

    vars(made).update(map=1, submit=2, fn=3, name=4, options=5, note="kept")
    one: Any = task(made)
    assert one.fn is made
    assert one.note == "kept"
    with connect("serial", cache=False):
        assert list(one.map([1])) == [one.submit(1).result()]


class WithState:
    """An object whose attributes have the names of a task's."""

    def __init__(self) -> None:
        self.map, self.submit, self.fn, self.name, self.options = 1, 2, 3, 4, 5

    def __call__(self, x: int) -> int:
        return x


def test_the_attributes_of_an_object_do_not_hide_those_of_a_task():
    one = task(WithState())
    with connect("serial", cache=False):
        assert list(one.map([1])) == [one.submit(1).result()]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_of_a_task_is_one(copied):
    with connect("serial", cache=False):
        for fn in (functools.partial(plain, n=2), len, WithState().__call__, str.upper, WithState()):
            one = copied(task(retries=3)(fn))
            assert (one.name, one.options.retries) == (task(fn).name, 3)
        bound = copied(InClass.make)
        assert bound(1) == ("InClass", 1)
        assert list(bound.map([1])) == [("InClass", 1)]


class InClass:
    @task
    @classmethod
    def make(cls, x: int) -> Any:
        return cls.__name__, x


# `@classmethod` above `@task`: from Python 3.13 on, it no longer asks what it wraps to bind itself

CLASSES = """
class Plain:
    @classmethod
    @task
    def make(cls, x=1):
        return cls.__name__, x
    @classmethod
    @task(retries=1)
    def more(cls, x=1):
        return cls.__name__, x

class Sub(Plain):
    pass

class Kind(enum.Enum):
    A = 1
    @classmethod
    @task
    def make(cls, x=1):
        return cls.__name__, x

class Like(Protocol):
    @classmethod
    @task
    def make(cls, x=1):
        return cls.__name__, x

class OfProtocol(Like):
    pass

@dataclasses.dataclass(slots=True)
class Slots:
    k: int = 0
    @classmethod
    @task
    def make(cls, x=1):
        return cls.__name__, x

class Pair(NamedTuple):
    k: int
    @classmethod
    @task
    def make(cls, x=1):
        return cls.__name__, x

class Abstract(abc.ABC):
    @classmethod
    @task
    def make(cls, x=1):
        return cls.__name__, x

class Inner:
    class Nested:
        @classmethod
        @task
        def make(cls, x=1):
            return cls.__name__, x

class Called:
    def make(cls, x=1):
        return cls.__name__, x
    make = classmethod(task(make))

def local():
    class Local:
        @classmethod
        @task
        def make(cls, x=1):
            return cls.__name__, x
    return Local

ALL = [Plain, Plain(), Sub, Sub(), Kind, Kind.A, OfProtocol, Slots, Slots(), Pair, Pair(1), Abstract,
       Inner.Nested, Called, local()]

def check():
    for owner in ALL:
        name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        for method in [owner.make, getattr(owner, "more", owner.make)]:
            assert method(7) == (name, 7)
            assert list(method.map([5])) == [(name, 5)], owner
            assert method.submit(6).result() == (name, 6)
        assert not [key for key in dir(owner) if "lightwork" in key]
    assert list(Kind) == [Kind.A]
"""


def made_classes() -> dict[str, Any]:
    scope: dict[str, Any] = {
        "__name__": __name__,
        "task": task,
        "enum": enum,
        "dataclasses": dataclasses,
        "abc": abc,
        "Protocol": Protocol,
        "NamedTuple": NamedTuple,
    }
    exec(CLASSES, scope)
    return scope


@pytest.mark.parametrize("hides", [False, True])
def test_a_class_method_of_a_task_gets_its_class(monkeypatch, hides):
    if not hides and sys.version_info >= (3, 13):
        pytest.skip("classmethod of this Python hides the class")
    monkeypatch.setattr(decorated, "_CLASSMETHOD_HIDES", hides)
    made = made_classes()
    if hides and sys.version_info < (3, 13):  # which does not tell the attributes of a named tuple its name
        made["ALL"] = [owner for owner in made["ALL"] if not hasattr(owner, "_fields")]
    with connect("serial", cache=False):
        made["check"]()


class Late:
    @staticmethod
    def make(cls: Any, x: int = 1) -> Any:
        return cls, x


def test_a_class_method_that_is_made_too_late_is_refused_where_it_would_not_get_its_class(monkeypatch):
    monkeypatch.setattr(decorated, "_CLASSMETHOD_HIDES", True)
    late = task(Late.make)
    monkeypatch.setattr(Late, "make", classmethod(late))
    with connect("serial", cache=False):
        for call in (late.map, late.submit):
            with pytest.raises(
                InputError, match=r"Late.make: @classmethod hides the class .* write @task above"
            ):
                call([1])


def python_3_13() -> str:
    """A Python 3.13 with the packages of requirements/run.txt; the test is skipped if there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    default = cache / "lightwork" / "python-3.13" / "bin" / "python"
    python = os.environ.get("LIGHTWORK_PYTHON_3_13") or str(default)
    probe = "import sys, dask, distributed, structlog; sys.exit(sys.version_info[:2] != (3, 13))"
    try:
        found = subprocess.run([python, "-c", probe], capture_output=True).returncode == 0
    except OSError:
        found = False
    if not found:
        pytest.skip("no Python 3.13 environment: make setup-newest, or set LIGHTWORK_PYTHON_3_13")
    return python


def test_tasks_in_classes_on_python_3_13(tmp_path):
    python = python_3_13()
    program = "import abc, dataclasses, enum\nfrom typing import NamedTuple, Protocol\n"
    program += "from lightwork import connect, task\n" + CLASSES
    program += textwrap.dedent("""
        if __name__ == "__main__":
            for on in ("serial", "local"):
                with connect(on, workers=1, lake="lake", progress="off", refresh=True):
                    check()
            print("done")
    """)
    (tmp_path / "program.py").write_text(program)
    path = str(REPOSITORY / "platform" / "src")
    done = subprocess.run(
        [python, "program.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.parametrize(
    ("interval", "message"),
    [
        (("start", "ende"), "interval names 'ende', which is not one of its parameters; did you mean 'end'"),
        (("start", "start"), "expected the names of two parameters"),
        (("start",), "expected the names of two parameters"),
        (["start", "end"], "expected the names of two parameters"),
        ("start", "expected the names of two parameters"),
    ],
)
def test_an_interval_names_two_of_the_parameters(interval, message):
    def daily(start: str, end: str) -> None: ...

    assert pipeline(interval=("start", "end"))(daily).interval == ("start", "end")
    assert pipeline(daily).interval is None
    with pytest.raises(InputError, match=message):
        pipeline(interval=interval)(daily)

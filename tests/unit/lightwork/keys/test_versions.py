"""The keys of tasks whose `version` replaces their code: their names and what they hold tell them apart."""

from __future__ import annotations

import functools
import operator
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lightwork import InputError, connect, task
from lightwork.keys import Unkeyable, code_key

versioned = task(version="1")


def digest(made: Any) -> str:
    return code_key(made).digest


def closure(k: Any) -> Callable[[int], Any]:
    def inner(x: int) -> Any:
        return k, x

    return inner


def twice(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args), fn(*args)

    return wrapper


def thrice(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args), fn(*args), fn(*args)

    return wrapper


def add(x: int, n: int = 1) -> int:
    return x + n


def subtract(x: int, n: int = 1) -> int:
    return x - n


class Line:
    def __init__(self, slope: Any) -> None:
        self.slope = slope

    def __call__(self, x: int) -> Any:
        return self.slope, x

    def value(self, x: int) -> Any:
        return self.slope, x

    @task(version="1")
    def task_value(self, x: int) -> Any:
        return self.slope, x

    @task(version="1")
    @classmethod
    def task_class(cls, x: int) -> Any:
        return cls.__name__, x


class Steep(Line):
    pass


class Other:
    def __init__(self, slope: Any) -> None:
        self.slope = slope

    def __call__(self, x: int) -> Any:
        return -self.slope, x

    def value(self, x: int) -> Any:
        return -self.slope, x


def local_class(k: int) -> type:
    class Local:
        def __call__(self, x: int) -> Any:
            return k, x

        def value(self, x: int) -> Any:
            return k, x

    return Local


def in_a_loop() -> list[Any]:
    made = []
    for k in (1, 2):

        def in_loop(x: int, k: int = k) -> Any:
            return k, x

        made.append(functools.partial(in_loop))
    return [closure(one) for one in made]


def redefined(first: bool) -> Any:
    if first:

        def choice(x: int) -> Any:
            return "first", x

    else:

        def choice(x: int) -> Any:
            return "second", x

    return choice


APART = {
    "closures": (lambda: closure(1), lambda: closure(2)),
    "closures of a list": (lambda: closure([1]), lambda: closure([2])),
    "closures of an array": (lambda: closure(np.arange(3)), lambda: closure(np.arange(4))),
    "closures of an object": (lambda: closure(Line(1)), lambda: closure(Line(2))),
    "closures of objects of two classes": (lambda: closure(Line(1)), lambda: closure(Other(1))),
    "closures of a function": (lambda: closure(add), lambda: closure(subtract)),
    "closures of a lambda": (lambda: closure(lambda x: x), lambda: closure(lambda x: -x)),
    "closures of a closure": (lambda: closure(closure(1)), lambda: closure(closure(2))),
    "closures of a builtin": (lambda: closure(len), lambda: closure(sum)),
    "closures of a ufunc": (lambda: closure(np.sqrt), lambda: closure(np.cbrt)),
    "closures of a class": (lambda: closure(Line), lambda: closure(Other)),
    "closures of a local class": (lambda: closure(local_class(1)), lambda: closure(local_class(2))),
    "closures of a partial": (
        lambda: closure(functools.partial(add, n=1)),
        lambda: closure(functools.partial(add, n=2)),
    ),
    "closures of an lru_cache": (
        lambda: closure(functools.lru_cache(add)),
        lambda: closure(functools.lru_cache(subtract)),
    ),
    "closures of a bound method": (lambda: closure(Line(1).value), lambda: closure(Line(2).value)),
    "closures of a task": (lambda: closure(versioned(add)), lambda: closure(task(version="2")(add))),
    "partials": (lambda: functools.partial(add, n=1), lambda: functools.partial(add, n=2)),
    "partials by position": (lambda: functools.partial(add, 1), lambda: functools.partial(add, 2)),
    "partials of closures": (
        lambda: functools.partial(closure(1)),
        lambda: functools.partial(closure(2)),
    ),
    "bound methods": (lambda: Line(1).value, lambda: Line(2).value),
    "bound methods of a local class": (lambda: local_class(1)().value, lambda: local_class(2)().value),
    "methods that are tasks": (lambda: Line(1).task_value, lambda: Line(2).task_value),
    "methods of two classes": (lambda: Line(1).value, lambda: Other(1).value),
    "methods of a subclass": (lambda: Line(1).value, lambda: Steep(1).value),
    "class methods that are tasks": (lambda: Line.task_class, lambda: Steep.task_class),
    "objects": (lambda: Line(1), lambda: Line(2)),
    "objects of two classes": (lambda: Line(1), lambda: Other(1)),
    "objects of a local class": (lambda: local_class(1)(), lambda: local_class(2)()),
    "decorators": (lambda: twice(add), lambda: thrice(add)),
    "decorated functions": (lambda: twice(add), lambda: twice(subtract)),
    "decorated closures": (lambda: twice(closure(1)), lambda: twice(closure(2))),
    "lru_caches of closures": (
        lambda: functools.lru_cache(closure(1)),
        lambda: functools.lru_cache(closure(2)),
    ),
    "functions of a loop": (lambda: in_a_loop()[0], lambda: in_a_loop()[1]),
    "functions that are defined under if": (lambda: redefined(True), lambda: redefined(False)),
    "builtin methods": (lambda: ",".join, lambda: ";".join),
    "itemgetters": (lambda: operator.itemgetter(1), lambda: operator.itemgetter(2)),
}


@pytest.mark.parametrize("what", APART)
def test_what_a_task_holds_tells_its_versions_apart(what):
    one, other = APART[what]
    assert digest(versioned(one())) == digest(versioned(one()))
    assert digest(versioned(one())) != digest(versioned(other()))


@pytest.mark.parametrize("what", APART)
def test_it_does_so_inside_other_code(what):
    one, other = (versioned(make()) for make in APART[what])

    def uses(inner: Any) -> Any:
        def outer(x: int) -> Any:
            return inner(x)

        return task(outer)

    assert digest(uses(one)) == digest(uses(versioned(APART[what][0]())))
    assert digest(uses(one)) != digest(uses(other))


def test_the_results_are_told_apart(tmp_path):
    with connect("serial", lake=tmp_path / "lake"):
        for k in (1, 2):
            assert list(versioned(closure(k)).map([5])) == [(k, 5)]
            assert list(Line(k).task_value.map([5])) == [(k, 5)]
            assert versioned(functools.partial(add, n=k)).submit(5).result() == 5 + k


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x,
        functools.partial(lambda x: x),
        functools.partial(functools.partial(lambda x, y: x, 1)),
        functools.wraps(lambda x: x)(lambda *args: args),
    ],
)
def test_a_lambda_with_a_version_is_refused_when_the_task_is_made(fn):
    with pytest.raises(InputError, match=r"version='1' on a lambda.*def") as refused:
        versioned(fn)
    assert "\n" not in str(refused.value)
    task(fn)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: closure(threading.Lock()), r"closure.*inner with version= has captured k: .*lock"),
        (lambda: functools.partial(add, n=threading.Lock()), "add with version= has keywords: .*lock"),
        (lambda: Line(threading.Lock()).value, "Line.value with version= is bound to: .*lock"),
        (lambda: Line(threading.Lock()), "Line with version= is an object: .*lock"),
    ],
)
def test_what_has_no_stable_key_is_not_cached(make, says):
    with pytest.raises(Unkeyable, match=says) as refused:
        code_key(versioned(make()))
    assert "\n" not in str(refused.value)


def test_a_task_with_an_ignored_instance_does_not_need_its_key():
    class Keeps:
        def __init__(self, lock: Any) -> None:
            self.lock = lock

        @task(version="1", ignore=["self"])
        def method(self, x: int) -> int:
            return x

    assert digest(Keeps(threading.Lock()).method) == digest(Keeps(1).method)


# The code itself

MODULE = """
from lightwork import task
import functools

SCALE = {scale}

def deco(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args) {more}
    return wrapper

def helper(x):
    return x * {scale}

class Line:
    def __init__(self, k):
        self.k = k
    def helper(self):
        return {scale}
    @task(version="{version}")
    def method(self, x):
        return self.helper() * x {more}
    def __call__(self, x):
        return {scale}

def make(k):
    def closure(x):
        return k, helper(x) {more}
    return closure

@task(version="{version}")
def plain(x):
    return helper(x) * SCALE {more}

@task(version="{version}")
@deco
def decorated(x):
    return helper(x) * SCALE {more}

closed = task(version="{version}")(make(Line(1)))
of_function = task(version="{version}")(make(helper))
bound = Line(2).method
called = task(version="{version}")(Line(2))
partial = task(version="{version}")(functools.partial(make(2)))
"""
NAMES = ["plain", "decorated", "closed", "of_function", "bound", "called", "partial"]


def loaded(folder: Path, name: str, **parts: Any) -> Any:
    text = MODULE.format(**({"scale": 2, "more": "", "version": "1"} | parts))
    file = folder / f"{name}.py"
    file.write_text(text)
    import importlib
    import linecache

    importlib.invalidate_caches()
    linecache.clearcache()
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edit", [{"scale": 3}, {"more": "# a comment"}, {"more": "+ (0,)"}])
def test_edits_of_the_code_do_not_count(tmp_path, monkeypatch, name, edit):
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        keys = [
            digest(getattr(loaded(tmp_path, "a_module_of_versions", **parts), name))
            for parts in ({}, edit, edit | {"version": "2"})
        ]
    finally:
        sys.dont_write_bytecode = before
        sys.modules.pop("a_module_of_versions", None)
    assert keys[0] == keys[1] != keys[2]


# Names of scripts

SCRIPT = """
from lightwork import connect, task

@task(version="1")
def f(x):
    return {value!r}, x

class Line:
    def __init__(self):
        self.k = 1
    @task(version="1")
    def method(self, x):
        return {value!r}, x

if __name__ == "__main__":
    with connect("serial", lake={lake!r}, progress="off"):
        print(list(f.map([1])), list(Line().method.map([1])), f.submit(1).result(), f.name)
"""


def script(file: Path, value: str, lake: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SCRIPT.format(value=value, lake=str(lake)))
    return file


def says(value: str, name: str) -> str:
    pair = (value, 1)
    return f"{[pair]} {[pair]} {pair} {name}"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["one.py", "two.py"], ["one.f", "two.f"]),
        (["a b.py", "a-b.py"], ["a b.f", "a-b.f"]),
        (["one/__main__.py", "two/__main__.py"], ["one.__main__.f", "two.__main__.f"]),
    ],
)
def test_two_scripts_never_share_results(tmp_path, capsys, names, shown):
    lake = tmp_path / "lake"
    for name, expected in zip(names, shown, strict=True):
        runpy.run_path(str(script(tmp_path / name, name, lake)), run_name="__main__")
        assert capsys.readouterr().out.strip() == says(name, expected)
    folders = sorted({path.parts[-2] for path in lake.glob("*/results/*/*")})
    assert len(folders) == 4


def test_a_script_finds_its_results_after_an_edit(tmp_path, capsys):
    lake = tmp_path / "lake"
    for value in ("before", "after"):
        runpy.run_path(str(script(tmp_path / "one.py", value, lake)), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == [says("before", "one.f")] * 2


@pytest.mark.slow
def test_a_module_that_is_run_has_its_own_name(tmp_path):
    lake = tmp_path / "lake"
    script(tmp_path / "pack" / "one.py", "one", lake)
    script(tmp_path / "pack" / "__main__.py", "main", lake)
    script(tmp_path / "other" / "one.py", "other", lake)
    script(tmp_path / "one.py", "script", lake)
    runs = {
        ("-m", "pack.one"): says("one", "pack.one.f"),
        ("-m", "pack"): says("main", "pack.__main__.f"),
        ("-m", "other.one"): says("other", "other.one.f"),
        ("one.py",): says("script", "one.f"),
    }
    outputs = {
        arguments: subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()
        for arguments in runs
    }
    assert outputs == runs


def defined(text: str, filename: str, **names: Any) -> Any:
    scope = {"__name__": "__main__", **names}
    exec(compile(text, filename, "exec"), scope)
    return SimpleNamespace(**scope)


TYPED = "from lightwork import task\n@task(version='1')\ndef f(x):\n    return {value}, x\n"


@pytest.mark.parametrize("filename", ["<stdin>", "<string>", "<python-input-0>", "/tmp/ipykernel_1/2.py"])
def test_the_code_counts_too_where_no_file_has_the_name(filename, monkeypatch):
    monkeypatch.delitem(vars(sys.modules["__main__"]), "__file__", raising=False)
    one, again, other = (defined(TYPED.format(value=value), filename).f for value in (1, 1, 2))
    assert digest(one) == digest(again) != digest(other)


def test_a_notebook_is_named_after_its_file(monkeypatch):
    text, filename = TYPED.format(value=1), "/tmp/ipykernel_1/2.py"
    assert defined(text, filename, __vsc_ipynb_file__="/home/me/Wind.ipynb").f.name == "Wind.f"
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/Sun.ipynb")
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    one, edited = (defined(TYPED.format(value=value), filename).f for value in (1, 2))
    assert one.name == "Sun.f"
    assert digest(one) == digest(edited)


def test_a_function_that_calls_itself_has_a_key():
    def outer() -> Any:
        @task(version="1")
        def recursive(n: int) -> int:
            return 0 if n == 0 else recursive(n - 1)

        return recursive

    assert digest(outer()) == digest(outer())
    typed = "from lightwork import task\n@task(version='1')\ndef f(n):\n    return n and f(n - 1)\n"
    assert digest(defined(typed, "<stdin>").f) == digest(defined(typed, "<stdin>").f)


def test_a_task_keeps_its_name_in_another_process():
    import pickle

    made = defined(TYPED.format(value=1), "/somewhere/script.py", __file__="/somewhere/script.py").f
    import cloudpickle

    name = made.name
    assert name == "script.f"
    data = cloudpickle.dumps(made)
    made.fn.__globals__["__file__"] = "/elsewhere/other.py"
    assert pickle.loads(data).name == name

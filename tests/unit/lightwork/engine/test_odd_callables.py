"""Tasks of everything that can be called: methods, partials, builtins, callable objects and classes."""

from __future__ import annotations

import datetime
import functools
import math
import operator
import re
import statistics
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lightwork import InputError, connect, task

pytestmark = pytest.mark.sample(20)


def add(x, n=1):
    return x + n


@functools.cache
def cached_add(x, n=1):
    return x + n


def passes_on(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        return fn(*args, **kwargs)

    return wrapper


def injects(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        return fn(100, *args, **kwargs)

    return wrapper


def names_its_own(fn):
    @functools.wraps(fn)
    def wrapper(x, n=7):
        return fn(x, n)

    return wrapper


@injects
def injected(connection, x=5, y=6):
    return connection, x, y


@dataclass
class Line:
    slope: int

    def __call__(self, x, n=1):
        return self.slope * x + n

    def value(self, x, n=1):
        return self.slope * x + n

    @classmethod
    def name_and(cls, x):
        return cls.__name__, x

    @staticmethod
    def double(x):
        return 2 * x


class Slotted:
    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k

    def __call__(self, x):
        return x + self.k


class CountsCalls:
    """A decorator that is a class."""

    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.fn = fn

    def __call__(self, *args, **kwargs):
        return self.fn(*args, **kwargs)


@CountsCalls
def counted(x, n=1):
    return x - n


class Steep(Line):
    def value(self, x, n=1):
        return -(self.slope * x + n)


@functools.singledispatch
def kind(x):
    return "other"


@kind.register
def _(x: int):
    return "int"


CALLABLES = {
    "a function": (add, "add", [1, 2]),
    "an lru_cache": (cached_add, "cached_add", [1, 2]),
    "a wrapper that passes arguments on": (passes_on(add), "add", [1, 2]),
    "a wrapper with parameters of its own": (names_its_own(add), "add", [1, 2]),
    "a wrapper that supplies an argument": (injected, "injected", [1, 2]),
    "a wrapper that is an object": (counted, "counted", [1, 2]),
    "a singledispatch": (kind, "kind", [1, "a"]),
    "a lambda": (lambda x: x * 2, "<lambda>", [1, 2]),
    "a partial": (functools.partial(add, n=10), "add", [1, 2]),
    "a partial by position": (functools.partial(add, 10), "add", [1, 2]),
    "a partial of a partial": (functools.partial(functools.partial(add), n=3), "add", [1, 2]),
    "a partial of a builtin": (functools.partial(int, base=2), "int", ["11", "10"]),
    "a partial of an lru_cache": (functools.partial(cached_add, n=3), "cached_add", [1, 2]),
    "a partial of a bound method": (functools.partial(Line(2).value, n=3), "value", [1, 2]),
    "a partial of an object": (functools.partial(Line(2), n=3), "Line", [1, 2]),
    "a bound method": (Line(3).value, "value", [1, 2]),
    "a bound method of a subclass": (Steep(3).value, "value", [1, 2]),
    "a method of a base class": (super(Steep, Steep(3)).value, "value", [1, 2]),
    "a class method": (Line.name_and, "name_and", [1, 2]),
    "a class method of a subclass": (Steep.name_and, "name_and", [1, 2]),
    "a static method": (Line.double, "double", [1, 2]),
    "a method that is not bound": (functools.partial(Line.value, Line(4)), "value", [1, 2]),
    "an object": (Line(2), "Line", [1, 2]),
    "an object with slots": (Slotted(2), "Slotted", [1, 2]),
    "a class": (Line, "Line", [1, 2]),
    "a builtin class": (int, "int", ["1", "2"]),
    "a builtin class without a signature": (range, "range", [1, 2]),
    "a builtin": (len, "len", ["a", "bc"]),
    "a builtin of the standard library": (math.sqrt, "sqrt", [1, 4]),
    "a builtin without a signature": (max, "max", [(1, 2), (4, 3)]),
    "a method of a builtin class": (str.upper, "upper", ["a", "b"]),
    "a slot of a builtin class": (int.__neg__, "__neg__", [1, 2]),
    "a class method of a builtin class": (dict.fromkeys, "fromkeys", ["a", "b"]),
    "a static method of a builtin class": (str.maketrans, "maketrans", [{"a": "b"}, {"c": "d"}]),
    "a bound method of a builtin": ("b,c".join, "join", ["xy", "z"]),
    "a bound slot of a builtin": ((5).__add__, "__add__", [1, 2]),
    "a method of a pattern": (re.compile("a+").findall, "findall", ["aab", "b"]),
    "an itemgetter": (operator.itemgetter(1), "itemgetter", [[1, 2], [3, 4]]),
    "an attrgetter": (operator.attrgetter("real"), "attrgetter", [1, 2]),
    "a methodcaller": (operator.methodcaller("upper"), "methodcaller", ["a", "b"]),
    "a function of the standard library": (statistics.mean, "mean", [[1, 3], [2, 4]]),
    "a class of the standard library": (datetime.date.fromisoformat, "fromisoformat", ["2026-01-01"]),
    "a ufunc": (np.sqrt, "sqrt", [1.0, 4.0]),
    "a method of a ufunc": (np.add.reduce, "reduce", [[1, 2], [3, 4]]),
    "a function of numpy": (np.mean, "mean", [[1, 3], [2, 4]]),
    "a vectorized function": (np.vectorize(add), "add", [1, 2]),
    "a polynomial": (np.poly1d([1, 2]), "poly1d", [1, 2]),
}


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


@pytest.mark.parametrize("what", CALLABLES)
def test_anything_callable_is_a_task(session, what):
    fn, name, elements = CALLABLES[what]
    expected = [fn(element) for element in elements]
    made = task(fn)
    assert made.__name__ == name
    assert made.name.endswith(name)
    for computed in (len(elements), 0):
        results = made.map(list(elements))
        assert same(list(results), expected)
        assert results.stats.computed == computed
        assert results.stats.cached == len(elements) - computed
    assert same([made.submit(element).result() for element in elements], expected)
    assert session.elements["computed"] == len(elements)
    assert same([made(element) for element in elements], expected)


PAIRS = {
    "arguments of a partial": (functools.partial(add, n=1), functools.partial(add, n=2)),
    "positional arguments of a partial": (functools.partial(add, 1), functools.partial(add, 2)),
    "functions of a partial": (functools.partial(add, n=1), functools.partial(operator.sub, 1)),
    "instances of a bound method": (Line(1).value, Line(2).value),
    "classes of a bound method": (Line(1).value, Steep(1).value),
    "a method and the one that it overrides": (Steep(1).value, super(Steep, Steep(1)).value),
    "classes of a class method": (Line.name_and, Steep.name_and),
    "objects": (Line(1), Line(2)),
    "objects with slots": (Slotted(1), Slotted(2)),
    "objects of a bound method of a builtin": (",".join, ";".join),
    "patterns": (re.compile("a").findall, re.compile("b").findall),
    "itemgetters": (operator.itemgetter(0), operator.itemgetter(1)),
    "ufuncs": (np.sqrt, np.cbrt),
    "methods of a builtin class": (str.upper, str.title),
    "wrappers": (names_its_own(add), passes_on(add)),
}


@pytest.mark.parametrize("what", PAIRS)
def test_two_callables_never_share_results(what, tmp_path):
    element = {"objects of a bound method of a builtin": "ab", "patterns": "ab"}.get(what, 3)
    element = "ab c" if "builtin class" in what else [5, 6] if what == "itemgetters" else element
    with connect("serial", lake=tmp_path / "lake"):
        for fn in PAIRS[what]:
            assert same(list(task(fn).map([element])), [fn(element)])
            assert same(task(fn).submit(element).result(), fn(element))


def test_what_a_wrapper_supplies_is_not_taken_for_an_argument(session):
    made = task(injected)
    assert made.submit(1).result() == (100, 1, 6)
    assert made.submit(1, 5).result() == (100, 1, 5)
    assert made.submit().result() == (100, 5, 6)
    assert made.submit(1, y=5).result() == (100, 1, 5)
    assert list(made.map([1])) == [(100, 1, 6)]
    assert list(made.map([1], [5])) == [(100, 1, 5)]
    assert list(made.map([1], shared={"y": 9})) == [(100, 1, 9)]


def test_arguments_that_do_not_fit_are_refused_before_anything_runs(session):
    made = task(passes_on(add))
    for call in (lambda: made.map([1], [2], [3]), lambda: made.submit(1, k=2)):
        with pytest.raises(InputError, match=r"the function is add\(x, n=1\)"):
            call()
    with pytest.raises(InputError, match=r"str.upper.map: too many positional arguments"):
        task(str.upper).map(["a"], ["b"])


def test_the_default_of_a_wrapper_is_an_argument(tmp_path):
    def made_with(default):
        def wrapper(x, n=default):
            return add(x, n)

        return task(functools.wraps(add)(wrapper))

    with connect("serial", lake=tmp_path / "lake") as session:
        assert [list(made_with(n).map([1])) for n in (2, 3)] == [[3], [4]]
        assert session.elements["computed"] == 2


def test_ignored_arguments_of_a_wrapper_do_not_count(session):
    made = task(ignore=["n"])(passes_on(add))
    assert [list(made.map([1], [n])) for n in (2, 3)] == [[3], [3]]
    assert [list(made.map([1], shared={"n": n})) for n in (4, 5)] == [[3], [3]]
    assert list(made.map([2], [2])) == [4]


def test_ignored_keywords_of_a_partial_do_not_count(tmp_path):
    def add_in(x, lock):
        return x + 1

    with connect("serial", lake=tmp_path / "lake") as session:
        for _ in range(2):
            made = task(ignore=["lock"])(functools.partial(add_in, lock=threading.Lock()))
            assert list(made.map([1])) == [2]
        assert session.elements["computed"] == 1


class Place:
    """Tasks in a class, under each decorator."""

    def __init__(self, name):
        self.name = name

    @task
    def method(self, x):
        return self.name, x

    @task
    @staticmethod
    def static_inside(x):
        return "static", x

    @staticmethod
    @task
    def static_outside(x):
        return "static", x

    @task
    @classmethod
    def class_inside(cls, x):
        return cls.__name__, x

    @classmethod
    @task
    def class_outside(cls, x):
        return cls.__name__, x

    @task
    @functools.lru_cache  # noqa: B019 - as users write it
    def cached(self, x):
        return self.name, x

    @task
    @passes_on
    def wrapped(self, x):
        return self.name, x

    def other(self, x):
        return self.name, x

    renamed = task(other)
    length = task(len)


class Town(Place):
    @task
    def method(self, x):
        return "town", self.name, x

    def of_base(self):
        return super().method


def ways(name):
    """Through an instance, a class, and those of a subclass, with what comes out."""
    a, b = Place("a"), Town("b")
    if name.startswith("static"):
        return [(owner, ("static", 1)) for owner in (a, b, Place, Town)]
    if name.startswith("class"):
        return [(a, ("Place", 1)), (Place, ("Place", 1)), (b, ("Town", 1)), (Town, ("Town", 1))]
    if name == "method":
        return [(a, ("a", 1)), (b, ("town", "b", 1)), (Place("c"), ("c", 1))]
    return [(a, ("a", 1)), (b, ("b", 1)), (Place("c"), ("c", 1))]


METHODS = [
    "method",
    "static_inside",
    "static_outside",
    "class_inside",
    "class_outside",
    "cached",
    "wrapped",
    "renamed",
]


@pytest.mark.parametrize("name", METHODS)
def test_a_task_in_a_class_gets_what_a_method_gets(session, name):
    for owner, expected in ways(name):
        method = getattr(owner, name)
        assert method(1) == expected
        assert list(method.map([1])) == [expected]
        assert list(method.map([1])) == [expected]
        assert method.submit(1).result() == expected
    different = {expected for _, expected in ways(name)}
    assert session.elements["computed"] == len(different)


def test_a_task_of_a_base_class_is_called_by_super(session):
    method = Town("x").of_base()
    assert method(1) == ("x", 1)
    assert list(method.map([1])) == [("x", 1)]
    assert method.submit(1).result() == ("x", 1)


def test_a_builtin_in_a_class_is_not_bound_as_without_the_task(session):
    assert list(Place("a").length.map(["abc"])) == [3]


def test_an_ignored_instance_does_not_count_but_its_class_does(tmp_path):
    class Base:
        def __init__(self, state):
            self.state = state

        def factor(self):
            return 2

        @task(ignore=["self"])
        def times(self, x):
            return self.factor() * x

    class Other(Base):
        def factor(self):
            return 3

    with connect("serial", lake=tmp_path / "lake") as session:
        assert list(Base(1).times.map([1])) == [2]
        assert list(Base(threading.Lock()).times.map([1])) == [2]
        assert session.elements["computed"] == 1
        assert list(Other(1).times.map([1])) == [3]

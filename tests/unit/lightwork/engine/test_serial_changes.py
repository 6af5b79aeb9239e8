"""On `serial` the caller may change what a task reads between two results: nothing is kept that is not so."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lightwork import connect, task

if TYPE_CHECKING:
    from collections.abc import Callable

conf = types.SimpleNamespace(scale=2)
SCALE = 2
TABLE = {"scale": 2}
NESTED = {"a": {"scale": 2}}
ARRAY = np.array([2])
MEMO: dict[int, int] = {}
COUNT = 0


class Scale:
    factor = 2

    def apply(self, x):
        return x * self.factor


INSTANCE = Scale()


def helper(x):
    return x * 2


def constant(x):
    return x * SCALE


def table(x):
    return x * TABLE["scale"]


def nested(x):
    return x * NESTED["a"]["scale"]


def array(x):
    return int(x * ARRAY[0])


def attribute(x):
    return x * conf.scale


def class_attribute(x):
    return Scale().apply(x)


def instance(x):
    return INSTANCE.apply(x)


def helped(x):
    return helper(x)


def default(x, k=2):
    return x * k


def _captured():
    scale = [2]

    def captured(x):
        return x * scale[0]

    return captured, lambda: scale.__setitem__(0, 5)


captured, change_captured = _captured()

CHANGES: dict[str, tuple[Any, Callable[[pytest.MonkeyPatch], object]]] = {
    "global": (constant, lambda m: m.setitem(globals(), "SCALE", 5)),
    "equal global of another type": (constant, lambda m: m.setitem(globals(), "SCALE", 2.0)),
    "table": (table, lambda m: m.setitem(TABLE, "scale", 5)),
    "nested table": (nested, lambda m: m.setitem(NESTED["a"], "scale", 5)),
    "array": (array, lambda m: m.setitem(globals(), "ARRAY", np.array([5]))),
    "array in place": (array, lambda m: ARRAY.__setitem__(0, 5)),
    "object": (attribute, lambda m: m.setattr(conf, "scale", 5)),
    "class": (class_attribute, lambda m: m.setattr(Scale, "factor", 5)),
    "method": (class_attribute, lambda m: m.setattr(Scale, "apply", lambda self, x: -x)),
    "instance": (instance, lambda m: m.setattr(INSTANCE, "factor", 5, raising=False)),
    "helper": (helped, lambda m: m.setitem(globals(), "helper", lambda x: -x)),
    "helper's code": (helped, lambda m: m.setattr(helper, "__code__", constant.__code__)),
    "default": (default, lambda m: m.setattr(default, "__defaults__", (5,))),
    "captured": (captured, lambda m: change_captured()),
}
# The cheap look does not see this: results that the lake has are handed out until the next full look.
DEEP = {"array in place"}


@pytest.fixture(params=CHANGES)
def name(request):
    return request.param


def results_with_a_change(function: Any, change: Callable[[], object]) -> tuple[list[Any], list[Any]]:
    """Return the results of a map with a change after the second one, and what plain Python gives."""
    seen, right = [], []
    results = task(function).map(range(1, 6))
    for x, result in enumerate(results, 1):
        seen.append(repr(result))
        right.append(repr(function(x)))
        if x == 2:
            change()
    return seen, right


@pytest.mark.parametrize("cached", [0, 5])
def test_a_change_between_two_results_counts_and_leaves_no_wrong_result(tmp_path, name, cached):
    function, change = CHANGES[name]
    with connect(lake=tmp_path, progress="off"):
        list(task(function).map(range(1, cached + 1)))
    before = [repr(function(x)) for x in range(1, 6)]
    with pytest.MonkeyPatch.context() as patch:
        with connect(lake=tmp_path, progress="off"):
            seen, right = results_with_a_change(function, lambda: change(patch))
        if not (cached and name in DEEP):
            assert seen == right
        with connect(lake=tmp_path, progress="off"):
            assert [repr(r) for r in task(function).map(range(1, 6))] == [
                repr(function(x)) for x in range(1, 6)
            ]
    if name == "array in place":
        ARRAY[0] = 2
    if name == "captured":
        return
    with connect(lake=tmp_path, progress="off"):
        assert [repr(r) for r in task(function).map(range(1, 6))] == before


def remembered(x):
    if x not in MEMO:
        MEMO[x] = 2 * x
    return MEMO[x]


def counted(x):
    global COUNT
    COUNT += 1
    return 2 * x


@pytest.mark.parametrize(("function", "what"), [(remembered, "MEMO"), (counted, "COUNT")])
def test_what_a_task_changes_itself_is_named_once_and_its_results_are_kept(
    tmp_path, function, what, caplog, monkeypatch
):
    for cached in (0, 6):
        monkeypatch.setitem(globals(), "MEMO", {})
        monkeypatch.setitem(globals(), "COUNT", 0)
        with connect(lake=tmp_path, progress="off"):
            results = task(function).map(range(6))
            assert list(results) == [2 * x for x in range(6)]
            assert results.stats.cached == cached
        assert caplog.text.count(f"{__name__}.{what} while it runs") == (0 if cached else 1)
        caplog.clear()


def test_a_call_that_changes_what_it_reads_is_named_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(globals(), "COUNT", 0)
    with connect(lake=tmp_path, progress="off"):
        function = task(counted)
        assert [function.submit(x).result() for x in range(3)] == [0, 2, 4]
    assert caplog.text.count(f"{__name__}.COUNT while it runs") >= 1


def test_a_task_with_a_version_is_not_watched(tmp_path, monkeypatch):
    function = task(version="1")(constant)
    with connect(lake=tmp_path, progress="off"):
        list(function.map(range(3)))
        results = function.map(range(3))
        next(results)
        monkeypatch.setitem(globals(), "SCALE", 5)
        list(results)
        assert results.stats.cached == 3

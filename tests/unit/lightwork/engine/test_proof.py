"""A worker runs what the driver has: equal to plain Python, or the run stops in one clear line."""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import sys
import textwrap
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lightwork import ElementError, LightworkError, connect
from lightwork.engine.proof import packages_of
from lightwork.functions import pickling
from lightwork.keys.reached.survey import Name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

LIB = """
    import {second}
    import {second} as alias

    SCALE = 2
    TABLE = {{"factor": 2}}

    def helper(x, k=1):
        return x + k

    def other(x, k=1):
        return -x

    def scaled(x):
        return x * SCALE

    def looked_up(x):
        return x * TABLE["factor"]

    def weighted(x):
        return x * weighted.weight

    weighted.weight = 2

    def through(x):
        return {second}.deep(x)

    def nested(x):
        return helper(scaled(x))

    class Scale:
        factor = 2

        def apply(self, x):
            return x * self.factor

        @classmethod
        def make(cls, x):
            return cls().apply(x)

    class Child(Scale):
        pass
"""
SECOND = """
    UNIT = "mph"

    def deep(x):
        return x + 10

    def other(x):
        return x - 10
"""
TASKS = """
    import {lib}
    import {second}
    from {lib} import Child, Scale, helper
    from lightwork import task

    def constant(x):
        return {lib}.scaled(x)

    def table(x):
        return {lib}.looked_up(x)

    def replaced(x):
        return {lib}.helper(x)

    def inside(x):
        return {lib}.nested(x)

    def attribute(x):
        return Scale().apply(x)

    def inherited(x):
        return Child.make(x)

    def method(x):
        return {lib}.Scale().apply(x)

    def default(x):
        return helper(x)

    def chain(x):
        return (x, {second}.UNIT)

    def deep_chain(x):
        return (x, {lib}.alias.UNIT)

    def function_attribute(x):
        return {lib}.weighted(x)

    def second_module(x):
        return {lib}.through(x)

    def imported(x):
        from {lib} import scaled
        return scaled(x)

    def imported_value(x):
        import {second} as inner
        return (x, inner.UNIT)
"""


@dataclass
class Case:
    """Three modules of their own for one case, as this process has imported them."""

    folder: Path
    lib: ModuleType
    second: ModuleType
    tasks: ModuleType

    def edit(self, module: ModuleType, old: str, new: str) -> None:
        """Change a module's file, not what is imported."""
        path = self.folder / f"{module.__name__}.py"
        text, changed = path.read_text(), path.stat().st_mtime_ns
        assert old in text
        path.write_text(text.replace(old, new, 1))
        os.utime(path, ns=(changed, changed + 2 * 10**9))  # bytecode of this second would pass for it
        importlib.invalidate_caches()


@dataclass(frozen=True)
class Change:
    """A change of what a task reaches: in memory, or the same in the file."""

    task: str
    patch: Callable[[Case], object]
    edit: tuple[str, str, str]


def minus(self: Any, x: int) -> int:
    return -x


CHANGES = {
    "constant": Change("constant", lambda c: setattr(c.lib, "SCALE", 7), ("lib", "SCALE = 2", "SCALE = 7")),
    "table": Change("table", lambda c: c.lib.TABLE.update(factor=7), ("lib", '"factor": 2', '"factor": 7')),
    "helper": Change(
        "replaced", lambda c: setattr(c.lib, "helper", c.lib.other), ("lib", "x + k", "x + 2 * k")
    ),
    "helper inside": Change(
        "inside", lambda c: setattr(c.lib, "helper", c.lib.other), ("lib", "x + k", "x + 2 * k")
    ),
    "helper's code": Change(
        "inside",
        lambda c: setattr(c.lib.helper, "__code__", c.lib.other.__code__),
        ("lib", "x * SCALE", "x * SCALE + 1"),
    ),
    "class attribute": Change(
        "attribute", lambda c: setattr(c.lib.Scale, "factor", 7), ("lib", "factor = 2", "factor = 7")
    ),
    "inherited": Change(
        "inherited", lambda c: setattr(c.lib.Scale, "factor", 7), ("lib", "factor = 2", "factor = 7")
    ),
    "method": Change(
        "method", lambda c: setattr(c.lib.Scale, "apply", minus), ("lib", "x * self.factor", "-x")
    ),
    "method's code": Change(
        "method",
        lambda c: setattr(c.lib.Scale.apply, "__code__", minus.__code__),
        ("lib", "x * self.factor", "-x"),
    ),
    "default": Change(
        "default",
        lambda c: setattr(c.lib.helper, "__defaults__", (7,)),
        ("lib", "helper(x, k=1)", "helper(x, k=7)"),
    ),
    "chain": Change("chain", lambda c: setattr(c.second, "UNIT", "kmh"), ("second", '"mph"', '"kmh"')),
    "deep chain": Change(
        "deep_chain", lambda c: setattr(c.second, "UNIT", "kmh"), ("second", '"mph"', '"kmh"')
    ),
    "function attribute": Change(
        "function_attribute",
        lambda c: setattr(c.lib.weighted, "weight", 7),
        ("lib", "weight = 2", "weight = 7"),
    ),
    "second module": Change(
        "second_module", lambda c: setattr(c.second, "deep", c.second.other), ("second", "x + 10", "x - 10")
    ),
    "import inside": Change(
        "imported", lambda c: setattr(c.lib, "SCALE", 7), ("lib", "SCALE = 2", "SCALE = 7")
    ),
    "value of an import inside": Change(
        "imported_value", lambda c: setattr(c.second, "UNIT", "kmh"), ("second", '"mph"', '"kmh"')
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder on the path of this process and of the workers."""
    path = tmp_path_factory.mktemp("proof")
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
    """A session with one local worker, which has imported none of the cases' modules yet."""
    lake = tmp_path_factory.mktemp("lake")
    with connect(on="local", workers=1, lake=lake, tenant="acme", progress="off") as session:
        yield session


@pytest.fixture
def case(folder):
    mark = uuid.uuid4().hex[:8]
    names = {name: f"{name}_{mark}" for name in ("lib", "second", "tasks")}
    for name, text in (("lib", LIB), ("second", SECOND), ("tasks", TASKS)):
        (folder / f"{names[name]}.py").write_text(textwrap.dedent(text).format(**names))
    importlib.invalidate_caches()
    yield Case(folder, *(importlib.import_module(names[name]) for name in ("lib", "second", "tasks")))
    for name in names.values():
        sys.modules.pop(name, None)


@pytest.fixture(params=[True, False], ids=["cached", "uncached"])
def make(request, case):
    """Return a function that makes a task of the case's function of a name."""
    from lightwork import task

    def make_task(name: str) -> Any:
        made = task(cache=request.param)(getattr(case.tasks, name))
        setattr(case.tasks, name, made)
        return made

    return make_task


def run(function, how: str, x: int) -> Any:
    """Return the result of one element, or the line that refuses it."""
    try:
        return next(function.map([x])) if how == "map" else function.submit(x).result()
    except LightworkError as error:
        return error


def check(result: Any, right: Any, case: Case) -> None:
    if isinstance(result, LightworkError):
        # The line names what differs, and the files of both sides.
        assert "\n" not in str(result)
        assert any(m.__name__ in str(result) for m in (case.lib, case.second)), result
        assert str(case.folder) in str(result)
    else:
        assert result == right


@pytest.fixture(params=CHANGES)
def change(request):
    return CHANGES[request.param]


@pytest.fixture(params=["map", "submit"])
def how(request):
    return request.param


def test_what_is_patched_before_a_run_counts(local, case, make, change, how):
    function = make(change.task)
    before = function(3)
    change.patch(case)
    right = function(3)
    assert right != before
    check(run(function, how, 3), right, case)


def test_a_file_edited_after_its_import_does_not_count(local, case, make, change, how):
    function = make(change.task)
    right = function(3)
    module, old, new = change.edit
    case.edit(getattr(case, module), old, new)
    check(run(function, how, 3), right, case)


def test_what_is_patched_between_two_runs_counts_for_the_second(local, case, make, change, how):
    function = make(change.task)
    first = function(3)
    assert run(function, how, 3) == first
    change.patch(case)
    right = function(3)
    check(run(function, how, 3), right, case)


def test_a_call_that_waits_is_of_the_code_of_its_submission(local, case, make, change):
    function = make(change.task)
    calls, right = [function.submit(3)], [function(3)]
    change.patch(case)
    calls.append(function.submit(3))
    right.append(function(3))
    results = [call.exception() or call.result() for call in calls]
    for result, expected in zip(results, right, strict=True):
        check(result, expected, case)


def test_a_module_that_is_reloaded_counts_as_it_is_now(local, case, make, change, how):
    function = make(change.task)
    assert run(function, how, 3) == function(3)
    module, old, new = change.edit
    case.edit(getattr(case, module), old, new)
    sys.modules.pop(f"{getattr(case, module).__name__}.cache", None)
    importlib.reload(getattr(case, module))
    right = function(3)
    check(run(function, how, 3), right, case)


ELEMENTS = {
    "instance": lambda case: case.lib.Scale(),
    "instance in a dict": lambda case: {"scale": [case.lib.Child()]},
    "method": lambda case: case.lib.Scale().apply,
    "function": lambda case: case.lib.scaled,
}


def used(x: Any) -> Any:
    while isinstance(x, (dict, list)):
        x = next(iter(x.values())) if isinstance(x, dict) else x[0]
    return x.apply(3) if hasattr(x, "apply") else x(3)


def used_shared(n: int, x: Any) -> Any:
    return used(x)


@pytest.mark.parametrize("way", ["element", "argument", "shared"])
@pytest.mark.parametrize("kind", ELEMENTS)
@pytest.mark.parametrize("cache", [True, False])
def test_code_in_arguments_counts_as_it_is_here(local, case, way, kind, cache):
    from lightwork import task

    element, shared = task(cache=cache)(used), task(cache=cache)(used_shared)
    case.lib.Scale.factor = case.lib.SCALE = 7
    value = ELEMENTS[kind](case)
    ways = {
        "element": lambda: list(element.map([value, value])),
        "argument": lambda: [element.submit(value).result(), shared.submit(1, x=value).result()],
        "shared": lambda: list(shared.map([1, 2], shared={"x": value})),
    }
    assert used(value) == 21
    assert ways[way]() == [21, 21]


def test_what_cannot_be_sent_ends_the_run_with_the_name_and_both_sides(local, case, how):
    from lightwork import task

    function = task(case.tasks.imported_value)
    case.second.UNIT = "kmh"
    result = run(function, how, 3)
    assert isinstance(result, LightworkError)
    file = f"{case.folder}/{case.second.__name__}.py"
    assert f"{case.second.__name__}.UNIT here ({file}" in str(result)
    assert f"a worker has ({file})" in str(result)


def test_a_cached_function_that_goes_by_name_is_noted(case):
    case.lib.scaled = functools.cache(case.lib.scaled)
    names: set[tuple[str, str]] = set()
    pickling.dump_code([case.lib.scaled], names)
    assert names == {(case.lib.__name__, "scaled")}


def test_subclasses_go_with_a_function_that_looks_them_up(case):
    exec("def kinds(x):\n    return Scale.__subclasses__()\n", vars(case.lib))
    pickling.hold({case.lib.__name__})
    try:
        data = pickling.dump_code(case.lib.kinds, set())
    finally:
        pickling.release({case.lib.__name__})
    assert pickle.loads(data).__globals__[pickling.SUBCLASSES] == [case.lib.Child]


def test_a_module_that_does_not_exist_is_no_package_to_send(case):
    case.edit(case.lib, "return x * SCALE", "import nowhere_at_all\n    return x * SCALE")
    importlib.reload(case.lib)
    assert packages_of([Name(case.lib.__name__, "scaled")]) == {case.lib.__name__}


def test_the_process_of_a_time_limit_compares_what_it_imports_anew(local, case, how):
    from lightwork import task

    local.client.run(importlib.import_module, case.lib.__name__)  # all workers
    case.edit(case.lib, "SCALE = 2", "SCALE = 7")
    result = run(task(timeout=60, cache=False)(case.tasks.imported), how, 3)
    assert isinstance(result, LightworkError), "the worker has imported the module before the edit"
    check(result, 6, case)


def test_code_with_a_lock_that_differs_ends_the_run(local, case, how):
    from lightwork import task

    case.edit(case.lib, "SCALE = 2", "import threading\nSCALE = 2\nLOCK = threading.Lock()")
    case.edit(case.lib, "return x * SCALE", "with LOCK:\n        return x * SCALE")
    importlib.reload(case.lib)
    function = task(cache=False)(case.tasks.constant)
    assert run(function, how, 3) == 6
    case.lib.SCALE = 7
    result = run(function, how, 3)
    assert isinstance(result, LightworkError)
    assert f"{case.lib.__name__}.SCALE" in str(result)


def test_a_library_of_another_version_ends_the_run(local, case, make, how, monkeypatch):
    function = make("constant")
    case.edit(case.lib, "return x * SCALE", "import numpy\n    return int(numpy.abs(x * SCALE))")
    importlib.reload(case.lib)
    assert run(function, how, 3) == 6
    from lightwork.functions.origins.origin import Distribution
    from lightwork.keys.reached import survey, walk

    def other(name: str) -> Distribution:
        return Distribution("numpy", "0.1", "0.1")

    monkeypatch.setattr(survey, "distribution_of", other)
    monkeypatch.setattr(walk, "distribution_of", other)
    result = run(function, how, 4)
    if function.options.cache:
        assert "numpy is 0.1 here and" in str(result)
    else:
        assert result == 8


def test_own_code_in_a_librarys_place_is_not_lost(local, case, make, how, monkeypatch):
    function = make("constant")
    case.edit(case.lib, "return x * SCALE", "import yaml\n    return yaml.dump(x)")
    importlib.reload(case.lib)
    import yaml

    monkeypatch.setattr(yaml, "dump", lambda x: "mine")
    result = run(function, how, 3)
    assert result == "mine" or "yaml.dump" in str(result)


def test_what_runs_themselves_change_is_named_once_and_is_no_difference(local, case, how, caplog):
    from lightwork import task

    case.edit(case.lib, "return x * TABLE", "TABLE[x] = x\n    return x * TABLE")
    importlib.reload(case.lib)
    first, second = task(case.tasks.table), task(case.tasks.inside)
    assert [run(first, how, x) for x in (3, 4, 5)] == [6, 8, 10]
    assert run(second, how, 3) == 7
    # Another task that reads the same table, which the worker has filled by now.
    library = case.lib
    third = task(lambda x: library.looked_up(x) + 1)
    assert run(third, how, 6) == 13
    assert f"workers have other code of {case.lib.__name__}" not in caplog.text
    if how == "map":  # a worker's own warnings are forwarded to the terminal
        assert caplog.text.count(f"{case.lib.__name__}.TABLE while it runs") == 3


def test_a_map_runs_the_code_of_its_start(local, case, make):
    function = make("chain")

    def changing():
        yield 1
        case.second.UNIT = "kmh"
        yield 2

    results: Any
    try:
        results = list(function.map(changing()))
    except LightworkError as error:
        results = error
    assert results == [(1, "mph"), (2, "mph")] or case.second.__name__ in str(results)
    try:
        results = list(function.map([1, 2]))
    except LightworkError as error:
        results = error
    assert results == [(1, "kmh"), (2, "kmh")] or case.second.__name__ in str(results)


def test_workers_that_lack_a_package_get_it_by_value(workers, tmp_path, monkeypatch, how, caplog):
    from lightwork import task

    name = f"lacking_{uuid.uuid4().hex[:8]}"
    text = """
        UNIT = "kmh"

        def helper(x):
            return (x, UNIT)

        def above(x):
            return helper(x)

        def inside(x):
            from {name} import helper as inner
            return inner(x)
    """
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(text).format(name=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module(name)
    module.UNIT = "mph"
    assert run(task(module.above), how, 3) == (3, "mph")
    assert run(task(lambda x: (x, module.UNIT)), how, 3) == (3, "mph")
    result = run(task(module.inside), how, 3)
    assert isinstance(result, ElementError)
    assert "No module named" in str(result)
    assert f"may import {name}.helper, which a worker lacks" in caplog.text


@pytest.mark.slow
def test_a_module_that_workers_cannot_find_is_sent(local, tmp_path, monkeypatch, how):
    from lightwork import task

    name = f"late_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text("UNIT = 'kmh'\ndef helper(x):\n    return (x, UNIT)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    late = importlib.import_module(name)
    assert run(task(lambda x: late.helper(x)), how, 3) == (3, "kmh")
    assert run(task(lambda x: (x, late.UNIT)), how, 3) == (3, "kmh")

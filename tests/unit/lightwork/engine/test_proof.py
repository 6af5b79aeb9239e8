"""A worker runs what the driver has: equal to plain Python, or the run stops in one clear line."""

from __future__ import annotations

import importlib
import sys
import textwrap
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lightwork import LightworkError, connect

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
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
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
        assert "\n" not in str(error)
        return error


def check(result: Any, right: Any, case: Case) -> None:
    if isinstance(result, LightworkError):
        # The line names what differs, and the files of both sides.
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
